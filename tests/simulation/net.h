// A network of byte streams between actors (clients, targets) and the engine's sockets.  Ordered, delayed, cut anywhere,
// with a bounded receive window, FIN and RST.  Counts payload as a kernel would (I11).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/io.h"
#include "simulation/world.h"

namespace weir::simulation {

struct Socket {
  int fd = -1;
  Endpoint local, remote;
  std::weak_ptr<Socket> peer;
  std::string received;             // Arrived, not yet read.
  std::size_t window = 64 << 10;    // Most that `received` and what is under way to it may hold.
  std::size_t under_way = 0;
  bool fin_arrived = false, fin_read = false, reset = false, is_closed = false, is_shut = false;
  uint64_t bytes_received = 0, bytes_sent = 0;
  std::chrono::nanoseconds clear_at{};   // When the last thing that was sent to the peer arrives: order is kept.
  std::function<void()> on_change;       // Bytes, room, FIN or reset.
};
using SocketPtr = std::shared_ptr<Socket>;

class Net {
 public:
  Net(World& world, const Faults& faults) : world_(world), faults_(faults) {}

  // A connected pair; each end's on_change is to be set by who takes it.
  std::pair<SocketPtr, SocketPtr> pair(const Endpoint& left, const Endpoint& right);
  // Takes as much of `bytes` as the peer's window allows; returns how many.
  std::size_t send(const SocketPtr& from, std::string_view bytes);
  std::string read(const SocketPtr& from, std::size_t size_max);
  void shut(const SocketPtr& from);                    // FIN, behind what was sent.
  void close(const SocketPtr& from, bool reset);
  [[nodiscard]] SocketPtr find(int fd) const;

 private:
  void arrive(const std::weak_ptr<Socket>& at, std::function<void(Socket&)> what, Socket& sender);
  World& world_;
  const Faults& faults_;
  int next_fd_ = 1000;
  std::map<int, SocketPtr> sockets_;
};

}  // namespace weir::simulation
