#include "transport/tls_contexts.h"

#include <gmock/gmock.h>

#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

using std::chrono::hours;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(Lab& lab, LeafMint* mint, sys_seconds now = real_now()) {
  const auto made = TlsContexts::make(lab.config, mint, now);
  return made ? "" : made.error().message;
}

TEST(TlsContexts, AnOwnPairIsShownWithItsChain) {
  Lab lab;
  const Pair middle = make_pair({.common_name = "Middle", .issuer = &lab.ca, .is_ca = true});
  const Pair own = make_pair({.names = "DNS:orders-db.lab.example", .issuer = &middle});
  lab.tls().certificate_file =
      lab.folder.write("own.crt", certificate_pem(own.certificate.get()) + certificate_pem(middle.certificate.get()), 0644);
  lab.tls().key_file = lab.folder.write("own.key", key_pem(own.key.get()));
  EXPECT_FALSE(needs_leaf_mint(lab.config));
  const TargetTls& tls = lab.make();
  EXPECT_TRUE(tls.client_leg_is_own_pair());
  auto leg = *tls.client_leg();
  Peer client(TlsRole::kClient, [&](SSL_CTX* c) {
    SSL_CTX_load_verify_file(c, (lab.folder / "target-ca.crt").c_str());
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  });
  Sink sink;
  converse(*leg, sink, client);
  EXPECT_TRUE(client.is_ready());
  EXPECT_THAT(leg->describe(), HasSubstr("the target's own certificate"));
}

TEST(TlsContexts, APlainLegHasNone) {
  Lab lab;
  lab.tls().to_client = LegTls::kNone;
  lab.tls().to_target = VerifyMode::kNone;
  const TargetTls& tls = lab.make();
  EXPECT_FALSE(tls.has_client_leg());
  EXPECT_FALSE(tls.has_target_leg());
  EXPECT_TRUE(tls.client_leaf_hash().empty());
  EXPECT_EQ(lab.contexts->find("nobody"), nullptr);
}

TEST(TlsContexts, AKeyThatOthersCanReadIsAnErrorWithTheFix) {
  Lab lab;
  const Pair own = lab.target_pair();
  lab.tls().certificate_file = lab.folder.write("own.crt", certificate_pem(own.certificate.get()), 0644);
  lab.tls().key_file = lab.folder.write("own.key", key_pem(own.key.get()), 0640);
  EXPECT_THAT(error_of(lab, nullptr),
              AllOf(HasSubstr("target orders-db"), HasSubstr("own.key"), HasSubstr("0640"), HasSubstr("chmod 0600")));
}

TEST(TlsContexts, AKeyOfAnotherCertificateIsAnError) {
  Lab lab;
  lab.tls().certificate_file = lab.folder.write("own.crt", certificate_pem(lab.target_pair().certificate.get()), 0644);
  lab.tls().key_file = lab.folder.write("own.key", key_pem(lab.target_pair().key.get()));
  EXPECT_THAT(error_of(lab, nullptr), AllOf(HasSubstr("own.key is not the key of"), HasSubstr("own.crt")));
}

TEST(TlsContexts, HalfAPairIsAnError) {
  Lab lab;
  lab.tls().key_file = lab.folder.write("own.key", key_pem(lab.target_pair().key.get()));
  EXPECT_THAT(error_of(lab, nullptr), HasSubstr("go together"));
}

TEST(TlsContexts, AnEncryptedKeyIsAnErrorAndNobodyIsAsked) {
  Lab lab;
  const Pair own = lab.target_pair();
  lab.tls().certificate_file = lab.folder.write("own.crt", certificate_pem(own.certificate.get()), 0644);
  unsigned char passphrase[] = "not-a-secret";
  lab.tls().key_file = lab.folder.write("own.key", pem_text([&](BIO* b) {
                                          return PEM_write_bio_PrivateKey(b, own.key.get(), EVP_aes_128_cbc(), passphrase,
                                                                          sizeof passphrase - 1, nullptr, nullptr);
                                        }));
  EXPECT_THAT(error_of(lab, nullptr), HasSubstr("is encrypted"));
}

TEST(TlsContexts, EveryFaultIsToldInOneRun) {
  Lab lab;
  lab.tls().ca_file = lab.folder / "missing.crt";
  TargetConfig second = lab.config.targets.front();
  second.name = "second";
  second.tls.ca_file = lab.folder.write("bad.crt", "no certificate", 0644);
  lab.config.targets.push_back(second);
  const std::string error = error_of(lab, nullptr);
  EXPECT_THAT(error,
              AllOf(HasSubstr("target orders-db: tls.to_client needs a certificate"), HasSubstr("missing.crt: No such file"),
                    HasSubstr("target second: "), HasSubstr("bad.crt holds no certificate in PEM form")));
}

