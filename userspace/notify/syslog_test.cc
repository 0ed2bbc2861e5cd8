// Messages as RFC 5424 has them, framed as RFC 6587, and what becomes of a peer's bytes in them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <poll.h>

#include <atomic>
#include <cstring>
#include <string>

#include "kernel/fd.h"
#include "notify/syslog_sink.h"
#include "notify/syslog_text.h"

namespace weir::notify {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Notice sample() {
  Notice notice;
  notice.id = "1767225600000001-0a0b0c0d";
  notice.event = NoticeEvent::kAlert;
  notice.severity = NoticeSeverity::kHigh;
  notice.at = std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(1'767'225'600'042));
  notice.gateway = "gw-1";
  notice.subject = "user:ann";
  notice.target = "orders-db";
  notice.rule = "no-secrets";
  notice.text = "rule no-secrets fired";
  notice.session = 17;
  return notice;
}

TEST(SyslogText, IsAWholeRfc5424Message) {
  EXPECT_EQ(syslog_message(sample(), 4711),
            "<107>1 2026-01-01T00:00:00.042Z gw-1 weir 4711 alert [weir@32473 id=\"1767225600000001-0a0b0c0d\" severity=\"high\" gateway=\"gw-1\" subject=\"user:ann\" "
            "target=\"orders-db\" rule=\"no-secrets\" session=\"17\"] rule no-secrets fired");
}

TEST(SyslogText, EscapesWhatWouldEndAValueAnElementOrALine) {
  EXPECT_EQ(param_value(R"(a"b\c]d)", 100), R"(a\"b\\c\]d)");
  EXPECT_EQ(param_value("line\nfeed\x01\x7f", 100), "line feed??");
  EXPECT_EQ(param_value("\xc3\xa9 \xc2\x85 \xff \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82", 100), "\xc3\xa9 ?? ? ??? ???? ??");
  EXPECT_EQ(param_value("ab\xc3\xa9", 3), "ab") << "no sequence is cut in two";
  Notice notice = sample();
  notice.subject = "x\"] [evil@1 a=\"b";
  notice.gateway = "gw 1\n";
  notice.text = "two\nlines";
  const std::string message = syslog_message(notice, 1);
  EXPECT_THAT(message, HasSubstr(R"(subject="x\"\] [evil@1 a=\"b")"));
  EXPECT_THAT(message, HasSubstr(" gw_1_ weir 1 alert "));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  EXPECT_THAT(message, EndsWith("] two lines"));
}

TEST(SyslogText, SaysThatItIsUtf8WhereItIs) {
  Notice notice = sample();
  notice.text = "caf\xc3\xa9";
  EXPECT_THAT(syslog_message(notice, 1), EndsWith("] \xef\xbb\xbf" "caf\xc3\xa9"));
}

TEST(SyslogText, StaysWithinItsSize) {
  Notice notice = sample();
  notice.text = std::string(10'000, 'x');
  notice.statement = std::string(10'000, 'y');
  for (std::string* each : {&notice.subject, &notice.target, &notice.rule}) *each = std::string(5'000, '"');
  for (const std::size_t size_max : {480u, 1024u, 2048u}) {
    EXPECT_LE(syslog_message(notice, 99'999, size_max).size(), size_max);
    EXPECT_LE(local_message(notice, 99'999, size_max).size(), size_max);
  }
}

TEST(SyslogText, IsFramedByItsOctets) {
  EXPECT_EQ(octet_counted("abc"), "3 abc");
  EXPECT_EQ(octet_counted("\xc3\xa9"), "2 \xc3\xa9") << "octets, not characters";
}

// A listener on a loopback port that the kernel picks.
struct Listener {
  explicit Listener(int type, uint16_t port = 0) : socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    if (type == SOCK_STREAM && ::listen(socket.get(), 4) != 0) ADD_FAILURE();
    socklen_t size = sizeof address;
    getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    number = ntohs(address.sin_port);
  }
  kernel::Fd socket;
  uint16_t number = 0;
};

std::string read_some(int fd) {
  pollfd one{fd, POLLIN, 0};
  if (poll(&one, 1, 5'000) != 1) return "nothing came";
  char buffer[4096];
  const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : "it hung up";
}

SinkConfig syslog_at(const std::string& url) {
  SinkConfig config;
  config.kind = SinkConfig::Kind::kSyslog;
  config.name = "log";
  config.url = url;
  return config;
}

TEST(SyslogSink, SendsADatagramAMessage) {
  const std::atomic<bool> stop{false};
  Listener listener(SOCK_DGRAM);
  const auto sink = make_syslog(syslog_at("udp://127.0.0.1:" + std::to_string(listener.number)), stop);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(sink->deliver(sample()));
    EXPECT_THAT(read_some(listener.socket.get()), StartsWith("<107>1 "));
  }
}

TEST(SyslogSink, FramesAStreamAndComesBackAfterItHungUp) {
  const std::atomic<bool> stop{false};
  auto listener = std::make_unique<Listener>(SOCK_STREAM);
  const uint16_t port = listener->number;
  const auto sink = make_syslog(syslog_at("tcp://127.0.0.1:" + std::to_string(port)), stop);
  ASSERT_TRUE(sink->deliver(sample()));
  kernel::Fd taken(::accept(listener->socket.get(), nullptr, nullptr));
  const std::string message = syslog_message(sample(), getpid());
  EXPECT_EQ(read_some(taken.get()), octet_counted(message));
  ASSERT_TRUE(sink->deliver(sample())) << "the same connection";
  EXPECT_EQ(read_some(taken.get()), octet_counted(message));
  taken.reset();
  ASSERT_TRUE(sink->deliver(sample())) << "a new connection: nothing is written into one that hung up";
  taken = kernel::Fd(::accept(listener->socket.get(), nullptr, nullptr));
  EXPECT_EQ(read_some(taken.get()), octet_counted(message));
  taken.reset();
  listener.reset();
  const auto failed = sink->deliver(sample());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Error::Kind::kUnavailable);
  EXPECT_THAT(failed.error().message, HasSubstr("Connection refused"));
}

TEST(SyslogSink, WritesToThisHostsLog) {
  const std::atomic<bool> stop{false};
  char folder[] = "/tmp/weir-log-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/log";
  const auto sink = make_syslog(syslog_at("local"), stop, path);
  EXPECT_FALSE(sink->deliver(sample())) << "nobody is there";
  kernel::Fd reader(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(reader.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_TRUE(sink->deliver(sample()));
  EXPECT_THAT(read_some(reader.get()), StartsWith("<107>weir["));
  unlink(path.c_str());
  rmdir(folder);
}

TEST(SyslogSink, AStopEndsAWaitThatWouldBeLong) {
  std::atomic<bool> stop{true};
  const auto sink = make_syslog(syslog_at("tcp://192.0.2.1:514"), stop);  // TEST-NET-1: nobody answers.
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(sink->deliver(sample()));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
}

}  // namespace
}  // namespace weir::notify
