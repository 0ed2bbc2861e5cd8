// Counters of the data path, one block a core.  Each block has one writer (its core or helper thread) and any number of
// readers, so counting is a load, an add and a store, without a lock prefix and without allocation.
// Must never: carry a label whose values a peer can choose, or a value that a mask covers (I4).
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/verdict.h"

namespace weir {

// X(enumerator, metric, labels, type, help).  Lines of one metric stand together; help is that of the first.
#define WEIR_METRICS(X)                                                                                                          \
  X(kSessionsOpened, "weir_sessions_opened_total", "", kCounter, "Sessions admitted.")                                           \
  X(kSessionsClosed, "weir_sessions_closed_total", "", kCounter, "Sessions ended, however.")                                     \
  X(kSessionsOpen, "weir_sessions_open", "", kGauge, "Sessions that are open now.")                                              \
  X(kRefusedUnbound, "weir_sessions_refused_total", "reason=\"unbound\"", kCounter, "Flows that were not admitted, by reason.")  \
  X(kRefusedIdentity, "weir_sessions_refused_total", "reason=\"identity\"", kCounter, "")                                        \
  X(kRefusedNoGrant, "weir_sessions_refused_total", "reason=\"no-grant\"", kCounter, "")                                         \
  X(kRefusedCapacity, "weir_sessions_refused_total", "reason=\"capacity\"", kCounter, "")                                        \
  X(kRefusedIdentityCapacity, "weir_sessions_refused_total", "reason=\"identity-capacity\"", kCounter, "")                       \
  X(kRefusedRecord, "weir_sessions_refused_total", "reason=\"record\"", kCounter, "")                                            \
  X(kRefusedNotTarget, "weir_sessions_refused_total", "reason=\"not-a-target\"", kCounter, "")                                   \
  X(kRefusedNotSteered, "weir_sessions_refused_total", "reason=\"not-steered\"", kCounter, "")                                   \
  X(kRefusedProtocol, "weir_sessions_refused_total", "reason=\"protocol\"", kCounter, "")                                        \
  X(kRefusedShutdown, "weir_sessions_refused_total", "reason=\"shutdown\"", kCounter, "")                                        \
  X(kRefusedCapability, "weir_sessions_refused_total", "reason=\"capability\"", kCounter, "")                                    \
  X(kRefusedTargetDown, "weir_sessions_refused_total", "reason=\"target-unreachable\"", kCounter, "")                            \
  X(kBytesFromClient, "weir_bytes_total", "side=\"client\",direction=\"received\"", kCounter, "Payload bytes at our sockets.")   \
  X(kBytesToClient, "weir_bytes_total", "side=\"client\",direction=\"sent\"", kCounter, "")                                      \
  X(kBytesFromTarget, "weir_bytes_total", "side=\"target\",direction=\"received\"", kCounter, "")                                \
  X(kBytesToTarget, "weir_bytes_total", "side=\"target\",direction=\"sent\"", kCounter, "")                                      \
  X(kUnitsParsed, "weir_units_total", "", kCounter, "Units that protocol readers found.")                                        \
  X(kCommands, "weir_commands_total", "", kCounter, "Commands that were judged.")                                                \
  X(kCommandsAllowed, "weir_verdicts_total", "verdict=\"allow\"", kCounter, "Verdicts on commands and replies.")                 \
  X(kCommandsMasked, "weir_verdicts_total", "verdict=\"mask\"", kCounter, "")                                                    \
  X(kCommandsHeld, "weir_verdicts_total", "verdict=\"hold\"", kCounter, "")                                                      \
  X(kCommandsBlocked, "weir_verdicts_total", "verdict=\"block\"", kCounter, "")                                                  \
  X(kCommandsTerminated, "weir_verdicts_total", "verdict=\"terminate\"", kCounter, "")                                           \
  X(kObserved, "weir_observed_total", "", kCounter, "Verdicts that observe mode recorded but did not carry out.")                \
  X(kValuesMasked, "weir_values_masked_total", "", kCounter, "Values rewritten on their way to a client.")                       \
  X(kValuesUnmaskable, "weir_values_refused_total", "", kCounter, "Values that could not be masked safely and were not sent.")   \
  X(kAlerts, "weir_alerts_total", "", kCounter, "Alert rules that fired.")                                                       \
  X(kImpersonationSetRole, "weir_impersonation_refused_total", "kind=\"set-role\"", kCounter, "Attempts to act as somebody else that were refused, by how.") \
  X(kImpersonationLogin, "weir_impersonation_refused_total", "kind=\"login\"", kCounter, "")                                    \
  X(kImpersonationAgent, "weir_impersonation_refused_total", "kind=\"agent\"", kCounter, "")                                    \
  X(kImpersonationExpiredBinding, "weir_impersonation_refused_total", "kind=\"expired-binding\"", kCounter, "")                 \
  X(kImpersonationTokenReplay, "weir_impersonation_refused_total", "kind=\"token-replay\"", kCounter, "")                       \
  X(kFactsHit, "weir_facts_total", "result=\"hit\"", kCounter, "Questions to the statement facts cache.")                        \
  X(kFactsMiss, "weir_facts_total", "result=\"miss\"", kCounter, "")                                                             \
  X(kFactsPending, "weir_facts_total", "result=\"pending\"", kCounter, "")                                                       \
  X(kFactsRefused, "weir_facts_total", "result=\"refused\"", kCounter, "")                                                       \
  X(kOpaque, "weir_opaque_units_total", "", kCounter, "Units that no reader could read.")                                        \
  X(kJournalGroups, "weir_journal_groups_total", "", kCounter, "Groups committed to the journal.")                               \
  X(kJournalEvents, "weir_journal_events_total", "", kCounter, "Events taken by the journal.")                                   \
  X(kJournalBytes, "weir_journal_bytes_total", "", kCounter, "Bytes written to the journal.")                                    \
  X(kJournalRefused, "weir_journal_refused_total", "", kCounter, "Events that the journal could not take.")                      \
  X(kJournalErrors, "weir_journal_errors_total", "", kCounter, "Failed journal writes and syncs.")                               \
  X(kBuffersExhausted, "weir_buffers_exhausted_total", "", kCounter, "Receives that met an empty buffer ring (ENOBUFS).")        \
  X(kBackPressure, "weir_back_pressure_total", "", kCounter, "Times that one side's receive stopped for the other side.")        \
  X(kHoldsApproved, "weir_holds_total", "result=\"approved\"", kCounter, "What became of held commands.")                         \
  X(kHoldsDenied, "weir_holds_total", "result=\"denied\"", kCounter, "")                                                         \
  X(kHoldsExpired, "weir_holds_total", "result=\"expired\"", kCounter, "")                                                       \
  X(kHoldsWithdrawn, "weir_holds_total", "result=\"withdrawn\"", kCounter, "")                                                   \
  X(kHoldsUnopened, "weir_holds_total", "result=\"not-opened\"", kCounter, "")                                                   \
  X(kTimeoutConnect, "weir_timeouts_total", "kind=\"connect\"", kCounter, "Sessions ended by a timeout, by kind.")               \
  X(kTimeoutHandshake, "weir_timeouts_total", "kind=\"handshake\"", kCounter, "")                                                \
  X(kTimeoutIdle, "weir_timeouts_total", "kind=\"idle\"", kCounter, "")                                                          \
  X(kTimeoutDrain, "weir_timeouts_total", "kind=\"drain\"", kCounter, "")                                                        \
  X(kTlsFaultClient, "weir_tls_faults_total", "side=\"client\"", kCounter, "TLS legs that ended in a fault.")                    \
  X(kTlsFaultTarget, "weir_tls_faults_total", "side=\"target\"", kCounter, "")                                                   \
  X(kTlsHandshakes, "weir_tls_handshakes_total", "", kCounter, "TLS legs that became ready.")                                    \
  X(kViolations, "weir_protocol_violations_total", "", kCounter, "Sessions ended for a protocol violation.")                     \
  X(kCuts, "weir_cuts_total", "", kCounter, "Sessions cut by a person or a revoked binding.")                                    \
  X(kCancels, "weir_cancels_total", "result=\"passed\"", kCounter, "Cancel requests.")                                           \
  X(kCancelsRefused, "weir_cancels_total", "result=\"refused\"", kCounter, "")                                                   \
  X(kStandIns, "weir_stand_ins_total", "", kCounter, "Messages of our own to targets.")                                          \
  X(kPortsChanged, "weir_source_ports_changed_total", "", kCounter, "Dials that could not keep the client's port.")              \
  X(kAccountMismatch, "weir_account_mismatches_total", "", kCounter, "Sessions whose byte account did not balance (I11).")       \
  X(kSystemErrors, "weir_system_errors_total", "", kCounter, "System calls that failed in a way nobody named.")                  \
  X(kAllocations, "weir_hot_path_allocations_total", "", kCounter, "Allocations on the data path that limits name.")             \
  X(kTokensVerified, "weir_tokens_total", "result=\"verified\"", kCounter, "Tokens shown to be bound by.")                        \
  X(kTokensRefused, "weir_tokens_total", "result=\"refused\"", kCounter, "")                                                     \
  X(kTokensUnchecked, "weir_tokens_total", "result=\"no-keys\"", kCounter, "")                                                   \
  X(kWireAccepted, "weir_wire_credentials_total", "result=\"accepted\"", kCounter, "Credentials that sessions showed on the wire, by what became of them.") \
  X(kWireNone, "weir_wire_credentials_total", "result=\"none\"", kCounter, "")                                                  \
  X(kWireToken, "weir_wire_credentials_total", "result=\"token\"", kCounter, "")                                                \
  X(kWireElsewhere, "weir_wire_credentials_total", "result=\"replayed\"", kCounter, "")                                         \
  X(kWireRevoked, "weir_wire_credentials_total", "result=\"revoked\"", kCounter, "")                                            \
  X(kWireNoKeys, "weir_wire_credentials_total", "result=\"no-keys\"", kCounter, "")                                             \
  X(kWireCertificate, "weir_wire_credentials_total", "result=\"certificate\"", kCounter, "")                                    \
  X(kWireBusy, "weir_wire_credentials_total", "result=\"busy\"", kCounter, "")                                                  \
  X(kWirePassword, "weir_wire_credentials_total", "result=\"password\"", kCounter, "")                                          \
  X(kWireLate, "weir_wire_credentials_total", "result=\"late\"", kCounter, "")                                                  \
  X(kWireEnded, "weir_wire_credentials_total", "result=\"ended\"", kCounter, "")                                                \
  X(kReloads, "weir_reloads_total", "result=\"applied\"", kCounter, "Reloads of the configuration.")                             \
  X(kReloadsRefused, "weir_reloads_total", "result=\"refused\"", kCounter, "")                                                   \
  X(kConfigOnDiskRefused, "weir_config_on_disk_refused", "", kGauge, "1: the file on disk is wrong and the old one is in force.") \
  X(kPolicyGeneration, "weir_policy_generation", "", kGauge, "Number of the rule snapshot in force.")

enum class MetricType : uint8_t { kCounter, kGauge };
enum class Metric : uint16_t {
#define X(enumerator, metric, labels, type, help) enumerator,
  WEIR_METRICS(X)
#undef X
  kCount
};
inline constexpr std::size_t kMetricCount = static_cast<std::size_t>(Metric::kCount);

// Of refusals.  kNone: has none.
constexpr Metric metric_of(Impersonation kind) {
  switch (kind) {
    case Impersonation::kNone:
    case Impersonation::kSetRole: return Metric::kImpersonationSetRole;
    case Impersonation::kLogin: return Metric::kImpersonationLogin;
    case Impersonation::kAgent: return Metric::kImpersonationAgent;
    case Impersonation::kExpiredBinding: return Metric::kImpersonationExpiredBinding;
    case Impersonation::kTokenReplay: return Metric::kImpersonationTokenReplay;
  }
  return Metric::kImpersonationSetRole;
}

struct MetricInfo {
  std::string_view name, labels, help;
  MetricType type;
};
inline constexpr std::array<MetricInfo, kMetricCount> kMetricInfo = {{
#define X(enumerator, metric, labels, type, help) {metric, labels, help, MetricType::type},
    WEIR_METRICS(X)
#undef X
}};

// Pre: one writer.  A gauge's value is the sum over the blocks, so each block adds and subtracts its own share.
struct alignas(64) CoreCounters {
  std::array<std::atomic<uint64_t>, kMetricCount> values{};

