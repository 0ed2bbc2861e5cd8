// Client certificates on the client leg: asked for, verified against the one CA, and told to whom it concerns.
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "transport/peer_certificate.h"
#include "transport/tls_test_support.h"

namespace weir::transport {
namespace {

using namespace testing;

struct Certificates : Lab {
  Pair client_ca = make_pair({.common_name = "Client CA", .is_ca = true});
  Sink sink;
  TransportPtr leg;

  Certificates() {
    folder.write("client-ca.crt", certificate_pem(client_ca.certificate.get()), 0644);
    tls().client_ca_file = folder / "client-ca.crt";
    config.targets.front().admit = Admit::kCredential;
  }
  Pair leaf(const std::string& usage = "clientAuth", const std::string& names = "URI:spiffe://lab.example/agents/x", const Pair* issuer = nullptr,
            sys_seconds until = real_now() + std::chrono::hours(1)) {
    Pair made = make_pair({.common_name = "client", .names = names, .issuer = issuer != nullptr ? issuer : &client_ca, .until = until});
    EXPECT_TRUE(add_extension(made.certificate.get(), client_ca.certificate.get(), NID_key_usage, "critical,digitalSignature"));
    EXPECT_TRUE(add_extension(made.certificate.get(), client_ca.certificate.get(), NID_ext_key_usage, usage));
    const Pair& signer = issuer != nullptr ? *issuer : client_ca;
    EXPECT_GT(X509_sign(made.certificate.get(), signer.key.get(), EVP_sha256()), 0);
    return made;
  }
  // The gateway's leg after a client has tried with that pair (null: none).
  Transport& meet(const Pair* pair) {
    leg = client_leg();
    Peer client(TlsRole::kClient, [pair](SSL_CTX* context) { if (pair != nullptr) shows(context, *pair); });
    leg->start(sink);
    client.step();
    converse(*leg, sink, client);
    return *leg;
  }
};

TEST(ClientCertificate, AVerifiedOneIsDescribed) {
  Certificates lab;
  const Pair pair = lab.leaf("clientAuth", "URI:spiffe://lab.example/agents/x,email:ann@example");
  Transport& leg = lab.meet(&pair);
  ASSERT_EQ(leg.state(), Transport::State::kReady) << leg.fault();
  const PeerCertificate* told = leg.peer_certificate();
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->uris, std::vector<std::string>{"spiffe://lab.example/agents/x"});
  EXPECT_EQ(told->emails, std::vector<std::string>{"ann@example"});
  EXPECT_EQ(told->common_name, "client");
  EXPECT_EQ(told->fingerprint.size(), 64U);
  EXPECT_TRUE(told->has_key_usage && told->may_sign);
  EXPECT_FALSE(told->is_ca || told->may_certify || told->has_odd_names);
  EXPECT_EQ(told->expires, not_after_of(pair.certificate.get()));
}

TEST(ClientCertificate, WithoutOneATokenIsStillPossible) {
  Certificates lab;
  Transport& leg = lab.meet(nullptr);
  EXPECT_EQ(leg.state(), Transport::State::kReady) << leg.fault();
  EXPECT_EQ(leg.peer_certificate(), nullptr);
}

TEST(ClientCertificate, WhereNothingElseCountsOneIsDemanded) {
  Certificates lab;
  lab.config.targets.front().wire_token = WireToken::kNone;
  Transport& leg = lab.meet(nullptr);
  EXPECT_EQ(leg.state(), Transport::State::kFault);
  EXPECT_TRUE(leg.has_refused_certificate());
  EXPECT_NE(leg.fault().find("showed no certificate"), std::string::npos) << leg.fault();
}

TEST(ClientCertificate, ForeignExpiredAndServersOnesAreRefused) {
  Certificates lab;
  const Pair stranger = make_pair({.common_name = "Stranger CA", .is_ca = true});
  const Pair foreign = lab.leaf("clientAuth", "URI:spiffe://lab.example/agents/x", &stranger);
  EXPECT_NE(lab.meet(&foreign).fault().find("client_ca_file"), std::string::npos) << lab.leg->fault();
  EXPECT_TRUE(lab.leg->has_refused_certificate());
  const Pair old = lab.leaf("clientAuth", "URI:spiffe://lab.example/agents/x", nullptr, real_now() - std::chrono::minutes(5));
  EXPECT_NE(lab.meet(&old).fault().find("expired"), std::string::npos) << lab.leg->fault();
  const Pair server = lab.leaf("serverAuth");
  EXPECT_NE(lab.meet(&server).fault().find("not for clients"), std::string::npos) << lab.leg->fault();
  EXPECT_EQ(lab.leg->peer_certificate(), nullptr);
}

TEST(ClientCertificate, ARevokedOneIsRefused) {
  Certificates lab;
  const Pair pair = lab.leaf(), other = lab.leaf();
  X509_CRL* crl = X509_CRL_new();
  X509_CRL_set_version(crl, 1);
  X509_CRL_set_issuer_name(crl, X509_get_subject_name(lab.client_ca.certificate.get()));
  ASN1_TIME* time = ASN1_TIME_set(nullptr, ::time(nullptr) - 60);
  X509_CRL_set1_lastUpdate(crl, time);
  ASN1_TIME_set(time, ::time(nullptr) + 3600);
  X509_CRL_set1_nextUpdate(crl, time);
  X509_REVOKED* revoked = X509_REVOKED_new();
  X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(pair.certificate.get()));
  X509_REVOKED_set_revocationDate(revoked, time);
  X509_CRL_add0_revoked(crl, revoked);
  X509_CRL_sort(crl);
  X509_CRL_sign(crl, lab.client_ca.key.get(), EVP_sha256());
  lab.folder.write("client.crl", pem_text([crl](BIO* bio) { return PEM_write_bio_X509_CRL(bio, crl); }), 0644);
  ASN1_TIME_free(time);
  X509_CRL_free(crl);
  lab.tls().client_crl_file = lab.folder / "client.crl";
  EXPECT_NE(lab.meet(&pair).fault().find("revoked"), std::string::npos) << lab.leg->fault();
  EXPECT_EQ(lab.meet(&other).state(), Transport::State::kReady) << lab.leg->fault();
}

TEST(ClientCertificate, NobodyIsAskedWhereAddressesCount) {
  Certificates lab;
  lab.config.targets.front().admit = Admit::kAddress;
  const Pair pair = lab.leaf("serverAuth");
  EXPECT_EQ(lab.meet(&pair).state(), Transport::State::kReady) << lab.leg->fault();
  EXPECT_EQ(lab.leg->peer_certificate(), nullptr);
}

}  // namespace
}  // namespace weir::transport
