#include "simulation/sim_io.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace weir::simulation {
namespace {
uint64_t pack(OpToken token) { return std::bit_cast<uint64_t>(token); }
}  // namespace

void SimIo::Pool::give_back(uint16_t id) noexcept {
  std::memset(memory[id].get(), 0xdd, size);  // Who reads it after this sees it.
  free.push_back(id);
  --out;
}

void SimIo::Random::fill(MutableBytes bytes) {
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(source.next());
}

SimIo::SimIo(World& world, Net& net, Disk& disk, const Faults& faults, const Limits& limits, DialHandler dial)
    : world_(world), net_(net), disk_(disk), faults_(faults), limits_(limits), dial_(std::move(dial)), random_(world.random()) {
  const uint32_t count = faults.few_buffers ? 4 : limits.receive_buffer_count;
  for (Pool& pool : pools_) {
    pool.size = limits.receive_buffer_size;
    for (uint32_t i = 0; i < count; ++i) {
      pool.memory.push_back(std::make_unique<std::byte[]>(pool.size));
      pool.free.push_back(static_cast<uint16_t>(i));
    }
  }
}

SimIo::~SimIo() {
  *alive_ = false;
  ready_.clear();
  given_.clear();
}

void SimIo::complete(OpToken token, int32_t result, bool more) {
  Completion& completion = ready_.emplace_back();
  completion.token = token;
  completion.result = result;
  completion.more = more;
}

void SimIo::incoming(const SocketPtr& engine_end) {
  engine_end->on_change = [this, fd = engine_end->fd] { pump(fd); };
  if (acceptor_) {
    complete(*acceptor_, engine_end->fd, true);
  } else {
    backlog_.push_back(engine_end->fd);
  }
}

void SimIo::accept(int, OpToken token) {
  acceptor_ = token;
  for (const int fd : backlog_) complete(token, fd, true);
  backlog_.clear();
}

void SimIo::connect(const DialPlan& plan, OpToken token) {
  auto dial = std::make_shared<Dial>();
  dial->token = token;
  dials_[pack(token)] = dial;
  world_.after(world_.delay(std::chrono::milliseconds(1)), [this, alive = alive_, dial, plan] {
    if (!*alive || dial->is_answered) return;
    dial->is_answered = true;
    dials_.erase(pack(dial->token));
    const SocketPtr socket = faults_.refused_dials && world_.random().one_in(4) ? nullptr : dial_(plan);
    if (!socket) return complete(dial->token, -ECONNREFUSED);
    socket->on_change = [this, fd = socket->fd] { pump(fd); };
    complete(dial->token, socket->fd);
  });
}

void SimIo::receive(int fd, OpToken token) {
  WEIR_CHECK(!receives_.contains(fd));
  receives_[fd] = token;
  pump(fd);
}

void SimIo::send(int fd, std::span<const Bytes> pieces, OpToken token) {
  Send send{fd, token, {pieces.begin(), pieces.end()}, 0, 0};
  for (const Bytes piece : pieces) send.total += piece.size();
  WEIR_CHECK(send.total > 0);
  WEIR_CHECK(std::none_of(sends_.begin(), sends_.end(), [fd](const Send& s) { return s.fd == fd; }));
  sends_.push_back(std::move(send));
  pump(fd);
}

void SimIo::pump(int fd) {
  const SocketPtr socket = net_.find(fd);
  if (!socket) return;
  pump_send(socket);
  while (pump_receive(socket)) {
  }
}

// Post: true if there may be more to give.
bool SimIo::pump_receive(const SocketPtr& socket) {
  const auto armed = receives_.find(socket->fd);
  if (armed == receives_.end()) return false;
  const OpToken token = armed->second;
  Pool& pool = pools_[index_of(token.side())];
  if (!socket->received.empty()) {
    if (pool.free.empty()) {
      receives_.erase(armed);
      complete(token, -ENOBUFS);
      return false;
    }
    std::size_t size = std::min(socket->received.size(), pool.size);
    if (faults_.tiny_reads) size = std::min<std::size_t>(size, 1 + world_.random().below(9));
    const std::string bytes = net_.read(socket, size);
    const uint16_t id = pool.free.back();
    pool.free.pop_back();
    ++pool.out;
    std::memcpy(pool.memory[id].get(), bytes.data(), bytes.size());
    complete(token, static_cast<int32_t>(bytes.size()), true);
    ready_.back().buffer = BufferLease(&pool, id, Bytes(pool.memory[id].get(), bytes.size()));
    return true;
  }
  if (socket->reset || socket->fin_arrived) {
    receives_.erase(armed);
    if (!socket->reset) socket->fin_read = true;
    complete(token, socket->reset ? -ECONNRESET : 0);
  }
  return false;
}

