// UringIo against the real kernel, on loopback.  SimIo has the same contract (tests/simulation).
#include "io/uring_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "kernel/socket_address.h"

namespace weir::io {
namespace {

constexpr OpToken kAcceptToken{1, 0, OpKind::kAccept, 0};
constexpr OpToken kReceiveToken{2, 0, OpKind::kReceive, 0};
constexpr OpToken kSendToken{3, 0, OpKind::kSend, 0};
constexpr OpToken kConnectToken{4, 0, OpKind::kConnect, 0};

struct Loopback : testing::Test {
  void SetUp() override {
    Limits limits;
    limits.receive_buffer_count = 8;
    limits.receive_buffer_size = 4096;
    auto made = UringIo::create(limits, counters);
    ASSERT_TRUE(made) << made.error().message;
    io = std::move(*made);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 8), 0);
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    getsockname(listener, reinterpret_cast<sockaddr*>(&local), &size);
    server = kernel::from_sockaddr(local);
  }
  void TearDown() override { ::close(listener); }

  // Turns until `done` says so; every completion is shown to it.
  void run(const std::function<bool(Completion&)>& done) {
    for (int turns = 0; turns < 1000; ++turns) {
      for (Completion& completion : io->turn()) {
        if (done(completion)) return;
      }
    }
    FAIL() << "nothing came";
  }
  // A connected pair: {accepted, dialled}.
  std::pair<int, int> connect() {
    io->accept(listener, kAcceptToken);
    DialPlan plan;
    plan.target = server;
    plan.is_transparent = false;
    io->connect(plan, kConnectToken);
    int accepted = -1, dialled = -1;
    run([&](Completion& completion) {
      if (completion.token == kAcceptToken) accepted = completion.result;
      if (completion.token == kConnectToken) dialled = completion.result;
      return accepted >= 0 && dialled >= 0;
    });
    return {accepted, dialled};
  }

  CoreCounters counters;
  std::unique_ptr<UringIo> io;
  int listener = -1;
  Endpoint server;
};

