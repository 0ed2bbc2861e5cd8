#include "parse/postgres/catalogue_forwarder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace weir::postgres {

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool send_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<CatalogueForwarder>> CatalogueForwarder::open(Dial dial) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return fail(Error::Kind::kSystem, "catalogue: no socket", errno);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0 || bind(listener, generic, sizeof address) != 0 || listen(listener, 4) != 0 || getsockname(listener, generic, &size) != 0) {
    const int code = errno;
    close(listener);
    if (event >= 0) close(event);
    return fail(Error::Kind::kSystem, "catalogue: cannot listen on 127.0.0.1", code);
  }
  return std::unique_ptr<CatalogueForwarder>(new CatalogueForwarder(std::move(dial), listener, event, ntohs(address.sin_port)));
}

CatalogueForwarder::CatalogueForwarder(Dial dial, int listener, int stop_event, uint16_t port)
    : dial_(std::move(dial)), listener_(listener), stop_event_(stop_event), port_(port), thread_([this] { run(); }) {}

CatalogueForwarder::~CatalogueForwarder() {
  stop();
  thread_.join();
  close(listener_);
  close(stop_event_);
}

void CatalogueForwarder::admit(uint16_t peer_port) {
  admitted_port_ = peer_port;
  admitted_port_.notify_all();
}

void CatalogueForwarder::stop() {
  stopping_ = true;
  const uint64_t one = 1;
  (void)!write(stop_event_, &one, sizeof one);
  uint32_t none = 0;
  admitted_port_.compare_exchange_strong(none, UINT32_MAX);  // Nobody has that port; who waits for one goes on.
  admitted_port_.notify_all();
}

std::string CatalogueForwarder::dial_error() const { return has_error_ ? error_ : std::string{}; }

// False: stopped.
bool CatalogueForwarder::wait_for(int fd, short events) {
  std::array<pollfd, 2> polled{pollfd{fd, events, 0}, pollfd{stop_event_, POLLIN, 0}};
  while (!stopping_) {
    const int ready = poll(polled.data(), polled.size(), -1);
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) return !stopping_;
  }
  return false;
}

void CatalogueForwarder::run() {
  const int peer = accept_peer();
  if (peer < 0) return;
  Result<int> target = dial_();
  if (!target) {
    error_ = target.error().message;
    has_error_ = true;
  } else {
    pump(peer, *target);
    close(*target);
  }
  close(peer);
}

int CatalogueForwarder::accept_peer() {
  while (wait_for(listener_, POLLIN)) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    const int peer = accept4(listener_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC);
    if (peer < 0) continue;
    admitted_port_.wait(0);
    if (ntohs(address.sin_port) == admitted_port_ && address.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) return peer;
    close(peer);  // Some other local process.
  }
  return -1;
}

void CatalogueForwarder::pump(int peer, int target) {
  std::array<char, 64 << 10> buffer;
  std::array<pollfd, 3> polled{pollfd{peer, POLLIN, 0}, pollfd{target, POLLIN, 0}, pollfd{stop_event_, POLLIN, 0}};
  while (!stopping_) {
    const int ready = poll(polled.data(), polled.size(), -1);
    if (ready < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < 2 && ready > 0; ++i) {
      if (polled[i].revents == 0) continue;
      const ssize_t size = recv(polled[i].fd, buffer.data(), buffer.size(), 0);
      if (size < 0 && errno == EINTR) continue;
      // Either end is the end of both: libpq's protocol has no half-closed state.
      if (size <= 0 || !send_all(polled[1 - i].fd, buffer.data(), static_cast<std::size_t>(size))) return;
    }
  }
}

}  // namespace weir::postgres
