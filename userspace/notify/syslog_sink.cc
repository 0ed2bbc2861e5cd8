#include "notify/syslog_sink.h"

#include <linux/sockios.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "kernel/fd.h"
#include "notify/syslog_text.h"
#include "notify/webhook.h"

namespace weir::notify {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTimeout{5'000};  // Of one delivery, after the name is resolved.
constexpr milliseconds kSlice{100};      // How soon a stop is seen.

struct SslDelete { void operator()(SSL* ssl) const noexcept { SSL_free(ssl); } };
struct ContextDelete { void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); } };

tl::unexpected<Error> not_now(std::string what, int error = 0) {
  return fail(Error::Kind::kUnavailable, error == 0 ? std::move(what) : what + ": " + std::strerror(error), error);
}

struct Place { std::string transport, host, port; };

// "tcp://host:port", "udp://[::1]:514"; the configuration has checked it.
Place place_of(const std::string& url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return {"local", "", ""};
  std::string rest = url.substr(scheme + 3);
  const std::size_t colon = rest.rfind(':');
  std::string host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {url.substr(0, scheme), host, colon == std::string::npos ? "" : rest.substr(colon + 1)};
}

class Syslog final : public Sink {
 public:
  Syslog(const SinkConfig& config, const std::atomic<bool>& stop, std::string local)
      : place_(place_of(config.url)), ca_file_(config.ca_file), local_(std::move(local)), stop_(stop) {}

  Result<void> deliver(const Notice& notice) override {
    deadline_ = Clock::now() + kTimeout;
    auto sent = attempt(notice);
    if (!sent) close();
    return sent;
  }

 private:
  Result<void> attempt(const Notice& notice) {
    if (place_.transport == "local") return send_local(local_message(notice, getpid()));
    const std::string message = syslog_message(notice, getpid());
    if (place_.transport == "udp") return send_datagram(message);
    if (socket_ && has_ended()) close();  // It hung up since the last one: what is written now would be lost.
    if (!socket_) {
      if (auto opened = open_stream(); !opened) return opened;
    }
    if (auto written = write_all(octet_counted(message)); !written) return written;
    return wait_acknowledged();
  }

  Result<void> send_local(const std::string& message) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (local_.size() >= sizeof address.sun_path) return not_now(local_ + " is too long");
    std::memcpy(address.sun_path, local_.data(), local_.size());
    kernel::Fd out(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!out) return not_now("socket", errno);
    if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return not_now(local_, errno);
    while (::send(out.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
      if (errno != EAGAIN && errno != EINTR) return not_now(local_, errno);
      if (auto ready = wait(out.get(), POLLOUT); !ready) return ready;
    }
    return {};
  }

  Result<void> send_datagram(const std::string& message) {
    if (!socket_) {
      if (auto opened = open_socket(SOCK_DGRAM); !opened) return opened;
    }
    // An answer to an earlier one ("port unreachable") comes back at the next call, once.
    for (int attempts = 0; ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0; ++attempts) {
      if (errno == EAGAIN) {
        if (auto ready = wait(socket_.get(), POLLOUT); !ready) return ready;
      } else if (errno != EINTR && (errno != ECONNREFUSED || attempts > 0)) {
        return not_now("send", errno);
      }
    }
    return {};
  }

  Result<void> open_socket(int type) {
    addrinfo hints{};
    hints.ai_socktype = type;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    if (const int code = getaddrinfo(place_.host.c_str(), place_.port.c_str(), &hints, &found); code != 0)
      return not_now("the name does not resolve: " + std::string(gai_strerror(code)));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
    Result<void> last = not_now("the name has no address");
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
      socket_ = kernel::Fd(::socket(each->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!socket_) {
        last = not_now("socket", errno);
        continue;
      }
      last = connect_to(*each);
      if (last) return last;
      socket_ = kernel::Fd();
    }
    return last;
  }

