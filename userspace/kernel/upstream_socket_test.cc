#include "kernel/upstream_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/loopback_server.h"
#include "kernel/socket_diag.h"

namespace weir::kernel {
namespace {

Endpoint free_port(const char* host) {
  LoopbackServer probe(host);
  return probe.at;
}

TEST(UpstreamSocket, KeepsTheAddressAndPortOfThePlan) {
  LoopbackServer server("127.0.0.1");
  const Endpoint source = free_port("127.0.0.9");
  const auto socket = prepare_upstream_socket({server.at, source, false, 0});
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->port_kept);
  EXPECT_EQ(connect_to(socket->fd, server.at), 0);
  EXPECT_EQ(local_of(socket->fd), source);
  close(socket->fd);
}

TEST(UpstreamSocket, TimeWaitOfOursOnTheTupleIsDestroyed) {
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  LoopbackServer server("127.0.0.1");
  const Endpoint source = free_port("127.0.0.9");
  for (int round = 0; round < 3; ++round) {
    const auto socket = prepare_upstream_socket({server.at, source, false, 0});
    ASSERT_TRUE(socket);
    EXPECT_TRUE(socket->port_kept) << round;
    ASSERT_EQ(connect_to(socket->fd, server.at), 0) << round;
    const int peer = accept(server.fd, nullptr, nullptr);
    ASSERT_GE(peer, 0);
    close(socket->fd);
    char byte = 0;
    EXPECT_EQ(recv(peer, &byte, 1, 0), 0);
    close(peer);
    auto diag = SocketDiag::open();
    ASSERT_TRUE(diag);
    const auto state = diag->find({source, server.at});
    ASSERT_TRUE(state && state->has_value()) << round;
    EXPECT_EQ(**state, TcpState::kTimeWait);
  }
}

TEST(UpstreamSocket, LiveTupleMeansAnotherPortOfTheSameAddress) {
  LoopbackServer server("127.0.0.1");
  const Endpoint source = free_port("127.0.0.9");
  const auto first = prepare_upstream_socket({server.at, source, false, 0});
  ASSERT_TRUE(first);
  ASSERT_EQ(connect_to(first->fd, server.at), 0);
  const auto second = prepare_upstream_socket({server.at, source, false, 0});
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->port_kept);
  ASSERT_EQ(connect_to(second->fd, server.at), 0);
  EXPECT_EQ(local_of(second->fd).address, source.address);
  EXPECT_NE(local_of(second->fd).port, source.port);
  close(first->fd);
  close(second->fd);
}

TEST(UpstreamSocket, ForeignAddressNeedsTransparency) {
  LoopbackServer server("127.0.0.1");
  const Endpoint foreign{*Address::parse("203.0.113.7"), 4242};
  const auto refused = prepare_upstream_socket({server.at, foreign, false, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EADDRNOTAVAIL);
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  const auto socket = prepare_upstream_socket({server.at, foreign, true, 0x57460000});
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(local_of(socket->fd), foreign);
  int mark = 0;
  socklen_t size = sizeof mark;
  EXPECT_EQ(getsockopt(socket->fd, SOL_SOCKET, SO_MARK, &mark, &size), 0);
  EXPECT_EQ(mark, 0x57460000);
  close(socket->fd);
}

TEST(UpstreamSocket, ForeignAddressOfIpv6Too) {
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  const Endpoint target{*Address::parse("::1"), 9};
  const Endpoint foreign{*Address::parse("2001:db8::7"), 4242};
  const auto socket = prepare_upstream_socket({target, foreign, true, 0});
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_EQ(local_of(socket->fd), foreign);
  close(socket->fd);
}

}  // namespace
}  // namespace weir::kernel
