#include "control/control_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "control/control_client.h"
#include "control/control_protocol.h"

namespace weir::control {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class FakeEngine final : public ControlHandler {
 public:
  Result<json> handle(std::string_view verb, const json& arguments, const ControlPeer& peer) override {
    peers.push_back(peer);
    if (verb == "echo") return json{{"arguments", arguments}};
    if (verb == "throw") return json{{"number", arguments.at("missing").get<int>()}};
    return fail(Error::Kind::kNotFound, "there is no " + std::string(verb));
  }
  std::string metrics() override { return "weir_up 1\n"; }
  std::vector<ControlPeer> peers;
};

class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest() {
    char name[] = "/tmp/weir-control-XXXXXX";
    folder_ = mkdtemp(name);
    options_.socket = folder_ + "/control.sock";
  }
  ~ControlServerTest() override { std::filesystem::remove_all(folder_); }

  void open() {
    auto server = ControlServer::open(options_, engine_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  // Sends `text` as it is and gives what came back until the end.
  std::string talk(int fd, const std::string& text) {
    EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    return rest_of(fd);
  }
  std::string rest_of(int fd) {
    std::string got;
    for (int turn = 0; turn < 1000; ++turn) {
      server_->turn(std::chrono::milliseconds(0));
      char buffer[65536];
      const ssize_t size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (size == 0 || (size < 0 && errno == ECONNRESET)) break;
      if (size > 0) got.append(buffer, static_cast<std::size_t>(size));
    }
    close(fd);
    return got;
  }
  int connect_unix() {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  int connect_metrics() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->metrics_port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  std::string folder_;
  ControlServer::Options options_;
  FakeEngine engine_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, AnswersOneRequestWithWhoAskedAndCloses) {
  open();
  const std::string answer = talk(connect_unix(), encode_request({"echo", {{"a", 1}}}));
  EXPECT_EQ(answer, "{\"result\":{\"arguments\":{\"a\":1}}}\n");
  ASSERT_EQ(engine_.peers.size(), 1u);
  EXPECT_EQ(engine_.peers[0].uid, geteuid());
  EXPECT_EQ(engine_.peers[0].pid, getpid());
}

TEST_F(ControlServerTest, TheSocketIsForItsOwnerAlone) {
  open();
  struct stat status{};
  ASSERT_EQ(stat(options_.socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ControlServerTest, ErrorsAndWrongRequestsAreAnswered) {
  open();
  EXPECT_EQ(talk(connect_unix(), encode_request({"fish", json::object()})), "{\"error\":{\"kind\":\"not-found\",\"message\":\"there is no fish\"}}\n");
  EXPECT_THAT(talk(connect_unix(), "not json\n"), HasSubstr("not a request"));
  EXPECT_THAT(talk(connect_unix(), "{\"verb\":\"echo\",\"arguments\":[]}\n"), HasSubstr("arguments must be an object"));
  EXPECT_THAT(talk(connect_unix(), encode_request({"throw", json::object()})), HasSubstr("an argument is wrong"));
}

TEST_F(ControlServerTest, AnEndlessRequestIsCutOff) {
  open();
  const int fd = connect_unix();
  const std::string block(64 << 10, 'x');
  for (int i = 0; i < 8; ++i) {
    send(fd, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    server_->turn(std::chrono::milliseconds(0));
  }
  EXPECT_EQ(rest_of(fd), "");
  EXPECT_EQ(server_->refused(), 1u);
}

TEST_F(ControlServerTest, ASilentPeerIsClosedAtItsDeadline) {
  options_.request_timeout = std::chrono::milliseconds(0);
  open();
  const int fd = connect_unix();
  server_->turn(std::chrono::milliseconds(0));
  EXPECT_EQ(rest_of(fd), "");
  EXPECT_GE(server_->refused(), 1u);
}

TEST_F(ControlServerTest, TheOldestPeerGivesWayAtTheLimit) {
  options_.connections_max = 2;
  open();
  const int first = connect_unix();
  server_->turn(std::chrono::milliseconds(0));
  const int second = connect_unix(), third = connect_unix();
  server_->turn(std::chrono::milliseconds(0));
  EXPECT_EQ(rest_of(first), "");
  EXPECT_THAT(talk(second, encode_request({"echo", json::object()})), StartsWith("{\"result\""));
  EXPECT_THAT(talk(third, encode_request({"echo", json::object()})), StartsWith("{\"result\""));
}

TEST_F(ControlServerTest, AStrangerIsNotLetIn) {
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  open();
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(options_.socket.c_str(), 0666), 0);  // Even if the file's mode were lost.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (setresuid(65534, 65534, 65534) != 0) _exit(2);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(3);
    char byte = 0;
    _exit(recv(fd, &byte, 1, 0) <= 0 ? 0 : 1);  // Closed without a word.
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) server_->turn(std::chrono::milliseconds(10));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(engine_.peers.empty());
}

TEST_F(ControlServerTest, ASecondEngineIsRefusedAndAStaleSocketIsTakenOver) {
  open();
  FakeEngine other;
  const auto second = ControlServer::open(options_, other);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another engine serves"));
  EXPECT_TRUE(std::filesystem::exists(options_.socket)) << "the refused one must not take the socket away";
  server_->stop();
  EXPECT_FALSE(std::filesystem::exists(options_.socket));
  // What a killed engine leaves: a socket file without a listener.
  const int left = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
  ASSERT_EQ(bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(left);
  open();
}

TEST_F(ControlServerTest, MetricsAreServedOverHttp) {
  options_.metrics = Endpoint{*Address::parse("127.0.0.1"), 0};
  open();
  const std::string answer = talk(connect_metrics(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nweir_up 1\n"));
  EXPECT_THAT(talk(connect_metrics(), "GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(talk(connect_metrics(), "POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(talk(connect_metrics(), "hello\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(ControlServerTest, WatchesAndTimersAreCalledOnTheLoop) {
  open();
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  int readies = 0, ticks = 0;
  server_->watch(pipes[0], [&] {
    char byte = 0;
    ++readies;
    EXPECT_EQ(::read(pipes[0], &byte, 1), 1);
  });
  server_->every(std::chrono::milliseconds(0), [&] { ++ticks; });
  ASSERT_EQ(write(pipes[1], "x", 1), 1);
  server_->turn(std::chrono::milliseconds(0));
  server_->turn(std::chrono::milliseconds(0));
  EXPECT_EQ(readies, 1);
  EXPECT_EQ(ticks, 2);
  close(pipes[0]);
  close(pipes[1]);
}

TEST_F(ControlServerTest, TheClientTalksToTheThread) {
  open();
  server_->start();
  const auto answer = ask_engine(options_.socket, "echo", {{"n", 7}});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ((*answer)["arguments"]["n"], 7);
  const auto refused = ask_engine(options_.socket, "fish", json::object());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::kNotFound);
  server_->stop();
  const auto gone = ask_engine(options_.socket, "echo", json::object());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, Error::Kind::kUnavailable);
}

TEST(ControlProtocol, AnswersThatCannotBeReadAreCorrupt) {
  for (const char* line : {"", "x", "[]", "{}", "{\"error\": 1}"}) {
    const auto answer = decode_answer(line);
    ASSERT_FALSE(answer) << line;
    EXPECT_EQ(answer.error().kind, Error::Kind::kCorrupt) << line;
  }
  EXPECT_EQ(decode_answer("{\"error\":{\"kind\":\"denied\",\"message\":\"no\"}}").error().kind, Error::Kind::kDenied);
  EXPECT_EQ(decode_answer(encode_answer(json("a\xff"))).value(), "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace weir::control