TEST_F(Loopback, GatheredBytesArriveInOrderAndAreAccountedFor) {
  const auto pair = connect();
  const int accepted = pair.first, dialled = pair.second;
  io->receive(accepted, kReceiveToken);
  const std::string first = "hello, ", second(10'000, 'w'), third = "!";
  const Bytes pieces[] = {as_bytes(first), as_bytes(second), as_bytes(third)};
  io->send(dialled, pieces, kSendToken);
  std::string got;
  int32_t sent = 0;
  run([&](Completion& completion) {
    if (completion.token == kSendToken) sent = completion.result;
    if (completion.token == kReceiveToken) {
      if (completion.result > 0) got += as_text(completion.buffer.bytes());
      if (!completion.more) io->receive(accepted, kReceiveToken);
    }
    return sent != 0 && got.size() == 10'008;
  });
  EXPECT_EQ(static_cast<std::size_t>(sent), first.size() + second.size() + third.size());
  EXPECT_EQ(got, first + second + third);
  const SocketAccount in = io->account(accepted, false), out = io->account(dialled, false);
  ASSERT_TRUE(in.is_known && out.is_known);
  EXPECT_EQ(in.received - in.unread, got.size());
  EXPECT_EQ(out.sent, got.size());
  // The FIN counts as a byte in the kernel; the account takes it out.
  io->shutdown(dialled, {9, 0, OpKind::kShutdown, 0});
  run([&](Completion& completion) { return completion.token == kReceiveToken && completion.result == 0; });
  EXPECT_EQ(io->account(accepted, true).received, got.size());
  ::close(accepted);
  ::close(dialled);
}

TEST_F(Loopback, TheAccountIsOfOneMomentWhileThePeerGoesOnSending) {
  const auto pair = connect();
  const int accepted = pair.first, dialled = pair.second;
  std::atomic<bool> is_over{false};
  std::thread peer([&] {
    while (!is_over) ::send(dialled, "w", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  uint64_t read = 0, wrong = 0;
  for (int look = 0; look < 30'000; ++look) {
    char buffer[256];
    const ssize_t got = ::recv(accepted, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) read += static_cast<uint64_t>(got);
    const SocketAccount account = io->account(accepted, false);
    if (!account.is_known || account.received - account.unread != read) ++wrong;
  }
  is_over = true;
  peer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(read, 0u);
  ::close(accepted);
  ::close(dialled);
}

TEST_F(Loopback, AHalfCloseNeverReachesTheNextConnectionOfTheSameNumber) {
  for (int round = 0; round < 300; ++round) {
    const auto [accepted, dialled] = connect();
    io->shutdown(accepted, {9, 0, OpKind::kShutdown, 0});
    io->close(accepted, false, {9, 0, OpKind::kClose, 0});
    run([&](Completion& completion) { return completion.token.kind == OpKind::kClose; });
    int next[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, next), 0);
    io->timer(std::chrono::milliseconds(1), {7, 0, OpKind::kTimer, 0});
    run([&](Completion& completion) { return completion.token.kind == OpKind::kTimer; });
    char byte = 0;
    ASSERT_EQ(::read(next[1], &byte, 1), -1) << "round " << round << ": the other end was told that no more comes";
    for (const int fd : {dialled, next[0], next[1]}) ::close(fd);
  }
}

TEST_F(Loopback, AnEmptyRingIsBackPressureAndGoesOnOnceBuffersAreBack) {
  const auto [accepted, dialled] = connect();
  const std::string big(8 * 4096 + 100, 'x');
  const Bytes piece = as_bytes(big);
  std::vector<BufferLease> held;
  io->receive(accepted, kReceiveToken);
  io->send(dialled, {&piece, 1}, kSendToken);
  std::size_t got = 0;
  run([&](Completion& completion) {
    if (completion.token != kReceiveToken) return false;
    if (completion.result > 0) {
      got += static_cast<std::size_t>(completion.result);
      held.push_back(std::move(completion.buffer));
    }
    return completion.result == -ENOBUFS;
  });
  EXPECT_EQ(held.size(), 8u);
  EXPECT_GT(counters.value(Metric::kBuffersExhausted), 0u);
  held.clear();
  io->timer(std::chrono::nanoseconds(1), {7, 0, OpKind::kTimer, 0});
  run([&](Completion& completion) { return completion.token.kind == OpKind::kTimer; });  // A turn publishes what is back.
  io->receive(accepted, kReceiveToken);
  run([&](Completion& completion) {
    if (completion.token == kReceiveToken && completion.result > 0) got += static_cast<std::size_t>(completion.result);
    return got == big.size();
  });
  EXPECT_EQ(io->leased(), 1u);  // The completion that turn() still holds.
  ::close(accepted);
  ::close(dialled);
  io->cancel(kReceiveToken);
  run([&](Completion& completion) { return completion.token == kReceiveToken && !completion.more; });
}

TEST_F(Loopback, ADialThatFailsSaysWhy) {
  DialPlan plan;
  plan.target = server;
  plan.target.port = 1;
  plan.is_transparent = false;
  io->connect(plan, kConnectToken);
  run([&](Completion& completion) {
    EXPECT_EQ(completion.result, -ECONNREFUSED);
    return true;
  });
  plan.target.address = *Address::parse("198.18.250.250");
  plan.source = {*Address::parse("198.18.250.251"), 0};
  io->connect(plan, kConnectToken);  // Not our address, and not transparent: no socket is made for it.
  run([&](Completion& completion) {
    EXPECT_LT(completion.result, 0);
    return true;
  });
}

TEST_F(Loopback, PostsFromOtherThreadsWakeTheLoop) {
  std::thread other([&] {
    for (uint64_t i = 1; i <= 1000; ++i) io->post(i);
  });
  uint64_t next = 1;
  run([&](Completion& completion) {
    EXPECT_EQ(completion.token.kind, OpKind::kMessage);
    EXPECT_EQ(completion.value, next);
    return ++next > 1000;
  });
  other.join();
}

TEST_F(Loopback, TimersFireAndDurableWritesLand) {
  char path[] = "/tmp/weir-io-test-XXXXXX";
  const int file = mkstemp(path);
  const std::string text = "on disk";
  io->write(file, 3, as_bytes(text), true, {5, 0, OpKind::kWrite, 0});
  io->timer(std::chrono::milliseconds(1), {6, 0, OpKind::kTimer, 0});
  int seen = 0;
  run([&](Completion& completion) {
    EXPECT_EQ(completion.result, completion.token.kind == OpKind::kWrite ? 7 : -ETIME);
    return ++seen == 2;
  });
  char back[8] = {};
  EXPECT_EQ(pread(file, back, 7, 3), 7);
  EXPECT_EQ(std::string(back), text);
  ::close(file);
  unlink(path);
}

}  // namespace
}  // namespace weir::io
