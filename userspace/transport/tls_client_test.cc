// What the client leg accepts, and how it says why not.
#include <gmock/gmock.h>

#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using State = Transport::State;

TEST(TlsClientLeg, OldVersionsAreRefusedByName) {
  Lab lab;
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient, [](SSL_CTX* c) {
    SSL_CTX_set_security_level(c, 0);
    SSL_CTX_set_min_proto_version(c, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(c, "ALL:@SECLEVEL=0");
  });
  Sink sink;
  converse(*leg, sink, client);
  EXPECT_EQ(leg->state(), State::kFault);
  EXPECT_THAT(leg->fault(), HasSubstr("client offers no TLS version from 1.2 up (tls.minimum)"));
}

TEST(TlsClientLeg, MinimumFromTheConfigurationHolds) {
  Lab lab;
  lab.config.tls.minimum = "1.3";
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient, [](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION); });
  Sink sink;
  converse(*leg, sink, client);
  EXPECT_EQ(leg->state(), State::kFault);
  EXPECT_THAT(leg->fault(), HasSubstr("from 1.3 up"));
}

TEST(TlsClientLeg, GivesNoTicketsAndResumesNothing) {
  Lab lab;
  const TargetTls& tls = lab.make();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto leg = *tls.client_leg();
    Peer client(TlsRole::kClient, [&](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, version); });
    Sink sink;
    converse(*leg, sink, client);
    ASSERT_TRUE(client.is_ready());
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(client.ssl())), 0);
    auto again = *tls.client_leg();
    Peer second(TlsRole::kClient, [&](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, version); });
    SSL_set_session(second.ssl(), SSL_get0_session(client.ssl()));
    Sink other;
    converse(*again, other, second);
    ASSERT_TRUE(second.is_ready());
    EXPECT_EQ(SSL_session_reused(second.ssl()), 0);
  }
}

TEST(TlsClientLeg, EarlyDataNeverComesOut) {
  // A session of another server, with a ticket that allows early data, as a client might hold from before the gateway.
  Lab lab;
  const Pair pair = lab.target_pair();
  Peer server(TlsRole::kServer, [&](SSL_CTX* c) {
    shows(c, pair);
    SSL_CTX_set_max_early_data(c, 16'384);
  });
  SSL_SESSION* session = nullptr;
  {
    Peer client(TlsRole::kClient);
    for (int round = 0; round < 6; ++round) {
      server.take(client.take_wire());
      client.take(server.take_wire());
    }
    ASSERT_TRUE(client.is_ready());
    session = SSL_get1_session(client.ssl());
    SSL_shutdown(client.ssl());  // Or OpenSSL holds the session for broken.
  }
  ASSERT_GT(SSL_SESSION_get_max_early_data(session), 0u);
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient);
  SSL_set_session(client.ssl(), session);
  SSL_SESSION_free(session);
  std::size_t written = 0;
  ASSERT_EQ(SSL_write_early_data(client.ssl(), "drop table t", 12, &written), 1);
  Sink sink;
  converse(*leg, sink, client);
  EXPECT_EQ(sink.plain_text, "");
  ASSERT_EQ(leg->state(), State::kReady) << leg->fault();
  EXPECT_EQ(SSL_get_early_data_status(client.ssl()), SSL_EARLY_DATA_REJECTED);
  client.say("said again");
  converse(*leg, sink, client);
  EXPECT_EQ(sink.plain_text, "said again");
}

TEST(TlsClientLeg, RenegotiationIsNotDone) {
  Lab lab;
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient, [](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION); });
  Sink sink;
  converse(*leg, sink, client);
  ASSERT_TRUE(client.is_ready());
  ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
  SSL_do_handshake(client.ssl());
  converse(*leg, sink, client);
  EXPECT_FALSE(client.is_ready());  // Still waiting for an answer that was "no".
  EXPECT_EQ(sink.plain_text, "");
}

TEST(TlsClientLeg, AKeyUpdateIsAnswered) {
  Lab lab;
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient);
  Sink sink;
  converse(*leg, sink, client);
  ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
  client.say("under new keys");
  converse(*leg, sink, client);
  send_text(*leg, sink, "under ours");
  client.take(sink.take_wire());
  EXPECT_EQ(sink.plain_text, "under new keys");
  EXPECT_EQ(client.plain, "under ours");
}

TEST(TlsClientLeg, TheNameThatTheClientAsksForDoesNotMatter) {
  Lab lab;
  const TargetTls& tls = lab.make();
  for (const char* name : {"", "other.example", "orders-db.lab.example"}) {
    auto leg = *tls.client_leg();
    Peer client(TlsRole::kClient);
    if (*name != '\0') SSL_ctrl(client.ssl(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name));
    Sink sink;
    converse(*leg, sink, client);
    ASSERT_TRUE(client.is_ready());
    EXPECT_THAT(names_of(SSL_get0_peer_certificate(client.ssl())), HasSubstr("orders-db.lab.example"));
  }
}

TEST(TlsClientLeg, AClientThatVerifiesTrustsTheMintedLeafByNameAndAddress) {
  Lab lab;
  const TargetTls& tls = lab.make();
  for (const char* name : {"orders-db.lab.example", "orders-db", "198.18.2.2", "fd57:2::2"}) {
    auto leg = *tls.client_leg();
    Peer client(TlsRole::kClient, [&](SSL_CTX* c) {
      SSL_CTX_load_verify_file(c, lab.config.tls.ca_certificate_file.c_str());
      SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
      X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(c);
      if (X509_VERIFY_PARAM_set1_ip_asc(expected, name) != 1) X509_VERIFY_PARAM_set1_host(expected, name, 0);
    });
    Sink sink;
    converse(*leg, sink, client);
    EXPECT_TRUE(client.is_ready()) << name;
    EXPECT_EQ(SSL_get_verify_result(client.ssl()), X509_V_OK) << name;
  }
}

TEST(TlsClientLeg, AClientThatDoesNotTrustUsIsNamedWithTheFix) {
  Lab lab;
  auto leg = lab.client_leg();
  Peer client(TlsRole::kClient, [](SSL_CTX* c) { SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr); });
  Sink sink;
  converse(*leg, sink, client);
  EXPECT_EQ(leg->state(), State::kFault);
  EXPECT_THAT(leg->fault(), AllOf(HasSubstr("unknown CA"), HasSubstr("weir ca show")));
}

TEST(TlsClientLeg, HttpIsNamed) {
  Lab lab;
  auto leg = lab.client_leg();
  Sink sink;
  leg->receive(as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), sink);
  EXPECT_EQ(leg->state(), State::kFault);
  EXPECT_THAT(leg->fault(), HasSubstr("HTTP"));
}

TEST(TlsClientLeg, LeafHashIsThatOfTheCertificateTheClientSees) {
  Lab lab;
  const TargetTls& tls = lab.make();
  auto leg = *tls.client_leg();
  Peer client(TlsRole::kClient);
  Sink sink;
  converse(*leg, sink, client);
  std::array<std::byte, 64> hash{};
  const std::size_t size = endpoint_hash(SSL_get0_peer_certificate(client.ssl()), hash);
  EXPECT_EQ(size, 32u);
  EXPECT_EQ(as_text(tls.client_leaf_hash()), as_text(Bytes(hash).first(size)));
  EXPECT_TRUE(leg->peer_certificate_hash().empty());
  EXPECT_FALSE(tls.client_leg_is_own_pair());
}

}  // namespace
}  // namespace weir::transport::testing
