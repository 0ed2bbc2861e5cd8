#include <gmock/gmock.h>

#include "transport/ssh/auth_client.h"
#include "transport/ssh/auth_server.h"
#include "transport/ssh/ssh_pair.h"

namespace weir::ssh::testing {
namespace {

using Kind = AuthAttempt::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keeps the server's side of it; `decide` may be set, else the test answers later.
struct ServerHost final : AuthServerHost {
  void reply(Bytes message) override { replies.push_back(string_of(message)); }
  void decide(const AuthAttempt& attempt) override {
    kinds.push_back(attempt.kind);
    user = attempt.user;
    password = attempt.password.view();
    new_password = attempt.new_password.view();
    key = attempt.key ? attempt.key->fingerprint() : "";
    key_id = attempt.certificate ? attempt.certificate->key_id : "";
    is_hostbound = attempt.is_hostbound;
    answers.clear();
    for (const Secret& one : attempt.answers) answers.emplace_back(one.view());
    if (on_decide) on_decide(attempt);
  }
  void authenticated() override { is_in = true; }
  void end(Disconnect, std::string_view reason) override { ended = reason; }
  std::vector<std::string> replies, answers;
  std::vector<Kind> kinds;
  std::string user, password, new_password, key, key_id, ended;
  bool is_in = false, is_hostbound = false;
  std::function<void(const AuthAttempt&)> on_decide;
};
struct ClientHost final : AuthClientHost {
  void request(Bytes message) override { requests.push_back(string_of(message)); }
  void ready() override { is_ready = true; }
  void authenticated() override { is_in = true; }
  void refused(std::string_view left, bool is_partial) override {
    methods = left;
    was_partial = is_partial;
    ++refusals;
  }
  void asked(std::string_view name, std::string_view instruction, std::span<const InteractivePrompt> given) override {
    title = std::string(name) + "/" + std::string(instruction);
    prompts.assign(given.begin(), given.end());
  }
  void asked_new_password(std::string_view prompt) override { change = prompt; }
  void banner(std::string_view text) override { said = text; }
  void end(Disconnect, std::string_view reason) override { ended = reason; }
  std::vector<std::string> requests;
  std::vector<InteractivePrompt> prompts;
  std::string methods, title, change, said, ended;
  bool is_ready = false, is_in = false, was_partial = false;
  int refusals = 0;
};

class Auth : public ::testing::Test {
 protected:
  Auth() {
    server.begin(as_bytes("session id"), host_key());
    client.begin("alice", as_bytes("session id"), host_key());
    converse();
    EXPECT_TRUE(client_host.is_ready);
  }
  static Bytes host_key() { return test_key(KeyType::kEd25519).public_key().blob(); }
  void converse() {
    while (!client_host.requests.empty() || !server_host.replies.empty()) {
      for (const std::string& message : std::exchange(client_host.requests, {})) server.receive(as_bytes(message));
      for (const std::string& message : std::exchange(server_host.replies, {})) client.receive(as_bytes(message));
    }
  }
  static Buffer request_of(std::string_view user, std::string_view service, std::string_view method, std::string_view rest = {}) {
    Buffer out;
    WireWriter(out).u8(50).string(user).string(service).string(method).raw(as_bytes(rest));
    return out;
  }
  static Secret secret(std::string_view text) { return Secret(text); }
  ServerHost server_host;
  ClientHost client_host;
  AuthServer server{server_host, {}};
  AuthClient client{client_host};
};

TEST_F(Auth, NoneIsRefusedOnceForNothing) {
  server_host.on_decide = [&](const AuthAttempt&) { server.refuse(); };
  client.try_none();
  converse();
  EXPECT_EQ(client_host.methods, "publickey,keyboard-interactive,password");
  EXPECT_EQ(server.refused(), 0U);
  client.try_none();
  converse();
  EXPECT_EQ(server.refused(), 1U);
}

TEST_F(Auth, EveryTypeOfKeyProvesItselfPlainAndHostbound) {
  for (const bool is_hostbound : {false, true}) {
    for (const KeyType type : {KeyType::kEd25519, KeyType::kEcdsa256, KeyType::kEcdsa384, KeyType::kEcdsa521, KeyType::kRsa}) {
      client.set_peer("", is_hostbound);
      ASSERT_TRUE(client.try_key(test_key(type), {}));
      converse();
      EXPECT_EQ(server_host.kinds.back(), Kind::kKeyProven);
      EXPECT_EQ(server_host.key, test_key(type).public_key().fingerprint());
      EXPECT_EQ(server_host.is_hostbound, is_hostbound);
      EXPECT_EQ(server_host.user, "alice");
      server.accept_partly("publickey");
      converse();
      EXPECT_TRUE(client_host.was_partial);
    }
  }
  EXPECT_FALSE(server_host.is_in);
}

TEST_F(Auth, ACertificateProvesItself) {
  SeededRandom random(6);
  CertificateRequest request;
  request.key = &test_key(KeyType::kRsa).public_key();
  request.key_id = "alice@corp.example";
  request.principals = {"alice"};
  request.until = request.from + std::chrono::hours(1);
  const Buffer certificate = *mint_certificate(test_key(KeyType::kEd25519), request, random);
  EXPECT_FALSE(client.try_key(test_key(KeyType::kEd25519), certificate));  // Of another key.
  ASSERT_TRUE(client.try_key(test_key(KeyType::kRsa), certificate));
  converse();
  EXPECT_EQ(server_host.key_id, "alice@corp.example");
  EXPECT_EQ(server_host.key, test_key(KeyType::kRsa).public_key().fingerprint());
  server.accept();
  converse();
  EXPECT_TRUE(server_host.is_in);
  EXPECT_TRUE(client_host.is_in);
  EXPECT_TRUE(server.is_done());
}

TEST_F(Auth, ASignatureOverAnotherSessionOrHostKeyIsRefused) {
  for (const bool is_hostbound : {false, true}) {
    ClientHost other_host;
    AuthClient other(other_host);
    other.begin("alice", as_bytes("another session"), host_key());
    other.set_peer("", is_hostbound);
    other_host.requests.clear();
    ASSERT_TRUE(other.try_key(test_key(KeyType::kEd25519), {}));
    server.receive(as_bytes(other_host.requests.at(0)));
  }
  EXPECT_EQ(server.refused(), 2U);
  ClientHost other_host;
  AuthClient other(other_host);
  other.begin("alice", as_bytes("session id"), test_key(KeyType::kRsa).public_key().blob());
  other.set_peer("", true);
  other_host.requests.clear();
  ASSERT_TRUE(other.try_key(test_key(KeyType::kEd25519), {}));
  server.receive(as_bytes(other_host.requests.at(0)));
  EXPECT_EQ(server.refused(), 3U);
  EXPECT_TRUE(server_host.kinds.empty());  // Nobody was even asked.
}

TEST_F(Auth, EveryChangedByteOfAProofIsRefused) {
  ASSERT_TRUE(client.try_key(test_key(KeyType::kEd25519), {}));
  const std::string whole = client_host.requests.at(0);
  for (std::size_t i = 1; i < whole.size(); ++i) {
    ServerHost host;
    AuthServer fresh(host, {});
    fresh.begin(as_bytes("session id"), host_key());
    fresh.receive(as_bytes(std::string("\x05\0\0\0\x0cssh-userauth", 17)));
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    fresh.receive(as_bytes(changed));
    ASSERT_TRUE(host.kinds.empty() || host.kinds.back() != Kind::kKeyProven) << i;
  }
}

TEST_F(Auth, AnOfferIsAnsweredWithTheKeyThatWasOffered) {
  Buffer offer;
  const Bytes blob = test_key(KeyType::kEd25519).public_key().blob();
  WireWriter(offer).raw(request_of("alice", "ssh-connection", "publickey")).boolean(false).string("ssh-ed25519").string(blob);
  server.receive(offer);
  EXPECT_THAT(server_host.kinds, ElementsAre(Kind::kKeyOffered));
  server.allow_key();
  Buffer expected;
  WireWriter(expected).u8(60).string("ssh-ed25519").string(blob);
  EXPECT_EQ(server_host.replies.back(), string_of(expected));
  server.receive(offer);
  server.refuse();
  EXPECT_EQ(server_host.replies.back()[0], 51);
  EXPECT_EQ(server.refused(), 1U);
}

TEST_F(Auth, PasswordsAreRelayedAndChanged) {
  client.try_password(secret("fake-password"));
  converse();
  EXPECT_EQ(server_host.password, "fake-password");
  server.ask_new_password("It is old. New one:");
  converse();
  EXPECT_EQ(client_host.change, "It is old. New one:");
  client.change_password(secret("fake-password"), secret("fake-newer"));
  converse();
  EXPECT_EQ(server_host.new_password, "fake-newer");
  server.accept();
  converse();
  EXPECT_TRUE(client_host.is_in);
}

TEST_F(Auth, QuestionsAreRelayedInRounds) {
  client.try_interactive();
  converse();
  EXPECT_EQ(server_host.kinds.back(), Kind::kInteractive);
  const InteractivePrompt prompts[] = {{"Password: ", false}, {"Code: ", true}};
  server.ask("Login", "Open https://portal.example/x", prompts);
  converse();
  ASSERT_EQ(client_host.prompts.size(), 2U);
  EXPECT_EQ(client_host.prompts[1].text, "Code: ");
  EXPECT_TRUE(client_host.prompts[1].is_echoed);
  EXPECT_FALSE(client_host.prompts[0].is_echoed);
  EXPECT_EQ(client_host.title, "Login/Open https://portal.example/x");
  std::vector<Secret> answers;
  answers.push_back(secret("fake-password"));
  answers.push_back(secret("123456"));
  client.answer(answers);
  converse();
  EXPECT_THAT(server_host.answers, ElementsAre("fake-password", "123456"));
  server.ask("", "", {});  // Once more, with nothing to ask: as PAM does.
  converse();
  client.answer({});
  converse();
  EXPECT_EQ(server_host.kinds.back(), Kind::kInteractiveAnswers);
  server.accept();
  converse();
  EXPECT_TRUE(client_host.is_in);
}

TEST_F(Auth, AnotherNumberOfAnswersEndsTheLeg) {
  client.try_interactive();
  converse();
  const InteractivePrompt prompt{"Password: ", false};
  server.ask("", "", {&prompt, 1});
  converse();
  server.receive(as_bytes(std::string("\x3d\0\0\0\0", 5)));
  EXPECT_THAT(server_host.ended, HasSubstr("number of answers"));
}

TEST_F(Auth, AnotherUserNameEndsTheLeg) {
  server_host.on_decide = [&](const AuthAttempt&) { server.refuse(); };
  server.receive(request_of("alice", "ssh-connection", "none"));
  server.receive(request_of("root", "ssh-connection", "none"));
  EXPECT_THAT(server_host.ended, HasSubstr("user name"));
  EXPECT_EQ(server_host.kinds.size(), 1U);
}

TEST_F(Auth, AnotherServiceEndsTheLeg) {
  server.receive(request_of("alice", "ssh-other", "none"));
  EXPECT_THAT(server_host.ended, HasSubstr("ssh-connection"));
  ServerHost host;
  AuthServer fresh(host, {});
  fresh.receive(as_bytes(std::string("\x05\0\0\0\x0essh-connection", 19)));
  EXPECT_THAT(host.ended, HasSubstr("ssh-userauth"));
}

TEST_F(Auth, AttemptsAreCountedAndEnd) {
  server_host.on_decide = [&](const AuthAttempt&) { server.refuse(); };
  for (int i = 0; i < 10; ++i) server.receive(request_of("alice", "ssh-connection", "hostbased"));
  EXPECT_THAT(server_host.ended, HasSubstr("too many attempts"));
  EXPECT_EQ(server.refused(), 6U);
  EXPECT_TRUE(server_host.kinds.empty());  // A method that is not offered is nobody's to decide.
}

TEST_F(Auth, WhatComesBeforeTheAnswerWaitsItsTurn) {
  server.receive(request_of("alice", "ssh-connection", "none"));
  Buffer password;
  WireWriter(password).raw(request_of("alice", "ssh-connection", "password")).boolean(false).string("fake-password");
  server.receive(password);
  EXPECT_THAT(server_host.kinds, ElementsAre(Kind::kNone));
  server.refuse();
  EXPECT_THAT(server_host.kinds, ElementsAre(Kind::kNone, Kind::kPassword));
  server.accept();
  server.receive(password);  // After success: not answered (RFC 4252 section 5.1).
  EXPECT_EQ(server_host.kinds.size(), 2U);
}

TEST_F(Auth, TooMuchThatWaitsEndsTheLeg) {
  server.receive(request_of("alice", "ssh-connection", "none"));
  for (int i = 0; i < 2000; ++i) server.receive(request_of("alice", "ssh-connection", "none"));
  EXPECT_THAT(server_host.ended, HasSubstr("too many requests"));
}

TEST_F(Auth, ABannerIsRelayed) {
  server.banner("Authorised use only\r\n");
  converse();
  EXPECT_EQ(client_host.said, "Authorised use only\r\n");
}

TEST_F(Auth, AnAnswerToNothingEndsTheTargetsLeg) {
  for (const char* message : {"\x34", "\x33", "\x3c", "\x3d", "\x06"}) {
    ClientHost host;
    AuthClient fresh(host);
    fresh.begin("alice", as_bytes("id"), {});
    fresh.receive(as_bytes(std::string("\x06\0\0\0\x0cssh-userauth", 17)));
    ASSERT_TRUE(host.is_ready);
    fresh.receive(as_bytes(message));
    EXPECT_FALSE(host.ended.empty()) << static_cast<int>(message[0]);
    EXPECT_FALSE(host.is_in);
  }
}

TEST_F(Auth, ATargetThatAskedWaitsForTheAnswer) {
  for (const std::string& message : {std::string("\x34"), std::string("\x33\0\0\0\0\0", 6), std::string("\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17)}) {
    ClientHost host;
    AuthClient fresh(host);
    fresh.begin("alice", as_bytes("id"), {});
    fresh.receive(as_bytes(std::string("\x06\0\0\0\x0cssh-userauth", 17)));
    fresh.try_interactive();
    fresh.receive(as_bytes(std::string("\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17)));
    ASSERT_EQ(host.title, "/") << host.ended;
    fresh.receive(as_bytes(message));
    EXPECT_FALSE(host.ended.empty());
    EXPECT_FALSE(host.is_in);
    EXPECT_EQ(host.refusals, 0);
  }
}

TEST_F(Auth, Message60IsWhatWasAskedFor) {
  client.try_password(secret("fake-password"));
  client.receive(as_bytes(std::string("\x3c\0\0\0\3new\0\0\0\0", 12)));
  EXPECT_EQ(client_host.change, "new");
  ASSERT_TRUE(client.try_key(test_key(KeyType::kEd25519), {}));
  client.receive(as_bytes(std::string("\x3c\0\0\0\3new\0\0\0\0", 12)));
  EXPECT_THAT(client_host.ended, HasSubstr("message 60"));
}

}  // namespace
}  // namespace weir::ssh::testing
