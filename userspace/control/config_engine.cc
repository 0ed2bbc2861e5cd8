// engine, steer, tls, masks, record, control, log, changes.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);

void read_cores(MapReader& engine, std::vector<uint32_t>& out) {
  const YamlNode* node = engine.take("cores");
  if (node == nullptr) return;
  if (node->kind == YamlNode::Kind::kScalar && node->scalar == "auto") return;
  if (node->kind != YamlNode::Kind::kList || node->items.empty()) {
    engine.context().error(node->place, engine.path_of("cores") + ": write auto or a list of cores", "cores: [0, 1]");
    return;
  }
  for (const YamlNode& item : node->items) {
    const auto number = parse_number(item.scalar);
    if (item.kind != YamlNode::Kind::kScalar || !number || *number > 1023) {
      engine.context().error(item.place, engine.path_of("cores") + ": " + in_quotes(item.scalar) + " is not a core, 0 to 1023");
    } else if (std::find(out.begin(), out.end(), *number) != out.end()) {
      engine.context().error(item.place, engine.path_of("cores") + ": core " + item.scalar + " stands twice");
    } else {
      out.push_back(static_cast<uint32_t>(*number));
    }
  }
}

void read_limits(MapReader limits, Limits& out) {
  limits.number("sessions_max", out.sessions_max, 1, 1'000'000);
  limits.number("sessions_per_identity_max", out.sessions_per_identity_max, 1, 1'000'000);
  limits.size32("unit_size_max", out.unit_size_max, 4u << 10, 64u << 20);
  limits.size32("statement_size_max", out.statement_size_max, 4u << 10, 64u << 20);
  limits.size32("statement_inline_max", out.statement_inline_max, 256, 1u << 20);
  limits.number("prepared_per_session_max", out.prepared_per_session_max, 1, 100'000);
  limits.number("held_per_session_max", out.held_per_session_max, 1, 16);
  limits.size("held_bytes_max", out.held_bytes_max, 64u << 10, 16ull << 30);
  limits.size32("receive_buffer_size", out.receive_buffer_size, 4u << 10, 256u << 10);
  limits.number("receive_buffer_count", out.receive_buffer_count, 16, 32768);
  limits.number("leases_per_direction_max", out.leases_per_direction_max, 1, 256);
  limits.size32("session_arena_size", out.session_arena_size, 8u << 10, 16u << 20);
  limits.number("units_per_step_max", out.units_per_step_max, 1, 4096);
  limits.size32("queued_output_max", out.queued_output_max, 16u << 10, 256u << 20);
  limits.number("facts_cache_entries", out.facts_cache_entries, 16, 10'000'000);
  limits.number("facts_pending_max", out.facts_pending_max, 1, 1'000'000);
  LoadContext& context = limits.context();
  if ((out.receive_buffer_count & (out.receive_buffer_count - 1)) != 0) {
    context.error(limits.place_of("receive_buffer_count"),
                  limits.path_of("receive_buffer_count") + " must be a power of two, not " + std::to_string(out.receive_buffer_count));
  }
  if (out.statement_inline_max > out.statement_size_max) {
    context.error(limits.place_of("statement_inline_max"), limits.path_of("statement_inline_max") + " must not be above statement_size_max");
  }
  if (out.sessions_per_identity_max > out.sessions_max) {
    context.warn(limits.place_of("sessions_per_identity_max"),
                 limits.path_of("sessions_per_identity_max") + " is above sessions_max, which is reached first");
  }
  limits.finish();
}

// The process that holds the keys: a user that is not the engine's, or it could read them from there.
void read_signer(MapReader& engine, EngineConfig& out) {
  LoadContext& context = engine.context();
  engine.name("signer_user", out.signer_user, Need::kOptional);
  if (out.signer_user == out.user && out.user != "root") {
    context.error(engine.place_of("signer_user"), engine.path_of("signer_user") + ": " + in_quotes(out.user) + " is engine.user too: what the signer holds would be the engine's", "signer_user: weir-signer");
  } else if (context.check_files && !context.files.user_id(out.signer_user)) {
    context.error(engine.place_of("signer_user"), engine.path_of("signer_user") + ": there is no user " + in_quotes(out.signer_user),
                  "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin " + out.signer_user);
  }
  std::string folder;
  engine.text("signer_state", folder);
  if (!folder.empty()) out.signer_state = context.absolute(folder);
}

void read_existing_flows(MapReader& steer, SteerConfig& out) {
  const YamlNode* node = steer.take_scalar("existing_flows");
  if (node == nullptr || node->scalar == "reset") return;
  LoadContext& context = steer.context();
  const std::string path = steer.path_of("existing_flows");
  const auto drain = node->scalar.starts_with("drain ") ? parse_duration(node->scalar.substr(6))
                                                        : Result<std::chrono::microseconds>(fail(Error::Kind::kInvalid, ""));
  if (!drain || *drain < 1s || *drain > kDay) {
    context.error(node->place, path + ": " + in_quotes(node->scalar) + " is not reset, nor drain with a time of 1s to 1d", "reset | drain 10m");
    return;
  }
  out.existing_flows = ExistingFlows::kDrain;
  out.drain = std::chrono::duration_cast<std::chrono::seconds>(*drain);
  context.warn(node->place, path + ": for " + text_of(std::chrono::microseconds(out.drain)) +
                                " after `weir up`, flows that are older than the gateway pass unjudged and unrecorded");
}

}  // namespace

