// Which keys a reload may not change.  Everything else (grants, who is told of what, approvals, rules, kinds, identity, masks' text, a target's mode and opaque
// setting, log level) is swapped in with the next snapshot.
#include <algorithm>

#include "control/config_loader.h"
#include "control/config_reader.h"

namespace weir::control {
namespace {

class Comparison {
 public:
  explicit Comparison(const Config& wanted) : file_(wanted.file) {}

  template <class T>
  void key(std::string name, const T& running, const T& wanted, SourcePlace place = {}) {
    if (running == wanted) return;
    if (place.file.empty()) place.file = file_;
    problems_.push_back({ConfigProblem::Severity::kError, std::move(place), std::move(name) + " takes effect at a start only",
                         "`systemctl restart weir`, or put the old value back"});
  }
  void add(std::string message, const SourcePlace& place) {
    problems_.push_back({ConfigProblem::Severity::kError, place, std::move(message), "`systemctl restart weir`, or put the old value back"});
  }
  std::vector<ConfigProblem> take() { return std::move(problems_); }

 private:
  std::string file_;
  std::vector<ConfigProblem> problems_;
};

void compare_engine(Comparison& compare, const EngineConfig& a, const EngineConfig& b) {
  compare.key("engine.cores", a.cores, b.cores);
  compare.key("engine.user", a.user, b.user);
  compare.key("engine.signer_user", a.signer_user, b.signer_user);
  compare.key("engine.signer_state", a.signer_state, b.signer_state);
#define LIMIT(name) compare.key("engine.limits." #name, a.limits.name, b.limits.name)
  LIMIT(sessions_max);
  LIMIT(sessions_per_identity_max);
  LIMIT(unit_size_max);
  LIMIT(statement_size_max);
  LIMIT(statement_inline_max);
  LIMIT(prepared_per_session_max);
  LIMIT(held_per_session_max);
  LIMIT(held_bytes_max);
  LIMIT(receive_buffer_size);
  LIMIT(receive_buffer_count);
  LIMIT(leases_per_direction_max);
  LIMIT(session_arena_size);
  LIMIT(units_per_step_max);
  LIMIT(queued_output_max);
  LIMIT(facts_cache_entries);
  LIMIT(facts_pending_max);
#undef LIMIT
  compare.key("engine.timeouts.connect", a.limits.connect_timeout, b.limits.connect_timeout);
  compare.key("engine.timeouts.handshake", a.limits.handshake_timeout, b.limits.handshake_timeout);
  compare.key("engine.timeouts.idle", a.limits.idle_timeout, b.limits.idle_timeout);
  compare.key("engine.timeouts.drain", a.limits.drain_timeout, b.limits.drain_timeout);
}

void compare_steer(Comparison& compare, const SteerConfig& a, const SteerConfig& b) {
  compare.key("steer.clients", a.clients, b.clients);
  compare.key("steer.targets", a.targets, b.targets);
  compare.key("steer.egress_guard", a.egress_guard, b.egress_guard);
  compare.key("steer.mark", std::pair(a.mark, a.mark_mask), std::pair(b.mark, b.mark_mask));
  compare.key("steer.table", a.table, b.table);
  compare.key("steer.priority", a.priority, b.priority);
  compare.key("steer.existing_flows", std::pair(a.existing_flows, a.drain), std::pair(b.existing_flows, b.drain));
  compare.key("steer.drop_notices_per_second", a.drop_notices_per_second, b.drop_notices_per_second);
  compare.key("steer.pin", a.pin_folder, b.pin_folder);
  compare.key("steer.bindings_max", a.bindings_max, b.bindings_max);
  compare.key("steer.flows_max", a.flows_max, b.flows_max);
}

void compare_record(Comparison& compare, const RecordConfig& a, const RecordConfig& b) {
  compare.key("record.journal.segment", a.segment_size, b.segment_size);
  compare.key("record.journal.commit_every", a.commit_every, b.commit_every);
  compare.key("record.journal.reserve", a.reserve, b.reserve);
  compare.key("record.on_failure", a.stop_on_failure, b.stop_on_failure);
  compare.key("record.seal.after_close", a.seal_after_close, b.seal_after_close);
  compare.key("record.seal.every", a.seal_every, b.seal_every);
  compare.key("record.seal.chunk", a.chunk_size, b.chunk_size);
  compare.key("record.signing.key_file", a.signing_key_file, b.signing_key_file);
  compare.key("record.encryption.key_file", a.encryption_key_file, b.encryption_key_file);
  compare.key("record.encryption.auditors", a.encryption_auditors, b.encryption_auditors);
  compare.key("record.log.origin", a.origin, b.origin);
  compare.key("record.log.heartbeat_every", a.heartbeat_every, b.heartbeat_every);
  compare.key("record.log.checkpoint_every", a.checkpoint_every, b.checkpoint_every);
  compare.key("record.log.witnesses", a.witnesses, b.witnesses);
  compare.key("record.log.timestamps", a.timestamps, b.timestamps);
}

// Roles and issuers are looked at for each request.
void compare_api(Comparison& compare, const ApiConfig& a, const ApiConfig& b) {
  compare.key("api.listen", a.listen, b.listen);
  compare.key("api.certificate_file", a.certificate_file, b.certificate_file);
  compare.key("api.key_file", a.key_file, b.key_file);
  compare.key("api.minimum", a.minimum, b.minimum);
  compare.key("api.limits.source_per_second", a.source_per_second, b.source_per_second);
  compare.key("api.limits.identity_per_second", a.identity_per_second, b.identity_per_second);
  compare.key("api.limits.burst", a.burst, b.burst);
  compare.key("api.limits.connections_max", a.connections_max, b.connections_max);
  compare.key("api.limits.connections_per_source_max", a.connections_per_source_max, b.connections_per_source_max);
  compare.key("api.limits.body_size_max", a.body_size_max, b.body_size_max);
  compare.key("api.limits.request_timeout", a.request_timeout, b.request_timeout);
  compare.key("api.limits.answer_timeout", a.answer_timeout, b.answer_timeout);
}

// What the kernel's maps, the listeners and the dialling hold.
void compare_target(Comparison& compare, const TargetConfig& a, const TargetConfig& b) {
  const std::string path = "targets[" + b.name + "].";
  compare.key(path + "protocol", a.protocol, b.protocol, b.place);
  compare.key(path + "addresses", a.addresses, b.addresses, b.place);
  compare.key(path + "ports", a.ports, b.ports, b.place);
  compare.key(path + "other_ports", a.other_ports_drop, b.other_ports_drop, b.place);
  compare.key(path + "admit", a.admit, b.admit, b.place);
  compare.key(path + "wire_token", a.wire_token, b.wire_token, b.place);
  compare.key(path + "unbound", a.unbound, b.unbound, b.place);
  compare.key(path + "icmp", a.icmp_pass, b.icmp_pass, b.place);
  compare.key(path + "on_failure.engine", a.on_engine_failure, b.on_engine_failure, b.place);
  compare.key(path + "closed_answer", a.closed_answer, b.closed_answer, b.place);
  compare.key(path + "source", a.source, b.source, b.place);
  const bool is_minted = b.tls.to_client != LegTls::kNone && b.tls.certificate_file.empty();
  if (is_minted) compare.key(path + "tls.server_name", a.tls.server_name, b.tls.server_name, b.place);
}

void compare_targets(Comparison& compare, const Config& running, const Config& wanted) {
  const auto by_name = [](const std::vector<TargetConfig>& targets, const std::string& name) {
    return std::find_if(targets.begin(), targets.end(), [&](const TargetConfig& t) { return t.name == name; });
  };
  for (const TargetConfig& target : wanted.targets) {
    const auto before = by_name(running.targets, target.name);
    if (before == running.targets.end()) {
      compare.add("targets: a new target " + in_quotes(target.name) + " takes effect at a start only", target.place);
    } else {
      compare_target(compare, *before, target);
    }
  }
  for (const TargetConfig& target : running.targets) {
    if (by_name(wanted.targets, target.name) == wanted.targets.end()) {
      compare.add("targets: " + in_quotes(target.name) + " is gone, which takes effect at a start only", {wanted.file, 0, 0});
    }
  }
}

}  // namespace

std::vector<ConfigProblem> restart_needed(const Config& running, const Config& wanted) {
  Comparison compare(wanted);
  compare.key("name", running.name, wanted.name);
  compare.key("state", running.state, wanted.state);
  compare_engine(compare, running.engine, wanted.engine);
  compare_steer(compare, running.steer, wanted.steer);
  compare_targets(compare, running, wanted);
  compare_record(compare, running.record, wanted.record);
  // The signer read them, and knows the names that it may sign for.
  compare.key("tls.ca.certificate_file", running.tls.ca_certificate_file, wanted.tls.ca_certificate_file);
  compare.key("tls.ca.key_file", running.tls.ca_key_file, wanted.tls.ca_key_file);
  compare.key("store", running.store, wanted.store);
  compare.key("control.socket", running.control.socket, wanted.control.socket);
  compare.key("control.metrics", running.control.metrics, wanted.control.metrics);
  compare_api(compare, running.api, wanted.api);
  return compare.take();
}

}  // namespace weir::control
