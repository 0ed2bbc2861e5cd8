// Credentials on the wire: whom a certificate names, one token one address, revocation, the desk's thread.
#include "identify/wire_credentials.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "identify/certificates.h"
#include "identify/credential_thread.h"
#include "identify/token_test_support.h"
#include "store/memory_store.h"

namespace weir::identify {
namespace {

using testing::Folder;
using testing::kNow;

const Address kHere = *Address::parse("198.18.1.2");
const Address kThere = *Address::parse("198.18.1.3");

PeerCertificate svid(std::string uri = "spiffe://lab.example/agents/report") {
  PeerCertificate certificate;
  certificate.uris = {std::move(uri)};
  certificate.serial = "0A";
  certificate.fingerprint = "ab12";
  certificate.issuer = "CN=wire CA";
  certificate.expires = kNow + std::chrono::hours(1);
  certificate.has_key_usage = certificate.may_sign = true;
  return certificate;
}

CertificatesConfig spiffe_config() {
  CertificatesConfig config;
  config.trust_domain = "lab.example";
  config.groups = {{"/agents/*", {"agents"}}, {"*", {"all"}}};
  config.is_configured = true;
  return config;
}

std::string refusal(const PeerCertificate& certificate, const CertificatesConfig& config = spiffe_config()) {
  const auto identity = identity_of(certificate, config);
  return identity ? "accepted" : identity.error().message;
}

TEST(Certificates, ASpiffeIdIsAWorkload) {
  const auto identity = identity_of(svid(), spiffe_config());
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->subject, "svc:agents/report");
  EXPECT_EQ(identity->groups, (std::vector<std::string>{"agents", "all"}));
  EXPECT_EQ(identity->assurance, Assurance::kWorkload);
  EXPECT_EQ(identity->expires, kNow + std::chrono::hours(1));
  EXPECT_TRUE(identity->is_on_wire);
  EXPECT_EQ(identity->certificate_serial + identity->certificate_fingerprint, "0Aab12");
}

TEST(Certificates, WhatIsAmbiguousOrForeignIsRefused) {
  PeerCertificate two = svid();
  two.uris.push_back("https://x.example/");
  EXPECT_NE(refusal(two).find("2 URIs"), std::string::npos);
  EXPECT_NE(refusal(svid("spiffe://other.example/agents/report")).find("trust domain other.example"), std::string::npos);
  EXPECT_NE(refusal(svid("https://lab.example/agents/report")).find("scheme"), std::string::npos);
  PeerCertificate authority = svid();
  authority.is_ca = true;
  EXPECT_NE(refusal(authority).find("authority"), std::string::npos);
  PeerCertificate signs_others = svid();
  signs_others.may_certify = true;
  EXPECT_NE(refusal(signs_others).find("authority"), std::string::npos);
  PeerCertificate no_usage = svid();
  no_usage.has_key_usage = no_usage.may_sign = false;
  EXPECT_NE(refusal(no_usage).find("digitalSignature"), std::string::npos);
  PeerCertificate odd = svid();
  odd.has_odd_names = true;
  EXPECT_NE(refusal(odd).find("do not print"), std::string::npos);
  PeerCertificate none = svid();
  none.uris.clear();
  EXPECT_NE(refusal(none).find("no URI"), std::string::npos);
  EXPECT_NE(refusal(svid(), CertificatesConfig{}).find("names none"), std::string::npos);
}

TEST(Certificates, SpiffeIdsAreReadToTheLetter) {
  for (const char* good : {"spiffe://a/b", "spiffe://lab.example/x/y-z_1.2", "spiffe://lab.example/A"}) EXPECT_TRUE(parse_spiffe_id(good)) << good;
  for (const char* bad : {"", "spiffe://", "spiffe://lab.example", "spiffe://lab.example/", "spiffe://lab.example/a/", "spiffe://lab.example//a", "spiffe://lab.example/..",
                          "spiffe://lab.example/./a", "spiffe://Lab.example/a", "spiffe://lab.example:8443/a", "spiffe://u@lab.example/a", "spiffe://lab.example/a?b",
                          "spiffe://lab.example/a#b", "spiffe://lab.example/a%2fb", "SPIFFE://lab.example/a", "spiffe://lab.example/a b"}) {
    EXPECT_FALSE(parse_spiffe_id(bad)) << bad;
  }
  EXPECT_FALSE(parse_spiffe_id("spiffe://lab.example/" + std::string(3000, 'a')));
}

TEST(Certificates, OtherNamesByTheMapping) {
  PeerCertificate certificate = svid();
  certificate.uris.clear();
  certificate.emails = {"ann@example"};
  certificate.common_name = "{trust_domain}";
  CertificatesConfig config = spiffe_config();
  config.from = CertificatesConfig::From::kEmail;
  config.name_subject = "user:{name}";
  auto identity = identity_of(certificate, config);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->subject, "user:ann@example");
  EXPECT_EQ(identity->assurance, Assurance::kCredential);
  certificate.emails.push_back("root@example");
  EXPECT_NE(refusal(certificate, config).find("2 of what"), std::string::npos);
  config.from = CertificatesConfig::From::kCommonName;
  identity = identity_of(certificate, config);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->subject, "user:{trust_domain}") << "what a certificate says is no template";
}

