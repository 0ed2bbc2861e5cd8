#include "record/seal_log.h"

#include <fcntl.h>

#include <charconv>

#include "record/files.h"

namespace weir::record {
namespace {

constexpr const char* kHeadFormat = "weir head 1";
constexpr std::size_t kReadSize = 1u << 20;

std::string_view next_word(std::string_view& line) {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  return word;
}

template <class T>
bool to_number(std::string_view word, T& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size() && !word.empty();
}

std::string signed_head(std::string_view object) { return "weir head 1\n" + std::string(object) + "\n"; }

}  // namespace

SealEntry entry_of(const Manifest& m, const Digest& digest, const std::string& path) {
  return {.seal = m.seal, .digest = digest, .session = m.session, .part = m.part, .first_sequence = m.summary.first_sequence,
          .last_sequence = m.summary.last_sequence, .is_last = m.is_last, .path = path};
}

std::string to_line(const SealEntry& e) {
  return std::to_string(e.seal) + " " + hex(e.digest) + " " + std::to_string(e.session) + " " + std::to_string(e.part) + " " +
         std::to_string(e.first_sequence) + " " + std::to_string(e.last_sequence) + (e.is_last ? " end " : " more ") + e.path + "\n";
}

std::optional<SealEntry> entry_from_line(std::string_view line) {
  SealEntry entry;
  std::string_view rest = line;
  if (!to_number(next_word(rest), entry.seal)) return std::nullopt;
  const Result<Digest> digest = digest_from_hex(next_word(rest));
  if (!digest) return std::nullopt;
  entry.digest = *digest;
  if (!to_number(next_word(rest), entry.session) || !to_number(next_word(rest), entry.part) ||
      !to_number(next_word(rest), entry.first_sequence) || !to_number(next_word(rest), entry.last_sequence)) {
    return std::nullopt;
  }
  entry.is_last = next_word(rest) == "end";
  entry.path = rest;
  const std::string again = to_line(entry);
  return std::string_view(again).substr(0, again.size() - 1) == line ? std::optional(entry) : std::nullopt;
}

std::string seals_path(const std::string& log) { return log + "/seals"; }
std::string head_path(const std::string& log) { return log + "/seals.head"; }

Result<SealList> read_seals(const std::string& log, const std::function<void(const SealEntry&)>& visit) {
  SealList list;
  const Result<FileHandle> file = open_file(seals_path(log), O_RDONLY);
  if (!file && file.error().kind == Error::Kind::kNotFound) return list;
  if (!file) return tl::unexpected(file.error());
  std::string text;
  std::vector<std::byte> block(kReadSize);
  uint64_t offset = 0, line_number = 0;
  while (true) {
    const Result<std::size_t> size = read_at(file->get(), offset, block);
    if (!size) return tl::unexpected(size.error());
    if (*size == 0) break;
    offset += *size;
    text.append(as_text(Bytes(block).first(*size)));
    std::string_view rest = text;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      ++line_number;
      const std::optional<SealEntry> entry = entry_from_line(rest.substr(0, end));
      if (!entry) return fail(Error::Kind::kCorrupt, seals_path(log) + ":" + std::to_string(line_number) + ": not a line of the seal list");
      list.sound_size += end + 1;
      visit(*entry);
      list.last = *entry;
      rest.remove_prefix(end + 1);
    }
    text.erase(0, text.size() - rest.size());
  }
  list.torn_size = text.size();
  return list;
}

void ListedSessions::add(const SealEntry& entry) {
  session_max = std::max(session_max, entry.session);
  last = entry;
  if (!entry.is_last) {
    open_parts[entry.session] = entry;
    return;
  }
  open_parts.erase(entry.session);
  if (entry.session >= ended.size()) ended.resize(entry.session + 1);
  ended[entry.session] = true;
}

bool ListedSessions::has(uint64_t session, uint64_t sequence) const {
  if (has_ended(session)) return true;
  const auto part = open_parts.find(session);
  return part != open_parts.end() && sequence <= part->second.last_sequence;
}

Result<std::string> to_text(const SealHead& head, const SigningKey& key) {
  const std::string object = dump({{"format", kHeadFormat}, {"gateway", head.gateway}, {"seals", head.seals}, {"digest", hex(head.digest)},
                                   {"sessions", head.sessions}, {"at_ns", head.at_ns}, {"at", time_text(head.at_ns)}, {"key", key.id()}});
  const Result<Signature> signature = key.sign(as_bytes(signed_head(object)));
  if (!signature) return tl::unexpected(signature.error());
  return object + "\n" + hex(*signature) + "\n";
}

Result<SealHead> head_from_text(std::string_view text, const std::vector<VerifyingKey>& keys) {
  const std::size_t end = text.find('\n');
  const std::string_view object_text = text.substr(0, end);
  if (end == std::string_view::npos || text.size() != end + 1 + 129 || text.back() != '\n') {
    return fail(Error::Kind::kCorrupt, "not a signed head: two lines are expected");
  }
  Signature signature{};
  for (std::size_t half = 0; half < 2; ++half) {
    const Result<Digest> part = digest_from_hex(text.substr(end + 1 + half * 64, 64));
    if (!part) return fail(Error::Kind::kCorrupt, "the head's signature is not hexadecimal");
    std::copy(part->begin(), part->end(), signature.begin() + static_cast<std::ptrdiff_t>(half * 32));
  }
  const std::string message = signed_head(object_text);
  bool is_signed = false;
  for (const VerifyingKey& key : keys) is_signed = is_signed || key.verify(as_bytes(message), signature);
  if (!is_signed) return fail(Error::Kind::kCorrupt, "the head's signature does not fit: it was changed, or signed with another key");
  const nlohmann::json object = parse_object(object_text);
  const Result<Digest> digest = digest_from_hex(text_of(object, "digest"));
  if (!digest || text_of(object, "format") != kHeadFormat) return fail(Error::Kind::kCorrupt, "not a head of format \"weir head 1\"");
  return SealHead{.gateway = text_of(object, "gateway"), .seals = number_of(object, "seals"), .digest = *digest,
                  .sessions = number_of(object, "sessions"), .at_ns = static_cast<int64_t>(number_of(object, "at_ns")), .key = text_of(object, "key")};
}

}  // namespace weir::record