TEST(TlsContexts, ADamagedCertificateIsAnError) {
  Lab lab;
  std::string pem = certificate_pem(lab.ca.certificate.get());
  pem[pem.size() / 2] = '!';
  lab.tls().ca_file = lab.folder.write("cut.crt", pem, 0644);
  EXPECT_THAT(error_of(lab, nullptr), HasSubstr("cut.crt holds a damaged certificate"));
}

TEST(TlsContexts, AnUnknownMinimumIsAnError) {
  Lab lab;
  lab.config.tls.minimum = "1.1";
  EXPECT_THAT(error_of(lab, nullptr), HasSubstr("it may be \"1.2\" or \"1.3\""));
}

TEST(TlsContexts, AnOwnPairThatExpiresSoonIsAWarning) {
  Lab lab;
  const Pair own = lab.target_pair();
  lab.tls().certificate_file = lab.folder.write("own.crt", certificate_pem(own.certificate.get()), 0644);
  lab.tls().key_file = lab.folder.write("own.key", key_pem(own.key.get()));
  lab.make();
  ASSERT_EQ(lab.contexts->warnings().size(), 1u);
  EXPECT_THAT(lab.contexts->warnings().front(), HasSubstr("own.crt expires on"));
}

TEST(TlsContexts, AReloadShowsTheSameLeafUntilItIsDue) {
  Lab lab;
  lab.make();
  const sys_seconds due = lab.contexts->refresh_at();
  EXPECT_GT(due, real_now() + hours(24));
  EXPECT_LT(due, real_now() + LeafMint::kValidity);
  const std::string first(as_text(lab.contexts->find("orders-db")->client_leaf_hash()));
  const auto again = *TlsContexts::make(lab.config, lab.mint.get(), real_now() + hours(1));
  EXPECT_EQ(as_text(again->find("orders-db")->client_leaf_hash()), first);
  const auto later = *TlsContexts::make(lab.config, lab.mint.get(), due);
  EXPECT_NE(as_text(later->find("orders-db")->client_leaf_hash()), first);
  EXPECT_GT(later->refresh_at(), due);
  EXPECT_EQ(lab.mint->minted(), 2u);
}

TEST(LeafMint, NamesAreThoseOfTheTargetOnceEach) {
  TargetConfig target;
  target.name = "orders-db";
  target.names = {"a.example", "orders-db", "b.example"};
  target.tls.server_name = "a.example";
  target.addresses = {*Prefix::parse("198.18.2.2"), *Prefix::parse("198.18.2.2"), *Prefix::parse("10.0.0.0/8")};
  const LeafNames names = leaf_names(target);
  EXPECT_EQ(names.dns, (std::vector<std::string>{"a.example", "orders-db", "b.example"}));
  EXPECT_EQ(names.addresses, std::vector<Address>{*Address::parse("198.18.2.2")});
}

TEST(LeafMint, ANameCannotSmuggleAnotherIn) {
  TargetConfig target;
  target.name = "x,DNS:bank.example";
  EXPECT_TRUE(leaf_names(target).dns.empty());
}

TEST(LeafMint, ALeafIsShortLivedBackdatedAndForServersOnly) {
  Lab lab;
  const auto mint = *LeafMint::load(lab.config.tls, real_now());
  const sys_seconds now = real_now();
  const auto leaf = *mint->leaf({{"a.example"}, {}}, now);
  X509* x = leaf->certificate.get();
  EXPECT_EQ(not_before_of(x), now - LeafMint::kBackdated);
  EXPECT_EQ(not_after_of(x), now + LeafMint::kValidity);
  EXPECT_EQ(X509_get_key_usage(x), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(x), static_cast<uint32_t>(XKU_SSL_SERVER));
  EXPECT_EQ(X509_check_ca(x), 0);
  const auto other = *mint->leaf({{"b.example"}, {}}, now);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(other->certificate.get())), 0);
}

TEST(LeafMint, ALeafEndsWithItsCa) {
  Folder folder;
  const TlsConfig tls{folder / "ca.crt", folder / "ca.key", "1.2"};
  ASSERT_TRUE(
      init_ca({.certificate_file = tls.ca_certificate_file, .key_file = tls.ca_key_file, .validity = std::chrono::days(1)},
              real_now()));
  const auto mint = *LeafMint::load(tls, real_now());
  const auto leaf = *mint->leaf({{"a.example"}, {}}, real_now());
  EXPECT_LE(not_after_of(leaf->certificate.get()), real_now() + std::chrono::days(1));
  EXPECT_GT(leaf->renew_at, real_now());
  EXPECT_THAT(LeafMint::load(tls, real_now() + std::chrono::days(2)).error().message, HasSubstr("expired on"));
}

