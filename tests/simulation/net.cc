#include "simulation/net.h"

#include <algorithm>

namespace weir::simulation {

std::pair<SocketPtr, SocketPtr> Net::pair(const Endpoint& left, const Endpoint& right) {
  auto a = std::make_shared<Socket>(), b = std::make_shared<Socket>();
  a->fd = next_fd_++;
  b->fd = next_fd_++;
  a->local = b->remote = left;
  a->remote = b->local = right;
  a->peer = b;
  b->peer = a;
  for (const SocketPtr& socket : {a, b}) {
    if (faults_.tiny_windows) socket->window = 1 + world_.random().below(200);
    sockets_[socket->fd] = socket;
  }
  return {a, b};
}

SocketPtr Net::find(int fd) const {
  const auto found = sockets_.find(fd);
  return found == sockets_.end() ? nullptr : found->second;
}

void Net::arrive(const std::weak_ptr<Socket>& at, std::function<void(Socket&)> what, Socket& sender) {
  const auto arrival = std::max(sender.clear_at, world_.now() + world_.delay(std::chrono::microseconds(200)));
  sender.clear_at = arrival;
  world_.after(arrival - world_.now(), [at, what = std::move(what)] {
    const SocketPtr socket = at.lock();
    if (!socket || socket->is_closed) return;
    what(*socket);
    if (socket->on_change) socket->on_change();
  });
}

std::size_t Net::send(const SocketPtr& from, std::string_view bytes) {
  const SocketPtr peer = from->peer.lock();
  if (!peer || from->reset || from->is_shut) return 0;
  if (peer->is_closed) {
    // As TCP: data to a closed socket is answered by a reset.
    arrive(from, [](Socket& socket) { socket.reset = true; }, *from);
    from->bytes_sent += bytes.size();
    return bytes.size();
  }
  const std::size_t held = peer->received.size() + peer->under_way;
  const std::size_t room = held < peer->window ? peer->window - held : 0;
  const std::size_t size = std::min(bytes.size(), room);
  if (size == 0) return 0;
  peer->under_way += size;
  from->bytes_sent += size;
  arrive(peer, [text = std::string(bytes.substr(0, size))](Socket& socket) {
    socket.under_way -= text.size();
    socket.received += text;
    socket.bytes_received += text.size();
  }, *from);
  return size;
}

std::string Net::read(const SocketPtr& from, std::size_t size_max) {
  std::string taken = from->received.substr(0, size_max);
  from->received.erase(0, taken.size());
  if (const SocketPtr peer = from->peer.lock(); peer && !taken.empty()) {
    arrive(peer, [](Socket&) {}, *from);  // The window opened.
  }
  return taken;
}

void Net::shut(const SocketPtr& from) {
  if (from->is_shut) return;
  from->is_shut = true;
  arrive(from->peer, [](Socket& socket) { socket.fin_arrived = true; }, *from);
}

void Net::close(const SocketPtr& from, bool reset) {
  if (from->is_closed) return;
  from->is_closed = true;
  if (reset || !from->received.empty()) {
    arrive(from->peer, [](Socket& socket) { socket.reset = true; }, *from);
  } else if (!from->is_shut) {
    arrive(from->peer, [](Socket& socket) { socket.fin_arrived = true; }, *from);
  }
  from->on_change = nullptr;
  sockets_.erase(from->fd);
}

}  // namespace weir::simulation