  Result<void> connect_to(const addrinfo& address) {
    if (::connect(socket_.get(), address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return not_now("cannot connect", errno);
    if (auto ready = wait(socket_.get(), POLLOUT); !ready) return ready;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? Result<void>() : not_now("cannot connect", error);
  }

  Result<void> open_stream() {
    if (auto opened = open_socket(SOCK_STREAM); !opened) return opened;
    if (place_.transport != "tls") return {};
    if (!context_) {
      context_.reset(SSL_CTX_new(TLS_client_method()));
      if (!context_) return not_now("TLS cannot be used");
      SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
      const int is_set = ca_file_.empty() ? SSL_CTX_set_default_verify_paths(context_.get()) : SSL_CTX_load_verify_locations(context_.get(), ca_file_.c_str(), nullptr);
      if (is_set != 1) {
        context_.reset();
        return not_now("the CA file " + ca_file_ + " cannot be read, or holds no certificate");
      }
    }
    ssl_.reset(SSL_new(context_.get()));
    if (!ssl_) return not_now("TLS cannot be used");
    X509_VERIFY_PARAM* verify = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, place_.host.c_str()) != 1) {
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(place_.host.c_str()));  // Without the macro's cast.
      SSL_set1_host(ssl_.get(), place_.host.c_str());
    }
    SSL_set_fd(ssl_.get(), socket_.get());
    for (;;) {
      const int done = SSL_connect(ssl_.get());
      if (done == 1) return {};
      if (auto ready = wait_ssl(done); !ready) {
        if (SSL_get_verify_result(ssl_.get()) != X509_V_OK) return not_now("its certificate does not hold, or is of another host; ca_file must be the CA that signed it");
        return ready;
      }
    }
  }

  Result<void> write_all(std::string_view bytes) {
    while (!bytes.empty()) {
      if (ssl_) {
        const int done = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
        if (done > 0) bytes.remove_prefix(static_cast<std::size_t>(done));
        else if (auto ready = wait_ssl(done); !ready) return ready;
        continue;
      }
      const ssize_t done = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (done >= 0) bytes.remove_prefix(static_cast<std::size_t>(done));
      else if (errno == EAGAIN) {
        if (auto ready = wait(socket_.get(), POLLOUT); !ready) return ready;
      } else if (errno != EINTR) return not_now("send", errno);
    }
    return {};
  }

  // Nothing that was sent is still on its way.
  Result<void> wait_acknowledged() {
    for (;;) {
      int left = 0;
      if (ioctl(socket_.get(), SIOCOUTQ, &left) != 0) return not_now("SIOCOUTQ", errno);
      if (left == 0) return {};
      if (has_ended()) return not_now("it hung up");
      pollfd none{-1, 0, 0};
      poll(&none, 1, 1);
      if (stop_ || Clock::now() > deadline_) return not_now("it does not acknowledge");
    }
  }

  // The other side sends nothing; an end or an error is all that can be read.  Over TLS 1.3 tickets come first.
  bool has_ended() {
    char byte = 0;
    if (ssl_) {
      const int got = SSL_peek(ssl_.get(), &byte, 1);
      if (got > 0) return false;
      const int why = SSL_get_error(ssl_.get(), got);
      return why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
    }
    const ssize_t got = ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
  }

  Result<void> wait_ssl(int done) {
    switch (SSL_get_error(ssl_.get(), done)) {
      case SSL_ERROR_WANT_READ: return wait(socket_.get(), POLLIN);
      case SSL_ERROR_WANT_WRITE: return wait(socket_.get(), POLLOUT);
      default: return not_now("TLS failed");
    }
  }

  Result<void> wait(int fd, short events) {
    for (;;) {
      if (stop_) return not_now("the gateway is being stopped");
      const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
      if (left <= milliseconds(0)) return not_now("no answer within " + std::to_string(kTimeout.count() / 1000) + " s");
      pollfd one{fd, events, 0};
      const int ready = poll(&one, 1, static_cast<int>(std::min(left, kSlice).count()));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return not_now("poll", errno);
    }
  }

  void close() {
    ssl_.reset();
    socket_ = kernel::Fd();
  }

  const Place place_;
  const std::string ca_file_, local_;
  const std::atomic<bool>& stop_;
  std::unique_ptr<SSL_CTX, ContextDelete> context_;
  kernel::Fd socket_;
  std::unique_ptr<SSL, SslDelete> ssl_;  // Over socket_; ends before it.
  Clock::time_point deadline_{};
};

}  // namespace

std::unique_ptr<Sink> make_syslog(const SinkConfig& config, const std::atomic<bool>& stop, std::string local) {
  return std::make_unique<Syslog>(config, stop, std::move(local));
}

std::unique_ptr<Sink> make_sink(const SinkConfig& config, Secrets secrets, const std::atomic<bool>& stop, kernel::Https https) {
  if (config.kind == SinkConfig::Kind::kSyslog) return make_syslog(config, stop);
  if (!https) https = [&stop](const kernel::HttpsRequest& request) { return kernel::https_request(request, &stop); };
  return make_webhook(config, std::move(secrets), std::move(https));
}

}  // namespace weir::notify
