// Io over the simulated network, disk and clock: the same contract as UringIo.
#pragma once
#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "core/io.h"
#include "core/limits.h"
#include "simulation/disk.h"
#include "simulation/net.h"

namespace weir::simulation {

class SimIo final : public Io {
 public:
  // Takes the engine's end of a dial.  Null: refused.
  using DialHandler = std::function<SocketPtr(const DialPlan&)>;

  SimIo(World& world, Net& net, Disk& disk, const Faults& faults, const Limits& limits, DialHandler dial);
  ~SimIo() override;

  // A client's connection reaches the listener.
  void incoming(const SocketPtr& engine_end);

  void accept(int listener, OpToken token) override;
  void connect(const DialPlan& plan, OpToken token) override;
  void receive(int fd, OpToken token) override;
  void send(int fd, std::span<const Bytes> pieces, OpToken token) override;
  void shutdown(int fd, OpToken token) override;
  void close(int fd, bool reset, OpToken token) override;
  void cancel(OpToken token) override;
  void write(int file, uint64_t offset, Bytes bytes, bool durable, OpToken token) override;
  void sync(int file, OpToken token) override;
  void timer(std::chrono::nanoseconds after, OpToken token) override;
  void post(uint64_t value) override;
  std::span<Completion> turn() override;
  std::chrono::nanoseconds now() const override { return world_.now(); }
  std::chrono::sys_time<std::chrono::nanoseconds> wall() const override {
    return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::hours(24 * 365 * 50) + world_.now());
  }
  RandomSource& random() override { return random_; }
  FlowEndpoints endpoints(int fd) const override;
  SocketAccount account(int fd, bool fin_seen) const override;

  [[nodiscard]] std::size_t buffers_out() const { return pools_[0].out + pools_[1].out; }
  [[nodiscard]] bool is_idle() const { return receives_.empty() && sends_.empty() && dials_.empty(); }

 private:
  struct Pool final : BufferPool {
    std::vector<std::unique_ptr<std::byte[]>> memory;
    std::vector<uint16_t> free;
    std::size_t out = 0, size = 0;
    void give_back(uint16_t id) noexcept override;
  };
  struct Random final : RandomSource {
    explicit Random(Prng& prng) : source(prng) {}
    void fill(MutableBytes bytes) override;
    Prng& source;
  };
  struct Receive { int fd; OpToken token; };
  struct Send { int fd; OpToken token; std::vector<Bytes> pieces; std::size_t done = 0, total = 0; };
  struct Dial { OpToken token; bool is_answered = false; };

  void complete(OpToken token, int32_t result, bool more = false);
  void pump(int fd);
  bool pump_receive(const SocketPtr& socket);
  void pump_send(const SocketPtr& socket);

  World& world_;
  Net& net_;
  Disk& disk_;
  const Faults& faults_;
  const Limits limits_;
  DialHandler dial_;
  std::array<Pool, 2> pools_;   // By side, as UringIo.
  Random random_;
  std::optional<OpToken> acceptor_;
  std::deque<int> backlog_;
  std::map<int, OpToken> receives_;
  std::list<Send> sends_;
  std::map<uint64_t, std::shared_ptr<Dial>> dials_;   // By packed token.
  std::vector<Completion> ready_, given_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace weir::simulation
