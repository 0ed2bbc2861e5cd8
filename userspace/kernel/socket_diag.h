// Sockets by tuple, through NETLINK_SOCK_DIAG: what state one is in, and its end.  Destroying needs CAP_NET_ADMIN.
// A destroyed connection sends a RST to its peer and drops what its buffers still hold.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "core/address.h"

namespace weir::kernel {

// include/net/tcp_states.h; no UAPI header carries them for C++.
enum class TcpState : uint8_t {
  kEstablished = 1, kSynSent, kSynReceived, kFinWait1, kFinWait2, kTimeWait, kClose, kCloseWait, kLastAck, kListen, kClosing, kNewSynReceived,
};
struct SocketTuple { Endpoint local, remote; };
struct ListeningSocket { Endpoint local; bool is_wildcard = false; };

class SocketDiag {
 public:
  SocketDiag() = default;
  SocketDiag(SocketDiag&& other) noexcept;
  SocketDiag& operator=(SocketDiag&& other) noexcept;
  ~SocketDiag();
  [[nodiscard]] static Result<SocketDiag> open();

  // nullopt: no socket has this tuple.  Only exact matches count: a listener never answers for a connection.
  [[nodiscard]] Result<std::optional<TcpState>> find(const SocketTuple& tuple);
  // Post: true if a socket was there and is gone.  Errors: kDenied without CAP_NET_ADMIN, kUnavailable where the kernel
  // cannot destroy (CONFIG_INET_DIAG_DESTROY).
  [[nodiscard]] Result<bool> destroy(const SocketTuple& tuple);
  // All TCP listeners of this network namespace, IPv4 and IPv6.
  [[nodiscard]] Result<std::vector<ListeningSocket>> listeners();

 private:
  explicit SocketDiag(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace weir::kernel
