#include "transport/ssh/ssh_transport.h"

#include <gmock/gmock.h>

#include "transport/ssh/ssh_pair.h"

namespace weir::ssh {
// Does not wait with a message until an exchange is over.
struct RudePeer {
  static void say(SshTransport& peer, Bytes message, SshSink& sink) { peer.seal(message, sink); }
};
}  // namespace weir::ssh

namespace weir::ssh::testing {
namespace {

using State = SshTransport::State;
using ::testing::HasSubstr;

// A packet as it is sent before there are keys.
std::string clear_packet(Bytes payload) {
  FixedRandom random;
  PacketSealer sealer(random);
  return string_of(sealer.seal({&payload, 1}));
}
std::string clear_packet(std::string_view payload) { return clear_packet(as_bytes(payload)); }
std::string kex_init_of(SshRole role, const SshPreferences& preferences, std::string_view host_keys, bool is_first) {
  FixedRandom random;
  return clear_packet(make_kex_init(role, preferences, host_keys, is_first, random));
}

class EveryMethod : public ::testing::TestWithParam<std::string_view> {};
TEST_P(EveryMethod, LeadsToTheSameKeys) {
  auto leg = client_leg();
  leg->preferences.kex = GetParam();
  SshPair pair(server_leg(), leg);
  pair.connect();
  EXPECT_EQ(pair.client.algorithms().kex, GetParam());
  EXPECT_EQ(string_of(pair.client.session_id()), string_of(pair.server.session_id()));
  pair.say(pair.client, pair.client_sink, "hello");
  pair.say(pair.server, pair.server_sink, "hello yourself");
  pair.converse();
  EXPECT_EQ(pair.server_sink.messages, std::vector<std::string>{"\x5ehello"});
  EXPECT_EQ(pair.client_sink.messages, std::vector<std::string>{"\x5ehello yourself"});
}
std::vector<std::string_view> method_names() {
  std::vector<std::string_view> names;
  for (const KexMethod& method : kex_methods()) names.push_back(method.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Ssh, EveryMethod, ::testing::ValuesIn(method_names()), [](const auto& method) { return test_name(std::string(method.param)); });

class EveryHostKey : public ::testing::TestWithParam<SignatureAlgorithm> {};
TEST_P(EveryHostKey, IsShownAndVerified) {
  const SignatureAlgorithm& algorithm = GetParam();
  auto server = server_leg({algorithm.type});
  if (algorithm.is_certificate) {
    SeededRandom random(3);
    CertificateRequest request;
    request.use = CertificateUse::kHost;
    request.key = &server->host_keys[0].key.public_key();
    request.principals = {"target.lab.example"};
    request.until = request.from + std::chrono::hours(1);
    server->host_keys[0].certificate = *mint_certificate(test_key(KeyType::kEd25519), request, random);
  }
  auto client = client_leg();
  client->preferences.host_keys = algorithm.name;
  SshPair pair(server, client);
  pair.connect();
  EXPECT_EQ(pair.client.algorithms().host_key, algorithm.name);
  EXPECT_EQ(pair.client_sink.shown_fingerprint, test_key(algorithm.type).public_key().fingerprint());
  EXPECT_EQ(pair.client_sink.has_certificate, algorithm.is_certificate);
  EXPECT_EQ(string_of(pair.client.host_key_blob()), string_of(pair.server.host_key_blob()));
}
INSTANTIATE_TEST_SUITE_P(Ssh, EveryHostKey, ::testing::ValuesIn(signature_algorithms().begin(), signature_algorithms().end()),
                         [](const auto& algorithm) { return test_name(std::string(algorithm.param.name)); });

TEST(Ssh, WorksByteByByteAndIsStrict) {
  SshPair pair;
  pair.connect(1);
  EXPECT_TRUE(pair.client.is_strict());
  EXPECT_TRUE(pair.server.is_strict());
  EXPECT_EQ(pair.server_sink.peer_version, "SSH-2.0-client_1 with a comment");
  EXPECT_EQ(pair.client_sink.host_keys, 1);
  EXPECT_TRUE(pair.client.peer_has_hostbound());
  EXPECT_THAT(std::string(pair.client.peer_signature_algorithms()), HasSubstr("rsa-sha2-256"));
  EXPECT_FALSE(pair.server.peer_has_hostbound());
  EXPECT_THAT(pair.client.describe(), HasSubstr("curve25519-sha256, ssh-ed25519, chacha20-poly1305@openssh.com, strict"));
}

TEST(Ssh, TheVersionIsLearntBeforeOursIsSaid) {
  SshPair pair;
  ASSERT_TRUE(pair.client.start("SSH-2.0-client_1", pair.now, pair.client_sink));
  pair.give(pair.client_sink.take(), pair.server, pair.server_sink);  // Version and KEXINIT, before the server has started.
  EXPECT_EQ(pair.server_sink.peer_version, "SSH-2.0-client_1");
  EXPECT_TRUE(pair.server_sink.sent.empty());
  ASSERT_TRUE(pair.server.start("SSH-2.0-relayed", pair.now, pair.server_sink));
  pair.converse();
  EXPECT_EQ(pair.server.state(), State::kReady) << pair.server.fault();
  EXPECT_EQ(pair.client.peer_version(), "SSH-2.0-relayed");
}

TEST(Ssh, AVersionThatCannotBeSentIsNotSent) {
  for (const std::string& version : {std::string("SSH-1.5-old"), std::string("SSH-2.0-a\r\nb"), std::string("hello"), "SSH-2.0-" + std::string(300, 'a')}) {
    SshPair pair;
    EXPECT_FALSE(pair.client.start(version, pair.now, pair.client_sink)) << version;
    EXPECT_TRUE(pair.client_sink.sent.empty());
  }
}

TEST(Ssh, AServerMaySayLinesFirst) {
  SshPair pair;
  pair.start();
  pair.client.receive(as_bytes("Go away,\r\nunless you are invited\n"), pair.now, pair.client_sink);
  pair.converse();
  EXPECT_EQ(pair.client.state(), State::kReady) << pair.client.fault();
}

TEST(Ssh, VersionLinesAreBounded) {
  const auto end_of = [](SshTransport SshPair::* whose, KeepingSink SshPair::* sink, const std::string& said) {
    SshPair pair;
    pair.start();
    (pair.*whose).receive(as_bytes(said), pair.now, pair.*sink);
    return (pair.*whose).state() == State::kFault ? (pair.*whose).fault() : std::string();
  };
  std::string many;
  for (int i = 0; i < 1025; ++i) many += "line\n";
  EXPECT_THAT(end_of(&SshPair::client, &SshPair::client_sink, many), HasSubstr("no SSH version"));
  EXPECT_THAT(end_of(&SshPair::client, &SshPair::client_sink, std::string(8193, 'x')), HasSubstr("too long"));
  EXPECT_THAT(end_of(&SshPair::client, &SshPair::client_sink, "SSH-2.0-" + std::string(246, 'x') + "\r\n"), HasSubstr("not of SSH 2.0"));
  EXPECT_THAT(end_of(&SshPair::server, &SshPair::server_sink, "GET / HTTP/1.1\r\n"), HasSubstr("does not speak SSH"));
  EXPECT_THAT(end_of(&SshPair::server, &SshPair::server_sink, "SSH-1.5-old\r\n"), HasSubstr("not of SSH 2.0"));
  EXPECT_THAT(end_of(&SshPair::server, &SshPair::server_sink, "SSH-2.0-a\033[2Jb\r\n"), HasSubstr("SSH-2.0-a\\x1b"));
}

TEST(Ssh, NothingIsGivenOutBeforeTheHostKeyWasAccepted) {
  SshPair pair;
  pair.accepts = false;
  pair.start();
  pair.converse();
  EXPECT_EQ(pair.client_sink.host_keys, 1);
  EXPECT_EQ(pair.client.state(), State::kFirstExchange);
  pair.say(pair.client, pair.client_sink, "too early");
  EXPECT_TRUE(pair.client_sink.sent.empty());
  pair.client.accept_host_key(pair.now, pair.client_sink);  // Later.
  pair.converse();
  EXPECT_EQ(pair.client.state(), State::kReady);
}

TEST(Ssh, ARefusedHostKeyEndsTheLeg) {
  SshPair pair;
  pair.accepts = false;
  pair.start();
  pair.converse();
  pair.client.refuse_host_key("the target's key is not the pinned one", pair.client_sink);
  pair.converse();
  EXPECT_EQ(pair.client.state(), State::kFault);
  EXPECT_EQ(pair.server.state(), State::kPeerClosed);
  EXPECT_THAT(pair.server.fault(), HasSubstr("reason 9: the target's key"));
}

// The first exchange, with whatever a man in the middle does to it.
TEST(Ssh, AChangedHandshakeLeadsToNoKeys) {
  std::string said_by_server;
  {
    SshPair pair;
    pair.start();
    said_by_server = pair.server_sink.sent;
  }
  // KEXINIT's padding is nobody's: only its payload is in the hash that is signed.
  const std::size_t packet = said_by_server.find('\n') + 1;
  const std::size_t end = said_by_server.size() - static_cast<uint8_t>(said_by_server[packet + 4]);
  for (std::size_t at = 0; at < end; at += 3) {
    SshPair pair;
    pair.start();
    pair.server_sink.sent[at] = static_cast<char>(pair.server_sink.sent[at] ^ 1);
    pair.converse();
    EXPECT_NE(pair.client.state(), State::kReady) << at;
    EXPECT_TRUE(pair.client_sink.messages.empty());
  }
}

TEST(Ssh, TerrapinIsFound) {
  // Before KEXINIT, and between it and NEWKEYS; towards both.
  const std::string ignore = clear_packet(std::string_view("\x02\0\0\0\0", 5));
  for (const bool to_client : {true, false}) {
    SshPair before;
    before.start();
    std::string& sent = to_client ? before.server_sink.sent : before.client_sink.sent;
    sent.insert(sent.find('\n') + 1, ignore);
    before.converse();
    const SshTransport& victim = to_client ? before.client : before.server;
    EXPECT_EQ(victim.state(), State::kFault);
    EXPECT_THAT(victim.fault(), HasSubstr("before KEXINIT"));

    SshPair between;
    between.start();
    (to_client ? between.server_sink : between.client_sink).sent += ignore;
    between.converse();
    const SshTransport& other = to_client ? between.client : between.server;
    EXPECT_EQ(other.state(), State::kFault);
    EXPECT_THAT(other.fault(), HasSubstr("strict key exchange: message 2"));
  }
}

// A peer without the marker: RFC 4253 lets it chat, but not extend anything that nobody has authenticated.
TEST(Ssh, APeerThatIsNotStrictMayChatButNotExtend) {
  for (const bool extends : {false, true}) {
    SshPair pair;
    pair.start();
    const std::string init = kex_init_of(SshRole::kClient, {}, "ssh-ed25519", false);
    pair.client_sink.sent = "SSH-2.0-old\r\n" + init + clear_packet(extends ? std::string_view("\x07\0\0\0\0", 5) : std::string_view("\x02\0\0\0\0", 5));
    pair.give(pair.client_sink.take(), pair.server, pair.server_sink);
    EXPECT_FALSE(pair.server.is_strict());
    EXPECT_EQ(pair.server.state(), extends ? State::kFault : State::kFirstExchange);
  }
}

TEST(Ssh, MessagesOfTheLayersAboveHaveNoPlaceInTheClear) {
  for (const char number : {'\x05', '\x06', '\x32', '\x34', '\x5e', '\xc0'}) {
    SshPair pair;
    pair.start();
    pair.server.receive(as_bytes("SSH-2.0-early\r\n" + clear_packet(std::string(1, number) + "abc")), pair.now, pair.server_sink);
    EXPECT_EQ(pair.server.state(), State::kFault);
    EXPECT_TRUE(pair.server_sink.messages.empty());
  }
}

TEST(Ssh, NoCommonAlgorithmIsSaid) {
  const auto fault_of = [](const std::string& init) {
    SshPair pair;
    pair.start();
    pair.server.receive(as_bytes("SSH-2.0-other\r\n" + clear_packet(init)), pair.now, pair.server_sink);
    return pair.server.fault();
  };
  const auto init = [](std::string_view kex, std::string_view keys, std::string_view cipher, std::string_view mac, std::string_view compression) {
    Buffer out;
    WireWriter(out).u8(20).raw(Buffer(16)).string(kex).string(keys).string(cipher).string(cipher).string(mac).string(mac).string(compression).string(compression).string("").string("").boolean(false).u32(0);
    return string_of(out);
  };
  EXPECT_EQ(fault_of(init("diffie-hellman-group1-sha1", "ssh-ed25519", "aes128-ctr", "hmac-sha2-256", "none")), "no key exchange method in common");
  EXPECT_EQ(fault_of(init("kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com", "ssh-ed25519", "aes128-ctr", "hmac-sha2-256", "none")), "no key exchange method in common");
  EXPECT_EQ(fault_of(init("curve25519-sha256", "ssh-dss,ssh-rsa", "aes128-ctr", "hmac-sha2-256", "none")), "no host key algorithm in common");
  EXPECT_EQ(fault_of(init("curve25519-sha256", "ssh-ed25519", "aes128-cbc", "hmac-sha2-256", "none")), "no cipher in common");
  EXPECT_EQ(fault_of(init("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "hmac-sha1", "none")), "no MAC in common");
  EXPECT_EQ(fault_of(init("curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "hmac-sha1", "none")), "");
  EXPECT_THAT(fault_of(init("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "hmac-sha2-256", "zlib")), HasSubstr("no compression"));
  EXPECT_EQ(fault_of(init("a,,b", "", "", "", "")), "a KEXINIT that cannot be read");
}

TEST(Ssh, DirectionsMayHaveCiphersOfTheirOwn) {
  KexInit own, peer;
  FixedRandom random;
  const Buffer ours = make_kex_init(SshRole::kServer, {}, "ssh-ed25519", true, random);
  ASSERT_TRUE(read_kex_init(ours, own));
  peer = own;
  peer.kex = "ecdh-sha2-nistp256,curve25519-sha256";
  peer.ciphers_to_server = "aes128-ctr";
  peer.ciphers_to_client = "3des-cbc,aes256-gcm@openssh.com";
  peer.macs_to_server = "hmac-sha2-512";
  peer.first_packet_follows = true;
  Agreement agreed;
  EXPECT_EQ(negotiate(SshRole::kServer, own, peer, agreed), "");
  EXPECT_EQ(agreed.names, (SshAlgorithms{"ecdh-sha2-nistp256", "ssh-ed25519", "aes128-ctr", "aes256-gcm@openssh.com", "hmac-sha2-512", ""}));
  EXPECT_TRUE(agreed.is_guess_wrong);
  EXPECT_FALSE(agreed.peer_is_strict);
  peer.kex = "curve25519-sha256";
  EXPECT_EQ(negotiate(SshRole::kServer, own, peer, agreed), "");
  EXPECT_FALSE(agreed.is_guess_wrong);
}

class EverySuiteTransport : public ::testing::TestWithParam<Suite> {};
TEST_P(EverySuiteTransport, GoesOnOverRekeysOfEitherSideWhileBothTalk) {
  auto server = server_leg(), client = client_leg();
  const std::string name = GetParam().name;
  client->preferences.ciphers = name.substr(0, name.find('_'));
  if (name.find('_') != std::string::npos) client->preferences.macs = name.substr(name.find('_') + 1);
  server->rekey.packets = 50;
  client->rekey.packets = 70;
  SshPair pair(server, client);
  pair.connect();
  pair.client.set_authenticated();
  pair.server.set_authenticated();
  Prng prng(5);
  std::vector<std::string> to_server, to_client;
  for (int i = 0; i < 600; ++i) {
    const bool by_client = prng.below(2) == 0;
    const std::string text(1 + prng.below(400), static_cast<char>('a' + i % 26));
    (by_client ? to_server : to_client).push_back("\x5e" + text);
    if (by_client) pair.say(pair.client, pair.client_sink, text);
    else pair.say(pair.server, pair.server_sink, text);
    // Now and then a little of what is under way arrives, cut anywhere.
    if (prng.below(4) != 0) continue;
    std::string& sent = prng.below(2) == 0 ? pair.client_sink.sent : pair.server_sink.sent;
    const std::size_t size = std::min<std::size_t>(sent.size(), prng.below(3000));
    const std::string some = sent.substr(0, size);
    const bool is_clients = &sent == &pair.client_sink.sent;
    sent.erase(0, size);
    if (is_clients) pair.give(some, pair.server, pair.server_sink);
    else pair.give(some, pair.client, pair.client_sink);
  }
  pair.converse();
  EXPECT_EQ(pair.server_sink.messages, to_server);
  EXPECT_EQ(pair.client_sink.messages, to_client);
  EXPECT_GT(pair.server.exchanges(), 5U);
  EXPECT_EQ(pair.server.exchanges(), pair.client.exchanges());
  EXPECT_EQ(pair.client_sink.host_keys, 1);  // Asked once, compared ever after.
  EXPECT_EQ(pair.client.state(), State::kReady) << pair.client.fault();
}
std::vector<Suite> encrypted_suites() {
  std::vector<Suite> suites = all_suites();
  suites.erase(suites.begin());
  return suites;
}
INSTANTIATE_TEST_SUITE_P(Ssh, EverySuiteTransport, ::testing::ValuesIn(encrypted_suites()), [](const auto& suite) { return test_name(suite.param.name); });

TEST(Ssh, WhatIsSaidDuringAnExchangeWaitsForIt) {
  SshPair pair;
  pair.connect();
  const Buffer session_id = copy_of(pair.client.session_id());
  pair.client.rekey(pair.now, pair.client_sink);
  const std::size_t size = pair.client_sink.sent.size();
  pair.say(pair.client, pair.client_sink, "waits");
  EXPECT_EQ(pair.client_sink.sent.size(), size);
  EXPECT_GT(pair.client.queued_size(), 0U);
  EXPECT_TRUE(pair.client.is_exchanging());
  pair.converse();
  EXPECT_EQ(pair.server_sink.messages, std::vector<std::string>{"\x5ewaits"});
  EXPECT_EQ(pair.client.queued_size(), 0U);
  EXPECT_EQ(pair.client.exchanges(), 2U);
  EXPECT_EQ(copy_of(pair.client.session_id()), session_id);  // The first exchange's, for ever.
}

TEST(Ssh, WhatAPeerStillSaysAtARekeyIsTaken) {
  SshPair pair;
  pair.connect();
  pair.client.rekey(pair.now, pair.client_sink);
  RudePeer::say(pair.client, as_bytes("\x61 behind its KEXINIT"), pair.client_sink);
  pair.converse();
  EXPECT_EQ(pair.server_sink.messages, std::vector<std::string>{"\x61 behind its KEXINIT"});
  EXPECT_EQ(pair.server.exchanges(), 2U) << pair.server.fault();
  EXPECT_EQ(pair.server.state(), State::kReady) << pair.server.fault();
}

TEST(Ssh, KeysAreRenewedByTimeOnceSomebodyIsLoggedIn) {
  SshPair pair;
  pair.connect();
  pair.now = std::chrono::hours(2);
  pair.server.tick(pair.now, pair.server_sink);
  EXPECT_TRUE(pair.server_sink.sent.empty());
  pair.server.set_authenticated();
  pair.server.tick(pair.now, pair.server_sink);
  pair.converse();
  EXPECT_EQ(pair.server.exchanges(), 2U);
  pair.server.tick(pair.now, pair.server_sink);
  EXPECT_TRUE(pair.server_sink.sent.empty());
}

TEST(Ssh, AnotherHostKeyAtARekeyEndsTheLeg) {
  // The server's keys are immutable, so the liar is made of two: the first one's session goes on over the second one's leg.
  auto leg = server_leg({KeyType::kEd25519, KeyType::kEcdsa256});
  auto client = client_leg();
  client->preferences.host_keys = "ssh-ed25519,ecdsa-sha2-nistp256";
  SshPair pair(leg, client);
  pair.connect();
  leg->host_keys[0].key = *PrivateKey::generate(KeyType::kEd25519);
  pair.client.rekey(pair.now, pair.client_sink);
  pair.converse();
  EXPECT_EQ(pair.client.state(), State::kFault);
  EXPECT_THAT(pair.client.fault(), HasSubstr("changed at a rekey"));
}

TEST(Ssh, TooMuchThatWaitsEndsTheLeg) {
  SshPair pair;
  pair.connect();
  pair.client.rekey(pair.now, pair.client_sink);
  const std::string much(200'000, 'x');
  for (int i = 0; i < 50; ++i) pair.say(pair.client, pair.client_sink, much);
  EXPECT_EQ(pair.client.state(), State::kFault);
}

TEST(Ssh, AMessageThatIsTooLargeOrEmptyEndsTheLegAndNotTheGateway) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{kPayloadSizeMax} + 1}) {
    SshPair pair;
    pair.connect();
    pair.client.send(as_bytes(std::string(size, '\x5e')), pair.now, pair.client_sink);
    pair.converse();
    EXPECT_EQ(pair.client.state(), State::kFault);
    EXPECT_EQ(pair.server.state(), State::kPeerClosed);
    EXPECT_TRUE(pair.server_sink.messages.empty());
  }
}

TEST(Ssh, APingIsAnsweredHere) {
  SshPair pair;
  pair.connect();
  const std::string ping = std::string("\xc0") + std::string("\0\0\0\3abc", 7);
  // send() takes what it is given: the layers above have no ping, so the test has one.
  pair.client.send(as_bytes(ping), pair.now, pair.client_sink);
  pair.give(pair.client_sink.take(), pair.server, pair.server_sink);
  EXPECT_FALSE(pair.server_sink.sent.empty());
  EXPECT_TRUE(pair.server_sink.messages.empty());
  pair.converse();
  EXPECT_TRUE(pair.client_sink.messages.empty());
  EXPECT_EQ(pair.client.state(), State::kReady);
}

TEST(Ssh, UnknownMessagesAreAnsweredAndNotGivenOut) {
  SshPair pair;
  pair.connect();
  for (const char number : {'\x08', '\x13', '\x80', '\xff'}) {
    pair.client.send(as_bytes(std::string(1, number)), pair.now, pair.client_sink);
    pair.give(pair.client_sink.take(), pair.server, pair.server_sink);
    EXPECT_FALSE(pair.server_sink.take().empty());
  }
  EXPECT_TRUE(pair.server_sink.messages.empty());
  EXPECT_EQ(pair.server.state(), State::kReady);
}

TEST(Ssh, MessagesOfAnExchangeWithoutOneEndTheLeg) {
  for (const char number : {'\x15', '\x1e', '\x1f', '\x22', '\x31'}) {
    SshPair pair;
    pair.connect();
    pair.client.send(as_bytes(std::string(1, number)), pair.now, pair.client_sink);
    pair.converse();
    EXPECT_EQ(pair.server.state(), State::kFault) << static_cast<int>(number);
    EXPECT_EQ(pair.client.state(), State::kPeerClosed);
  }
}

TEST(Ssh, ADisconnectIsTheLastThingSaid) {
  SshPair pair;
  pair.connect();
  pair.server.disconnect(Disconnect::kByApplication, "the session was ended\n\033[2J", pair.server_sink);
  pair.say(pair.server, pair.server_sink, "one more");
  pair.converse();
  EXPECT_EQ(pair.server.state(), State::kClosed);
  EXPECT_EQ(pair.client.state(), State::kPeerClosed);
  EXPECT_THAT(pair.client.fault(), HasSubstr("reason 11: the session was ended\\x0a\\x1b"));
  EXPECT_TRUE(pair.client_sink.messages.empty());
}

TEST(Ssh, EveryByteIsCounted) {
  SshPair pair;
  pair.start();
  const std::size_t to_server = pair.client_sink.sent.size();
  EXPECT_EQ(pair.client.account().wire_out, to_server);
  pair.converse();
  pair.say(pair.client, pair.client_sink, "counted");
  pair.converse();
  EXPECT_EQ(pair.client.account().wire_out, pair.server.account().wire_in);
  EXPECT_EQ(pair.server.account().wire_out, pair.client.account().wire_in);
  EXPECT_EQ(pair.client.account().messages_out, 1U);
  EXPECT_EQ(pair.server.account().messages_in, 1U);
}

}  // namespace
}  // namespace weir::ssh::testing
