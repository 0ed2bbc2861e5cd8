#include "kernel/socket_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::kernel {
namespace {

constexpr std::size_t kAnswerSize = 32768;
constexpr int kAnswersMax = 4096;  // Datagrams of one dump.

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

void set_address(__be32 (&to)[4], const Address& from) {
  if (from.is_v4()) std::memcpy(&to[0], from.bytes.data() + 12, 4);
  else std::memcpy(&to[0], from.bytes.data(), 16);
}

Address get_address(uint8_t family, const __be32 (&from)[4]) {
  Address address;
  if (family == AF_INET) {
    address.bytes[10] = address.bytes[11] = 0xff;
    std::memcpy(address.bytes.data() + 12, &from[0], 4);
  } else {
    std::memcpy(address.bytes.data(), &from[0], 16);
  }
  return address;
}

Request make_request(const SocketTuple& tuple, uint16_t type) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = tuple.local.address.is_v4() ? AF_INET : AF_INET6;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0u;
  request.body.id.idiag_sport = htons(tuple.local.port);
  request.body.id.idiag_dport = htons(tuple.remote.port);
  set_address(request.body.id.idiag_src, tuple.local.address);
  set_address(request.body.id.idiag_dst, tuple.remote.address);
  request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

Result<void> send_request(int fd, const Request& request) {
  if (::send(fd, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) {
    return fail(Error::Kind::kSystem, std::string("socket diagnosis: send: ") + std::strerror(errno), errno);
  }
  return {};
}

struct Found {
  inet_diag_msg message;
  bool is_there;
};

// One answer to an exact question: a socket, or an errno.
Result<Found> receive_one(int fd) {
  alignas(nlmsghdr) std::array<char, kAnswerSize> buffer;
  const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) {
    return fail(Error::Kind::kSystem, std::string("socket diagnosis: receive: ") + std::strerror(errno), errno);
  }
  nlmsghdr header;
  std::memcpy(&header, buffer.data(), sizeof header);
  Found found{};
  if (header.nlmsg_type == NLMSG_ERROR) {
    int code = 0;
    std::memcpy(&code, buffer.data() + NLMSG_HDRLEN, sizeof code);
    if (code == -ENOENT) return found;
    if (code == 0) return found;  // An acknowledgement.
    return fail(Error::Kind::kSystem, std::string("socket diagnosis: ") + std::strerror(-code), -code);
  }
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || size < static_cast<ssize_t>(NLMSG_HDRLEN + sizeof found.message)) {
    return fail(Error::Kind::kSystem, "socket diagnosis: an answer of another kind", EPROTO);
  }
  std::memcpy(&found.message, buffer.data() + NLMSG_HDRLEN, sizeof found.message);
  found.is_there = true;
  return found;
}

// The kernel's exact question falls back to a listener; that is not what was asked.
bool is_exact(const inet_diag_msg& message, const SocketTuple& tuple) {
  return message.idiag_state != static_cast<uint8_t>(TcpState::kListen) && ntohs(message.id.idiag_sport) == tuple.local.port &&
         ntohs(message.id.idiag_dport) == tuple.remote.port &&
         get_address(message.idiag_family, message.id.idiag_dst) == tuple.remote.address;
}

Result<Found> find_exact(int fd, const SocketTuple& tuple) {
  if (auto sent = send_request(fd, make_request(tuple, SOCK_DIAG_BY_FAMILY)); !sent) return tl::unexpected<Error>(sent.error());
  auto found = receive_one(fd);
  if (found && found->is_there && !is_exact(found->message, tuple)) found->is_there = false;
  return found;
}

// False: the dump has ended.
bool take_listeners(const char* data, std::size_t size, std::vector<ListeningSocket>& listeners) {
  std::size_t offset = 0;
  while (offset + sizeof(nlmsghdr) <= size) {
    nlmsghdr header;
    std::memcpy(&header, data + offset, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - offset) return false;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return false;
    inet_diag_msg message;
    if (header.nlmsg_len >= NLMSG_HDRLEN + sizeof message) {
      std::memcpy(&message, data + offset + NLMSG_HDRLEN, sizeof message);
      ListeningSocket listener;
      listener.local = {get_address(message.idiag_family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
      listener.is_wildcard = message.id.idiag_src[0] == 0 && (message.idiag_family == AF_INET || listener.local.address == Address{});
      listeners.push_back(listener);
    }
    offset += NLMSG_ALIGN(header.nlmsg_len);
  }
  return true;
}

}  // namespace

SocketDiag::SocketDiag(SocketDiag&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
SocketDiag& SocketDiag::operator=(SocketDiag&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
SocketDiag::~SocketDiag() {
  if (fd_ >= 0) ::close(fd_);
}

Result<SocketDiag> SocketDiag::open() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return fail(Error::Kind::kSystem, std::string("socket diagnosis: ") + std::strerror(errno), errno);
  return SocketDiag(fd);
}

Result<std::optional<TcpState>> SocketDiag::find(const SocketTuple& tuple) {
  const auto found = find_exact(fd_, tuple);
  if (!found) return tl::unexpected<Error>(found.error());
  if (!found->is_there) return std::optional<TcpState>{};
  return std::optional<TcpState>{static_cast<TcpState>(found->message.idiag_state)};
}

Result<bool> SocketDiag::destroy(const SocketTuple& tuple) {
  const auto found = find_exact(fd_, tuple);
  if (!found) return tl::unexpected<Error>(found.error());
  if (!found->is_there) return false;
  // By cookie: asked by tuple alone, the kernel would destroy our listener if the connection went away in between.
  Request request = make_request(tuple, SOCK_DESTROY);
  request.header.nlmsg_flags |= NLM_F_ACK;
  request.body.id = found->message.id;
  if (auto sent = send_request(fd_, request); !sent) return tl::unexpected<Error>(sent.error());
  const auto answer = receive_one(fd_);
  if (answer) return true;
  switch (answer.error().code) {
    case ENOENT:
    case ESTALE: return false;
    case EPERM: return fail(Error::Kind::kDenied, "ending a socket needs CAP_NET_ADMIN", EPERM);
    case EOPNOTSUPP: return fail(Error::Kind::kUnavailable, "this kernel cannot end sockets (CONFIG_INET_DIAG_DESTROY)", EOPNOTSUPP);
    default: return tl::unexpected<Error>(answer.error());
  }
}

Result<std::vector<ListeningSocket>> SocketDiag::listeners() {
  std::vector<ListeningSocket> listeners;
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    Request request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.sdiag_family = family;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = 1u << static_cast<uint8_t>(TcpState::kListen);
    if (auto sent = send_request(fd_, request); !sent) return tl::unexpected<Error>(sent.error());
    alignas(nlmsghdr) std::array<char, kAnswerSize> buffer;
    for (int answers = 0; answers < kAnswersMax; ++answers) {
      const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (size < 0) return fail(Error::Kind::kSystem, std::string("socket diagnosis: receive: ") + std::strerror(errno), errno);
      if (!take_listeners(buffer.data(), static_cast<std::size_t>(size), listeners)) break;
    }
  }
  return listeners;
}

}  // namespace weir::kernel
