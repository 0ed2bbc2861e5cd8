#include "io/uring_io.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/check.h"
#include "kernel/socket_address.h"
#include "kernel/tcp_counts.h"
#include "kernel/upstream_socket.h"

namespace weir::io {
namespace {

constexpr uint16_t kBufferGroup = 1;  // Of the client side; the target side's is the next.
constexpr OpToken kWakeup{0, 0, OpKind::kMessage, 0};

uint64_t pack(OpToken token) { return std::bit_cast<uint64_t>(token); }
OpToken unpack(uint64_t value) { return std::bit_cast<OpToken>(value); }

std::chrono::nanoseconds read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

void UringIo::OpenSslRandom::fill(MutableBytes bytes) {
  // Without randomness no key and no nonce is safe: our own fault to go on.
  WEIR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) == 1);
}

Result<std::unique_ptr<UringIo>> UringIo::create(const Limits& limits, CoreCounters& counters) {
  std::unique_ptr<UringIo> io(new UringIo(counters));
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = kSubmissions * 8;
  const int error = io_uring_queue_init_params(kSubmissions, &io->ring_, &params);
  if (error < 0) {
    return fail(Error::Kind::kUnavailable,
                std::string("io_uring cannot be set up (") + std::strerror(-error) +
                    "): needs Linux 6.1 or later, sysctl kernel.io_uring_disabled=0, and locked memory (LimitMEMLOCK=infinity)",
                -error);
  }
  io->is_open_ = true;
  if ((params.features & IORING_FEAT_SUBMIT_STABLE) == 0) {
    return fail(Error::Kind::kUnavailable, "io_uring lacks SUBMIT_STABLE: the kernel is too old");
  }
  io_uring_register_ring_fd(&io->ring_);  // Saves a reference a call; without it everything works.
  for (uint16_t side = 0; side < 2; ++side) {
    io->buffers_[side] = std::make_unique<BufferRing>(io->ring_, static_cast<uint16_t>(kBufferGroup + side), limits.receive_buffer_count, limits.receive_buffer_size);
  }
  io->gathers_.resize(kSubmissions);
  io->timers_.resize(kSubmissions);
  io->dials_.reserve(256);
  io->failed_.reserve(256);
  io->completions_.reserve(kCompletionsPerTurn + 256);
  io->posted_.reserve(4096);
  io->taken_.reserve(4096);
  io->wakeup_ = eventfd(0, EFD_CLOEXEC);
  if (io->wakeup_ < 0) return fail(Error::Kind::kSystem, "eventfd: " + std::string(std::strerror(errno)), errno);
  io->arm_wakeup();
  io->read_clocks();
  return io;
}

UringIo::~UringIo() {
  completions_.clear();
  if (is_open_) {
    for (auto& buffers : buffers_) buffers.reset();
    io_uring_queue_exit(&ring_);
  }
  if (wakeup_ >= 0) ::close(wakeup_);
}

io_uring_sqe* UringIo::submission() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    // The submission queue is full: hand it over, without waiting.  SUBMIT_STABLE lets us reuse what entries point to.
    io_uring_submit(&ring_);
    gathers_used_ = timers_used_ = 0;
    entry = io_uring_get_sqe(&ring_);
    WEIR_CHECK(entry != nullptr);
  }
  return entry;
}

void UringIo::arm_wakeup() {
  io_uring_sqe* entry = submission();
  io_uring_prep_read(entry, wakeup_, &wakeup_value_, sizeof wakeup_value_, 0);
  io_uring_sqe_set_data64(entry, pack(kWakeup));
}

