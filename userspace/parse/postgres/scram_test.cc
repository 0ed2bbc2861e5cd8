#include "parse/postgres/scram.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "parse/postgres/auth.h"
#include "base/base64.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

class SetRandom final : public RandomSource {
 public:
  explicit SetRandom(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  void fill(MutableBytes out) override {
    for (std::byte& b : out) b = bytes_[at_++ % bytes_.size()];
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
};

SetRandom counting() {
  std::vector<std::byte> bytes(64);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return SetRandom(bytes);
}

TEST(Scram, TheServersFirstMessageCarriesBothNoncesTheSaltAndTheRounds) {
  std::vector<std::byte> salt_and_nonce = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").value();
  salt_and_nonce.resize(16 + 18, std::byte{'?'});
  SetRandom random(salt_and_nonce);
  ScramServer server;
  server.begin("pencil", true, {}, random);
  std::string reply;
  ASSERT_TRUE(server.first(kScram, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", reply));
  EXPECT_EQ(reply, "r=rOprNGfwEbeRWgbNEkqO" + base64(as_bytes(std::string(18, '?'))) + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  for (const char* bad : {"", "n", "n,", "n,,", "n,,r=abc", "n,a=alice,n=,r=abc", "p=tls-unique,,n=,r=abc", "x,,n=,r=abc", "n,,n=,r=", "n,,n=,r=\x01"}) {
    EXPECT_FALSE(server.first(kScram, bad, reply)) << bad;
  }
}

struct Outcome { ScramServer::Proof proof; bool is_verified; };
Outcome exchange(std::string_view server_password, std::string_view client_password, bool is_known, ScramClient::Binding binding,
                 std::string_view server_hash, std::string_view client_hash) {
  SetRandom server_random = counting(), client_random = counting();
  ScramServer server;
  ScramClient client;
  server.begin(server_password, is_known, as_bytes(server_hash), server_random);
  const bool plus = binding == ScramClient::Binding::kUsed;
  std::string reply;
  if (!server.first(plus ? kScramPlus : kScram, client.first(client_password, binding, as_bytes(client_hash), client_random), reply)) {
    return {ScramServer::Proof::kMalformed, false};
  }
  std::string last, final;
  if (!client.proof(reply, last)) return {ScramServer::Proof::kMalformed, false};
  const ScramServer::Proof proof = server.final(last, final);
  return {proof, proof == ScramServer::Proof::kProven && client.verify(final)};
}

TEST(Scram, BothEndsAgreeWithTheSamePassword) {
  const Outcome plain = exchange("secret-fake", "secret-fake", true, ScramClient::Binding::kNone, "", "");
  EXPECT_EQ(plain.proof, ScramServer::Proof::kProven);
  EXPECT_TRUE(plain.is_verified);
  const Outcome bound = exchange("secret-fake", "secret-fake", true, ScramClient::Binding::kUsed, "hash", "hash");
  EXPECT_EQ(bound.proof, ScramServer::Proof::kProven);
  EXPECT_TRUE(bound.is_verified);
}

TEST(Scram, AWrongPasswordAnUnknownLoginAndAForeignCertificateFail) {
  EXPECT_EQ(exchange("secret-fake", "other-fake", true, ScramClient::Binding::kNone, "", "").proof, ScramServer::Proof::kWrong);
  EXPECT_EQ(exchange("secret-fake", "secret-fake", false, ScramClient::Binding::kNone, "", "").proof, ScramServer::Proof::kWrong);
  EXPECT_EQ(exchange("secret-fake", "secret-fake", true, ScramClient::Binding::kUsed, "hash", "another").proof, ScramServer::Proof::kMalformed);
  // "Could bind, was not offered", said to a server that did offer it: somebody stands between.
  EXPECT_EQ(exchange("secret-fake", "secret-fake", true, ScramClient::Binding::kNotOffered, "hash", "").proof, ScramServer::Proof::kMalformed);
  EXPECT_EQ(exchange("secret-fake", "secret-fake", true, ScramClient::Binding::kUsed, "", "hash").proof, ScramServer::Proof::kMalformed);
}

TEST(Scram, TheServersSignatureAndBoundsAreChecked) {
  for (const char* first : {"r=short,s=AAAA,i=4096", "r=@x,s=AAAA,i=1000", "r=@x,s=AAAA,i=4000000", "r=@x,s=!!!!,i=4096", "r=@,s=AAAA,i=4096",
                            "r=@x,i=4096", "m=ext,r=@x,s=AAAA,i=4096", ""}) {
    SetRandom random = counting();
    ScramClient client;
    const std::string ours = client.first("secret-fake", ScramClient::Binding::kNone, {}, random);
    std::string text = first;
    if (const std::size_t at = text.find('@'); at != std::string::npos) text.replace(at, 1, ours.substr(ours.find("r=") + 2));
    std::string reply;
    EXPECT_FALSE(client.proof(text, reply)) << first;
    EXPECT_FALSE(client.verify("v=AAAA")) << first;
  }
  SetRandom random = counting();
  ScramClient client;
  const std::string ours = client.first("secret-fake", ScramClient::Binding::kNone, {}, random);
  std::string reply;
  ASSERT_TRUE(client.proof("r=" + ours.substr(ours.find("r=") + 2) + "x,s=AAAA,i=4096", reply));
  EXPECT_FALSE(client.verify("v=" + base64(as_bytes(std::string(32, 'z')))));
  EXPECT_FALSE(client.verify("e=other-error"));
}

TEST(TargetAuth, APasswordGoesInClearOnlyOverTls) {
  const LoginSecret secret{"a", "b", "target-fake", "client-fake"};
  SetRandom random = counting();
  MessageWriter out, request;
  request.u32(auth_code::kCleartext);
  TargetAuth auth;
  auth.begin(&secret, false, {}, &random);
  EXPECT_EQ(auth.answer(request.bytes(), out), TargetAuth::Result::kRefused);
  EXPECT_TRUE(out.empty());
  auth.begin(&secret, true, {}, &random);
  EXPECT_EQ(auth.answer(request.bytes(), out), TargetAuth::Result::kAnswered);
  EXPECT_NE(as_text(out.bytes()).find("target-fake"), std::string_view::npos);
}

TEST(TargetAuth, AnOkWithoutTheScramSignatureIsRefused) {
  const LoginSecret secret{"a", "b", "target-fake", "client-fake"};
  SetRandom random = counting();
  MessageWriter out, request, ok;
  request.u32(auth_code::kSasl);
  request.c_string(kScram);
  request.u8(0);
  ok.u32(auth_code::kOk);
  TargetAuth auth;
  auth.begin(&secret, false, {}, &random);
  EXPECT_EQ(auth.answer(request.bytes(), out), TargetAuth::Result::kAnswered);
  EXPECT_EQ(auth.answer(ok.bytes(), out), TargetAuth::Result::kRefused);
}

TEST(TargetAuth, BindsWhenTheTargetOffersItOverTls) {
  const LoginSecret secret{"a", "b", "target-fake", "client-fake"};
  const std::string hash = "certificate";
  for (const bool is_tls : {true, false}) {
    SetRandom random = counting();
    MessageWriter out, request;
    request.u32(auth_code::kSasl);
    request.c_string(kScramPlus);
    request.c_string(kScram);
    request.u8(0);
    TargetAuth auth;
    auth.begin(&secret, is_tls, is_tls ? as_bytes(hash) : Bytes{}, &random);
    EXPECT_EQ(auth.answer(request.bytes(), out), TargetAuth::Result::kAnswered);
    EXPECT_EQ(as_text(out.bytes()).find("SCRAM-SHA-256-PLUS") != std::string_view::npos, is_tls);
  }
}

// echo -n "md5$(echo -n "$(echo -n 'md5-fakeapp' | md5sum | cut -c1-32)abcd" | md5sum | cut -c1-32)"
TEST(TargetAuth, Md5IsWhatTheServerCompares) {
  EXPECT_EQ(md5_answer("md5-fake", "app", as_bytes("abcd")), "md57eb779f28bb297e781ac5a42234d2181");
}

}  // namespace
}  // namespace weir::postgres
