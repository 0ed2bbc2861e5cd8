#include "record/log_leaf.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace weir::record {
namespace {

using nlohmann::json;

constexpr std::size_t kActNameMax = 32;

// What stands between `before` and the next `after`; `rest` goes on behind it.
std::optional<std::string_view> take(std::string_view& rest, std::string_view before, char after) {
  if (!rest.starts_with(before)) return std::nullopt;
  const std::size_t end = rest.find(after, before.size());
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view value = rest.substr(before.size(), end - before.size());
  rest.remove_prefix(end);
  return value;
}

template <class T>
bool to_number(std::optional<std::string_view> word, T& number) {
  if (!word) return false;
  const auto [end, error] = std::from_chars(word->data(), word->data() + word->size(), number);
  return error == std::errc{} && end == word->data() + word->size();
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kActNameMax && std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// Nothing in it needs to be escaped.
bool is_plain_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

}  // namespace

SealEntry entry_of(const Manifest& m, const Digest& digest, const std::string& path) {
  const SessionSummary& s = m.summary;
  return {.seal = m.seal, .digest = digest, .session = m.session, .part = m.part, .first_sequence = s.first_sequence, .last_sequence = s.last_sequence, .is_last = m.is_last,
          .path = path, .sealed_ns = m.sealed_ns, .key = m.key, .events = s.events, .commands = s.commands, .blocked = s.blocked, .masked = s.masked};
}

// By hand: a start reads all seals ever made.
std::string to_leaf(const SealEntry& e) {
  const auto number = [](const char* key, uint64_t value) { return std::string(",\"") + key + "\":" + std::to_string(value); };
  return "{\"at\":\"" + time_text(e.sealed_ns) + "\"" + number("blocked", e.blocked) + number("commands", e.commands) + ",\"digest\":\"" + hex(e.digest) +
         "\",\"end\":" + (e.is_last ? "true" : "false") + number("events", e.events) + number("first", e.first_sequence) + ",\"key\":\"" + e.key + "\",\"kind\":\"seal\"" +
         number("last", e.last_sequence) + number("masked", e.masked) + number("part", e.part) + ",\"path\":\"" + e.path + "\"" + number("seal", e.seal) +
         number("session", e.session) + "}";
}

std::optional<SealEntry> seal_from_leaf(std::string_view leaf) {
  SealEntry e;
  std::string_view rest = leaf;
  const auto at = take(rest, "{\"at\":\"", '"');
  const auto at_ns = at ? ns_from_text(*at) : std::nullopt;
  if (!at_ns || !to_number(take(rest, "\",\"blocked\":", ','), e.blocked) || !to_number(take(rest, ",\"commands\":", ','), e.commands)) return std::nullopt;
  e.sealed_ns = *at_ns;
  const auto digest_text = take(rest, ",\"digest\":\"", '"');
  const Result<Digest> digest = digest_text ? digest_from_hex(*digest_text) : fail(Error::Kind::kCorrupt, "");
  const auto end = take(rest, "\",\"end\":", ',');
  if (!digest || !end || !to_number(take(rest, ",\"events\":", ','), e.events) || !to_number(take(rest, ",\"first\":", ','), e.first_sequence)) return std::nullopt;
  e.digest = *digest;
  e.is_last = *end == "true";
  const auto key = take(rest, ",\"key\":\"", '"');
  if (!key || !take(rest, "\",\"kind\":\"seal", '"') || !to_number(take(rest, "\",\"last\":", ','), e.last_sequence) || !to_number(take(rest, ",\"masked\":", ','), e.masked) ||
      !to_number(take(rest, ",\"part\":", ','), e.part)) {
    return std::nullopt;
  }
  const auto path = take(rest, ",\"path\":\"", '"');
  if (!path || !to_number(take(rest, "\",\"seal\":", ','), e.seal) || !to_number(take(rest, ",\"session\":", '}'), e.session)) return std::nullopt;
  e.key = *key;
  e.path = *path;
  return is_plain_text(e.key) && is_plain_text(e.path) && to_leaf(e) == leaf ? std::optional(std::move(e)) : std::nullopt;
}

ActEntry act_entry(uint64_t session, uint64_t sequence, int64_t at_ns, std::string_view verb, Bytes payload) {
  constexpr std::string_view kPurpose = "weir act 1\n";
  return {.session = session, .sequence = sequence, .at_ns = at_ns, .act = is_plain_name(verb) ? std::string(verb) : "other", .digest = sha256({as_bytes(kPurpose), payload})};
}

std::string to_leaf(const ActEntry& e) {
  return to_leaf("act", e.at_ns, {{"act", e.act}, {"digest", hex(e.digest)}, {"sequence", e.sequence}, {"session", e.session}});
}

std::string to_leaf(std::string_view kind, int64_t at_ns, json object) {
  object["kind"] = kind;
  object["at"] = time_text(at_ns);
  return dump(object);
}

std::optional<OtherLeaf> other_from_leaf(std::string_view leaf) {
  OtherLeaf other;
  other.object = parse_object(leaf);
  other.kind = text_at(other.object, "kind");
  const auto at_ns = ns_from_text(text_at(other.object, "at"));
  if (other.kind.empty() || !at_ns) return std::nullopt;
  other.at_ns = *at_ns;
  return other;
}

std::optional<ActEntry> act_from(const OtherLeaf& leaf) {
  const Result<Digest> digest = digest_from_hex(text_at(leaf.object, "digest"));
  if (leaf.kind != "act" || !digest) return std::nullopt;
  return ActEntry{.session = number_at(leaf.object, "session"), .sequence = number_at(leaf.object, "sequence"), .at_ns = leaf.at_ns, .act = text_at(leaf.object, "act"), .digest = *digest};
}

std::optional<int64_t> ns_from_text(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000000000Z";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t at = 0; at < kShape.size(); ++at) {
    const bool fits = kShape[at] == '0' ? text[at] >= '0' && text[at] <= '9' : text[at] == kShape[at];
    if (!fits) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t size) {
    int64_t value = 0;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(part(0, 4))), std::chrono::month(static_cast<unsigned>(part(5, 2))), std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  if (!date.ok() || part(11, 2) > 23 || part(14, 2) > 59 || part(17, 2) > 59) return std::nullopt;
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  if (days < -100'000 || days > 100'000) return std::nullopt;  // What 64 bits of nanoseconds hold.
  return (days * 86'400 + part(11, 2) * 3'600 + part(14, 2) * 60 + part(17, 2)) * kSecond + part(20, 9);
}

}  // namespace weir::record
