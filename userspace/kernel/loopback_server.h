// A listener on a loopback address, for tests of sockets: the kernel picks the port.
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "kernel/socket_address.h"

namespace weir::kernel {

inline Endpoint local_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  WEIR_CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return from_sockaddr(address);
}

// A listener on a loopback address with a port that the kernel picks.
struct LoopbackServer {
  int fd = -1;
  Endpoint at;
  explicit LoopbackServer(const char* host) {
    at.address = *Address::parse(host);
    fd = socket(at.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage address{};
    const socklen_t size = to_sockaddr(at, address);
    WEIR_CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    WEIR_CHECK(::listen(fd, 16) == 0);
    at = local_of(fd);
  }
  ~LoopbackServer() { close(fd); }
};

inline int connect_to(int fd, const Endpoint& target) {
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(target, address);
  return connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 || errno == EINPROGRESS ? 0 : errno;
}

}  // namespace weir::kernel
