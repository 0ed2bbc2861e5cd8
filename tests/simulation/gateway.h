// The production engine of one core (loop, sessions, codec, policy, journal) over the simulated world, and its checkers.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "record/journal.h"
#include "session/core_loop.h"
#include "simulation/postgres_client.h"
#include "simulation/postgres_target.h"
#include "simulation/reviewers.h"
#include "simulation/sim_io.h"
#include "simulation/wire_desk.h"

namespace weir::simulation {

// Which promise was broken, and how.
struct Violation {
  std::string checker;   // "I2", "I5", ...
  std::string what;
};

struct Recorded {        // One event as read back from the simulated disk and pending memory.
  RecordEvent::Kind kind{};
  uint64_t session = 0, sequence = 0, unit = 0;
  std::string verb, text, rule, reason, sqlstate;
  Verdict::Action action{};
  Fate fate{};
  std::array<ByteAccount, 2> accounts{};
};

// Who is behind a client: its address says.
// From kWireValid on they use the target that admits by credentials alone.
enum class Person : uint8_t { kGranted, kStranger /* no identity; on even seeds, a bound address on another link */, kWithoutGrant, kWireValid, kWireEnding /* its token ends soon */, kWireExpired, kWireForeign, kWireReplayed,
                              kWireGarbage, kWireNone, kWireSilent /* never answers */, kWireByAddress /* a bound address and the login's own password */ };
inline constexpr uint64_t kWirePeople = 9;
constexpr bool is_on_wire(Person person) { return person >= Person::kWireValid; }
// Those who get in and may do something.
constexpr bool may_work(Person person) { return person == Person::kGranted || person == Person::kWireValid || person == Person::kWireEnding; }
Address address_of(Person person);
IdentityPtr identity_of(const Address& from);
std::optional<std::string> password_of(Person person);

class SimSteering final : public Steering {
 public:
  // No binding: the kernel found none that holds where the packets came from.
  std::optional<FlowEntry> flow(const FlowKey& key) override { return FlowEntry{key.client.address == address_of(Person::kStranger) ? 0u : 1u, 0, false}; }
  bool set_session(const FlowKey&, uint64_t) override { return true; }
  void forget(const FlowKey&, uint64_t) override {}
  void cut(const FlowKey&) override {}
  uint32_t upstream_mark() const override { return 0x78; }
};

// The runtime of all simulations: one PostgreSQL target, grants for reading and COPY, `words: [forbidden]` blocks, `[guarded]` is
// held, cards are masked.  `generation` only differs.
session::RuntimePtr make_runtime(World& world, const Faults& faults, const Limits& limits, bool with_rules, uint64_t generation);
Limits simulation_limits();

class Gateway {
 public:
  Gateway(World& world, Net& net, Disk& disk, const Faults& faults, session::RuntimePtr runtime, MutableBytes pending);
  ~Gateway();

  // A client's connection: the engine's end arrives at its listener.  Returns the client's end.
  SocketPtr connect(const Endpoint& client, bool to_wire_target = false);
  session::CoreLoop& loop() { return *loop_; }
  SimIo& io() { return *io_; }
  [[nodiscard]] const std::vector<std::shared_ptr<PostgresTarget>>& targets() const { return targets_; }
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }
  [[nodiscard]] const std::vector<std::string>& target_log() const { return target_log_; }
  [[nodiscard]] Reviewers& reviewers() { return reviewers_; }
  // Whom nobody carries further here.
  [[nodiscard]] NoticeQueue& notices() { return notices_; }
  [[nodiscard]] const WireDesk& desk() const { return desk_; }
  [[nodiscard]] const CoreCounters& counters() const { return counters_; }

 private:
  SocketPtr dial(const DialPlan& plan);
  void on_statement(const std::string& statement);

  World& world_;
  Net& net_;
  Disk& disk_;
  const Faults& faults_;
  CoreCounters counters_;
  SimSteering steering_;
  session::Directory directory_{1};
  Limits limits_;
  accept::Admission admission_;
  Reviewers reviewers_;
  NoticeQueue notices_{[] {}};
  WireDesk desk_;
  std::unique_ptr<SimIo> io_;
  std::unique_ptr<record::JournalWriter> journal_;
  std::unique_ptr<session::CoreLoop> loop_;
  std::vector<std::shared_ptr<PostgresTarget>> targets_;
  std::vector<std::string> target_log_;
  std::vector<Violation> violations_;
};

record::PendingShape pending_shape();
// All events that the disk and the pending memory hold, in order.
std::vector<Recorded> read_record(const Disk& disk, Bytes pending);

}  // namespace weir::simulation
