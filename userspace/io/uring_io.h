// Io over io_uring: the only io_uring code.  One ring a core, made and used by that core's thread alone (SINGLE_ISSUER,
// DEFER_TASKRUN); only post() may be called from elsewhere.  All that is asked between two turns goes to the kernel in
// one system call.
#pragma once
#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "core/io.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "io/buffer_ring.h"

namespace weir::io {

class UringIo final : public Io {
 public:
  // Called on the core's own thread.  Fails with the fix in the message (kernel too old, io_uring disabled, memlock).
  static Result<std::unique_ptr<UringIo>> create(const Limits& limits, CoreCounters& counters);
  ~UringIo() override;

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
  std::chrono::nanoseconds now() const override { return now_; }
  std::chrono::sys_time<std::chrono::nanoseconds> wall() const override { return wall_; }
  RandomSource& random() override { return random_; }
  FlowEndpoints endpoints(int fd) const override;
  SocketAccount account(int fd, bool fin_seen) const override;

  [[nodiscard]] uint32_t leased() const { return buffers_[0]->leased() + buffers_[1]->leased(); }

 private:
  static constexpr uint32_t kSubmissions = 1024;
  static constexpr uint32_t kCompletionsPerTurn = 512;
  static constexpr uint32_t kGatherMax = 32;

  class OpenSslRandom final : public RandomSource {
   public:
    void fill(MutableBytes bytes) override;
  };
  // What a gathered send points to until the kernel has read it, at the next submission.
  struct Gather {
    msghdr header{};
    std::array<iovec, kGatherMax> pieces{};
  };
  struct Dial {
    OpToken token;
    int fd = -1;
  };
  struct Failed {
    OpToken token;
    int32_t result;
  };

  UringIo(CoreCounters& counters) : counters_(counters) {}
  io_uring_sqe* submission();
  void arm_wakeup();
  void take(const io_uring_cqe& entry);
  void drain_posted();
  void read_clocks();

  io_uring ring_{};
  bool is_open_ = false;
  CoreCounters& counters_;
  std::array<std::unique_ptr<BufferRing>, 2> buffers_;  // By side: clients that wait cannot take what answers arrive in.
  std::vector<Gather> gathers_;
  uint32_t gathers_used_ = 0;
  std::vector<__kernel_timespec> timers_;
  uint32_t timers_used_ = 0;
  std::vector<Dial> dials_;
  std::vector<Failed> failed_;       // Answers that never reached the kernel (a socket that could not be prepared).
  std::vector<Completion> completions_;
  int wakeup_ = -1;                  // eventfd of post().
  uint64_t wakeup_value_ = 0;
  std::mutex posted_mutex_;
  std::vector<uint64_t> posted_, taken_;
  OpenSslRandom random_;
  std::chrono::nanoseconds now_{};
  std::chrono::sys_time<std::chrono::nanoseconds> wall_{};
};

}  // namespace weir::io
