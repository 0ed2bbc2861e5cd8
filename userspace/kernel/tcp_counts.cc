#include "kernel/tcp_counts.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace weir::kernel {
namespace {
// include/net/tcp_states.h; the UAPI header does not carry them.
enum : uint8_t { kTimeWait = 6, kClose = 7, kCloseWait = 8, kLastAck = 9, kClosing = 11 };
}  // namespace

bool read_tcp_counts(int fd, TcpCounts& counts) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  if (size < offsetof(tcp_info, tcpi_bytes_retrans) + sizeof info.tcpi_bytes_retrans) return false;
  counts.bytes_received = info.tcpi_bytes_received;
  counts.bytes_sent = info.tcpi_bytes_sent;
  counts.bytes_retransmitted = info.tcpi_bytes_retrans;
  counts.fin_received = info.tcpi_state == kTimeWait || info.tcpi_state == kCloseWait || info.tcpi_state == kLastAck || info.tcpi_state == kClosing;
  counts.is_closed = info.tcpi_state == kClose;
  return true;
}

}  // namespace weir::kernel
