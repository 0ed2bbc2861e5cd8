#include "control/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "control/control_protocol.h"

namespace weir::control {
namespace {

using Clock = std::chrono::steady_clock;

struct Socket {
  int fd = -1;
  Socket() : fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { if (fd >= 0) close(fd); }
};

int connect_to(const Socket& socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.fd < 0 || path.size() >= sizeof address.sun_path) return EINVAL;
  std::memcpy(address.sun_path, path.data(), path.size());
  return connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd polled{fd, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

bool is_answering(const std::string& path) {
  const Socket socket;
  return connect_to(socket, path) == 0;
}

Result<nlohmann::json> ask_engine(const std::string& path, const std::string& verb, const nlohmann::json& arguments, std::chrono::milliseconds timeout) {
  const Socket socket;
  const int code = connect_to(socket, path);
  if (code == EACCES || code == EPERM) return fail(Error::Kind::kDenied, path + ": only root and the engine's user may ask the engine: use sudo", code);
  if (code != 0) return fail(Error::Kind::kUnavailable, "no engine serves " + path + ": start it with `weir run` or `systemctl start weir`", code);
  const Clock::time_point deadline = Clock::now() + timeout;
  const std::string request = encode_request({verb, arguments});
  for (std::size_t sent = 0; sent < request.size();) {
    const ssize_t size = wait_for(socket.fd, POLLOUT, deadline) ? send(socket.fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL) : -1;
    if (size <= 0) return fail(Error::Kind::kDenied, "the engine closed the connection: only root and its own user may ask it");
    sent += static_cast<std::size_t>(size);
  }
  std::string answer;
  while (answer.empty() || answer.back() != '\n') {
    char buffer[64 << 10];
    if (!wait_for(socket.fd, POLLIN, deadline)) {
      return fail(Error::Kind::kUnavailable, "the engine gave no answer within " + std::to_string(timeout.count() / 1000) + " s");
    }
    const ssize_t size = recv(socket.fd, buffer, sizeof buffer, 0);
    if (size <= 0) return fail(Error::Kind::kDenied, "the engine closed the connection: only root and its own user may ask it");
    answer.append(buffer, static_cast<std::size_t>(size));
    if (answer.size() > kControlAnswerMax) return fail(Error::Kind::kCorrupt, "the engine's answer is too long");
  }
  return decode_answer(answer);
}

}  // namespace weir::control
