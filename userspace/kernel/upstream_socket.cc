#include "kernel/upstream_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "kernel/socket_address.h"
#include "kernel/socket_diag.h"

namespace weir::kernel {
namespace {

bool set_option(int fd, int level, int name, int value) { return ::setsockopt(fd, level, name, &value, sizeof value) == 0; }

bool bind_source(int fd, const Endpoint& source) {
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(source, address);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

// True: nothing stands on the tuple any more.  A bind() succeeds beside a connection on the same tuple (SO_REUSEADDR); only
// the connect() would fail, so the question comes first.
bool clear_tuple(const DialPlan& plan) {
  auto diag = SocketDiag::open();
  if (!diag) return true;  // Then the connect() tells.
  const SocketTuple tuple{plan.source, plan.target};
  const auto state = diag->find(tuple);
  if (!state || !state->has_value()) return true;
  if (**state != TcpState::kTimeWait && **state != TcpState::kClose) return false;
  return diag->destroy(tuple).has_value();
}

bool set_options(int fd, const DialPlan& plan) {
  const bool v4 = plan.target.address.is_v4();
  if (!set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) return false;
  if (plan.mark != 0 && !set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(plan.mark))) return false;
  if (!plan.is_transparent) return true;
  return v4 ? set_option(fd, SOL_IP, IP_TRANSPARENT, 1) : set_option(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
}

// Binds as the plan says, or to the same address and a port that the kernel picks at connect.
bool bind_plan(UpstreamSocket& socket, const DialPlan& plan) {
  if (plan.source.address == Address{}) return true;  // The kernel's choice of address: source mode `gateway`.
  if (plan.source.port != 0 && clear_tuple(plan)) {
    if (!set_option(socket.fd, SOL_SOCKET, SO_REUSEADDR, 1)) return false;
    if (bind_source(socket.fd, plan.source)) return true;
    if (errno != EADDRINUSE) return false;
    if (!set_option(socket.fd, SOL_SOCKET, SO_REUSEADDR, 0)) return false;
  }
  socket.port_kept = plan.source.port == 0;
  if (!set_option(socket.fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)) return false;
  return bind_source(socket.fd, {plan.source.address, 0});
}

}  // namespace

Result<UpstreamSocket> prepare_upstream_socket(const DialPlan& plan) {
  UpstreamSocket socket;
  socket.fd = ::socket(plan.target.address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket.fd < 0) return fail(Error::Kind::kSystem, std::string("socket: ") + std::strerror(errno), errno);
  if (set_options(socket.fd, plan) && bind_plan(socket, plan)) return socket;
  const int code = errno;
  ::close(socket.fd);
  return fail(Error::Kind::kSystem, "socket to " + plan.target.text() + " from " + plan.source.text() + ": " + std::strerror(code), code);
}

}  // namespace weir::kernel
