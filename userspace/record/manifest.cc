#include "record/manifest.h"
#include "core/json_fields.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace weir::record {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "weir archive ";


int64_t nanoseconds(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}
bool truth(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}
json child(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

ByteAccount account_from(const json& object) {
  return {.kernel = number_at(object, "kernel"), .handshake = number_at(object, "handshake"), .parsed = number_at(object, "parsed"),
          .opaque = number_at(object, "opaque"), .refused = number_at(object, "refused"), .injected = number_at(object, "injected")};
}

// Sixteen hex digits each, one behind the other.
std::string requests_text(const RequestSet& requests) {
  std::string text;
  std::array<std::byte, 8> bytes{};
  for (const uint64_t hash : requests.hashes()) {
    store_be<uint64_t>(bytes, 0, hash);
    text += hex(bytes);
  }
  return text;
}

// An archive of an earlier version does not say: it must be read.
void read_requests(const json& object, RequestSet& requests) {
  const std::string text = text_at(object, "requests");
  if (!object.contains("requests") || truth(object, "requests_cut") || text.size() % 16 != 0) return requests.cut();
  for (std::size_t at = 0; at < text.size(); at += 16) {
    uint64_t hash = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 16, hash, 16);
    if (error != std::errc{} || end != text.data() + at + 16) return requests.cut();
    requests.add_hash(hash);
  }
}

std::vector<std::string> texts(const json& object, const char* key) {
  std::vector<std::string> all;
  if (const auto found = object.find(key); found != object.end() && found->is_array()) {
    for (const json& each : *found) {
      if (each.is_string()) all.push_back(each.get<std::string>());
    }
  }
  return all;
}

// What format 2 adds.  False: it is missing, or a way that is not known here.
bool read_packing(const json& object, Manifest& m) {
  const json acts = child(object, "acts"), encryption = child(object, "encryption");
  m.chunk_stored = number_at(child(object, "chunks"), "stored");
  m.acts.count = number_at(acts, "count");
  const Result<Digest> digest = digest_from_hex(text_at(acts, "digest"));
  const std::string cipher = text_at(encryption, "cipher");
  if (!digest || text_at(object, "compression") != "zstd" || (cipher != "none" && cipher != "aes-256-gcm")) return false;
  m.acts.digest = *digest;
  m.is_encrypted = cipher != "none";
  if (!m.is_encrypted) return true;
  const Result<Digest> commitment = digest_from_hex(text_at(encryption, "commitment")), keys = digest_from_hex(text_at(encryption, "keys"));
  if (!commitment || !keys) return false;
  m.key_commitment = *commitment;
  m.keys_digest = *keys;
  return true;
}

int64_t difference(const ByteAccount& a) {
  return static_cast<int64_t>(a.kernel - (a.handshake + a.parsed + a.opaque + a.refused));
}

json counts_json(const SessionSummary& s) {
  return {{"events", s.events}, {"commands", s.commands}, {"blocked", s.blocked}, {"masked", s.masked}, {"alerts", s.alerts},
          {"stand_ins", s.stand_ins}, {"responses", s.responses}, {"errors", s.errors}, {"rows", s.rows}, {"gaps", s.gaps},
          {"undecodable", s.undecodable}, {"clock_steps", s.clock_steps}};
}

void read_counts(const json& counts, SessionSummary& s) {
  s.events = number_at(counts, "events");
  s.commands = number_at(counts, "commands");
  s.blocked = number_at(counts, "blocked");
  s.masked = number_at(counts, "masked");
  s.alerts = number_at(counts, "alerts");
  s.stand_ins = number_at(counts, "stand_ins");
  s.responses = number_at(counts, "responses");
  s.errors = number_at(counts, "errors");
  s.rows = number_at(counts, "rows");
  s.gaps = number_at(counts, "gaps");
  s.undecodable = number_at(counts, "undecodable");
  s.clock_steps = number_at(counts, "clock_steps");
}

// The account as the seal states it: I11 balanced, differs (by how much), or unknown (nobody closed the session).
json accounts_json(const SessionSummary& s) {
  if (!s.accounts) return {{"state", "unknown"}};
  const ByteAccount &to_target = (*s.accounts)[0], &to_client = (*s.accounts)[1];
  json result = {{"to_target", account_json(to_target)}, {"to_client", account_json(to_client)}};
  const bool balances = to_target.balances() && to_client.balances();
  result["state"] = s.is_interrupted() ? "unknown" : balances ? "balanced" : "differs";
  if (!balances) result["difference"] = {{"to_target", difference(to_target)}, {"to_client", difference(to_client)}};
  return result;
}

}  // namespace

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json parse_json(std::string_view text) {
  return json::parse(text, [](int depth, json::parse_event_t, json&) { return depth <= kJsonDepthMax; }, false);
}

json opening_facts(std::string_view opened_json) {
  json facts = parse_object(opened_json);
  facts.erase("email");
  return facts;
}

json parse_object(std::string_view text) {
  json value = parse_json(text);
  return value.is_object() ? value : json::object();
}

json account_json(const ByteAccount& a) {
  return {{"kernel", a.kernel}, {"handshake", a.handshake}, {"parsed", a.parsed},
          {"opaque", a.opaque}, {"refused", a.refused},     {"injected", a.injected}};
}