void SimIo::pump_send(const SocketPtr& socket) {
  const auto send = std::find_if(sends_.begin(), sends_.end(), [&](const Send& s) { return s.fd == socket->fd; });
  if (send == sends_.end()) return;
  if (socket->reset) {
    complete(send->token, -ECONNRESET);
    sends_.erase(send);
    return;
  }
  // The bytes are read where they lie, now: who moved or freed them too early is found by the checkers or by ASan.
  std::size_t skip = send->done;
  for (const Bytes piece : send->pieces) {
    if (skip >= piece.size()) {
      skip -= piece.size();
      continue;
    }
    const Bytes rest = piece.subspan(skip);
    skip = 0;
    const std::size_t taken = net_.send(socket, as_text(rest));
    send->done += taken;
    if (taken < rest.size()) break;
  }
  if (send->done == send->total) {
    complete(send->token, static_cast<int32_t>(send->total));
    sends_.erase(send);
  }
}

void SimIo::shutdown(int fd, OpToken token) {
  if (const SocketPtr socket = net_.find(fd)) net_.shut(socket);
  complete(token, 0);
}

void SimIo::close(int fd, bool reset, OpToken token) {
  WEIR_CHECK(!receives_.contains(fd));
  if (const SocketPtr socket = net_.find(fd)) net_.close(socket, reset);
  complete(token, 0);
}

void SimIo::cancel(OpToken token) {
  int32_t found = -ENOENT;
  for (auto it = receives_.begin(); it != receives_.end(); ++it) {
    if (it->second == token) {
      receives_.erase(it);
      complete(token, -ECANCELED);
      found = 0;
      break;
    }
  }
  for (auto it = sends_.begin(); it != sends_.end(); ++it) {
    if (it->token == token) {
      complete(token, it->done > 0 ? static_cast<int32_t>(it->done) : -ECANCELED);
      sends_.erase(it);
      found = 0;
      break;
    }
  }
  if (const auto dial = dials_.find(pack(token)); dial != dials_.end()) {
    dial->second->is_answered = true;
    dials_.erase(dial);
    complete(token, -ECANCELED);
    found = 0;
  }
  complete({token.slot, token.generation, OpKind::kCancel, token.owner}, found);
}

void SimIo::write(int file, uint64_t offset, Bytes bytes, bool, OpToken token) {
  const Disk::Outcome outcome = disk_.plan(bytes.size());
  world_.after(outcome.delay, [this, alive = alive_, file, offset, bytes, outcome, token] {
    if (!*alive) return;
    if (outcome.result > 0) disk_.apply(file, offset, as_text(bytes.first(static_cast<std::size_t>(outcome.result))));
    complete(token, outcome.result);
  });
}

void SimIo::sync(int, OpToken token) { complete(token, 0); }

void SimIo::timer(std::chrono::nanoseconds after, OpToken token) {
  world_.after(after, [this, alive = alive_, token] {
    if (*alive) complete(token, -ETIME);
  });
}

void SimIo::post(uint64_t value) {
  complete({0, 0, OpKind::kMessage, 0}, 0);
  ready_.back().value = value;
}

std::span<Completion> SimIo::turn() {
  given_.clear();
  while (ready_.empty()) WEIR_CHECK(world_.step());
  // More than one completion a turn, sometimes.
  while (world_.random().one_in(2) && world_.step()) {
  }
  given_.swap(ready_);
  return given_;
}

FlowEndpoints SimIo::endpoints(int fd) const {
  const SocketPtr socket = net_.find(fd);
  return socket ? FlowEndpoints{socket->remote, socket->local} : FlowEndpoints{};
}

SocketAccount SimIo::account(int fd, bool) const {
  const SocketPtr socket = net_.find(fd);
  if (!socket) return {};
  return {socket->bytes_received, socket->received.size(), socket->bytes_sent, 0, true};
}

}  // namespace weir::simulation
