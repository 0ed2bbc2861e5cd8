#include "steer/kernel_steering.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "abi.h"
#include "kernel/socket_diag.h"
#include "kernel/tcx.h"
#include "steer/kernel_bindings.h"
#include "steer/loader.h"
#include "steer/pinned_map.h"
#include "steer/reasons.h"
#include "steer/target_map.h"

namespace weir::steer {
namespace {

constexpr uint64_t kHandshakeNs = 60'000'000'000u;  // How long an entry may stand without a session and without a socket.

Endpoint client_of(const weir_flow_key& key) { return {from_abi(key.client), ntohs(key.client_port)}; }
Endpoint target_of(const weir_flow_key& key) { return {from_abi(key.target), ntohs(key.target_port)}; }
weir_flow_key key_of(const FlowKey& key) { return to_abi(key.client, key.target); }

tl::unexpected<Error> steering_error(const char* what, int code) {
  return fail(code == EPERM ? Error::Kind::kDenied : Error::Kind::kSystem, std::string(what) + ": " + std::strerror(code), code);
}

Result<void> put_listener(int map, uint32_t index, int fd) {
  if (fd < 0) {
    const int error = bpf_map_delete_elem(map, &index);
    return error == 0 || error == -ENOENT || error == -EINVAL ? Result<void>{} : Result<void>(steering_error("listener", -error));
  }
  const uint64_t value = static_cast<uint64_t>(fd);
  const int error = bpf_map_update_elem(map, &index, &value, BPF_ANY);
  return error == 0 ? Result<void>{} : Result<void>(steering_error("listener", -error));
}

}  // namespace

KernelSteering::KernelSteering(Maps maps, uint32_t upstream_mark, uint32_t client_leg_mark, std::vector<std::string> program_tags)
    : maps_(std::move(maps)), upstream_mark_(upstream_mark), client_leg_mark_(client_leg_mark), program_tags_(std::move(program_tags)) {}

Result<std::unique_ptr<KernelSteering>> KernelSteering::open(const Config& config) {
  const auto options = options_of(config);
  if (!options) return tl::unexpected<Error>(options.error());
  Maps maps;
  const auto open_into = [&](kernel::Fd& into, const char* name, uint32_t key_size, uint32_t value_size) -> Result<void> {
    auto map = open_map(*options, name, key_size, value_size);
    if (!map) return tl::unexpected<Error>(map.error());
    into = std::move(*map);
    return {};
  };
  if (auto r = open_into(maps.flows, "flows", sizeof(weir_flow_key), sizeof(weir_flow)); !r) return tl::unexpected<Error>(r.error());
  if (auto r = open_into(maps.listeners, "listeners", sizeof(uint32_t), sizeof(uint64_t)); !r) return tl::unexpected<Error>(r.error());
  if (auto r = open_into(maps.settings, "settings", sizeof(uint32_t), sizeof(weir_settings)); !r) return tl::unexpected<Error>(r.error());
  if (auto r = open_into(maps.counts, "counts", sizeof(uint32_t), sizeof(uint64_t)); !r) return tl::unexpected<Error>(r.error());
  if (auto r = open_into(maps.legs, "legs", sizeof(weir_leg_key), sizeof(weir_leg)); !r) return tl::unexpected<Error>(r.error());
  return std::unique_ptr<KernelSteering>(new KernelSteering(std::move(maps), options->upstream_mark(), options->client_leg_mark(), pinned_program_tags(options->pin_folder)));
}

Result<void> KernelSteering::set_listeners(std::span<const CoreListeners> cores) {
  if (cores.empty() || cores.size() > WEIR_CORES_MAX) return fail(Error::Kind::kInvalid, "listeners: 1 to " + std::to_string(WEIR_CORES_MAX) + " cores");
  const std::lock_guard<std::mutex> lock(writer_);
  // No new flow while the table changes: with another count of cores a tuple has another listener.
  if (auto closed = set_listener_count(0); !closed) return closed;
  for (const weir_flow_key& key : map_keys<weir_flow_key>(maps_.flows.get())) {
    weir_flow flow{};
    if (bpf_map_lookup_elem(maps_.flows.get(), &key, &flow) == 0 && flow.kind != WEIR_FLOW_DRAINING) bpf_map_delete_elem(maps_.flows.get(), &key);
  }
  for (uint32_t core = 0; core < cores.size(); ++core) {
    if (auto put = put_listener(maps_.listeners.get(), 2 * core, cores[core].v4); !put) return put;
    if (auto put = put_listener(maps_.listeners.get(), 2 * core + 1, cores[core].v6); !put) return put;
  }
  return set_listener_count(static_cast<uint32_t>(cores.size()));
}

void KernelSteering::clear_listeners() {
  const std::lock_guard<std::mutex> lock(writer_);
  static_cast<void>(set_listener_count(0));
}

Result<void> KernelSteering::set_listener_count(uint32_t count) {
  const uint32_t zero = 0;
  weir_settings settings{};
  int error = bpf_map_lookup_elem(maps_.settings.get(), &zero, &settings);
  settings.listener_count = count;
  if (error == 0) error = bpf_map_update_elem(maps_.settings.get(), &zero, &settings, BPF_ANY);
  return error == 0 ? Result<void>{} : Result<void>(steering_error("settings", -error));
}

std::optional<FlowEntry> KernelSteering::flow(const FlowKey& key) {
  const weir_flow_key abi_key = key_of(key);
  weir_flow flow{};
  if (bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0 || flow.kind != WEIR_FLOW_STEERED) return std::nullopt;
  return FlowEntry{flow.binding, flow.session, flow.cut != 0};
}

bool KernelSteering::set_session(const FlowKey& key, uint64_t session) {
  const weir_flow_key abi_key = key_of(key);
  const std::lock_guard<std::mutex> lock(writer_);
  weir_flow flow{};
  if (bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0 || flow.cut != 0 || flow.kind != WEIR_FLOW_STEERED) return false;
  flow.session = session;
  flow.reopened = 0;
  return bpf_map_update_elem(maps_.flows.get(), &abi_key, &flow, BPF_EXIST) == 0;
}

bool KernelSteering::adopt(const FlowKey& key, uint64_t session, uint64_t binding, std::chrono::sys_seconds until) {
  const weir_flow_key abi_key = key_of(key);
  const std::lock_guard<std::mutex> lock(writer_);
  weir_flow flow{};
  if (bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0 || flow.cut != 0 || flow.kind != WEIR_FLOW_STEERED) return false;
  flow.session = session;
  flow.binding = binding;
  flow.until_ns = until == std::chrono::sys_seconds{} ? 0 : boot_end_ns(until);
  flow.reopened = 0;
  return bpf_map_update_elem(maps_.flows.get(), &abi_key, &flow, BPF_EXIST) == 0;
}

void KernelSteering::set_upstream(const FlowKey& key, uint64_t session, const Endpoint& source) {
  const weir_flow_key abi_key = key_of(key);
  const std::lock_guard<std::mutex> lock(writer_);
  weir_flow flow{};
  if (source == key.client || bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0) return;
  flow.kind = WEIR_FLOW_ALIAS;
  const weir_flow_key alias = to_abi(source, key.target);
  // Without its alias (a full map) the leg is still closed by the engine; the kernel alone could not cut it.
  if (bpf_map_update_elem(maps_.flows.get(), &alias, &flow, BPF_ANY) == 0) aliases_[session] = source;
}

// The entry may be the next connection's by now, in any of its states: taken over (another session), or its handshake came
// upon an entry that lived, which must then stay for its packets.  What nobody takes over, sweep() finds.
void KernelSteering::forget(const FlowKey& key, uint64_t session) {
  const weir_flow_key abi_key = key_of(key);
  const std::lock_guard<std::mutex> lock(writer_);
  forget_alias(key, session);
  weir_flow flow{};
  if (bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0) return;
  if (flow.session != session && flow.session != 0) return;
  if (flow.reopened == 0 || flow.cut != 0) {
    bpf_map_delete_elem(maps_.flows.get(), &abi_key);
    return;
  }
  flow.session = 0;
  flow.reopened = 0;
  flow.until_ns = 0;  // What the earlier connection proved is not the next one's; open() writes its own.
  flow.created_ns = kernel::boot_time_ns();
  bpf_map_update_elem(maps_.flows.get(), &abi_key, &flow, BPF_EXIST);
}

void KernelSteering::forget_alias(const FlowKey& key, uint64_t session) {
  const auto alias = aliases_.find(session);
  if (alias == aliases_.end()) return;
  const weir_flow_key alias_key = to_abi(alias->second, key.target);
  weir_flow flow{};
  if (bpf_map_lookup_elem(maps_.flows.get(), &alias_key, &flow) == 0 && flow.kind == WEIR_FLOW_ALIAS && flow.session == session) {
    bpf_map_delete_elem(maps_.flows.get(), &alias_key);
  }
  aliases_.erase(alias);
}

void KernelSteering::cut(const FlowKey& key) {
  const std::lock_guard<std::mutex> lock(writer_);
  cut_locked(key);
}

void KernelSteering::cut_locked(const FlowKey& key) {
  weir_flow own{};
  const weir_flow_key own_key = key_of(key);
  const auto alias = bpf_map_lookup_elem(maps_.flows.get(), &own_key, &own) == 0 ? aliases_.find(own.session) : aliases_.end();
  const Endpoint upstream = alias == aliases_.end() ? key.client : alias->second;
  for (const weir_flow_key& abi_key : {key_of(key), to_abi(upstream, key.target)}) {
    weir_flow flow{};
    if (bpf_map_lookup_elem(maps_.flows.get(), &abi_key, &flow) != 0) continue;
    flow.cut = 1;
    bpf_map_update_elem(maps_.flows.get(), &abi_key, &flow, BPF_EXIST);
  }
  // Marked first: what the sockets' buffers still hold does not leave while they are being ended.
  auto diag = kernel::SocketDiag::open();
  if (!diag) return;
  static_cast<void>(diag->destroy({upstream, key.target}));
  static_cast<void>(diag->destroy({key.target, key.client}));
}

template <class Predicate>
uint32_t KernelSteering::cut_where(Predicate matches) {
  const std::lock_guard<std::mutex> lock(writer_);
  uint32_t count = 0;
  for (const weir_flow_key& key : map_keys<weir_flow_key>(maps_.flows.get())) {
    weir_flow flow{};
    if (bpf_map_lookup_elem(maps_.flows.get(), &key, &flow) != 0 || flow.kind != WEIR_FLOW_STEERED || !matches(flow)) continue;
    cut_locked({client_of(key), target_of(key)});
    ++count;
  }
  return count;
}

uint32_t KernelSteering::cut_binding(uint64_t binding) {
  return binding == 0 ? 0 : cut_where([binding](const weir_flow& flow) { return flow.binding == binding; });
}
uint32_t KernelSteering::cut_session(uint64_t session) {
  return session == 0 ? 0 : cut_where([session](const weir_flow& flow) { return flow.session == session; });
}

uint32_t KernelSteering::sweep() {
  const std::lock_guard<std::mutex> lock(writer_);
  const uint32_t zero = 0;
  weir_settings settings{};
  bpf_map_lookup_elem(maps_.settings.get(), &zero, &settings);
  auto diag = kernel::SocketDiag::open();
  if (!diag) return 0;
  const uint64_t now = kernel::boot_time_ns();
  uint32_t count = 0;
  for (const weir_flow_key& key : map_keys<weir_flow_key>(maps_.flows.get())) {
    weir_flow flow{};
    if (bpf_map_lookup_elem(maps_.flows.get(), &key, &flow) != 0) continue;
    bool is_stale = flow.kind == WEIR_FLOW_DRAINING && settings.drain_until_ns <= now;
    if (flow.kind == WEIR_FLOW_STEERED && flow.session == 0 && flow.created_ns + kHandshakeNs <= now) {
      const auto socket = diag->find({target_of(key), client_of(key)});
      is_stale = socket && !socket->has_value();
    }
    if (is_stale && bpf_map_delete_elem(maps_.flows.get(), &key) == 0) ++count;
  }
  return count;
}

uint32_t KernelSteering::upstream_mark() const { return upstream_mark_; }

std::optional<LegBytes> KernelSteering::leg_bytes(const FlowKey& key, Side side) const {
  const weir_leg_key abi_key{key_of(key), side == Side::kClient ? 0u : 1u};
  weir_leg leg{};
  if (bpf_map_lookup_elem(maps_.legs.get(), &abi_key, &leg) != 0) return std::nullopt;
  return LegBytes{leg.received, leg.acknowledged, leg.ended_ns};
}

std::unordered_map<uint64_t, std::array<uint64_t, 2>> KernelSteering::bytes_left_behind() const {
  std::unordered_map<uint64_t, std::array<uint64_t, 2>> bytes;
  for (const weir_flow_key& key : map_keys<weir_flow_key>(maps_.flows.get())) {
    weir_flow flow{};
    if (bpf_map_lookup_elem(maps_.flows.get(), &key, &flow) != 0 || flow.kind != WEIR_FLOW_STEERED || flow.session == 0) continue;
    const FlowKey ends{client_of(key), target_of(key)};
    const auto client = leg_bytes(ends, Side::kClient), target = leg_bytes(ends, Side::kTarget);
    if (client && target) bytes[flow.session] = {client->received, target->received};
  }
  return bytes;
}

KernelSteering::Counters KernelSteering::counters() const {
  Counters sums;
  const auto counts = read_counts(maps_.counts.get());
  if (!counts) return sums;
  for (std::size_t reason = 0; reason < counts->size(); ++reason) {
    switch (kReasons[reason].kind) {
      case ReasonClass::kPassed: sums.passed += (*counts)[reason]; break;
      case ReasonClass::kSteered: sums.steered += (*counts)[reason]; break;
      case ReasonClass::kSent: sums.sent += (*counts)[reason]; break;
      case ReasonClass::kDropped: sums.dropped += (*counts)[reason]; break;
      case ReasonClass::kNotice: break;
    }
  }
  return sums;
}

std::vector<ReasonCount> KernelSteering::dropped() const {
  std::vector<ReasonCount> dropped;
  const auto counts = read_counts(maps_.counts.get());
  for (std::size_t reason = 0; counts && reason < counts->size(); ++reason) {
    if (kReasons[reason].kind == ReasonClass::kDropped) dropped.push_back({std::string(kReasons[reason].name), (*counts)[reason]});
  }
  return dropped;
}

}  // namespace weir::steer
