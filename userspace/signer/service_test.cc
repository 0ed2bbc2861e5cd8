#include "signer/service.h"

#include <openssl/x509v3.h>

#include "signer/signer_test_support.h"

namespace weir::signer {
namespace {

using namespace test;
using testing::HasSubstr;

TEST(Signer, SealsManifestsOfItsGatewayAlone) {
  Signer signer;
  const std::string text = record::to_json(signer.manifest());
  const auto signature = signer.sign(SignSeal{text});
  ASSERT_TRUE(signature) << signature.error().message;
  EXPECT_TRUE(signer.log_key().verifying().verify(as_bytes(record::signed_text(record::sha256(as_bytes(text)))), *signature));
  record::Manifest other = signer.manifest();
  other.gateway = "another";
  EXPECT_EQ(signer.sign(SignSeal{record::to_json(other)}).error().kind, Error::Kind::kDenied);
  other = signer.manifest();
  other.key = "0011223344556677";
  EXPECT_FALSE(signer.sign(SignSeal{record::to_json(other)}));
  other = signer.manifest();
  other.seal = 0;
  EXPECT_FALSE(signer.sign(SignSeal{record::to_json(other)}));
  EXPECT_EQ(signer.service->counts().seals, 1u);
  EXPECT_EQ(signer.service->counts().refused, 3u);
}

TEST(Signer, SignsNoBytesThatSomebodyElseComposed) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  for (const std::string text : {"anything", "", "{}", "weir seal 1\n", "weir.invalid/gw\n1\n"}) {
    EXPECT_FALSE(signer.sign(SignSeal{text})) << text;
    EXPECT_FALSE(signer.sign(SignCheckpoint{.text = text, .proof = {}})) << text;
  }
  Tree tree;
  tree.grow(4);
  SignCheckpoint extended = tree.checkpoint(0, 4);
  extended.text += "a line\n";
  EXPECT_EQ(signer.sign(extended).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(signer.sign(tree.checkpoint(0, 4, "log.example/another")).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(signer.service->counts().seals + signer.service->counts().checkpoints, 0u);
}

TEST(Signer, SignsACheckpointThatGoesOnFromTheLast) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree;
  tree.grow(1000);
  uint64_t before = 0;
  for (const uint64_t size : {1u, 2u, 3u, 8u, 9u, 256u, 257u, 999u, 999u, 1000u}) {
    const SignCheckpoint request = tree.checkpoint(before, size);
    const auto signature = signer.sign(request);
    ASSERT_TRUE(signature) << size << ": " << signature.error().message;
    EXPECT_TRUE(signer.log_key().verifying().verify(as_bytes(request.text), *signature));
    before = size;
  }
  EXPECT_EQ(signer.service->counts().log_size, 1000u);
}

TEST(Signer, RefusesASmallerTree) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree;
  tree.grow(100);
  ASSERT_TRUE(signer.sign(tree.checkpoint(0, 100)));
  for (const uint64_t size : {1u, 50u, 64u, 99u}) {
    EXPECT_EQ(signer.sign(tree.checkpoint(100, size)).error().kind, Error::Kind::kDenied) << size;
    EXPECT_EQ(signer.sign(tree.checkpoint(size, 100)).error().kind, Error::Kind::kDenied) << "a proof from another size";
  }
  EXPECT_THAT(signer.told.back(), HasSubstr("refused: "));
  // Also by the next signer, whatever the log says by then.
  ASSERT_TRUE(signer.start());
  ASSERT_TRUE(signer.adopt());
  EXPECT_EQ(signer.sign(tree.checkpoint(100, 99)).error().kind, Error::Kind::kDenied);
  EXPECT_TRUE(signer.sign(tree.checkpoint(100, 100))) << "the same one again: a disk that was full";
}

TEST(Signer, RefusesAnotherTree) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree, fork;
  tree.grow(90);
  fork.grow(40);
  fork.grow(120, " of a fork");
  tree.grow(120);
  ASSERT_TRUE(signer.sign(tree.checkpoint(0, 90)));
  EXPECT_FALSE(signer.sign(fork.checkpoint(90, 120)));
  EXPECT_FALSE(signer.sign(fork.checkpoint(90, 90)));
  EXPECT_FALSE(signer.sign(SignCheckpoint{.text = tree.checkpoint(90, 120).text, .proof = {}})) << "without a proof";
  EXPECT_TRUE(signer.sign(tree.checkpoint(90, 120)));
}

TEST(Signer, TheNewestCheckpointIsOnDiskBeforeItsSignatureIsOut) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree;
  tree.grow(20);
  const auto signature = signer.sign(tree.checkpoint(0, 20));
  ASSERT_TRUE(signature);
  const auto note = record::parse_note(record::read_text(signer.service->head_file(), kNoteMax).value()).value();
  EXPECT_EQ(note.text, tree.checkpoint(0, 20).text);
  EXPECT_TRUE(std::equal(signature->begin(), signature->end(), note.signatures.at(0).bytes.begin(), note.signatures.at(0).bytes.end()));
  // What cannot be remembered is not signed.
  std::filesystem::remove_all(signer.folder / "signer");
  tree.grow(30);
  EXPECT_FALSE(signer.sign(tree.checkpoint(20, 30)));
  std::filesystem::create_directory(signer.folder / "signer");
  EXPECT_TRUE(signer.sign(tree.checkpoint(20, 30)));
}

