// The kernel's byte counts of one TCP socket (tcp_info, linux/tcp.h), for the byte account (I11).
#pragma once
#include <cstdint>

namespace weir::kernel {

struct TcpCounts {
  uint64_t bytes_received = 0;       // Counts one more once a FIN came.
  uint64_t bytes_sent = 0;           // Payload, retransmits included.
  uint64_t bytes_retransmitted = 0;
  bool fin_received = false;         // As the socket's state tells.
  bool is_closed = false;            // Reset, or both FINs seen: the state no longer tells whether a FIN was counted.
};
// False: the socket cannot say (an old kernel, or not TCP).
bool read_tcp_counts(int fd, TcpCounts& counts);

}  // namespace weir::kernel