  void add(Metric metric, uint64_t count = 1) noexcept {
    std::atomic<uint64_t>& value = values[static_cast<std::size_t>(metric)];
    value.store(value.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void subtract(Metric metric, uint64_t count = 1) noexcept { add(metric, uint64_t{0} - count); }
  void set(Metric metric, uint64_t count) noexcept {
    values[static_cast<std::size_t>(metric)].store(count, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value(Metric metric) const noexcept {
    return values[static_cast<std::size_t>(metric)].load(std::memory_order_relaxed);
  }
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// All blocks of one engine, made at start-up; blocks do not move.  Block `core_count` is the control thread's.
class MetricsRegistry {
 public:
  explicit MetricsRegistry(uint32_t core_count) : blocks_(std::make_unique<CoreCounters[]>(core_count + 1)), count_(core_count + 1) {}

  [[nodiscard]] CoreCounters& core(uint32_t index) noexcept { return blocks_[index]; }
  [[nodiscard]] CoreCounters& control() noexcept { return blocks_[count_ - 1]; }
  [[nodiscard]] std::span<const CoreCounters> blocks() const noexcept { return {blocks_.get(), count_}; }
  [[nodiscard]] uint64_t total(Metric metric) const noexcept {
    uint64_t sum = 0;
    for (const CoreCounters& block : blocks()) sum += block.value(metric);
    return sum;
  }

 private:
  std::unique_ptr<CoreCounters[]> blocks_;
  uint32_t count_;
};

}  // namespace weir