struct Wire {
  std::shared_ptr<store::SharedMemory> shared = std::make_shared<store::SharedMemory>();
  store::MemoryStore store{"gw-1", shared}, other_store{"gw-2", shared};
  std::unique_ptr<BindingTable> table = *BindingTable::open(store, {}, kNow);
  WireCredentials known{*table, 4};

  static VerifiedToken token(const std::string& subject, const std::string& id) {
    VerifiedToken made;
    made.issuer = "lab-idp";
    made.subject = subject;
    made.token_id = id;
    made.key = "lab-idp " + id;
    made.expires = kNow + std::chrono::hours(1);
    return made;
  }
};

TEST(WireCredentials, OneTokenOneAddressOneId) {
  Wire wire;
  const CredentialAnswer first = wire.known.admit(Wire::token("ann", "1"), kHere, kNow);
  ASSERT_EQ(first.result, CredentialResult::kAccepted) << first.text;
  EXPECT_EQ(first.identity->assurance, Assurance::kCredential);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).identity->binding_id, first.identity->binding_id);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kThere, kNow).result, CredentialResult::kElsewhere);
  const CredentialAnswer second = wire.known.admit(Wire::token("bob", "2"), kHere, kNow);
  ASSERT_EQ(second.result, CredentialResult::kAccepted) << "several identities at one address";
  EXPECT_NE(second.identity->binding_id, first.identity->binding_id);
  EXPECT_EQ(wire.table->find(kHere, kNow), nullptr) << "no address is bound by it";
}

TEST(WireCredentials, WhereItWasUsedOutlivesTheProcess) {
  Wire wire;
  ASSERT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kAccepted);
  auto again = *BindingTable::open(wire.store, {}, kNow);
  WireCredentials known(*again, 4);
  EXPECT_EQ(known.admit(Wire::token("ann", "1"), kThere, kNow).result, CredentialResult::kElsewhere);
  EXPECT_EQ(known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kAccepted);
}

TEST(WireCredentials, OneTokenOneAddressOverAllGatewaysOfAStore) {
  Wire wire;
  BindingTable::Options options;
  options.gateway = "gw-2";
  auto table = *BindingTable::open(wire.other_store, options, kNow);
  WireCredentials other(*table, 4);
  const uint64_t first = wire.known.admit(Wire::token("ann", "1"), kHere, kNow).identity->binding_id;
  EXPECT_EQ(other.admit(Wire::token("ann", "1"), kThere, kNow).result, CredentialResult::kElsewhere);
  EXPECT_EQ(table->bind(Wire::token("ann", "1"), kThere, kNow)->kind, BindOutcome::Kind::kTokenElsewhere);
  const CredentialAnswer here = other.admit(Wire::token("ann", "1"), kHere, kNow);
  ASSERT_EQ(here.result, CredentialResult::kAccepted) << here.text;
  EXPECT_NE(here.identity->binding_id, first) << "no id is given twice";
  ASSERT_EQ(wire.known.revoke("ann", kNow)->size(), 1U);
  EXPECT_EQ(other.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kRevoked);
}

