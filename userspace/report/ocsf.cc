// The record in the Open Cybersecurity Schema Framework, version 1.9.0-dev of July 2026: the first one with the profile record_integrity.
// A command is one Datastore Activity (6005), with what its answer said; a login one Authentication (3002); the opening and the end of a
// session one Network Activity (4001) each.  Notes, alerts, fates and answers are no events of their own here: JSON Lines has them.
// userspace/DECISIONS.md says why these classes; tests/ocsf checks names, types and enumerations.
//
// The profile's fingerprint is SHA-256 over the event as RFC 8785 (JCS) writes it, without that fingerprint; each event of a session names
// the one before.  It holds no key and no time of the export: who has the sealed archive makes the same chain again.
#include <algorithm>
#include <array>
#include <charconv>
#include <deque>

#include "core/escape.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "report/export.h"
#include "report/pack_table.h"

namespace weir::report {
namespace {

using nlohmann::json;

constexpr const char* kSchemaVersion = "1.9.0-dev";
// Events that wait for an answer, and those behind them.  Past it the oldest goes out without.
constexpr std::size_t kWaitingMax = 1'024, kWaitingBytesMax = 8u << 20;

struct Named { int id; const char* name; };

// --- Classification ---

// A class, by what all its events have.
struct Class { int uid; const char* name; int category; const char* category_name; };
constexpr Class kDatastore{6005, "Datastore Activity", 6, "Application Activity"};
constexpr Class kAuthentication{3002, "Authentication", 3, "Identity & Access Management"};
constexpr Class kNetwork{4001, "Network Activity", 4, "Network Activity"};

void classify(json& event, const Class& of, int activity, const std::string& activity_name) {
  event["class_uid"] = of.uid;
  event["class_name"] = of.name;
  event["category_uid"] = of.category;
  event["category_name"] = of.category_name;
  event["activity_id"] = activity;
  event["activity_name"] = activity_name;
  event["type_uid"] = of.uid * 100 + activity;
  event["type_name"] = std::string(of.name) + ": " + activity_name;
}

bool has_name(const json& names, std::string_view name) {
  return names.is_array() && std::any_of(names.begin(), names.end(), [&](const json& one) { return one.is_string() && one.get_ref<const std::string&>() == name; });
}

// What a command does as a whole: the gravest of its verbs that the schema has a word for.
void classify_command(json& event, const json& command) {
  const auto found = command.find("verbs");
  const json verbs = found == command.end() ? json::array() : *found;
  for (const char* other : {"ddl", "admin", "shell", "file", "forward", "impersonate", "replicate"}) {
    if (has_name(verbs, other)) return classify(event, kDatastore, 99, other);
  }
  if (has_name(verbs, "write")) return classify(event, kDatastore, 5, "Write");
  if (has_name(verbs, "exec")) return classify(event, kDatastore, 99, "exec");
  if (has_name(verbs, "read")) return classify(event, kDatastore, 4, "Query");
  if (has_name(verbs, "session")) return classify(event, kDatastore, 99, "session");
  classify(event, kDatastore, 0, "Unknown");   // It could not be read, or prepares something.
}

void set_status(json& event, const Named& status, const std::string& code = {}, const std::string& detail = {}) {
  event["status_id"] = status.id;
  event["status"] = status.name;
  if (!code.empty()) event["status_code"] = code;
  if (!detail.empty()) event["status_detail"] = detail;
}
constexpr Named kUnknown{0, "Unknown"}, kSuccess{1, "Success"}, kFailure{2, "Failure"};

// What became of it, in the words of a replay.
void set_outcome(json& event, const std::string& outcome, const std::string& reason) {
  if (outcome == "passed") return set_status(event, kSuccess);
  if (outcome.starts_with("error:")) return set_status(event, kFailure, outcome.substr(6), "the target refused it");
  if (outcome == "blocked") return set_status(event, kFailure, {}, reason.empty() ? "refused by the gateway" : reason);
  if (outcome == "skipped") return set_status(event, kFailure, {}, "an earlier command of its pipeline failed");
  if (outcome == "unread") return set_status(event, kUnknown, {}, "the session ended first");
  set_status(event, kUnknown, {}, outcome == "waiting" ? "no answer yet" : "");
}

void set_control(json& event, const Named& action, const Named& disposition) {
  event["action_id"] = action.id;
  event["action"] = action.name;
  event["disposition_id"] = disposition.id;
  event["disposition"] = disposition.name;
}

// Profile security_control: what the gateway did about it.
void set_verdict(json& event, const json& entry, const std::string& outcome, uint64_t masked) {
  const std::string verdict = text_at(entry, "verdict");
  const bool is_observed = entry.value("observed", false);
  if (outcome == "blocked") {
    set_control(event, {2, "Denied"}, verdict == "terminate" ? Named{6, "Dropped"} : Named{2, "Blocked"});
    event["severity_id"] = 3;
    event["severity"] = "Medium";
  } else if (is_observed && verdict != "allow") {
    set_control(event, {3, "Observed"}, {15, "Detected"});
    event["severity_id"] = 2;
    event["severity"] = "Low";
  } else if (masked != 0 || verdict == "mask") {
    set_control(event, {4, "Modified"}, {99, "Masked"});
  } else if (verdict == "hold") {
    set_control(event, {1, "Allowed"}, {8, "Approved"});
  } else {
    set_control(event, {1, "Allowed"}, {1, "Allowed"});
  }
}

// --- Objects ---

// "198.18.1.2:50566", "[2001:db8::1]:5432".
json endpoint(const std::string& address, const char* otherwise) {
  json place = json::object();
  const std::size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon != std::string::npos && std::from_chars(address.data() + colon + 1, address.data() + address.size(), port).ec == std::errc{}) {
    std::string ip = address.substr(0, colon);
    if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
    place["ip"] = ip;
    place["port"] = port;
  } else {
    place["name"] = otherwise;   // A session that was cut before it was opened.
  }
  return place;
}

void add_if(json& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

int64_t milliseconds(const json& entry, const char* key) { return parse_utc_ns(text_at(entry, key)).value_or(0) / 1'000'000; }

// Strings and nulls stay; anything else is written as text, since other numbers than whole ones have no one form in RFC 8785.
json plain(const json& value) {
  const auto is_plain = [](const json& one) { return one.is_string() || one.is_null() || one.is_boolean(); };
  if (is_plain(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_plain))) return value;
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

class Ocsf final : public Exporter {
 public:
  Ocsf(Sink sink, std::string version) : sink_(std::move(sink)), version_(std::move(version)) {}

  void begin_session(const json& session, const std::string& gateway) override {
    session_ = session;
    facts_ = session.value("facts", json::object());
    if (!facts_.is_object()) facts_ = json::object();
    gateway_ = gateway;
    chain_ = gateway + "/" + std::to_string(number_at(session, "id"));
    login_ = text_at(session, "login");
    database_ = text_at(session, "database");
    before_ = nullptr;
  }

  void add(const json& entry, const Proof& proof) override {
    const std::string kind = text_at(entry, "kind");
    if (kind == "response") return answer(entry);
    if (kind == "fate") return settle_login(entry);
    if (kind != "opened" && kind != "login" && kind != "command" && kind != "closed") return;
    if (kind == "login") begin_login(entry);
    const std::string outcome = text_at(entry, "outcome");
    const bool waits = kind == "login" || (kind == "command" && (outcome == "passed" || outcome == "waiting" || outcome.starts_with("error:")));
    Waiting one;
    one.entry = entry;
    one.proof = proof;
    one.login = login_;
    one.database = database_;
    one.size = text_at(entry, "text").size() + 1'024;
    if (const auto params = entry.find("params"); params != entry.end()) one.size += params->dump(-1, ' ', false, json::error_handler_t::replace).size();
    one.unit = waits ? number_at(entry, "unit") : 0;
    one.stream = number_at(entry, "stream");
    bytes_ += one.size;
    waiting_.push_back(std::move(one));
    flush(false);
  }

  void end_session() override { flush(true); }

 private:
  struct Waiting {
    json entry;
    Proof proof;
    std::string login, database;
    std::size_t size = 0;
    uint64_t unit = 0, stream = 0;      // Unit 0: it waits for no answer.
    uint64_t rows = 0, masked = 0, bytes = 0;
    std::string mask_rule, outcome;     // Outcome of a login: none stands in its own line.
  };

  // Answers of one stream come in order: what stands before the answered one gets none.  That one may get more (a login's is first an
  // error, a query's one of each statement), until the next is answered or the session ends.
  void answer(const json& entry) {
    const uint64_t stream = number_at(entry, "stream"), unit = number_at(entry, "in_reply_to");
    if (unit == 0) return;
    for (Waiting& one : waiting_) {
      if (one.unit == 0 || one.stream != stream || one.unit > unit) continue;
      if (one.unit < unit) {
        one.unit = 0;
        continue;
      }
      const bool is_error = !text_at(entry, "sqlstate").empty();
      one.bytes += number_at(entry, "bytes");
      one.rows += is_error ? 0 : number_at(entry, "rows");
      one.masked += number_at(entry, "masked");
      if (number_at(entry, "masked") != 0) one.mask_rule = text_at(entry, "rule");
      one.outcome = text_at(entry, "outcome");
    }
    flush(false);
  }
  void settle_login(const json& entry) {
    for (Waiting& one : waiting_) {
      if (one.unit != 0 && one.unit == number_at(entry, "unit") && text_at(one.entry, "kind") == "login" && !text_at(entry, "outcome").empty()) one.outcome = text_at(entry, "outcome");
    }
  }
  void begin_login(const json& entry) {
    const json login = json::parse(text_at(entry, "text"), nullptr, false);
    if (!login.is_object()) return;
    login_ = text_at(login, "login");
    database_ = text_at(login, "database");
  }

  void flush(bool all) {
    while (!waiting_.empty()) {
      const bool is_full = waiting_.size() > kWaitingMax || bytes_ > kWaitingBytesMax;
      if (waiting_.front().unit != 0 && !all && !is_full) return;
      const Waiting one = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_ -= one.size;
      write(one);
    }
  }

  void write(const Waiting& one) {
    json event = {{"severity_id", 1}, {"severity", "Informational"}};
    const std::string kind = text_at(one.entry, "kind");
    if (kind == "command") set_command(event, one);
    else if (kind == "login") set_login(event, one);
    else set_flow(event, one, kind == "opened");
    event["time"] = milliseconds(one.entry, "at");
    event["src_endpoint"] = endpoint(text_at(facts_, "client"), "unknown");
    event["dst_endpoint"] = endpoint(text_at(facts_, "server"), "unknown");
    add_if(event["dst_endpoint"], "svc_name", text_at(session_, "target"));
    event["metadata"] = metadata(one, kind);
    event["unmapped"] = unmapped(one, kind);
    attest(event);
    sink_(escape_json(event.dump(-1, ' ', false, json::error_handler_t::replace)) + "\n");
  }

  void set_command(json& event, const Waiting& one) {
    const json& entry = one.entry;
    const std::string outcome = text_at(entry, "outcome"), rule = text_at(entry, "rule"), reason = text_at(entry, "reason");
    classify_command(event, entry);
    set_outcome(event, outcome, reason);
    set_verdict(event, entry, outcome, one.masked);
    set_policy(event, entry, rule.empty() ? one.mask_rule : rule, reason, outcome != "blocked");
    event["actor"] = actor(one);
    json database = {{"name", one.database.empty() ? text_at(session_, "target") : one.database}, {"type_id", 1}, {"type", "Relational"}};
    add_if(database, "uid", text_at(session_, "target"));
    event["database"] = std::move(database);
    const auto objects = entry.find("objects");
    const bool is_of_one = objects != entry.end() && objects->is_array() && objects->size() == 1 && objects->front().is_string();
    if (is_of_one) event["table"] = {{"name", objects->front()}};
    event["type_id"] = is_of_one ? 3 : 1;
    event["type"] = is_of_one ? "Table" : "Database";
    json query = {{"query_string", text_at(entry, "text")}, {"name", text_at(entry, "verb")}, {"uid", std::to_string(number_at(entry, "unit"))}};
    if (one.bytes != 0) query["bytes"] = one.bytes;
    event["query_info"] = std::move(query);
  }

  void set_login(json& event, const Waiting& one) {
    classify(event, kAuthentication, 1, "Logon");
    const std::string verdict = text_at(one.entry, "verdict"), reason = text_at(one.entry, "reason");
    const bool is_refused = (verdict == "block" || verdict == "terminate") && !one.entry.value("observed", false);
    const std::string outcome = is_refused ? "blocked" : one.outcome;
    set_outcome(event, outcome, reason);
    set_verdict(event, one.entry, outcome, 0);
    set_policy(event, one.entry, text_at(one.entry, "rule"), reason, outcome != "blocked");
    event["actor"] = actor(one);
    event["user"] = user(one);
    event["session"] = session_object();
    event["is_remote"] = true;
    event["service"] = {{"name", text_at(session_, "target").empty() ? "unknown" : text_at(session_, "target")}};
    const std::string proof = text_at(facts_, "proof");
    if (proof == "token") {
      event["auth_protocol_id"] = 4;
      event["auth_protocol"] = "OpenID";
    } else if (proof == "certificate") {
      event["auth_protocol_id"] = 99;
      event["auth_protocol"] = "TLS client certificate";
    }
  }

  void set_flow(json& event, const Waiting& one, bool is_opening) {
    classify(event, kNetwork, is_opening ? 1 : 2, is_opening ? "Open" : "Close");
    set_status(event, kSuccess, {}, is_opening ? "" : text_at(one.entry, "reason"));
    set_control(event, {1, "Allowed"}, {1, "Allowed"});
    event["connection_info"] = {{"direction_id", 0}, {"direction", "Unknown"}, {"protocol_name", "tcp"}, {"protocol_num", 6}, {"uid", chain_}, {"session", session_object()}};
    event["initiator_id"] = 1;
    event["initiator"] = "Source Endpoint";
    const auto account = one.entry.find("account");
    if (is_opening || account == one.entry.end() || !account->is_object()) return;
    const json to_target = account->value("to_target", json::object()), to_client = account->value("to_client", json::object());
    const uint64_t out = number_at(to_target, "kernel"), in = number_at(to_client, "kernel");
    event["traffic"] = {{"bytes", out + in}, {"bytes_out", out}, {"bytes_in", in}};
  }

  // The rule that decided, the grant that admits it, and the policy that both are of.
  void set_policy(json& event, const json& entry, const std::string& rule, const std::string& reason, bool is_admitted) {
    if (!rule.empty()) {
      event["firewall_rule"] = {{"uid", rule}, {"name", rule}};
      add_if(event["firewall_rule"], "desc", reason);
    }
    if (const std::string grant = text_at(entry, "grant"); !grant.empty()) {
      event["authorizations"] = json::array({{{"decision", is_admitted ? "Allowed" : "Denied"}, {"policy", {{"name", grant}, {"type", "grant"}}}}});
    }
    if (const std::string policy = text_at(facts_, "policy"); !policy.empty()) event["policy"] = {{"uid", policy}, {"type", "rules and grants"}, {"is_applied", true}};
  }

  json user(const Waiting& one) const {
    const std::string subject = text_at(session_, "subject");
    json who = json::object();
    if (!subject.empty()) {
      const bool is_person = subject.starts_with("user:"), is_service = subject.starts_with("svc:");
      who = {{"name", subject}, {"uid", subject}, {"type_id", is_person ? 1 : is_service ? 4 : 0}, {"type", is_person ? "User" : is_service ? "Service" : "Unknown"}};
    }
    json groups = json::array();
    if (const auto found = facts_.find("groups"); found != facts_.end() && found->is_array()) {
      for (const json& group : *found) {
        if (group.is_string()) groups.push_back({{"name", group}});
      }
    }
    if (!groups.empty()) who["groups"] = std::move(groups);
    if (!one.login.empty()) who["account"] = {{"name", one.login}, {"type_id", 99}, {"type", "Database login"}};
    if (who.empty() || (!who.contains("uid") && !who.contains("account"))) who["name"] = "unknown";
    return who;
  }

  json session_object() const {
    json object = {{"uid", chain_}, {"is_remote", true}, {"created_time", milliseconds(session_, "opened")}};
    add_if(object, "issuer", text_at(facts_, "issuer"));
    add_if(object, "credential_uid", text_at(facts_, "token_id"));
    return object;
  }

  json actor(const Waiting& one) const {
    json who = {{"user", user(one)}, {"session", session_object()}};
    if (const std::string issuer = text_at(facts_, "issuer"); !issuer.empty()) who["idp"] = {{"name", issuer}};
    return who;
  }

  json metadata(const Waiting& one, const std::string& kind) const {
    const uint64_t sequence = number_at(one.entry, "seq");
    json data = {{"version", kSchemaVersion},
                 {"product", {{"name", "Weir"}, {"vendor_name", "Weir"}, {"version", version_}}},
                 {"profiles", json::array({"record_integrity", "security_control"})},
                 {"uid", chain_ + "/" + std::to_string(sequence)},
                 {"sequence", sequence},
                 {"correlation_uid", chain_},
                 {"event_code", kind},
                 {"log_provider", gateway_.empty() ? "unknown" : gateway_},
                 {"original_time", text_at(one.entry, "at")}};
    if (!one.proof.archive.empty()) {
      data["log_name"] = one.proof.archive;
      data["logged_time"] = one.proof.sealed_ns / 1'000'000;
    }
    return data;
  }

  // What the schema has no word for: under one name, so that it is nobody else's.
  json unmapped(const Waiting& one, const std::string& kind) const {
    json own = {{"session", number_at(session_, "id")}, {"kind", kind}};
    for (const char* key : {"verdict", "outcome", "request_id"}) add_if(own, key, text_at(one.entry, key));
    for (const char* key : {"verbs", "objects", "params"}) {
      if (const auto found = one.entry.find(key); found != one.entry.end()) own[key] = plain(*found);
    }
    for (const char* key : {"assurance", "mode", "address_subject"}) add_if(own, key, text_at(facts_, key));
    if (const auto found = facts_.find("acting_for"); found != facts_.end()) own["acting_for"] = plain(*found);
    if (one.entry.value("observed", false)) own["observed"] = true;
    if (one.rows != 0) own["rows"] = one.rows;
    if (one.masked != 0) own["masked"] = one.masked;
    if (!one.proof.archive.empty()) {
      own["proof"] = {{"archive", one.proof.archive}, {"part", one.proof.part}, {"seal", one.proof.seal}, {"digest", one.proof.digest}};
    }
    return {{"weir", std::move(own)}};
  }

  // Profile record_integrity.  Keys stand in order, and all numbers are whole: dump() is RFC 8785.
  void attest(json& event) {
    json attestation = {{"chain_uid", chain_}};
    add_if(attestation, "authority_uid", gateway_);
    if (!before_.is_null()) attestation["prev_event"] = before_;
    event["attestation_list"] = json::array({attestation});
    const std::string digest = sha256_hex(event.dump(-1, ' ', false, json::error_handler_t::replace));
    const json fingerprint = {{"algorithm_id", 3}, {"algorithm", "SHA-256"}, {"value", digest}, {"encoding_id", 1}, {"encoding", "Hex"}, {"serialization_id", 2}, {"serialization", "JCS"}};
    event["attestation_list"][0]["fingerprint"] = fingerprint;
    before_ = {{"uid", event["metadata"]["uid"]}, {"type_uid", event["type_uid"]}, {"fingerprint", fingerprint}};
  }

  Sink sink_;
  std::string version_, gateway_, chain_, login_, database_;
  json session_, facts_, before_;
  std::deque<Waiting> waiting_;
  std::size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<Exporter> make_ocsf_exporter(Exporter::Sink sink, std::string version) { return std::make_unique<Ocsf>(std::move(sink), std::move(version)); }

}  // namespace weir::report
