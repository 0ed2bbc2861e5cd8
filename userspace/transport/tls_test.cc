#include "transport/tls.h"

#include <gmock/gmock.h>

#include "base/prng.h"
#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

using ::testing::HasSubstr;
using State = Transport::State;

// Both of our roles against a plain OpenSSL peer, for each version.
struct Case {
  TlsRole role;
  int version;
};
class TlsBothRoles : public ::testing::TestWithParam<Case> {
 protected:
  TlsBothRoles() {
    const int version = GetParam().version;
    if (GetParam().role == TlsRole::kServer) {
      transport = lab.client_leg();
      peer = std::make_unique<Peer>(TlsRole::kClient, [&](SSL_CTX* c) { SSL_CTX_set_max_proto_version(c, version); });
    } else {
      transport = lab.target_leg();
      peer = std::make_unique<Peer>(TlsRole::kServer, [&](SSL_CTX* c) {
        shows(c, pair);
        SSL_CTX_set_max_proto_version(c, version);
      });
    }
  }
  void connect(std::size_t cut = 0) {
    transport->start(sink);
    converse(*transport, sink, *peer, cut);
    ASSERT_EQ(transport->state(), State::kReady) << transport->fault();
    ASSERT_TRUE(peer->is_ready());
  }
  Lab lab;
  Pair pair = lab.target_pair();
  TransportPtr transport;
  std::unique_ptr<Peer> peer;
  Sink sink;
};

TEST_P(TlsBothRoles, CarryTextBothWays) {
  connect();
  peer->say("from the peer");
  transport->receive(as_bytes(peer->take_wire()), sink);
  EXPECT_EQ(sink.plain_text, "from the peer");
  send_text(*transport, sink, "from us");
  peer->take(sink.take_wire());
  EXPECT_EQ(peer->plain, "from us");
}