TEST(WireCredentials, WhatOneGatewayRevokesIsOutOfForceAtTheOthers) {
  Wire wire;
  BindingTable::Options options;
  options.gateway = "gw-2";
  auto table = *BindingTable::open(wire.other_store, options, kNow);
  WireCredentials other(*table, 4);
  const uint64_t ann = wire.known.admit(Wire::token("ann", "1"), kHere, kNow).identity->binding_id;
  const uint64_t robot = wire.known.admit(*identity_of(svid(), spiffe_config()), key_of(svid()), kHere, kNow).identity->binding_id;
  // The other one never saw them.
  ASSERT_EQ(other.fitting("ann", kNow).size(), 1U);
  EXPECT_EQ(other.fitting("ann", kNow).front().identity->binding_id, 0U);
  ASSERT_EQ(other.revoke("ann", kNow)->size(), 1U);
  ASSERT_EQ(other.revoke("ab12", kNow)->size(), 1U) << "a certificate, by its fingerprint";
  EXPECT_TRUE(other.fitting("ann", kNow).empty()) << "once";
  const auto foreign = wire.table->take_foreign();
  ASSERT_EQ(foreign.revoked_on_wire.size(), 2U);
  const auto ended = wire.known.take_out(foreign.revoked_on_wire);
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[0].identity->binding_id, ann);
  EXPECT_EQ(ended[1].identity->binding_id, robot);
  EXPECT_FALSE(wire.known.is_in_force(ann));
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kRevoked);
  EXPECT_TRUE(wire.table->take_foreign().revoked_on_wire.empty());
}

TEST(WireCredentials, WhatAnEarlierRunSawIsRevokedByItsSubject) {
  Wire wire;
  ASSERT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kAccepted);
  ASSERT_EQ(wire.known.admit(Wire::token("bob", "2"), kHere, kNow).result, CredentialResult::kAccepted);
  auto again = *BindingTable::open(wire.store, {}, kNow);
  WireCredentials known(*again, 4);
  const auto revoked = known.revoke("ann", kNow);
  ASSERT_TRUE(revoked);
  ASSERT_EQ(revoked->size(), 1U);
  EXPECT_EQ(revoked->front().identity->subject, "ann");
  EXPECT_EQ(known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kRevoked);
  EXPECT_EQ(known.admit(Wire::token("bob", "2"), kHere, kNow).result, CredentialResult::kAccepted);
}

TEST(WireCredentials, WhatTheStoreDoesNotTakeIsNotAccepted) {
  Wire wire;
  ASSERT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kAccepted);
  wire.shared->refuse_writes = true;
  EXPECT_EQ(wire.known.admit(Wire::token("bob", "2"), kHere, kNow).result, CredentialResult::kBusy);
  EXPECT_FALSE(wire.known.revoke("ann", kNow));
  wire.shared->refuse_writes = false;
  EXPECT_EQ(wire.known.revoke("ann", kNow)->size(), 1U);
}

TEST(WireCredentials, ATokenBindsAndProvesAtOneAddressAlone) {
  Wire wire;
  ASSERT_TRUE(wire.table->bind(Wire::token("ann", "1"), kHere, kNow)->is_bound());
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kThere, kNow).result, CredentialResult::kElsewhere);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kAccepted);
  ASSERT_EQ(wire.known.admit(Wire::token("bob", "2"), kHere, kNow).result, CredentialResult::kAccepted);
  EXPECT_EQ(wire.table->bind(Wire::token("bob", "2"), kThere, kNow)->kind, BindOutcome::Kind::kTokenElsewhere);
}

TEST(WireCredentials, RevokingOneLeavesTheOthersAtItsAddress) {
  Wire wire;
  ASSERT_TRUE(wire.table->bind(Wire::token("ann", "0"), kHere, kNow)->is_bound());
  const uint64_t ann = wire.known.admit(Wire::token("ann", "1"), kHere, kNow).identity->binding_id;
  const uint64_t bob = wire.known.admit(Wire::token("bob", "2"), kHere, kNow).identity->binding_id;
  EXPECT_EQ(wire.known.revoke("nobody", kNow)->size(), 0U);
  EXPECT_EQ(wire.known.revoke("1", kNow)->size(), 1U) << "by token id";
  EXPECT_FALSE(wire.known.is_in_force(ann));
  EXPECT_TRUE(wire.known.is_in_force(bob));
  ASSERT_EQ(wire.table->revoke("ann", kNow)->size(), 1U) << "the binding of the address";
  EXPECT_EQ(wire.known.admit(Wire::token("bob", "2"), kHere, kNow).result, CredentialResult::kAccepted);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kRevoked);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "0"), kHere, kNow).result, CredentialResult::kRevoked) << "revoked as a binding's";
  auto again = *BindingTable::open(wire.store, {}, kNow);
  WireCredentials known(*again, 4);
  EXPECT_EQ(known.admit(Wire::token("ann", "1"), kHere, kNow).result, CredentialResult::kRevoked) << "after a restart";
}