TEST(Signer, ALogThatWasPutBackIsShownTheNewest) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree;
  tree.grow(60);
  const auto early = signer.sign(tree.checkpoint(0, 50));
  ASSERT_TRUE(early && signer.sign(tree.checkpoint(50, 60)));
  ASSERT_TRUE(signer.start());
  const record::Checkpoint at_50{.origin = signer.origin, .size = 50, .root = tree.root(50), .extensions = {}};
  const auto newest = signer.adopt(record::signed_checkpoint(at_50, signer.log_key().verifying(), *early));
  ASSERT_TRUE(newest) << newest.error().message;
  EXPECT_THAT(*newest, HasSubstr("weir.invalid/gw\n60\n"));
  EXPECT_FALSE(signer.sign(tree.checkpoint(50, 55)));
}

TEST(Signer, BelievesACheckpointThatItsKeySignedElsewhereOnce) {
  Signer signer;
  Tree tree;
  tree.grow(50);
  const auto note_of = [&](uint64_t size, const record::SigningKey& key) {
    const record::Checkpoint checkpoint{.origin = signer.origin, .size = size, .root = tree.root(size), .extensions = {}};
    return record::signed_checkpoint(checkpoint, key.verifying(), key.sign(as_bytes(record::to_text(checkpoint))).value());
  };
  EXPECT_FALSE(signer.sign(tree.checkpoint(0, 50))) << "before it was shown what is there";
  const auto other = record::SigningKey::generate(signer.folder / "other.key").value();
  EXPECT_FALSE(signer.adopt(note_of(30, other)));
  EXPECT_FALSE(signer.adopt("no note"));
  ASSERT_TRUE(signer.adopt(note_of(30, signer.log_key())));
  EXPECT_THAT(signer.told.back(), HasSubstr("counts from now on"));
  EXPECT_FALSE(signer.sign(tree.checkpoint(0, 20)));
  EXPECT_TRUE(signer.sign(tree.checkpoint(30, 50)));
}

TEST(Signer, AFileThatWasChangedKeepsItFromStarting) {
  Signer signer;
  ASSERT_TRUE(signer.adopt());
  Tree tree;
  tree.grow(9);
  ASSERT_TRUE(signer.sign(tree.checkpoint(0, 9)));
  std::string note = record::read_text(signer.service->head_file(), kNoteMax).value();
  note.replace(note.find("\n9\n"), 3, "\n1\n");
  ASSERT_TRUE(record::replace_file(signer.files, signer.service->head_file(), as_bytes(note)));
  const auto started = signer.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("it was changed"));
}

TEST(Signer, WrapsAndOpensAsTheGatewaysKeysDo) {
  Signer signer;
  const record::SecretKey key = record::SecretKey::random();
  const record::WrapContext context{.session = 7, .part = 1, .commitment = record::commitment_of(key)};
  const auto wrap = read_text_answer(signer.ask(Wrap{context, record::SecretKey::from(key.bytes()).value()}).bytes(), kWrapMax);
  ASSERT_TRUE(wrap) << wrap.error().message;
  const auto opened = read_key(signer.ask(Open{context, *wrap}).bytes());
  ASSERT_TRUE(opened && *opened);
  EXPECT_TRUE(std::ranges::equal((*opened)->bytes(), key.bytes()));
  const auto directly = record::GatewayKeys::read(signer.folder / "kek.key").value()->open(record::parse_object(*wrap), context);
  EXPECT_TRUE(directly);
  record::WrapContext other = context;
  other.session = 8;
  EXPECT_FALSE(*read_key(signer.ask(Open{other, *wrap}).bytes()));
  other = context;
  other.commitment[0] ^= std::byte{1};
  EXPECT_FALSE(read_text_answer(signer.ask(Wrap{other, record::SecretKey::from(key.bytes()).value()}).bytes(), kWrapMax)) << "a commitment to another key";
  EXPECT_EQ(signer.service->counts().opened, 1u);
}

TEST(Signer, OpensNoMoreThanSoManyASecond) {
  Signer signer;
  const record::WrapContext context{.session = 7, .part = 1, .commitment = {}};
  int slowed = 0;
  for (int count = 0; count < static_cast<int>(Service::kOpensAtOnce) + 10; ++count) slowed += read_key(signer.ask(Open{context, "{}"}).bytes()) ? 0 : 1;
  EXPECT_EQ(slowed, 10);
  EXPECT_EQ(signer.service->counts().refused, 0u) << "slowed down is not refused";
  signer.now += std::chrono::seconds(1);
  EXPECT_TRUE(read_key(signer.ask(Open{context, "{}"}).bytes()));
}