std::string time_text(int64_t ns) {
  const auto seconds = static_cast<time_t>(ns >= 0 ? ns / 1'000'000'000 : (ns - 999'999'999) / 1'000'000'000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%09lldZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<long long>(ns - static_cast<int64_t>(seconds) * 1'000'000'000));
  return text.data();
}

std::string signed_text(const Digest& manifest_digest) { return "weir seal 1\n" + hex(manifest_digest) + "\n"; }

void ActChain::add(std::string_view leaf) {
  digest = sha256({Bytes(digest), as_bytes(leaf)});
  ++count;
}

std::string to_json(const Manifest& m) {
  const SessionSummary& s = m.summary;
  const json facts = opening_facts(s.opened_json), login = parse_object(s.login_json);
  json awaiting = json::array();
  for (const SessionSummary::Unit& unit : s.awaiting) awaiting.push_back(json::array({unit.stream, unit.id}));
  json object = {
      {"format", std::string(kFormat) + std::to_string(m.format)}, {"gateway", m.gateway}, {"session", m.session}, {"part", m.part}, {"is_last", m.is_last},
      {"seal", m.seal}, {"previous", hex(m.previous)}, {"sealed_ns", m.sealed_ns}, {"sealed", time_text(m.sealed_ns)}, {"key", m.key},
      {"target", text_at(facts, "target")}, {"subject", text_at(facts, "subject")}, {"capability", text_at(facts, "capability")},
      {"policy", text_at(facts, "policy")}, {"facts", facts}, {"login", login},
      {"opened_ns", m.opened_ns}, {"opened", time_text(m.opened_ns)},
      {"closed_ns", s.closed_ns}, {"closed", s.is_closed ? json(time_text(s.closed_ns)) : json(nullptr)},
      {"reason", s.reason}, {"is_interrupted", s.is_interrupted()},
      {"sequence", {{"first", s.first_sequence}, {"last", s.last_sequence}}},
      {"time", {{"first_ns", s.first_at_ns}, {"last_ns", s.last_at_ns}}},
      {"counts", counts_json(s)}, {"bytes", accounts_json(s)}, {"awaiting", awaiting},
      {"requests", requests_text(s.requests)}, {"requests_cut", s.requests.is_cut()},
      {"chunks", {{"count", m.chunk_count}, {"bytes", m.chunk_bytes}, {"head", hex(m.chain_head)}}}};
  if (m.format == 1) return dump(object);
  object["rules"] = s.rules;
  object["rules_cut"] = s.has_more_rules;
  object["tags"] = m.tags;
  object["chunks"]["stored"] = m.chunk_stored;
  object["acts"] = {{"count", m.acts.count}, {"digest", hex(m.acts.digest)}};
  object["compression"] = "zstd";
  object["encryption"] = m.is_encrypted ? json{{"cipher", "aes-256-gcm"}, {"commitment", hex(m.key_commitment)}, {"keys", hex(m.keys_digest)}} : json{{"cipher", "none"}};
  return dump(object);
}

Result<Manifest> manifest_from_json(std::string_view text) {
  const json object = parse_object(text);
  const std::string format = text_at(object, "format");
  Manifest m;
  m.format = format == "weir archive 1" ? 1 : 2;
  if (format != std::string(kFormat) + std::to_string(m.format)) return fail(Error::Kind::kCorrupt, "the manifest is not of format \"weir archive 1\" or \"weir archive 2\"");
  SessionSummary& s = m.summary;
  m.gateway = text_at(object, "gateway");
  m.session = s.session = number_at(object, "session");
  m.part = static_cast<uint32_t>(number_at(object, "part"));
  m.is_last = truth(object, "is_last");
  m.seal = number_at(object, "seal");
  m.sealed_ns = nanoseconds(object, "sealed_ns");
  m.key = text_at(object, "key");
  m.opened_ns = s.opened_ns = nanoseconds(object, "opened_ns");
  s.closed_ns = nanoseconds(object, "closed_ns");
  s.is_closed = m.is_last;
  s.reason = text_at(object, "reason");
  s.opened_json = dump(child(object, "facts"));
  s.login_json = dump(child(object, "login"));
  const json sequence = child(object, "sequence"), time = child(object, "time"), bytes = child(object, "bytes"), chunks = child(object, "chunks");
  s.first_sequence = number_at(sequence, "first");
  s.last_sequence = number_at(sequence, "last");
  s.first_at_ns = nanoseconds(time, "first_ns");
  s.last_at_ns = nanoseconds(time, "last_ns");
  read_counts(child(object, "counts"), s);
  if (bytes.contains("to_target")) s.accounts = {account_from(child(bytes, "to_target")), account_from(child(bytes, "to_client"))};
  if (const auto awaiting = object.find("awaiting"); awaiting != object.end() && awaiting->is_array()) {
    for (const json& unit : *awaiting) {
      if (unit.is_array() && unit.size() == 2 && unit[0].is_number_unsigned() && unit[1].is_number_unsigned()) {
        s.awaiting.push_back({unit[0].get<uint32_t>(), unit[1].get<uint64_t>()});
      }
    }
  }
  read_requests(object, s.requests);
  for (std::string& rule : texts(object, "rules")) s.rules.insert(std::move(rule));
  s.has_more_rules = !object.contains("rules") || truth(object, "rules_cut");
  m.tags = texts(object, "tags");
  m.chunk_count = number_at(chunks, "count");
  m.chunk_bytes = number_at(chunks, "bytes");
  const Result<Digest> previous = digest_from_hex(text_at(object, "previous")), head = digest_from_hex(text_at(chunks, "head"));
  if (!previous || !head || m.seal == 0 || m.part == 0) return fail(Error::Kind::kCorrupt, "the manifest lacks its digests or numbers");
  m.previous = *previous;
  m.chain_head = *head;
  if (m.format == 2 && !read_packing(object, m)) return fail(Error::Kind::kCorrupt, "the manifest does not say how its chunks are packed");
  return m;
}

}  // namespace weir::record
