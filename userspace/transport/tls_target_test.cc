// What the target leg accepts, and how it says why not.
#include <gmock/gmock.h>

#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using State = Transport::State;

struct Outcome {
  State state;
  std::string fault, described, hash;
};

Outcome meet(Lab& lab, const Pair& pair, const std::string& dialled = "198.18.2.2",
             const std::function<void(SSL_CTX*)>& more = {}) {
  auto leg = lab.target_leg(dialled);
  Peer server(TlsRole::kServer, [&](SSL_CTX* c) {
    SSL_CTX_set_security_level(c, 0);
    shows(c, pair);
    if (more) more(c);
  });
  Sink sink;
  leg->start(sink);
  converse(*leg, sink, server);
  EXPECT_EQ(sink.plain_text, "");
  return {leg->state(), leg->fault(), leg->describe(), std::string(as_text(leg->peer_certificate_hash()))};
}

TEST(TlsTargetLeg, AnotherNameIsRefusedAndBothNamesAreSaid) {
  Lab lab;
  const Outcome outcome = meet(lab, lab.target_pair("DNS:other.example,DNS:third.example"));
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, AllOf(HasSubstr("is for other.example, third.example, expected orders-db.lab.example"),
                                   HasSubstr("tls.server_name")));
}

TEST(TlsTargetLeg, WithoutAServerNameTheDialledAddressIsExpected) {
  Lab lab;
  lab.tls().server_name.clear();
  EXPECT_EQ(meet(lab, lab.target_pair("IP:198.18.2.2")).state, State::kReady);
  EXPECT_EQ(meet(lab, lab.target_pair("IP:fd57:2::2"), "fd57:2::2").state, State::kReady);
  const Outcome wrong = meet(lab, lab.target_pair("IP:198.18.2.3"));
  EXPECT_EQ(wrong.state, State::kFault);
  EXPECT_THAT(wrong.fault, HasSubstr("is for 198.18.2.3, expected 198.18.2.2"));
}

TEST(TlsTargetLeg, AnyOfTheTargetsNamesIsEnough) {
  Lab lab;
  lab.tls().server_name.clear();
  lab.config.targets.front().names = {"a.example", "b.example"};
  EXPECT_EQ(meet(lab, lab.target_pair("DNS:b.example")).state, State::kReady);
  EXPECT_EQ(meet(lab, lab.target_pair("DNS:c.example")).state, State::kFault);
}

TEST(TlsTargetLeg, ACommonNameIsEnoughWhereThereAreNoAlternatives) {
  Lab lab;
  EXPECT_EQ(meet(lab, make_pair({.common_name = "orders-db.lab.example", .issuer = &lab.ca})).state, State::kReady);
}

TEST(TlsTargetLeg, AnUnknownCaIsRefusedAndNamed) {
  Lab lab;
  const Pair other = make_pair({.common_name = "Rogue CA", .is_ca = true});
  const Outcome outcome = meet(lab, make_pair({.names = "DNS:orders-db.lab.example", .issuer = &other}));
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, AllOf(HasSubstr("CN=Rogue CA"), HasSubstr("target-ca.crt"), HasSubstr("tls.ca_file")));
}

TEST(TlsTargetLeg, ASelfSignedCertificateIsRefusedUnlessItIsInTheFile) {
  Lab lab;
  const Pair self = make_pair({.names = "DNS:orders-db.lab.example"});
  const Outcome outcome = meet(lab, self);
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, HasSubstr("signed by itself"));
  lab.tls().ca_file = lab.folder.write("pinned.crt", certificate_pem(self.certificate.get()));
  EXPECT_EQ(meet(lab, self).state, State::kReady);
}

