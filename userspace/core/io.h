// All that the engine asks of the outside: UringIo (io/), and in tests SimIo.  turn() is the only place that waits.
#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include "core/address.h"
#include "core/module.h"

namespace weir {

enum class OpKind : uint8_t { kAccept, kConnect, kReceive, kSend, kShutdown, kClose, kCancel, kTimer, kWrite, kSync, kMessage };  // kMessage: posted from any thread.

// Travels as io_uring user_data.  A late completion for a reused slot has an old generation: it is seen and dropped.
struct OpToken {
  uint32_t slot = 0;         // Who: session slot, listener index, recorder.
  uint16_t generation = 0;
  OpKind kind{};
  uint8_t owner = 0;         // Owner in the high 7 bits (loop's dispatch table), side in the lowest bit.
  [[nodiscard]] Side side() const { return static_cast<Side>(owner & 1); }
  friend bool operator==(const OpToken&, const OpToken&) = default;
};
static_assert(sizeof(OpToken) == 8);

class BufferPool;
// Move-only loan of one provided buffer; goes back to the ring when destroyed.
class BufferLease {
 public:
  BufferLease() = default;
  BufferLease(BufferPool* pool, uint16_t id, Bytes bytes) : pool_(pool), bytes_(bytes), id_(id) {}
  BufferLease(BufferLease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), bytes_(other.bytes_), id_(other.id_) {}
  BufferLease& operator=(BufferLease&& other) noexcept;
  ~BufferLease() { release(); }
  void release() noexcept;
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] explicit operator bool() const { return pool_ != nullptr; }

 private:
  BufferPool* pool_ = nullptr;
  Bytes bytes_;
  uint16_t id_ = 0;
};
class BufferPool {
 public:
  virtual ~BufferPool() = default;
  virtual void give_back(uint16_t id) noexcept = 0;
};
inline void BufferLease::release() noexcept {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(id_);
}
inline BufferLease& BufferLease::operator=(BufferLease&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    bytes_ = other.bytes_;
    id_ = other.id_;
  }
  return *this;
}

struct Completion {
  OpToken token;
  int32_t result = 0;    // As the system call: >= 0, or -errno.  kAccept, kConnect: the socket.  kMessage: low 32 bits.
  bool more = false;     // Multishot: this operation goes on.
  uint64_t value = 0;    // kMessage: what was posted.
  BufferLease buffer;    // kReceive.
};

// How to reach the target: from `source` (the client's own address and port; port 0: any), marked so that the guard lets it out.
struct DialPlan {
  Endpoint target;
  Endpoint source;
  bool is_transparent = true;   // Bind to a foreign address.
  uint32_t mark = 0;
};
struct FlowEndpoints {
  Endpoint peer;
  Endpoint local;               // The target's address: transparent sockets keep the original destination.
};
// What the kernel counted on a socket; payload only (see parse notes on FIN and SYN in session/README.md).
struct SocketAccount {
  uint64_t received = 0;        // Payload bytes the kernel received, FIN excluded.
  uint64_t unread = 0;          // Still in the receive queue (SIOCINQ).
  uint64_t sent = 0;            // Payload bytes handed to the network, retransmits excluded.
  uint64_t unsent = 0;          // Written by us, not yet sent (SIOCOUTQNSD).
  bool is_known = false;
  bool may_hold_fin = false;    // The socket is closed and cannot say whether `received` counts a FIN as one more.
};

class Io {
 public:
  virtual ~Io() = default;

  virtual void accept(int listener, OpToken) = 0;                       // Multishot.
  virtual void connect(const DialPlan&, OpToken) = 0;                   // Completes with the socket.
  virtual void receive(int fd, OpToken) = 0;                            // Multishot into provided buffers.  -ENOBUFS: call again.
  virtual void send(int fd, std::span<const Bytes>, OpToken) = 0;       // Whole, short (then broken) or error; bytes stay put until it completes.
  virtual void shutdown(int fd, OpToken) = 0;                           // Half-close: no more sends.
  virtual void close(int fd, bool reset, OpToken) = 0;                  // reset: RST instead of FIN.
  virtual void cancel(OpToken) = 0;                                     // The cancelled operation still completes (-ECANCELED).
  virtual void write(int file, uint64_t offset, Bytes, bool durable, OpToken) = 0;
  virtual void sync(int file, OpToken) = 0;
  virtual void timer(std::chrono::nanoseconds after, OpToken) = 0;

  // From any thread: `value` arrives at this loop as a kMessage completion whose token is all zero but its kind.
  virtual void post(uint64_t value) = 0;

  // Submits what was asked and waits for at least one completion.  The span is valid until the next turn().
  virtual std::span<Completion> turn() = 0;

  virtual std::chrono::nanoseconds now() const = 0;                     // Monotonic; read once a turn.
  virtual std::chrono::sys_time<std::chrono::nanoseconds> wall() const = 0;  // Read once a turn.
  virtual RandomSource& random() = 0;
  virtual FlowEndpoints endpoints(int fd) const = 0;
  virtual SocketAccount account(int fd, bool fin_seen) const = 0;       // fin_seen: receive() has answered 0.
};

}  // namespace weir
