// No allocation a command, of the whole of it: the production loop, session, codec, facts, policy, masks, recorder and journal on
// one core, over the simulated world.  Counted: operator new and malloc of this thread while the engine's own code runs; what
// the simulated network, disk and clock allocate is not the engine's.
#include <execinfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "record/files.h"
#include "simulation/gateway.h"
#include "simulation/wire.h"

namespace {
thread_local bool t_is_engine = false;     // The engine's code runs, not the world's.
thread_local uint64_t t_allocations = 0;
// Of the first allocations that should not be: addresses, for addr2line.
constexpr int kStacks = 3, kDepth = 24;
void* g_stacks[kStacks][kDepth];
int g_depths[kStacks], g_stack_count = kStacks;   // Full: none is kept.
void count_one() {
  if (!t_is_engine) return;
  ++t_allocations;
  if (g_stack_count == kStacks) return;
  t_is_engine = false;
  g_depths[g_stack_count] = backtrace(g_stacks[g_stack_count], kDepth);
  ++g_stack_count;
  t_is_engine = true;
}
void print_stacks() {
  for (int i = 0; i < g_stack_count; ++i) {
    std::fprintf(stderr, "an allocation (addr2line -Cfpie PROGRAM ADDRESSES):\n");
    backtrace_symbols_fd(g_stacks[i], g_depths[i], 2);
  }
}
}  // namespace

// glibc's own, behind the ones here: libraries in C are counted too, and operator new ends in malloc().
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t size) {
  count_one();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  count_one();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  count_one();
  return __libc_realloc(memory, size);
}
}

namespace weir::simulation {
namespace {

class Paused {
 public:
  Paused() : before_(std::exchange(t_is_engine, false)) {}
  ~Paused() { t_is_engine = before_; }
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

 private:
  const bool before_;
};

// The outside does not count.
class PausedIo final : public Io {
 public:
  explicit PausedIo(SimIo& inner) : inner_(inner) {}
  void accept(int listener, OpToken token) override { const Paused paused; inner_.accept(listener, token); }
  void connect(const DialPlan& plan, OpToken token) override { const Paused paused; inner_.connect(plan, token); }
  void receive(int fd, OpToken token) override { const Paused paused; inner_.receive(fd, token); }
  void send(int fd, std::span<const Bytes> pieces, OpToken token) override { const Paused paused; inner_.send(fd, pieces, token); }
  void shutdown(int fd, OpToken token) override { const Paused paused; inner_.shutdown(fd, token); }
  void close(int fd, bool reset, OpToken token) override { const Paused paused; inner_.close(fd, reset, token); }
  void cancel(OpToken token) override { const Paused paused; inner_.cancel(token); }
  void write(int file, uint64_t offset, Bytes bytes, bool durable, OpToken token) override { const Paused paused; inner_.write(file, offset, bytes, durable, token); }
  void sync(int file, OpToken token) override { const Paused paused; inner_.sync(file, token); }
  void timer(std::chrono::nanoseconds after, OpToken token) override { const Paused paused; inner_.timer(after, token); }
  void post(uint64_t value) override { const Paused paused; inner_.post(value); }
  std::span<Completion> turn() override { const Paused paused; return inner_.turn(); }
  std::chrono::nanoseconds now() const override { return inner_.now(); }
  std::chrono::sys_time<std::chrono::nanoseconds> wall() const override { return inner_.wall(); }
  RandomSource& random() override { return inner_.random(); }
  FlowEndpoints endpoints(int fd) const override { const Paused paused; return inner_.endpoints(fd); }
  SocketAccount account(int fd, bool fin_seen) const override { const Paused paused; return inner_.account(fd, fin_seen); }

 private:
  SimIo& inner_;
};
class PausedSupply final : public record::SegmentSupply {
 public:
  explicit PausedSupply(record::SegmentSupply& inner) : inner_(inner) {}
  std::optional<record::SegmentFile> take() override { const Paused paused; return inner_.take(); }
  void give_up(const record::SegmentFile& file) override { const Paused paused; inner_.give_up(file); }
  [[nodiscard]] bool is_full() const override { return inner_.is_full(); }

