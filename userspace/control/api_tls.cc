#include "control/api_tls.h"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "transport/certificate.h"

namespace weir::control {
namespace {

constexpr std::size_t kDrainSizeMax = 256u << 10;

// RFC 7301: HTTP/1.1, or no answer for who speaks something else only.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned int in_size, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, in, in_size) != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<transport::SslContextPtr> make_api_context(const ApiConfig& config) {
  const auto chain = transport::read_certificates(config.certificate_file);
  if (!chain) return tl::unexpected<Error>(chain.error());
  const auto key = transport::read_private_key(config.key_file);
  if (!key) return tl::unexpected<Error>(key.error());
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return fail(Error::Kind::kInvalid, config.key_file + " is not the key of " + config.certificate_file);
  }
  transport::SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) return fail(Error::Kind::kSystem, "cannot begin TLS: " + transport::take_openssl_error());
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  bool is_set = SSL_CTX_set_min_proto_version(context.get(), config.minimum == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                SSL_CTX_use_certificate(context.get(), chain->front().get()) == 1 && SSL_CTX_use_PrivateKey(context.get(), key->get()) == 1;
  for (std::size_t i = 1; i < chain->size(); ++i) is_set = is_set && SSL_CTX_add1_chain_cert(context.get(), (*chain)[i].get()) == 1;
  if (!is_set) return fail(Error::Kind::kInvalid, "OpenSSL does not take " + config.certificate_file + ": " + transport::take_openssl_error());
  return context;
}

ApiStream::ApiStream(SSL_CTX* context, kernel::Fd socket) : socket_(std::move(socket)), ssl_(SSL_new(context)) {
  if (ssl_ && SSL_set_fd(ssl_.get(), socket_.get()) != 1) ssl_.reset();
}

// Waits for what OpenSSL wants.  kDone: try again.
ApiStream::Outcome ApiStream::wait(int result, Clock::time_point deadline) {
  const int error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return Outcome::kEnded;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Outcome::kTimeout;
    pollfd polled{socket_.get(), static_cast<short>(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
    const int ready = poll(&polled, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready > 0) return Outcome::kDone;
    if (ready < 0 && errno != EINTR) return Outcome::kEnded;
  }
}

ApiStream::Outcome ApiStream::handshake(Clock::time_point deadline) {
  if (!ssl_) return Outcome::kEnded;
  for (;;) {
    const int result = SSL_accept(ssl_.get());
    if (result == 1) return Outcome::kDone;
    if (const Outcome outcome = wait(result, deadline); outcome != Outcome::kDone) return outcome;
  }
}

ApiStream::Outcome ApiStream::read(MutableBytes into, std::size_t& read, Clock::time_point deadline) {
  for (;;) {
    if (Clock::now() >= deadline) return Outcome::kTimeout;  // Also for who sends a byte now and then.
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &read);
    if (result == 1) return Outcome::kDone;
    if (const Outcome outcome = wait(result, deadline); outcome != Outcome::kDone) return outcome;
  }
}

ApiStream::Outcome ApiStream::write(std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    if (Clock::now() >= deadline) return Outcome::kTimeout;
    std::size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    if (result == 1) {
      bytes.remove_prefix(written);
    } else if (const Outcome outcome = wait(result, deadline); outcome != Outcome::kDone) {
      return outcome;
    }
  }
  return Outcome::kDone;
}

void ApiStream::finish(Clock::time_point deadline) {
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  ::shutdown(socket_.get(), SHUT_WR);
  std::array<std::byte, 4096> dropped;
  for (std::size_t total = 0; total < kDrainSizeMax;) {
    const ssize_t size = recv(socket_.get(), dropped.data(), dropped.size(), 0);
    if (size > 0) {
      total += static_cast<std::size_t>(size);
      continue;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (size == 0 || (errno != EAGAIN && errno != EINTR) || left <= 0) return;
    pollfd polled{socket_.get(), POLLIN, 0};
    if (poll(&polled, 1, static_cast<int>(std::min<int64_t>(left, 60'000))) == 0) return;
  }
}

}  // namespace weir::control
