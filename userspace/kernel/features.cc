#include "kernel/features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "kernel/fd.h"
#include "kernel/socket_address.h"
#include "kernel/socket_diag.h"
#include "kernel/tcx.h"

namespace weir::kernel {
namespace {

constexpr uint32_t kLoopback = 1;

bool has_map(bpf_map_type type, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags) {
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.map_flags = flags;
  return Fd(bpf_map_create(type, "probe", key_size, value_size, entries, &options)).get() >= 0;
}

Endpoint local_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return from_sockaddr(address);
}

// A connection to ourselves on loopback, ended by SOCK_DESTROY.
bool can_destroy_sockets() {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  Endpoint at{*Address::parse("127.0.0.1"), 0};
  socklen_t size = to_sockaddr(at, address);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener.get(), 1) != 0) return false;
  at = local_of(listener.get());
  size = to_sockaddr(at, address);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return false;
  auto diag = SocketDiag::open();
  const auto destroyed = diag ? diag->destroy({local_of(client.get()), at}) : Result<bool>(false);
  return destroyed && *destroyed;
}

bool is_transparent(int family, int level, int option) {
  const Fd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  return socket && ::setsockopt(socket.get(), level, option, &on, sizeof on) == 0;
}

bool has_ring(uint32_t flags) {
  io_uring ring{};
  if (io_uring_queue_init(8, &ring, flags) != 0) return false;
  io_uring_queue_exit(&ring);
  return true;
}

bool has_ring_operation(int operation) {
  io_uring_probe* probe = io_uring_get_probe();
  const bool is_there = probe != nullptr && io_uring_opcode_supported(probe, operation) != 0;
  io_uring_free_probe(probe);
  return is_there;
}

bool has_buffer_rings() {
  io_uring ring{};
  if (io_uring_queue_init(8, &ring, 0) != 0) return false;
  void* memory = nullptr;
  bool is_there = false;
  if (::posix_memalign(&memory, 4096, 4096) == 0) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(memory);
    registration.ring_entries = 8;
    is_there = io_uring_register_buf_ring(&ring, &registration, 0) == 0;
    if (is_there) io_uring_unregister_buf_ring(&ring, 0);
    ::free(memory);
  }
  io_uring_queue_exit(&ring);
  return is_there;
}

}  // namespace

std::vector<Feature> probe_features() {
  const bool has_btf = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  return {
      {"sk_lookup programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, nullptr) > 0, true, "picking the listener (Linux 5.9)"},
      {"tc programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, nullptr) > 0, true, "steering and the egress guard (CONFIG_NET_CLS_BPF)"},
      {"tcx links", tcx_programs(kLoopback, TcSide::kIngress).has_value(), false, "attaching by link at the head; clsact filters serve without (Linux 6.6)"},
      {"sock_ops programs", libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SOCK_OPS, nullptr) > 0, false, "byte counts for after the engine's death (CONFIG_CGROUP_BPF)"},
      {"BTF of the kernel", has_btf, false, "readable bpftool output (CONFIG_DEBUG_INFO_BTF)"},
      {"BPF ring buffers", has_map(BPF_MAP_TYPE_RINGBUF, 0, 0, static_cast<uint32_t>(::getpagesize()), 0), true, "drop notices (Linux 5.8)"},
      {"BPF prefix tries", has_map(BPF_MAP_TYPE_LPM_TRIE, 20, 8, 1, BPF_F_NO_PREALLOC), true, "targets by prefix"},
      {"BPF socket maps", has_map(BPF_MAP_TYPE_SOCKMAP, 4, 8, 1, 0), true, "the table of listeners (CONFIG_BPF_STREAM_PARSER)"},
      {"ending sockets", can_destroy_sockets(), true, "cuts, and a client's return from the same port (CONFIG_INET_DIAG_DESTROY)"},
      {"transparent sockets", is_transparent(AF_INET, SOL_IP, IP_TRANSPARENT), true, "the client's own address towards the target (CAP_NET_ADMIN)"},
      {"transparent IPv6 sockets", is_transparent(AF_INET6, SOL_IPV6, IPV6_TRANSPARENT), false, "the same for IPv6"},
      {"io_uring", has_ring(0), true, "the engine's loop (kernel.io_uring_disabled must be 0)"},
      {"io_uring deferred task run", has_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), true, "the engine's loop (Linux 6.1)"},
      {"io_uring buffer rings", has_buffer_rings(), true, "receiving into provided buffers (Linux 5.19)"},
      {"io_uring zero-copy send", has_ring_operation(IORING_OP_SEND_ZC), false, "large answers without a copy (Linux 6.0)"},
  };
}

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "unknown";
}

}  // namespace weir::kernel
