#include "accept/listeners.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel/socket_address.h"

namespace weir::accept {
namespace {

// A peer that is gone without a word is found out after about two minutes.
constexpr int kKeepaliveIdleSeconds = 60, kKeepaliveIntervalSeconds = 15, kKeepaliveProbes = 4;

bool set_option(int fd, int level, int name, int value) { return ::setsockopt(fd, level, name, &value, sizeof value) == 0; }

Result<kernel::Fd> open_listener(const char* loopback, uint32_t mark, int backlog) {
  const Endpoint at{*Address::parse(loopback), 0};
  const bool v4 = at.address.is_v4();
  kernel::Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  const socklen_t size = kernel::to_sockaddr(at, address);
  const bool is_ready =
      fd && (v4 || set_option(fd.get(), SOL_IPV6, IPV6_V6ONLY, 1)) &&
      (v4 ? set_option(fd.get(), SOL_IP, IP_TRANSPARENT, 1) : set_option(fd.get(), SOL_IPV6, IPV6_TRANSPARENT, 1)) &&
      (mark == 0 || set_option(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(mark))) && set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1) &&
      set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1) && set_option(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds) &&
      set_option(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds) &&
      set_option(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes) &&
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 && ::listen(fd.get(), backlog) == 0;
  if (is_ready) return fd;
  const int code = errno;
  return fail(code == EPERM || code == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem,
              std::string("listener on ") + loopback + ": " + std::strerror(code), code);
}

bool is_family_missing(const Error& error) { return error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL; }

}  // namespace

Result<std::vector<CoreListenerSockets>> open_listeners(uint32_t cores, uint32_t mark, int backlog) {
  std::vector<CoreListenerSockets> listeners;
  for (uint32_t core = 0; core < cores; ++core) {
    CoreListenerSockets own;
    auto v4 = open_listener("127.0.0.1", mark, backlog);
    if (!v4) return tl::unexpected<Error>(v4.error());
    own.v4 = std::move(*v4);
    auto v6 = open_listener("::1", mark, backlog);
    if (v6) own.v6 = std::move(*v6);
    else if (!is_family_missing(v6.error())) return tl::unexpected<Error>(v6.error());
    listeners.push_back(std::move(own));
  }
  return listeners;
}

}  // namespace weir::accept