TEST(WireCredentials, CertificatesMoveAndAreRevokedByFingerprint) {
  Wire wire;
  const Identity identity = *identity_of(svid(), spiffe_config());
  ASSERT_EQ(wire.known.admit(identity, key_of(svid()), kHere, kNow).result, CredentialResult::kAccepted);
  EXPECT_EQ(wire.known.admit(identity, key_of(svid()), kThere, kNow).result, CredentialResult::kAccepted) << "its key proves its holder each time";
  EXPECT_EQ(wire.known.revoke("ab12", kNow)->size(), 1U);
  EXPECT_EQ(wire.known.admit(identity, key_of(svid()), kHere, kNow).result, CredentialResult::kRevoked);
}

TEST(WireCredentials, WhatHasEndedOrIsTooMuchIsRefused) {
  Wire wire;
  VerifiedToken ended = Wire::token("ann", "1");
  ended.expires = kNow;
  EXPECT_EQ(wire.known.admit(ended, kHere, kNow).result, CredentialResult::kToken);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(wire.known.admit(Wire::token("ann", std::to_string(i)), kHere, kNow).result, CredentialResult::kAccepted);
  EXPECT_EQ(wire.known.admit(Wire::token("ann", "9"), kHere, kNow).result, CredentialResult::kBusy);
  wire.known.expire(kNow + std::chrono::hours(2));
  EXPECT_TRUE(wire.known.list(kNow).empty());
}

TEST(WireCredentials, WhatIsMeantToBeATokenIsNoPassword) {
  EXPECT_TRUE(looks_like_token("eyJhbGciOiJub25lIn0.e30."));
  EXPECT_FALSE(looks_like_token("correct horse battery staple"));
  EXPECT_FALSE(looks_like_token("eyJ.only-two"));
}

struct Desk {
  Folder folder;
  testing::Issuer issuer;
  store::MemoryStore store{"gw-1", std::make_shared<store::SharedMemory>()};
  std::unique_ptr<BindingTable> table = *BindingTable::open(store, {}, kNow);
  WireCredentials known{*table, 100};
  std::shared_ptr<TokenVerifier> verifier;
  std::promise<uint64_t> woken;

  Desk() {
    issuer.config.jwks_file = folder / "jwks.json";
    std::ofstream(issuer.config.jwks_file) << issuer.jwks().dump();
    verifier = *TokenVerifier::make({issuer.config});
  }
  CredentialThread::Parts parts() {
    return {[this] { return verifier; }, [] { return std::make_shared<const CertificatesConfig>(spiffe_config()); }, known,
            [this](uint64_t session) { woken.set_value(session); }, [] { return kNow; }};
  }
};

TEST(CredentialThread, VerifiesATokenAndWakesWhoAsked) {
  Desk desk;
  CredentialThread thread(desk.parts());
  CredentialAnswer answer;
  ASSERT_TRUE(thread.ask_token(7, kHere, desk.issuer.token()));
  EXPECT_EQ(desk.woken.get_future().get(), 7U);
  ASSERT_TRUE(thread.take(7, answer));
  EXPECT_EQ(answer.result, CredentialResult::kAccepted) << answer.text;
  EXPECT_EQ(answer.identity->subject, "alice");
  EXPECT_FALSE(thread.take(7, answer)) << "given once";
  EXPECT_TRUE(thread.is_in_force(*answer.identity));
}

TEST(CredentialThread, RefusesATokenThatDoesNotHold) {
  Desk desk;
  CredentialThread thread(desk.parts());
  CredentialAnswer answer;
  auto claims = desk.issuer.claims();
  claims["exp"] = testing::kNowNumber - 3600;
  ASSERT_TRUE(thread.ask_token(7, kHere, desk.issuer.token(claims)));
  desk.woken.get_future().get();
  ASSERT_TRUE(thread.take(7, answer));
  EXPECT_EQ(answer.result, CredentialResult::kToken);
  EXPECT_NE(answer.text.find("expired"), std::string::npos);
}

TEST(CredentialThread, MapsACertificate) {
  Desk desk;
  CredentialThread thread(desk.parts());
  CredentialAnswer answer;
  ASSERT_TRUE(thread.ask_certificate(7, kHere, svid("spiffe://other.example/x")));
  desk.woken.get_future().get();
  ASSERT_TRUE(thread.take(7, answer));
  EXPECT_EQ(answer.result, CredentialResult::kCertificate);
}

TEST(CredentialThread, NobodyIsWokenAfterItWasForgotten) {
  Desk desk;
  CredentialThread thread(desk.parts(), 0);
  EXPECT_FALSE(thread.ask_token(7, kHere, "x")) << "too many wait";
  thread.forget(7);
  CredentialAnswer answer;
  EXPECT_FALSE(thread.take(7, answer));
}

}  // namespace
}  // namespace weir::identify