TEST(TlsTargetLeg, AnExpiredCertificateIsRefusedWithItsDate) {
  Lab lab;
  const Outcome outcome = meet(lab, make_pair({.names = "DNS:orders-db.lab.example",
                                               .issuer = &lab.ca,
                                               .from = sys_seconds(std::chrono::seconds(1'600'000'000)),
                                               .until = sys_seconds(std::chrono::seconds(1'600'000'060))}));
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, HasSubstr("expired on 2020-09-13T12:27:40Z"));
}

TEST(TlsTargetLeg, ACertificateOfTheFutureIsRefused) {
  Lab lab;
  const Outcome outcome = meet(lab, make_pair({.names = "DNS:orders-db.lab.example",
                                               .issuer = &lab.ca,
                                               .from = real_now() + std::chrono::hours(2),
                                               .until = real_now() + std::chrono::hours(3)}));
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, HasSubstr("clock behind"));
}

TEST(TlsTargetLeg, VerifyCaAcceptsAnyNameOfThatCaAndNoOther) {
  Lab lab;
  lab.tls().to_target = VerifyMode::kVerifyCa;
  const Outcome good = meet(lab, lab.target_pair("DNS:other.example"));
  EXPECT_EQ(good.state, State::kReady);
  EXPECT_THAT(good.described, HasSubstr("name not verified"));
  EXPECT_EQ(meet(lab, make_pair({.names = "DNS:orders-db.lab.example"})).state, State::kFault);
}

TEST(TlsTargetLeg, RequireAcceptsAnyCertificateAndSaysSo) {
  Lab lab;
  lab.tls().to_target = VerifyMode::kRequire;
  const Outcome outcome = meet(lab, make_pair({.names = "DNS:other.example"}));
  EXPECT_EQ(outcome.state, State::kReady);
  EXPECT_THAT(outcome.described, HasSubstr("certificate not verified"));
}

TEST(TlsTargetLeg, NamesInACertificateAreEscaped) {
  Lab lab;
  const Outcome outcome = meet(lab, make_pair({.common_name = "evil\x1b[31m\nname", .issuer = &lab.ca}));
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, AllOf(HasSubstr("evil"), Not(HasSubstr("\x1b")), Not(HasSubstr("\n"))));
}

TEST(TlsTargetLeg, ATargetThatWantsAClientCertificateIsNamed) {
  Lab lab;
  const Outcome outcome = meet(lab, lab.target_pair(), "198.18.2.2", [](SSL_CTX* c) {
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  });
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, HasSubstr("client certificate, which this gateway has not"));
}

TEST(TlsTargetLeg, AnOldTargetIsNamed) {
  Lab lab;
  const Outcome outcome = meet(lab, lab.target_pair(), "198.18.2.2", [](SSL_CTX* c) {
    SSL_CTX_set_min_proto_version(c, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_1_VERSION);
  });
  EXPECT_EQ(outcome.state, State::kFault);
  EXPECT_THAT(outcome.fault, HasSubstr("no TLS version from 1.2 up"));
}

TEST(TlsTargetLeg, PeerHashFollowsTheSignatureAlgorithm) {  // RFC 5929 section 4.1
  struct {
    const EVP_MD* signature;
    const EVP_MD* hash;
  } const cases[] = {
      {EVP_sha256(), EVP_sha256()}, {EVP_sha384(), EVP_sha384()}, {EVP_sha512(), EVP_sha512()}, {EVP_sha1(), EVP_sha256()}};
  for (const auto& each : cases) {
    Lab lab;
    lab.tls().to_target = VerifyMode::kRequire;
    const Pair pair = make_pair({.digest = each.signature});
    unsigned char expected[64];
    unsigned size = 0;
    X509_digest(pair.certificate.get(), each.hash, expected, &size);
    const Outcome outcome = meet(lab, pair);
    EXPECT_EQ(outcome.state, State::kReady) << outcome.fault;
    EXPECT_EQ(outcome.hash, std::string(reinterpret_cast<char*>(expected), size)) << EVP_MD_get0_name(each.signature);
  }
}

TEST(TlsTargetLeg, PeerHashIsEmptyWhereTheRfcDefinesNone) {
  Lab lab;
  lab.tls().to_target = VerifyMode::kRequire;
  const Outcome outcome =
      meet(lab, make_pair({.key = PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")), .digest = nullptr}));
  EXPECT_EQ(outcome.state, State::kReady) << outcome.fault;
  EXPECT_EQ(outcome.hash, "");
}

TEST(TlsTargetLeg, SendsTheServerNameItExpects) {
  Lab lab;
  auto leg = lab.target_leg();
  const Pair pair = lab.target_pair();
  Peer server(TlsRole::kServer, [&](SSL_CTX* c) { shows(c, pair); });
  Sink sink;
  leg->start(sink);
  converse(*leg, sink, server);
  ASSERT_EQ(leg->state(), State::kReady);
  EXPECT_STREQ(SSL_get_servername(server.ssl(), TLSEXT_NAMETYPE_host_name), "orders-db.lab.example");
}

}  // namespace
}  // namespace weir::transport::testing
