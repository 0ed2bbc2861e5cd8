#include "control/control_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "base/check.h"
#include "control/control_client.h"
#include "control/control_protocol.h"
#include "control/metrics_text.h"

namespace weir::control {
namespace {

using nlohmann::json;

tl::unexpected<Error> system_error(const std::string& what) { return fail(Error::Kind::kSystem, what + ": " + std::strerror(errno), errno); }

// The audit login uid of a process; kNoLogin if the kernel does not say.
uint32_t login_uid_of(int32_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/loginuid");
  std::string text;
  in >> text;
  uint32_t uid = ControlPeer::kNoLogin;
  std::from_chars(text.data(), text.data() + text.size(), uid);
  return uid;
}

bool peer_of(int fd, ControlPeer& peer) {
  struct ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
  peer = {credentials.uid, login_uid_of(credentials.pid), credentials.pid};
  return true;
}

}  // namespace

struct ControlServer::Connection {
  int fd = -1;
  bool is_http = false, is_answering = false, is_done = false;
  ControlPeer peer;
  std::string in, out;
  std::size_t sent = 0;
  Clock::time_point deadline;
  ~Connection() { if (fd >= 0) close(fd); }
};

ControlServer::ControlServer(const Options& options, ControlHandler& handler) : options_(options), handler_(handler) {}

ControlServer::~ControlServer() { stop(); }

Result<std::unique_ptr<ControlServer>> ControlServer::open(const Options& options, ControlHandler& handler) {
  std::unique_ptr<ControlServer> server(new ControlServer(options, handler));
  server->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (server->wake_ < 0) return system_error("eventfd");
  if (auto listening = server->listen_unix(); !listening) return tl::unexpected<Error>(listening.error());
  if (options.metrics) {
    if (auto listening = server->listen_metrics(); !listening) return tl::unexpected<Error>(listening.error());
  }
  return server;
}

Result<void> ControlServer::listen_unix() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.socket.size() >= sizeof address.sun_path) {
    return fail(Error::Kind::kInvalid, options_.socket + " is too long for a Unix socket: set control.socket to a shorter path");
  }
  std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
  // A file that nobody listens on was left by an engine that was killed.
  if (is_answering(options_.socket)) return fail(Error::Kind::kUnavailable, "another engine serves " + options_.socket + ": stop it first, `weir status` has its pid");
  if (unlink(options_.socket.c_str()) != 0 && errno != ENOENT) return system_error(options_.socket);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) return system_error("socket");
  const mode_t before = umask(0177);  // The file must not be open to others for an instant.
  const bool is_bound = bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int code = errno;
  umask(before);
  unix_ = listener;
  if (!is_bound || listen(listener, 16) != 0) {
    if (!is_bound) errno = code;
    return system_error("listening on " + options_.socket);
  }
  return {};
}

