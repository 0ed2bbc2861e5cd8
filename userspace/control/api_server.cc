#include "control/api_server.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "control/api_tls.h"
#include "kernel/socket_address.h"

namespace weir::control {
namespace {

constexpr int kBacklog = 64;
constexpr std::chrono::seconds kGoodbye{1};

}  // namespace

Result<std::vector<kernel::Fd>> open_api_listeners(const std::vector<Endpoint>& listen) {
  std::vector<kernel::Fd> all;
  for (const Endpoint& at : listen) {
    sockaddr_storage address{};
    const socklen_t size = kernel::to_sockaddr(at, address);
    kernel::Fd listener(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    if (listener) setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener && address.ss_family == AF_INET6) setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (!listener || bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(listener.get(), kBacklog) != 0) {
      const int code = errno;
      return fail(Error::Kind::kUnavailable, "api.listen: listening on " + at.text() + ": " + std::strerror(code), code);
    }
    all.push_back(std::move(listener));
  }
  return all;
}

ApiServer::ApiServer(const ApiConfig& config, std::vector<kernel::Fd> listeners, ApiServices services)
    : config_(config), listeners_(std::move(listeners)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), router_(std::move(services), config_, counters_) {}

ApiServer::~ApiServer() { stop(); }

Result<std::unique_ptr<ApiServer>> ApiServer::start(const ApiConfig& config, std::vector<kernel::Fd> listeners, ApiServices services) {
  std::unique_ptr<ApiServer> server(new ApiServer(config, std::move(listeners), std::move(services)));
  if (!server->wake_) return fail(Error::Kind::kSystem, std::string("eventfd: ") + std::strerror(errno), errno);
  auto context = make_api_context(config);
  if (!context) return fail(context.error().kind, "api: " + context.error().message);
  server->context_ = std::move(*context);
  server->acceptor_ = std::thread([self = server.get()] { self->accept_loop(); });
  pthread_setname_np(server->acceptor_.native_handle(), "weir-api");
  return server;
}

void ApiServer::stop() {
  if (!acceptor_.joinable()) return;
  is_stopping_ = true;
  eventfd_write(wake_.get(), 1);
  acceptor_.join();
  {
    const std::lock_guard lock(closing_);
    for (Connection& connection : connections_) {
      if (connection.fd >= 0) ::shutdown(connection.fd, SHUT_RDWR);
    }
  }
  reap(true);
  listeners_.clear();
}

void ApiServer::accept_loop() {
  std::vector<pollfd> polled;
  polled.push_back({wake_.get(), POLLIN, 0});
  for (const kernel::Fd& listener : listeners_) polled.push_back({listener.get(), POLLIN, 0});
  while (!is_stopping_) {
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) ++counters_.connections_refused;
    eventfd_t ended = 0;
    if ((polled[0].revents & POLLIN) != 0) eventfd_read(wake_.get(), &ended);
    reap(false);
    for (std::size_t i = 1; i < polled.size() && !is_stopping_; ++i) {
      if (polled[i].revents != 0) accept_from(polled[i].fd);
    }
  }
}

// Takes away connections whose threads are through.
void ApiServer::reap(bool all) {
  for (auto connection = connections_.begin(); connection != connections_.end();) {
    if (!all && !connection->is_done) {
      ++connection;
      continue;
    }
    connection->thread.join();
    const auto source = by_source_.find(source_of(connection->from));
    if (--source->second == 0) by_source_.erase(source);
    connection = connections_.erase(connection);
  }
}

void ApiServer::accept_from(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  kernel::Fd socket(accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
      ++counters_.connections_refused;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));  // No descriptors left: the listener stays readable.
    }
    return;
  }
  const Address from = kernel::from_sockaddr(address).address;
  const std::string source = source_of(from);
  const auto open = by_source_.find(source);
  if (connections_.size() >= config_.connections_max || (open != by_source_.end() && open->second >= config_.connections_per_source_max)) {
    ++counters_.connections_refused;
    return;
  }
  Connection& connection = connections_.emplace_back();
  connection.fd = socket.get();
  connection.socket = std::move(socket);
  connection.from = from;
  try {
    connection.thread = std::thread([this, &connection] { serve(connection); });
  } catch (const std::system_error&) {
    ++counters_.connections_refused;
    connections_.pop_back();
    return;
  }
  ++by_source_[source];
  ++counters_.connections;
}

void ApiServer::serve(Connection& connection) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);  // OpenSSL writes without MSG_NOSIGNAL.
  {
    ApiStream stream(context_.get(), std::move(connection.socket));
    try {
      talk(stream, connection.from);
    } catch (const std::exception&) {
      ++counters_.failed;  // No memory: this connection ends, the engine does not.
    }
    const std::lock_guard lock(closing_);
    connection.fd = -1;
  }
  connection.is_done = true;
  eventfd_write(wake_.get(), 1);
}

void ApiServer::talk(ApiStream& stream, const Address& from) {
  using Outcome = ApiStream::Outcome;
  const auto deadline = ApiStream::Clock::now() + config_.request_timeout;
  const auto has_timed_out = [&](Outcome outcome) {
    if (outcome == Outcome::kTimeout) ++counters_.timeouts;
    return outcome == Outcome::kTimeout;
  };
  if (const Outcome outcome = stream.handshake(deadline); outcome != Outcome::kDone) {
    if (!has_timed_out(outcome)) ++counters_.handshake_faults;
    return;
  }
  const auto answer_deadline = [&] { return ApiStream::Clock::now() + config_.answer_timeout; };
  auto until = answer_deadline();
  const ApiSink sink = [&](std::string_view bytes) {
    const Outcome outcome = stream.write(bytes, until);
    has_timed_out(outcome);
    return outcome == Outcome::kDone;
  };
  ApiRequestReader reader(config_.body_size_max);
  std::array<std::byte, 8192> buffer;
  for (;;) {
    std::size_t size = 0;
    const Outcome outcome = stream.read(buffer, size, deadline);
    if (has_timed_out(outcome)) {
      router_.answer(ApiFault{408, "the request did not come in time"}, sink);
      break;
    }
    if (outcome != Outcome::kDone) return;
    const auto whole = reader.add(Bytes(buffer).first(size));
    if (whole && !*whole) continue;
    until = answer_deadline();
    if (!whole) router_.answer(whole.error(), sink);
    else router_.answer(reader.take(), from, ApiStream::Clock::now(), sink);
    break;
  }
  stream.finish(ApiStream::Clock::now() + kGoodbye);
}

}  // namespace weir::control