TEST(Signer, DerivesForTheIndexAlone) {
  Signer signer;
  const auto id = record::GatewayKeys::read(signer.folder / "kek.key").value()->first_id();
  const std::vector<std::byte> salt(16, std::byte{7});
  EXPECT_FALSE(read_key(signer.ask(Derive{id, {}, "weir index words 1"}).bytes())) << "without a salt";
  EXPECT_TRUE(*read_key(signer.ask(Derive{id, salt, "weir index words 1"}).bytes()));
  EXPECT_FALSE(read_key(signer.ask(Derive{id, salt, "weir gateway wrap 1"}).bytes())) << "with it a wrap opens past the count";
  EXPECT_FALSE(*read_key(signer.ask(Derive{"another", salt, "weir index words 1"}).bytes()));
}

TEST(Signer, ALeafIsForServersOfTheTargetsNamesAndNoCa) {
  Signer signer;
  const transport::PkeyPtr key(EVP_EC_gen("P-256"));
  const auto certificate_of = [&](const SignLeaf& request) -> Result<transport::X509Ptr> {
    const auto der = read_text_answer(signer.ask(request).bytes(), kCertificateMax);
    if (!der) return tl::unexpected<Error>(der.error());
    const auto* at = reinterpret_cast<const unsigned char*>(der->data());
    return transport::X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der->size())));
  };
  const auto leaf = certificate_of({{"db.example"}, {*Address::parse("198.18.2.2")}, public_key(key.get())});
  ASSERT_TRUE(leaf) << leaf.error().message;
  X509* x = leaf->get();
  EXPECT_EQ(X509_check_ca(x), 0);
  EXPECT_EQ(X509_get_extended_key_usage(x), static_cast<uint32_t>(XKU_SSL_SERVER));
  EXPECT_EQ(X509_get_key_usage(x), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(transport::names_of(x), "db.example, 198.18.2.2");
  EXPECT_LE(transport::not_after_of(x), wall_now() + transport::kLeafValidity);
  EXPECT_EQ(X509_check_private_key(x, key.get()), 1);

  EXPECT_EQ(certificate_of({{"bank.example"}, {}, public_key(key.get())}).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(certificate_of({{"db.example", "bank.example"}, {}, public_key(key.get())}).error().kind, Error::Kind::kDenied);
  EXPECT_EQ(certificate_of({{}, {*Address::parse("198.18.2.3")}, public_key(key.get())}).error().kind, Error::Kind::kDenied);
  EXPECT_FALSE(certificate_of({{}, {}, public_key(key.get())})) << "no name at all";
  // OpenSSL reads names as text: nothing may turn one into an extension of another kind.
  for (const std::string name : {"db.example,IP:10.0.0.1", "db.example\nbasicConstraints=CA:TRUE", "email:a@b"}) EXPECT_FALSE(certificate_of({{name}, {}, public_key(key.get())})) << name;
  // What is not a name and a key cannot even be said: a whole certificate, made by somebody else, is no public key.
  const auto ca = transport::read_certificates(signer.folder / "ca.crt").value();
  unsigned char* der = nullptr;
  const int size = i2d_X509(ca.front().get(), &der);
  const Bytes whole = std::as_bytes(std::span(der, static_cast<std::size_t>(size)));
  EXPECT_FALSE(certificate_of({{"db.example"}, {}, {whole.begin(), whole.end()}}));
  OPENSSL_free(der);
  std::vector<std::byte> more = public_key(key.get());
  more.push_back(std::byte{0});
  EXPECT_FALSE(certificate_of({{"db.example"}, {}, more})) << "bytes behind the key";
  const transport::PkeyPtr rsa(EVP_RSA_gen(1024)), ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  EXPECT_FALSE(certificate_of({{"db.example"}, {}, public_key(rsa.get())}));
  EXPECT_FALSE(certificate_of({{"db.example"}, {}, public_key(ed.get())}));
}

TEST(Signer, AnyBytesGetAnAnswerAndNothingElse) {
  Signer signer;
  for (const std::string& bytes : {std::string(), std::string(1, '\0'), std::string(1, '\x09'), std::string("\x01\xff\xff\xff\xff", 5), std::string(5000, '\x04')}) {
    const Message answer = signer.service->answer(as_bytes(bytes));
    EXPECT_EQ(read_counts(answer.bytes()).error().kind, Error::Kind::kInvalid);
  }
  EXPECT_EQ(signer.service->counts().refused, 5u);
}

TEST(Signer, WhatItRefusesIsToldWithinBounds) {
  Signer signer;
  for (int count = 0; count < 100; ++count) static_cast<void>(signer.service->answer(as_bytes("no request")));
  EXPECT_EQ(signer.told.size(), Service::kToldPerMinute);
  signer.now += std::chrono::minutes(2);
  static_cast<void>(signer.service->answer(as_bytes("no request")));
  EXPECT_EQ(signer.told.size(), Service::kToldPerMinute + 1);
}

}  // namespace
}  // namespace weir::signer
