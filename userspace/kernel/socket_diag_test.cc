#include "kernel/socket_diag.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/loopback_server.h"
#include "kernel/socket_address.h"

namespace weir::kernel {
namespace {

TEST(SocketDiag, AListenerNeverAnswersForAConnection) {
  LoopbackServer server("127.0.0.1");
  auto diag = SocketDiag::open();
  ASSERT_TRUE(diag);
  const SocketTuple tuple{server.at, {*Address::parse("127.0.0.9"), 4242}};
  const auto state = diag->find(tuple);
  ASSERT_TRUE(state);
  EXPECT_FALSE(state->has_value());
  const auto destroyed = diag->destroy(tuple);
  ASSERT_TRUE(destroyed);
  EXPECT_FALSE(*destroyed);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect_to(client, server.at), 0);  // It still listens.
  close(client);
}

TEST(SocketDiag, DestroyEndsAConnection) {
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  LoopbackServer server("::1");
  const int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect_to(client, server.at), 0);
  const int peer = accept(server.fd, nullptr, nullptr);
  ASSERT_GE(peer, 0);
  auto diag = SocketDiag::open();
  ASSERT_TRUE(diag);
  const auto destroyed = diag->destroy({local_of(client), server.at});
  ASSERT_TRUE(destroyed) << destroyed.error().message;
  EXPECT_TRUE(*destroyed);
  char byte = 0;
  EXPECT_EQ(recv(peer, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  close(client);
  close(peer);
}

TEST(SocketDiag, ListsListenersAndTellsWildcards) {
  LoopbackServer server("127.0.0.1");
  const int wildcard = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(listen(wildcard, 1), 0);
  const Endpoint any = local_of(wildcard);
  auto diag = SocketDiag::open();
  ASSERT_TRUE(diag);
  const auto listeners = diag->listeners();
  ASSERT_TRUE(listeners);
  bool found_server = false, found_wildcard = false;
  for (const ListeningSocket& listener : *listeners) {
    if (listener.local == server.at) found_server = !listener.is_wildcard;
    if (listener.local.port == any.port && listener.is_wildcard) found_wildcard = true;
  }
  EXPECT_TRUE(found_server);
  EXPECT_TRUE(found_wildcard);
  close(wildcard);
}

}  // namespace
}  // namespace weir::kernel