 private:
  record::SegmentSupply& inner_;
};

std::string query(const std::string& sql) { return wire::message('Q', wire::text(sql)); }
std::string parse(const std::string& name, const std::string& sql) { return wire::message('P', wire::text(name) + wire::text(sql) + wire::u16(0)); }
// Bind, Describe of the portal, Execute and Sync, as drivers send them.
std::string run(const std::string& statement) {
  return wire::message('B', wire::text("") + wire::text(statement) + wire::u16(0) + wire::u16(0) + wire::u16(0)) + wire::message('D', "P" + wire::text("")) +
         wire::message('E', wire::text("") + wire::u32(0)) + wire::message('S', "");
}

// One session that says `first` once, then the same again and again.
class Steady {
 public:
  // `ready`: ReadyForQuery messages that answer `again`.
  Steady(const std::string& first, const std::string& again, uint32_t ready, std::size_t count) {
    std::memset(pending_.bytes().data(), 0, pending_.bytes().size());
    record::JournalOptions options;
    options.gateway = "gw-simulation";
    options.shape = pending_shape();
    options.key = std::make_shared<const record::JournalKey>(record::JournalKey{.id = 1, .secret = record::SecretKey::random()});  // As in production.
    options.write_token = session::owner_token(session::Owner::kJournal, OpKind::kWrite);
    options.timer_token = session::owner_token(session::Owner::kJournal, OpKind::kTimer);
    journal_.emplace(options, io_, supply_, pending_.bytes(), counters_);
    loop_.emplace(session::CoreLoop::Parts{io_, *journal_, steering_, counters_, directory_, admission_, make_runtime(world_, faults_, limits_, true, 1), 0,
                                           [](const Address& from, std::chrono::sys_seconds) { return identity_of(from); }, nullptr});
    const int listener = 3;
    loop_->listen({&listener, 1});
    std::vector<Step> script;
    if (!first.empty()) script.push_back({first});
    for (std::size_t i = 0; i < count; ++i) script.push_back({again, ready});
    auto [client_end, engine_end] = net_.pair({address_of(Person::kGranted), 40'000}, {*Address::parse("198.18.2.2"), 5432});
    inner_.incoming(engine_end);
    client_ = std::make_shared<PostgresClient>(world_, net_, faults_, client_end, std::move(script));
    client_->start();
  }
  ~Steady() {
    while (!client_->is_over() || loop_->live() != 0) loop_->turn();
    inner_.post(session::encode(session::Request::kDrain));
    while (!loop_->is_drained()) loop_->turn();
  }
  Steady(const Steady&) = delete;
  Steady& operator=(const Steady&) = delete;

  // Goes on until so many statements have reached the target; how much the engine allocated meanwhile.
  uint64_t until(std::size_t statements) {
    const uint64_t before = t_allocations;
    while (statements_ < statements && !client_->is_over()) {
      t_is_engine = true;
      loop_->turn();
      t_is_engine = false;
    }
    EXPECT_GE(statements_, statements) << client_->violation();
    return t_allocations - before;
  }
  [[nodiscard]] int64_t minute() const { return std::chrono::floor<std::chrono::minutes>(inner_.wall()).time_since_epoch().count(); }
  [[nodiscard]] uint64_t rows() const {
    return static_cast<uint64_t>(std::count_if(client_->told().begin(), client_->told().end(), [](const std::string& message) { return message.starts_with('D'); }));
  }

 private:
  SocketPtr dial(const DialPlan& plan) {
    auto [engine_end, target_end] = net_.pair(plan.source, plan.target);
    auto target = std::make_shared<PostgresTarget>(world_, net_, faults_, target_end, [this](const std::string&) { ++statements_; });
    target->start();
    targets_.push_back(target);
    return engine_end;
  }

  World world_{1};
  const Faults faults_;
  const Limits limits_ = simulation_limits();
  Net net_{world_, faults_};
  Disk disk_{world_, faults_, 8u << 20};
  record::AlignedBuffer pending_{pending_shape().bytes()};
  SimIo inner_{world_, net_, disk_, faults_, limits_, [this](const DialPlan& plan) { return dial(plan); }};
  PausedIo io_{inner_};
  PausedSupply supply_{disk_};
  CoreCounters counters_;
  SimSteering steering_;
  session::Directory directory_{1};
  accept::Admission admission_{limits_};
  std::optional<record::JournalWriter> journal_;
  std::optional<session::CoreLoop> loop_;
  std::vector<std::shared_ptr<PostgresTarget>> targets_;
  std::shared_ptr<PostgresClient> client_;
  std::size_t statements_ = 0;
};

constexpr std::size_t kWarm = 300, kCounted = 1'000;

void expect_none(const std::string& first, const std::string& again, uint32_t ready = 1) {
  void* none[1];
  backtrace(none, 1);   // Its first call allocates.
  Steady steady(first, again, ready, kWarm + kCounted + 50);
  EXPECT_GT(steady.until(kWarm), 0u) << "nothing is counted";
  g_stack_count = 0;
  const int64_t minute = steady.minute();
  const uint64_t allocations = steady.until(kWarm + kCounted);
  // Not of a command: once a minute the session's grants are looked at anew, and compared with a copy.
  const auto looks = static_cast<uint64_t>(steady.minute() - minute);
  EXPECT_LE(looks, 1u);
  EXPECT_LE(allocations, looks) << "over " << kCounted << " commands";
  if (allocations > looks) print_stacks();
  g_stack_count = kStacks;
  EXPECT_GE(steady.rows(), kCounted);
}

TEST(SessionAllocation, ASimpleQueryAllocatesNothing) { expect_none("", query("select n as a_column_with_a_longer_name_than_any_small_string from series where id = 3")); }
TEST(SessionAllocation, MaskedRowsAllocateNothing) { expect_none("", query("select card as number from cards where id = 5")); }
TEST(SessionAllocation, APreparedStatementAllocatesNothing) { expect_none(parse("s1", "select n as x from series where id = 3") + wire::message('S', ""), run("s1")); }
TEST(SessionAllocation, AnUnnamedStatementThatIsParsedEachTimeAllocatesNothing) { expect_none("", parse("", "select n as x from series where id = 3") + run("")); }
TEST(SessionAllocation, ATransactionBlockAllocatesNothing) {
  expect_none("", query("begin") + query("select n as x from series where id = 3") + query("commit"), 3);
}

}  // namespace
}  // namespace weir::simulation
