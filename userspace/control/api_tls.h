// The API's TLS: a context from the configured pair, and one connection with a deadline on all it does.
// Must never: wait for a peer past the deadline, or write after it.
#pragma once
#include <chrono>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "core/config.h"
#include "kernel/fd.h"
#include "transport/openssl_ptr.h"

namespace weir::control {

// Errors: kInvalid, kNotFound, kDenied: the files', with their names.
[[nodiscard]] Result<transport::SslContextPtr> make_api_context(const ApiConfig& config);

class ApiStream {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Outcome : uint8_t { kDone, kTimeout, kEnded };

  // Takes over `socket`, which does not block.
  ApiStream(SSL_CTX* context, kernel::Fd socket);

  [[nodiscard]] Outcome handshake(Clock::time_point deadline);
  // Post: kDone: `read` bytes, at least one.
  [[nodiscard]] Outcome read(MutableBytes into, std::size_t& read, Clock::time_point deadline);
  [[nodiscard]] Outcome write(std::string_view bytes, Clock::time_point deadline);
  // Says goodbye and lets the peer take what was sent: closing a socket with unread bytes would reset it.
  void finish(Clock::time_point deadline);
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  Outcome wait(int result, Clock::time_point deadline);
  kernel::Fd socket_;
  transport::SslPtr ssl_;
};

}  // namespace weir::control