void read_engine(MapReader engine, EngineConfig& out) {
  read_cores(engine, out.cores);
  engine.name("user", out.user, Need::kOptional);
  if (engine.context().check_files && !engine.context().files.user_id(out.user)) {
    engine.context().error(engine.place_of("user"), engine.path_of("user") + ": there is no user " + in_quotes(out.user),
                           "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin " + out.user);
  }
  read_signer(engine, out);
  read_limits(engine.map("limits"), out.limits);
  MapReader timeouts = engine.map("timeouts");
  timeouts.duration("connect", out.limits.connect_timeout, 100ms, 5min);
  timeouts.duration("handshake", out.limits.handshake_timeout, 100ms, 5min);
  timeouts.duration("idle", out.limits.idle_timeout, 1s, 365 * kDay);
  timeouts.duration("drain", out.limits.drain_timeout, 0s, kDay);
  timeouts.finish();
  engine.finish();
}

void read_steer(MapReader steer, SteerConfig& out) {
  steer.strings("clients", out.clients, {Need::kRequired});
  steer.strings("targets", out.targets, {Need::kRequired});
  LoadContext& context = steer.context();
  for (const auto* list : {&out.clients, &out.targets}) {
    const std::string_view key = list == &out.clients ? "clients" : "targets";
    for (const std::string& name : *list) {
      if (name.size() > 15 || name.find('/') != std::string::npos || !is_printable(name) || name.find(' ') != std::string::npos) {
        context.error(steer.place_of(key), steer.path_of(key) + ": " + in_quotes(name) + " cannot be an interface name", "at most 15 characters, no space or /");
      }
    }
  }
  steer.flag("egress_guard", out.egress_guard);
  if (!out.egress_guard) {
    context.warn(steer.place_of("egress_guard"), steer.path_of("egress_guard") + ": without it, a lost route or rule lets clients reach targets directly");
  }
  steer.choice("source", out.source, {std::pair{std::string_view("client"), SourceMode::kClient}, {"gateway", SourceMode::kGateway}});
  if (const YamlNode* node = steer.take_scalar("mark")) {
    if (const auto mark = parse_mark(node->scalar)) {
      out.mark = mark->first;
      out.mark_mask = mark->second;
    } else {
      context.error(node->place, steer.path_of("mark") + ": " + mark.error().message);
    }
  }
  steer.number("table", out.table, 1, 0xffff'ffff);
  if (out.table >= 253 && out.table <= 255) {
    context.error(steer.place_of("table"), steer.path_of("table") + ": " + std::to_string(out.table) + " is one of the kernel's own (default, main, local)");
  }
  steer.number("priority", out.priority, 1, 32765);
  read_existing_flows(steer, out);
  steer.number("drop_notices_per_second", out.drop_notices_per_second, 0, 1'000'000);
  steer.folder("pin", out.pin_folder);
  steer.number("bindings_max", out.bindings_max, 16, 16u << 20);
  steer.number("flows_max", out.flows_max, 256, 64u << 20);
  steer.finish();
}

void read_tls(MapReader tls, TlsConfig& out) {
  MapReader ca = tls.map("ca");
  ca.file("certificate_file", out.ca_certificate_file, FileKind::kPublic);
  ca.file("key_file", out.ca_key_file, FileKind::kSecret);
  if (out.ca_certificate_file.empty() != out.ca_key_file.empty()) {
    ca.context().error(ca.place(), "tls.ca: certificate_file and key_file belong together", "`weir ca init` makes both");
  }
  ca.finish();
  const int version = tls.choice_of("minimum", {"1.2", "1.3"});
  if (version >= 0) out.minimum = version == 0 ? "1.2" : "1.3";
  tls.finish();
}

void read_masks(MapReader masks, Config& out) {
  masks.file("hash_key_file", out.mask_hash_key_file, FileKind::kSecret);
  masks.choice("length", out.masks_keep_length, {std::pair{std::string_view("keep"), true}, {"free", false}});
  masks.choice_of("fail", {"closed"});
  masks.finish();
}

void read_record(MapReader record, RecordConfig& out) {
  MapReader journal = record.map("journal");
  journal.size("segment", out.segment_size, 1u << 20, 4ull << 30);
  journal.duration("commit_every", out.commit_every, 0us, 1s);
  journal.size("reserve", out.reserve, 0, 1ull << 40);
  journal.finish();
  record.choice("on_failure", out.stop_on_failure, {std::pair{std::string_view("stop"), true}, {"continue", false}});
  if (!out.stop_on_failure) {
    record.context().warn(record.place_of("on_failure"), "record.on_failure: commands pass that nobody records while the record is broken; each gap is a finding");
  }
  MapReader seal = record.map("seal");
  seal.duration("after_close", out.seal_after_close, 0ms, 1h);
  seal.duration("every", out.seal_every, 1min, kDay);
  seal.size32("chunk", out.chunk_size, 4u << 10, 64u << 20);
  seal.finish();
  read_encryption(record.map("encryption"), out);
  MapReader signing = record.map("signing");
  signing.file("key_file", out.signing_key_file, FileKind::kSecretOrMade);
  signing.choice_of("algorithm", {"ed25519"});
  signing.finish();
  read_evidence_log(record.map("log"), out);
  read_archive(record.map("archive"));
  record.finish();
}

void read_control(MapReader control, ControlConfig& out) {
  LoadContext& context = control.context();
  std::string socket;
  control.text("socket", socket);
  if (!socket.empty()) out.socket = context.absolute(socket);
  control.text("metrics", out.metrics);
  if (!out.metrics.empty()) {
    if (const auto endpoint = parse_endpoint(out.metrics); !endpoint) {
      context.error(control.place_of("metrics"), control.path_of("metrics") + ": " + endpoint.error().message);
    }
  }
  control.finish();
}

void read_log(MapReader log, LogConfig& out) {
  static const std::vector<std::string_view> kLevels = {"trace", "debug", "info", "warning", "error"};
  if (const int level = log.choice_of("level", kLevels); level >= 0) out.level = kLevels[static_cast<std::size_t>(level)];
  log.choice("format", out.json, {std::pair{std::string_view("text"), false}, {"json", true}});
  log.finish();
}

void read_bypass(MapReader bypass, std::chrono::seconds& out) {
  bypass.duration("max", out, 1s, kDay);
  bypass.finish();
}

void read_changes(MapReader changes, Config& out) {
  static const std::vector<std::string_view> kActs = {"reload", "bypass", "revoke", "cut"};
  changes.flag("require_reason", out.changes_require_reason);
  for (const auto& [act, place] : changes.placed_strings("second_person", {.may_be_empty = true})) {
    if (std::find(kActs.begin(), kActs.end(), act) == kActs.end()) {
      changes.context().error(place, changes.path_of("second_person") + ": " + in_quotes(act) + " is no act that can wait for a second person", suggestion(act, kActs));
      continue;
    }
    if (act == "revoke" || act == "cut") {
      changes.context().warn(place, changes.path_of("second_person") + ": " + act + " takes away: until a second person approves, who is to be stopped goes on", "leave it out");
    }
    out.changes_second_person.push_back(act);
  }
  bool require_reviewer = false;  // The short form of second_person: [reload].
  changes.flag("require_reviewer", require_reviewer);
  const bool is_named = std::find(out.changes_second_person.begin(), out.changes_second_person.end(), "reload") != out.changes_second_person.end();
  if (require_reviewer && !is_named) out.changes_second_person.emplace_back("reload");
  changes.duration("deadline", out.changes_deadline, 1min, 7 * kDay);
  changes.finish();
}

}  // namespace weir::control