TEST_P(TlsBothRoles, WorkByteByByte) {
  connect(1);
  const std::string text(40'000, 'x');
  peer->say(text);
  for (const char c : peer->take_wire()) transport->receive(as_bytes(std::string_view(&c, 1)), sink);
  EXPECT_EQ(sink.plain_text, text);
}

TEST_P(TlsBothRoles, AccountEveryByte) {  // I11
  std::size_t wire_in = 0, wire_out = 0;
  transport->start(sink);
  for (int round = 0; round < 20; ++round) {
    const std::string out = sink.take_wire();
    wire_out += out.size();
    peer->take(out);
    const std::string in = peer->take_wire();
    wire_in += in.size();
    transport->receive(as_bytes(in), sink);
  }
  ASSERT_EQ(transport->state(), State::kReady);
  peer->say(std::string(20'000, 'a'));
  const std::string in = peer->take_wire();
  wire_in += in.size();
  transport->receive(as_bytes(in), sink);
  send_text(*transport, sink, std::string(30'000, 'b'));
  wire_out += sink.take_wire().size();
  const Transport::Account account = transport->account();
  EXPECT_EQ(account.wire_in, wire_in);
  EXPECT_EQ(account.wire_out, wire_out);
  EXPECT_EQ(account.plain_in, 20'000u);
  EXPECT_EQ(account.plain_out, 30'000u);
}

TEST_P(TlsBothRoles, TextInTheSameReadAsTheEndOfTheHandshakeIsNotLost) {
  transport->start(sink);
  for (int round = 0; round < 20 && transport->state() == State::kHandshake; ++round) {
    peer->take(sink.take_wire());
    if (peer->is_ready()) peer->say("early bird");
    transport->receive(as_bytes(peer->take_wire()), sink);
  }
  EXPECT_EQ(transport->state(), State::kReady);
  if (sink.plain_text.empty()) {
    converse(*transport, sink, *peer);
    peer->say("early bird");
    converse(*transport, sink, *peer);
  }
  EXPECT_EQ(sink.plain_text, "early bird");
}

TEST_P(TlsBothRoles, CloseNotifyIsSeenAndSent) {
  connect();
  SSL_shutdown(peer->ssl());
  transport->receive(as_bytes(peer->take_wire()), sink);
  EXPECT_EQ(transport->state(), State::kPeerClosed);
  send_text(*transport, sink, "last words");  // A half-closed peer still reads.
  transport->close(sink);
  transport->close(sink);
  const std::string wire = sink.take_wire();
  peer->take(wire);
  EXPECT_EQ(peer->plain, "last words");
  EXPECT_NE(SSL_get_shutdown(peer->ssl()) & SSL_RECEIVED_SHUTDOWN, 0);
  send_text(*transport, sink, "after the close");
  EXPECT_EQ(sink.wire_text, "");
}

TEST_P(TlsBothRoles, WhatComesAfterCloseNotifyIsCountedAndDropped) {
  connect();
  SSL_shutdown(peer->ssl());
  const std::string wire = peer->take_wire() + "smuggled";
  const uint64_t before = transport->account().wire_in;
  transport->receive(as_bytes(wire), sink);
  transport->receive(as_bytes("more"), sink);
  EXPECT_EQ(transport->state(), State::kPeerClosed);
  EXPECT_EQ(transport->account().wire_in, before + wire.size() + 4);
  EXPECT_EQ(sink.plain_text, "");
}

TEST_P(TlsBothRoles, GarbageInsteadOfAHelloIsAFault) {
  transport->start(sink);
  transport->receive(as_bytes(std::string_view("Q\0\0\0\x0dselect 1\0 and more than five bytes", 36)), sink);
  EXPECT_EQ(transport->state(), State::kFault);
  EXPECT_THAT(transport->fault(), HasSubstr("no TLS record where the handshake was due"));
  EXPECT_EQ(sink.plain_text, "");
}

TEST_P(TlsBothRoles, AChangedRecordIsAFaultAndNothingOfItComesOut) {
  connect();
  peer->say("to be changed");
  std::string wire = peer->take_wire();
  wire.back() = static_cast<char>(wire.back() ^ 1);
  transport->receive(as_bytes(wire), sink);
  EXPECT_EQ(transport->state(), State::kFault);
  EXPECT_THAT(transport->fault(), HasSubstr("does not decrypt"));
  EXPECT_EQ(sink.plain_text, "");
  const Transport::Account before = transport->account();
  send_text(*transport, sink, "must not leave");
  transport->receive(as_bytes("x"), sink);
  EXPECT_EQ(transport->account().plain_out, before.plain_out);
  EXPECT_EQ(transport->account().wire_out, before.wire_out);
}

TEST_P(TlsBothRoles, AnOversizedRecordIsAFault) {
  connect();
  transport->receive(as_bytes(std::string("\x17\x03\x03\xff\xff", 5) + std::string(100, 'x')), sink);
  EXPECT_EQ(transport->state(), State::kFault);
  EXPECT_THAT(transport->fault(), HasSubstr("above the size"));
}

TEST_P(TlsBothRoles, ARecordSentTwiceIsAFault) {
  connect();
  peer->say("once");
  const std::string wire = peer->take_wire();
  transport->receive(as_bytes(wire), sink);
  transport->receive(as_bytes(wire), sink);
  EXPECT_EQ(transport->state(), State::kFault);
  EXPECT_EQ(sink.plain_text, "once");
}

TEST_P(TlsBothRoles, SeveralPiecesBecomeOneRecord) {
  connect();
  sink.wire_calls = 0;
  const std::vector<Bytes> pieces{as_bytes("one "), as_bytes(""), as_bytes("two "), as_bytes("three")};
  transport->send(pieces, sink);
  EXPECT_EQ(sink.wire_calls, 1);
  peer->take(sink.take_wire());
  EXPECT_EQ(peer->plain, "one two three");
}

TEST_P(TlsBothRoles, PiecesOfAnySizeArriveInOrder) {
  connect();
  Prng random(7);
  std::string expected;
  for (int round = 0; round < 50; ++round) {
    const std::size_t count = random.below(6);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
      const uint64_t size = random.one_in(3) ? random.below(50'000) : random.below(100);
      texts.emplace_back(size, static_cast<char>('a' + random.below(26)));
      expected += texts.back();
    }
    std::vector<Bytes> pieces;
    for (const std::string& text : texts) pieces.push_back(as_bytes(text));
    transport->send(pieces, sink);
    peer->take(sink.take_wire());
  }
  EXPECT_EQ(peer->plain, expected);
  EXPECT_EQ(transport->account().plain_out, expected.size());
}

TEST_P(TlsBothRoles, SixteenKiBAreOneRecord) {
  connect();
  sink.wire_calls = 0;
  send_text(*transport, sink, std::string(16'384, 'r'));
  EXPECT_EQ(sink.wire_calls, 1);
  send_text(*transport, sink, std::string(16'385, 'r'));
  EXPECT_EQ(sink.wire_calls, 3);
}

TEST_P(TlsBothRoles, TheSinkMaySendFromWithinPlain) {
  connect();
  sink.on_plain = [&](Bytes bytes) { send_text(*transport, sink, as_text(bytes)); };
  peer->say("echo 1 ");
  peer->say("echo 2 ");
  transport->receive(as_bytes(peer->take_wire()), sink);
  peer->take(sink.take_wire());
  EXPECT_EQ(peer->plain, "echo 1 echo 2 ");
}

TEST_P(TlsBothRoles, ErrorsThatOthersLeftInTheQueueDoNotMatter) {
  connect();
  ERR_raise(ERR_LIB_USER, 1);
  peer->say("fine");
  std::string wire = peer->take_wire();
  ERR_raise(ERR_LIB_USER, 1);
  transport->receive(as_bytes(std::string_view(wire).substr(0, 7)), sink);
  ERR_raise(ERR_LIB_USER, 1);
  transport->receive(as_bytes(std::string_view(wire).substr(7)), sink);
  EXPECT_EQ(transport->state(), State::kReady);
  EXPECT_EQ(sink.plain_text, "fine");
  ERR_clear_error();
}

TEST_P(TlsBothRoles, NothingIsSentBeforeTheHandshakeIsOver) {
  send_text(*transport, sink, "too soon");
  transport->close(sink);
  EXPECT_EQ(sink.wire_text, "");
  EXPECT_EQ(transport->describe(), "TLS handshake");
}

TEST_P(TlsBothRoles, DescribeNamesVersionSuiteAndPeer) {
  connect();
  EXPECT_THAT(transport->describe(), HasSubstr(GetParam().version == TLS1_3_VERSION ? "TLSv1.3 TLS_AES_" : "TLSv1.2 ECDHE-"));
  EXPECT_THAT(transport->describe(),
              HasSubstr(GetParam().role == TlsRole::kServer ? "minted certificate" : "verified orders-db.lab.example"));
}

TEST_P(TlsBothRoles, RandomBytesNeverDoMoreThanFault) {
  Prng random(3);
  for (int round = 0; round < 200; ++round) {
    auto victim = GetParam().role == TlsRole::kServer
                      ? *lab.contexts->find("orders-db")->client_leg()
                      : *lab.contexts->find("orders-db")->target_leg(*Address::parse("198.18.2.2"));
    Sink out;
    victim->start(out);
    std::string bytes(random.below(600), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    if (random.one_in(2)) bytes = std::string("\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11) + bytes;
    victim->receive(as_bytes(bytes), out);
    EXPECT_NE(victim->state(), State::kReady);
    EXPECT_EQ(out.plain_text, "");
  }
}

TEST_P(TlsBothRoles, EveryCutOfAHandshakeEndsTheSame) {
  for (const std::size_t cut : {2u, 3u, 5u, 64u, 1000u}) {
    auto each = GetParam().role == TlsRole::kServer
                    ? *lab.contexts->find("orders-db")->client_leg()
                    : *lab.contexts->find("orders-db")->target_leg(*Address::parse("198.18.2.2"));
    Peer other(GetParam().role == TlsRole::kServer ? TlsRole::kClient : TlsRole::kServer, [&](SSL_CTX* c) {
      if (GetParam().role == TlsRole::kClient) shows(c, pair);
      SSL_CTX_set_max_proto_version(c, GetParam().version);
    });
    Sink out;
    each->start(out);
    converse(*each, out, other, cut);
    EXPECT_EQ(each->state(), State::kReady) << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, TlsBothRoles,
                         ::testing::Values(Case{TlsRole::kServer, TLS1_2_VERSION}, Case{TlsRole::kServer, TLS1_3_VERSION},
                                           Case{TlsRole::kClient, TLS1_2_VERSION}, Case{TlsRole::kClient, TLS1_3_VERSION}),
                         [](const auto& param) {
                           return std::string(param.param.role == TlsRole::kServer ? "ClientLeg" : "TargetLeg") +
                                  (param.param.version == TLS1_3_VERSION ? "Tls13" : "Tls12");
                         });

}  // namespace
}  // namespace weir::transport::testing