void UringIo::accept(int listener, OpToken token) {
  io_uring_sqe* entry = submission();
  io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::connect(const DialPlan& plan, OpToken token) {
  const auto socket = kernel::prepare_upstream_socket(plan);
  if (!socket) {
    failed_.push_back({token, -std::max(1, socket.error().code)});
    return;
  }
  sockaddr_storage address{};
  const socklen_t size = kernel::to_sockaddr(plan.target, address);
  io_uring_sqe* entry = submission();
  io_uring_prep_connect(entry, socket->fd, reinterpret_cast<const sockaddr*>(&address), size);
  io_uring_sqe_set_data64(entry, pack(token));
  dials_.push_back({token, socket->fd});
  // The address is read at submission, not later: hand it over before it leaves the stack.
  io_uring_submit(&ring_);
  gathers_used_ = timers_used_ = 0;
}

void UringIo::receive(int fd, OpToken token) {
  io_uring_sqe* entry = submission();
  io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = buffers_[index_of(token.side())]->group();
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::send(int fd, std::span<const Bytes> pieces, OpToken token) {
  WEIR_CHECK(!pieces.empty() && pieces.size() <= kGatherMax);
  io_uring_sqe* entry = submission();
  if (pieces.size() == 1) {
    io_uring_prep_send(entry, fd, pieces[0].data(), pieces[0].size(), MSG_NOSIGNAL | MSG_WAITALL);
  } else {
    Gather& gather = gathers_[gathers_used_++];
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      gather.pieces[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
    }
    gather.header = msghdr{};
    gather.header.msg_iov = gather.pieces.data();
    gather.header.msg_iovlen = pieces.size();
    io_uring_prep_sendmsg(entry, fd, &gather.header, MSG_NOSIGNAL | MSG_WAITALL);
  }
  io_uring_sqe_set_data64(entry, pack(token));
}

// The system call at once, its end as a completion like any other.  IORING_OP_SHUTDOWN goes to a worker, which looks the
// descriptor up when it runs: by then it may be closed, and the number that of somebody else's new connection.
void UringIo::shutdown(int fd, OpToken token) {
  ::shutdown(fd, SHUT_WR);  // A connection that is gone already says so through its receive.
  io_uring_sqe* entry = submission();
  io_uring_prep_nop(entry);
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::close(int fd, bool reset, OpToken token) {
  if (reset) {
    const linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  io_uring_sqe* entry = submission();
  io_uring_prep_close(entry, fd);
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::cancel(OpToken token) {
  io_uring_sqe* entry = submission();
  io_uring_prep_cancel64(entry, pack(token), 0);
  io_uring_sqe_set_data64(entry, pack({token.slot, token.generation, OpKind::kCancel, token.owner}));
}

void UringIo::write(int file, uint64_t offset, Bytes bytes, bool durable, OpToken token) {
  io_uring_sqe* entry = submission();
  io_uring_prep_write(entry, file, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
  if (durable) entry->rw_flags = RWF_DSYNC;
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::sync(int file, OpToken token) {
  io_uring_sqe* entry = submission();
  io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::timer(std::chrono::nanoseconds after, OpToken token) {
  io_uring_sqe* entry = submission();
  __kernel_timespec& time = timers_[timers_used_++];
  time.tv_sec = after.count() / 1'000'000'000;
  time.tv_nsec = after.count() % 1'000'000'000;
  io_uring_prep_timeout(entry, &time, 0, 0);
  io_uring_sqe_set_data64(entry, pack(token));
}

void UringIo::post(uint64_t value) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(value);
  }
  const uint64_t one = 1;
  // A full counter means that a wake-up is already due.
  [[maybe_unused]] const ssize_t written = ::write(wakeup_, &one, sizeof one);
}

void UringIo::read_clocks() {
  now_ = read_clock(CLOCK_MONOTONIC);
  wall_ = std::chrono::sys_time<std::chrono::nanoseconds>(read_clock(CLOCK_REALTIME));
}

void UringIo::drain_posted() {
  taken_.clear();
  {
    const std::lock_guard lock(posted_mutex_);
    taken_.swap(posted_);
  }
  for (const uint64_t value : taken_) {
    Completion& completion = completions_.emplace_back();
    completion.token = kWakeup;
    completion.value = value;
  }
}

void UringIo::take(const io_uring_cqe& entry) {
  const OpToken token = unpack(entry.user_data);
  if (token == kWakeup) {
    drain_posted();
    arm_wakeup();
    return;
  }
  Completion& completion = completions_.emplace_back();
  completion.token = token;
  completion.result = entry.res;
  completion.more = (entry.flags & IORING_CQE_F_MORE) != 0;
  if (token.kind == OpKind::kReceive && (entry.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto id = static_cast<uint16_t>(entry.flags >> IORING_CQE_BUFFER_SHIFT);
    completion.buffer = buffers_[index_of(token.side())]->lease(id, static_cast<uint32_t>(std::max(0, entry.res)));
  } else if (token.kind == OpKind::kReceive && entry.res == -ENOBUFS) {
    counters_.add(Metric::kBuffersExhausted);
  } else if (token.kind == OpKind::kConnect) {
    const auto dial = std::find_if(dials_.begin(), dials_.end(), [&](const Dial& d) { return d.token == token; });
    WEIR_CHECK(dial != dials_.end());
    if (entry.res == 0) {
      completion.result = dial->fd;
    } else {
      ::close(dial->fd);
    }
    *dial = dials_.back();
    dials_.pop_back();
  }
}

std::span<Completion> UringIo::turn() {
  completions_.clear();  // Leases that nobody took go back.
  for (const auto& buffers : buffers_) buffers->publish();
  if (failed_.empty()) {
    const int result = io_uring_submit_and_wait(&ring_, 1);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) counters_.add(Metric::kSystemErrors);
  } else {
    io_uring_submit_and_get_events(&ring_);
  }
  gathers_used_ = timers_used_ = 0;
  read_clocks();
  for (const Failed& failed : failed_) {
    Completion& completion = completions_.emplace_back();
    completion.token = failed.token;
    completion.result = failed.result;
  }
  failed_.clear();
  unsigned head = 0, seen = 0;
  io_uring_cqe* entry = nullptr;
  io_uring_for_each_cqe(&ring_, head, entry) {
    take(*entry);
    if (++seen == kCompletionsPerTurn) break;
  }
  io_uring_cq_advance(&ring_, seen);
  return completions_;
}

FlowEndpoints UringIo::endpoints(int fd) const {
  FlowEndpoints ends;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) ends.peer = kernel::from_sockaddr(address);
  size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) ends.local = kernel::from_sockaddr(address);
  return ends;
}

// tcpi_bytes_received counts one more for a FIN; tcpi_bytes_sent counts payload with retransmits (tcp_info in linux/tcp.h).
// The counts and what is unread are asked one after the other, and the peer may send in between: asked again until nothing came
// meanwhile.  A peer that never pauses fills its window, since nobody reads.
SocketAccount UringIo::account(int fd, bool fin_seen) const {
  constexpr int kLooksMax = 1'000;
  SocketAccount account;
  kernel::TcpCounts counts, before;
  if (!kernel::read_tcp_counts(fd, counts)) return account;
  int unread = 0, unsent = 0;
  for (int look = 0; look < kLooksMax; ++look) {
    before = counts;
    ioctl(fd, SIOCINQ, &unread);
    if (!kernel::read_tcp_counts(fd, counts)) return account;
    if (counts.bytes_received == before.bytes_received && counts.fin_received == before.fin_received && counts.is_closed == before.is_closed) break;
  }
  const bool fin = !counts.is_closed && (fin_seen || counts.fin_received);
  account.may_hold_fin = counts.is_closed;
  ioctl(fd, SIOCOUTQNSD, &unsent);
  account.received = counts.bytes_received - (fin && counts.bytes_received > 0 ? 1 : 0);
  account.unread = static_cast<uint64_t>(std::max(0, unread));
  account.sent = counts.bytes_sent - counts.bytes_retransmitted;
  account.unsent = static_cast<uint64_t>(std::max(0, unsent));
  account.is_known = true;
  return account;
}

}  // namespace weir::io