TEST(LeafMint, NoCaIsAnErrorWithTheCommandThatMakesOne) {
  EXPECT_THAT(LeafMint::load({}, real_now()).error().message, HasSubstr("weir ca init"));
  Folder folder;
  EXPECT_THAT(LeafMint::load({folder / "ca.crt", folder / "ca.key", "1.2"}, real_now()).error().message,
              AllOf(HasSubstr("No such file"), HasSubstr("weir ca init")));
}

TEST(LeafMint, ACertificateThatIsNoCaIsRefused) {
  Folder folder;
  const Pair pair = make_pair({});
  const TlsConfig tls{folder.write("x.crt", certificate_pem(pair.certificate.get()), 0644),
                      folder.write("x.key", key_pem(pair.key.get())), "1.2"};
  EXPECT_THAT(LeafMint::load(tls, real_now()).error().message, HasSubstr("is no CA"));
}

TEST(LeafMint, NamesThatTheCaMayNotSignForAreLeftOut) {
  Folder folder;
  const TlsConfig tls{folder / "ca.crt", folder / "ca.key", "1.2"};
  ASSERT_TRUE(init_ca({.certificate_file = tls.ca_certificate_file,
                       .key_file = tls.ca_key_file,
                       .permitted_names = {"lab.example"},
                       .permitted_addresses = {*Prefix::parse("198.18.0.0/15")}},
                      real_now()));
  const auto mint = *LeafMint::load(tls, real_now());
  const auto leaf =
      mint->leaf({{"a.lab.example", "orders-db"}, {*Address::parse("198.18.2.2"), *Address::parse("10.0.0.1")}}, real_now());
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_EQ(names_of((*leaf)->certificate.get()), "a.lab.example, 198.18.2.2");
  EXPECT_THAT(mint->leaf({{"bank.example"}, {}}, real_now()).error().message, HasSubstr("name constraints"));
}

TEST(Ca, InitWritesAKeyForItsOwnerAloneAndNeverOverwrites) {
  Folder folder;
  const CaRequest request{.certificate_file = folder / "ca.crt", .key_file = folder / "ca.key"};
  const auto made = init_ca(request, real_now());
  ASSERT_TRUE(made) << made.error().message;
  struct stat status {};
  ASSERT_EQ(stat(request.key_file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(stat(request.certificate_file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644u);
  EXPECT_THAT(init_ca(request, real_now()).error().message, HasSubstr("is not overwritten"));
  std::filesystem::remove(request.certificate_file);
  EXPECT_THAT(init_ca(request, real_now()).error().message, HasSubstr("ca.key is there already"));
}

TEST(Ca, InitLeavesNothingHalfDone) {
  Folder folder;
  EXPECT_FALSE(init_ca({.certificate_file = folder / "no/such/ca.crt", .key_file = folder / "ca.key"}, real_now()));
  EXPECT_FALSE(std::filesystem::exists(folder / "ca.key"));
}

TEST(Ca, ShowTellsWhatClientsNeed) {
  Folder folder;
  const CaRequest request{
      .certificate_file = folder / "ca.crt", .key_file = folder / "ca.key", .permitted_names = {"lab.example"}};
  ASSERT_TRUE(init_ca(request, real_now()));
  const auto shown = show_ca(request.certificate_file);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->subject, "CN=Weir CA");
  EXPECT_EQ(shown->fingerprint.size(), 95u);
  EXPECT_EQ(shown->permitted, std::vector<std::string>{"DNS:lab.example"});
  EXPECT_THAT(text_of(*shown, real_now()), AllOf(HasSubstr("sslrootcert="), HasSubstr("-----BEGIN CERTIFICATE-----"),
                                                 HasSubstr("days left"), HasSubstr(shown->fingerprint)));
  EXPECT_EQ(text_of(*shown, real_now()).find("PRIVATE"), std::string::npos);
}

TEST(Ca, ConstraintsOnOneKindCloseTheOther) {
  Folder folder;
  const CaRequest request{.certificate_file = folder / "ca.crt",
                          .key_file = folder / "ca.key",
                          .permitted_addresses = {*Prefix::parse("198.18.2.0/24"), *Prefix::parse("fd57:2::/64")}};
  ASSERT_TRUE(init_ca(request, real_now()));
  EXPECT_THAT(show_ca(request.certificate_file)->permitted, ::testing::IsSupersetOf({"IP:198.18.2.0/24", "IP:fd57:2::/64"}));
  const auto mint = *LeafMint::load({request.certificate_file, request.key_file, "1.2"}, real_now());
  EXPECT_EQ(names_of((*mint->leaf({{"a.example"}, {*Address::parse("198.18.2.9"), *Address::parse("fd57:2::9")}}, real_now()))
                         ->certificate.get()),
            "198.18.2.9, fd57:2::9");
  EXPECT_FALSE(
      init_ca({.certificate_file = folder / "b.crt", .key_file = folder / "b.key", .permitted_names = {"a,permitted;DNS:b"}},
              real_now()));
}

}  // namespace
}  // namespace weir::transport::testing
