#include "signer/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace weir::signer {
namespace {

constexpr std::size_t kHeaderSize = 5;

tl::unexpected<Error> gone(const char* what) { return fail(Error::Kind::kUnavailable, std::string(what) + ": " + std::strerror(errno), errno); }

Result<void> send_all(int socket, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return gone("sending");
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

// Post: how much of `out` was filled; less only at the end of the stream.
Result<std::size_t> receive_all(int socket, MutableBytes out, std::optional<std::chrono::steady_clock::time_point> until) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    int left_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return fail(Error::Kind::kUnavailable, "nothing came in time");
      left_ms = static_cast<int>(left.count());
    }
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, left_ms);
    if (count < 0 && errno != EINTR) return gone("waiting");
    if (count <= 0) continue;
    const ssize_t got = ::recv(socket, out.data() + filled, out.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ECONNRESET) return filled;
    if (got < 0) return gone("receiving");
    if (got == 0) return filled;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

}  // namespace

Result<void> send_frame(int socket, Bytes message) {
  if (message.size() >= kFrameMax) return fail(Error::Kind::kInvalid, "longer than a frame may be");
  std::array<std::byte, kHeaderSize> header{};
  store_be(MutableBytes(header), 0, static_cast<uint32_t>(message.size() + 1));
  header[4] = std::byte{kVersion};
  if (Result<void> done = send_all(socket, header); !done) return done;
  return send_all(socket, message);
}

Result<Message> receive_frame(int socket, std::size_t size_max, std::optional<std::chrono::milliseconds> patience) {
  std::optional<std::chrono::steady_clock::time_point> until;
  if (patience) until = std::chrono::steady_clock::now() + *patience;
  std::array<std::byte, kHeaderSize> header{};
  const Result<std::size_t> got = receive_all(socket, header, until);
  if (!got) return tl::unexpected(got.error());
  if (*got == 0) return fail(Error::Kind::kNotFound, "the other side has ended");
  if (*got < header.size()) return fail(Error::Kind::kUnavailable, "the other side ended within a frame");
  const std::size_t size = load_be<uint32_t>(header);
  if (size == 0 || size - 1 > size_max || std::to_integer<uint8_t>(header[4]) != kVersion) return fail(Error::Kind::kInvalid, "no frame of version " + std::to_string(kVersion));
  std::vector<std::byte> message(size - 1);
  const Result<std::size_t> rest = receive_all(socket, message, until);
  Message owned(std::move(message));
  if (!rest) return tl::unexpected(rest.error());
  if (*rest < size - 1) return fail(Error::Kind::kUnavailable, "the other side ended within a frame");
  return owned;
}

}  // namespace weir::signer