Result<void> ControlServer::listen_metrics() {
  const Endpoint& at = *options_.metrics;
  const bool v4 = at.address.is_v4();
  http_ = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (http_ < 0) return system_error("socket");
  const int one = 1;
  setsockopt(http_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (v4) {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(at.port);
    std::memcpy(&address->sin_addr, at.address.bytes.data() + 12, 4);
    size = sizeof *address;
  } else {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(at.port);
    std::memcpy(&address->sin6_addr, at.address.bytes.data(), 16);
    size = sizeof *address;
  }
  if (bind(http_, reinterpret_cast<sockaddr*>(&storage), size) != 0 || listen(http_, 16) != 0) {
    return system_error("control.metrics: listening on " + at.text());
  }
  getsockname(http_, reinterpret_cast<sockaddr*>(&storage), &size);
  metrics_port_ = ntohs(v4 ? reinterpret_cast<sockaddr_in*>(&storage)->sin_port : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
  return {};
}

void ControlServer::watch(int fd, std::function<void()> ready) { watches_.push_back({fd, std::move(ready)}); }

void ControlServer::every(std::chrono::milliseconds period, std::function<void()> call) {
  timers_.push_back({period, std::move(call), Clock::now() + period});
}

void ControlServer::start() {
  WEIR_CHECK(!thread_.joinable());
  thread_ = std::thread([this] {
    while (!is_stopping_.load(std::memory_order_acquire)) turn(std::chrono::milliseconds(1'000));
  });
}

void ControlServer::stop() {
  is_stopping_.store(true, std::memory_order_release);
  if (wake_ >= 0) eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  connections_.clear();
  for (int* fd : {&unix_, &http_, &wake_}) {
    if (*fd < 0) continue;
    if (fd == &unix_) unlink(options_.socket.c_str());
    close(std::exchange(*fd, -1));
  }
}

void ControlServer::turn(std::chrono::milliseconds wait) {
  std::vector<pollfd> polled;
  polled.push_back({wake_, POLLIN, 0});
  polled.push_back({unix_, POLLIN, 0});
  polled.push_back({http_, POLLIN, 0});  // -1 is passed over.
  for (const Watch& watch : watches_) polled.push_back({watch.fd, POLLIN, 0});
  const std::size_t first_connection = polled.size();
  Clock::time_point next = Clock::now() + wait;
  for (const auto& connection : connections_) {
    polled.push_back({connection->fd, static_cast<short>(connection->is_answering ? POLLOUT : POLLIN), 0});
    next = std::min(next, connection->deadline);
  }
  for (const Timer& timer : timers_) next = std::min(next, timer.next);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - Clock::now()).count() + 1;
  if (poll(polled.data(), polled.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 60'000))) < 0) return;  // EINTR: the next turn looks again.
  if ((polled[0].revents & POLLIN) != 0) {
    eventfd_t value = 0;
    eventfd_read(wake_, &value);
  }
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    if (polled[3 + i].revents != 0) watches_[i].ready();
  }
  const Clock::time_point now = Clock::now();
  run_timers(now);
  for (std::size_t i = first_connection; i < polled.size(); ++i) {
    Connection& connection = *connections_[i - first_connection];
    if (polled[i].revents != 0) serve(connection, polled[i].revents);
    if (!connection.is_done && connection.deadline <= now) {
      connection.is_done = true;
      ++refused_;
    }
  }
  std::erase_if(connections_, [](const auto& connection) { return connection->is_done; });
  if (polled[1].revents != 0) accept_from(unix_, false);
  if (polled[2].revents != 0) accept_from(http_, true);
}

void ControlServer::run_timers(Clock::time_point now) {
  for (Timer& timer : timers_) {
    if (timer.next > now) continue;
    timer.next = now + timer.period;
    timer.call();
  }
}

void ControlServer::accept_from(int listener, bool is_http) {
  for (int i = 0; i < 16; ++i) {  // The rest is taken on the next turn.
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;  // EAGAIN, or a peer that is gone again, or no descriptor: the next turn tries again.
    auto connection = std::make_unique<Connection>();
    connection->fd = fd;
    connection->is_http = is_http;
    connection->deadline = Clock::now() + options_.request_timeout;
    if (!is_http && (!peer_of(fd, connection->peer) || (connection->peer.uid != 0 && connection->peer.uid != geteuid()))) {
      ++refused_;
      continue;
    }
    if (connections_.size() >= options_.connections_max) {
      connections_.erase(connections_.begin());
      ++refused_;
    }
    connections_.push_back(std::move(connection));
  }
}

void ControlServer::serve(Connection& connection, short events) {
  if (!connection.is_answering && (events & (POLLIN | POLLHUP | POLLERR)) != 0) read(connection);
  if (!connection.is_answering || connection.is_done) return;
  while (connection.sent < connection.out.size()) {
    const ssize_t sent = send(connection.fd, connection.out.data() + connection.sent, connection.out.size() - connection.sent, MSG_NOSIGNAL);
    if (sent < 0) {
      connection.is_done = errno != EAGAIN && errno != EINTR;
      return;
    }
    connection.sent += static_cast<std::size_t>(sent);
  }
  connection.is_done = true;
}

void ControlServer::read(Connection& connection) {
  char buffer[16 << 10];
  const std::size_t size_max = connection.is_http ? kHttpRequestMax : kControlRequestMax;
  for (;;) {
    const ssize_t size = recv(connection.fd, buffer, sizeof buffer, 0);
    if (size < 0) {
      connection.is_done = errno != EAGAIN && errno != EINTR;
      return;
    }
    connection.in.append(buffer, static_cast<std::size_t>(size));
    const bool is_whole = connection.is_http ? is_http_head_complete(connection.in) : connection.in.find('\n') != std::string::npos;
    if (is_whole) return answer(connection);
    if (size == 0 || connection.in.size() > size_max) {
      connection.is_done = true;
      if (size != 0) ++refused_;
      return;
    }
  }
}

void ControlServer::answer(Connection& connection) {
  connection.is_answering = true;
  if (connection.is_http) {
    connection.out = answer_http(connection.in, [this] { return handler_.metrics(); });
  } else {
    const auto request = decode_request(std::string_view(connection.in).substr(0, connection.in.find('\n')));
    Result<json> result = fail(Error::Kind::kSystem, "the engine failed at this; its log says more");
    if (request) {
      try {  // The JSON library throws on arguments of a wrong type.
        result = handler_.handle(request->verb, request->arguments, connection.peer);
      } catch (const json::exception& wrong) {
        result = fail(Error::Kind::kInvalid, std::string("an argument is wrong: ") + wrong.what());
      }
    } else {
      result = tl::unexpected<Error>(request.error());
    }
    connection.out = encode_answer(result);
  }
  connection.in.clear();
  connection.in.shrink_to_fit();
  connection.deadline = Clock::now() + options_.request_timeout;
}

}  // namespace weir::control
