#include "transport/ssh/keys.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "transport/ssh/key_file.h"
#include "transport/ssh/ssh_pair.h"

namespace weir::ssh::testing {
namespace {

using std::chrono::sys_seconds;
using ::testing::HasSubstr;

class EveryAlgorithm : public ::testing::TestWithParam<SignatureAlgorithm> {
 protected:
  const SignatureAlgorithm& algorithm = GetParam();
  const PrivateKey& key = test_key(algorithm.type);
};
TEST_P(EveryAlgorithm, VerifiesWhatItSignedAndNothingElse) {
  const Bytes data = as_bytes("what is signed");
  const Buffer signature = *key.sign(algorithm, data);
  const auto read = PublicKey::parse(key.public_key().blob());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, key.public_key());
  EXPECT_TRUE(read->verify(algorithm, signature, data));
  EXPECT_FALSE(read->verify(algorithm, signature, as_bytes("what is signeD")));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Buffer changed = signature;
    changed[i] ^= std::byte{4};
    ASSERT_FALSE(read->verify(algorithm, changed, data)) << i;
  }
  for (std::size_t size = 0; size < signature.size(); ++size) ASSERT_FALSE(read->verify(algorithm, Bytes(signature).first(size), data)) << size;
  Buffer longer = signature;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(read->verify(algorithm, longer, data));
}
TEST_P(EveryAlgorithm, IsNotTakenForAnother) {
  const Buffer signature = *key.sign(algorithm, as_bytes("data"));
  for (const SignatureAlgorithm& other : signature_algorithms()) {
    EXPECT_EQ(key.public_key().verify(other, signature, as_bytes("data")), other.type == algorithm.type && other.signature == algorithm.signature) << other.name;
  }
}
TEST_P(EveryAlgorithm, BlobsThatAreCutOrChangedAreNotKeys) {
  const Buffer blob = copy_of(key.public_key().blob());
  for (std::size_t size = 0; size < blob.size(); ++size) ASSERT_FALSE(PublicKey::parse(Bytes(blob).first(size))) << size;
  Buffer longer = blob;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(PublicKey::parse(longer));
}
INSTANTIATE_TEST_SUITE_P(Keys, EveryAlgorithm, ::testing::ValuesIn(signature_algorithms().begin(), signature_algorithms().end()),
                         [](const auto& algorithm) { return test_name(std::string(algorithm.param.name)); });

TEST(Keys, Sha1AndSmallRsaAreRefused) {
  EXPECT_EQ(find_signature_algorithm("ssh-rsa"), nullptr);
  EXPECT_EQ(find_signature_algorithm("ssh-dss"), nullptr);
  const transport::PkeyPtr small(EVP_RSA_gen(1024));
  const auto key = PublicKey::from(small.get());
  ASSERT_FALSE(key);
  EXPECT_THAT(key.error().message, HasSubstr("1024 bits"));
}

TEST(Keys, APointOffItsCurveIsRefused) {
  Buffer blob = copy_of(test_key(KeyType::kEcdsa256).public_key().blob());
  blob.back() ^= std::byte{1};
  EXPECT_FALSE(PublicKey::parse(blob));
}

// What ssh-keygen makes, says and reads.  It is of openssh-client, beside which the gateway is tested anyway.
class KeyGen : public ::testing::Test {
 protected:
  KeyGen() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-ssh-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~KeyGen() override { std::filesystem::remove_all(folder); }
  void SetUp() override {
    if (run("command -v ssh-keygen").empty()) FAIL() << "ssh-keygen is not installed: scripts/setup.sh";
  }
  std::string run(const std::string& command) const {
    const std::string line = "cd " + folder + " && (" + command + ") 2>&1";
    FILE* const pipe = popen(line.c_str(), "r");
    std::string out;
    char block[4096];
    for (std::size_t got = fread(block, 1, sizeof(block), pipe); got != 0; got = fread(block, 1, sizeof(block), pipe)) out.append(block, got);
    pclose(pipe);
    return out;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(folder + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string folder;
};

TEST_F(KeyGen, PrivateKeysOfEachTypeAndFormAreRead) {
  for (const std::string type : {"-t ed25519", "-t ecdsa -b 256", "-t ecdsa -b 384", "-t ecdsa -b 521", "-t rsa -b 2048"}) {
    for (const std::string form : {"", "-m PKCS8", "-m PEM"}) {
      if (type == "-t ed25519" && !form.empty()) continue;  // ssh-keygen has its own form alone for it.
      run("rm -f key key.pub; ssh-keygen -q -N '' -C comment -f key " + type + " " + form);
      const auto key = read_private_key_file(folder + "/key");
      ASSERT_TRUE(key) << type << form << ": " << key.error().message;
      EXPECT_EQ(public_line(key->public_key().blob(), "comment"), text_of("key.pub"));
      EXPECT_THAT(run("ssh-keygen -l -f key.pub"), HasSubstr(" " + key->public_key().fingerprint() + " "));
      const auto line = parse_public_line(text_of("key.pub"));
      ASSERT_TRUE(line);
      EXPECT_EQ(to_hex(*line), to_hex(key->public_key().blob()));
    }
  }
}

TEST_F(KeyGen, AnEncryptedKeyIsRefusedWithTheWayOut) {
  for (const std::string form : {"", "-m PKCS8", "-m PEM"}) {
    run("rm -f key; ssh-keygen -q -t ecdsa -N fake-passphrase -f key " + form);
    const auto key = read_private_key_file(folder + "/key");
    ASSERT_FALSE(key);
    EXPECT_THAT(key.error().message, HasSubstr("ssh-keygen -p"));
  }
}

TEST_F(KeyGen, ADamagedKeyIsRefusedAndNotRepeated) {
  run("ssh-keygen -q -t ed25519 -N '' -f key");
  const std::string whole = text_of("key");
  for (std::size_t at = 40; at < whole.size() - 40; at += 7) {
    std::string changed = whole;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    const auto key = parse_private_key(changed, "key");
    if (key) {  // The comment is no part of the key.
      EXPECT_EQ(public_line(key->public_key().blob(), ""), public_line(parse_private_key(whole, "key")->public_key().blob(), ""));
    } else {
      EXPECT_LT(key.error().message.size(), 160U);
    }
  }
  EXPECT_FALSE(parse_private_key("", "key"));
  EXPECT_FALSE(parse_private_key("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n", "key"));
}

TEST_F(KeyGen, AMintedCertificateReadsAsItWasMeant) {
  SeededRandom random(4);
  CertificateRequest request;
  request.key = &test_key(KeyType::kEcdsa256).public_key();
  request.serial = 4711;
  request.key_id = "weir:alice@corp.example:s=0193f2";
  request.principals = {"rsu", "deploy"};
  request.from = sys_seconds(std::chrono::seconds(1'700'000'000));
  request.until = request.from + std::chrono::minutes(5);
  request.critical = {{"source-address", "198.18.0.0/15"}, {"force-command", "/bin/true"}};
  request.extensions = {{"permit-pty", ""}, {"permit-agent-forwarding", ""}};
  const auto blob = mint_certificate(test_key(KeyType::kEd25519), request, random);
  ASSERT_TRUE(blob);
  std::ofstream(folder + "/key-cert.pub") << public_line(*blob, "");
  const std::string said = run("TZ=UTC ssh-keygen -L -f key-cert.pub");
  for (const char* part : {"ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate", "Key ID: \"weir:alice@corp.example:s=0193f2\"", "Serial: 4711", "rsu", "deploy",
                           "from 2023-11-14T22:13:20 to 2023-11-14T22:18:20", "force-command /bin/true", "source-address 198.18.0.0/15", "permit-pty", "permit-agent-forwarding"}) {
    EXPECT_THAT(said, HasSubstr(part));
  }
  EXPECT_THAT(said, HasSubstr(test_key(KeyType::kEd25519).public_key().fingerprint()));
}

TEST_F(KeyGen, CertificatesOfSshKeygenAreVerified) {
  run("ssh-keygen -q -t rsa -b 2048 -N '' -f ca; ssh-keygen -q -t ecdsa -N '' -f key");
  run("ssh-keygen -q -s ca -I someone -n alice,bob -V -1m:+5m -z 7 -O clear -O permit-pty -O force-command=id -O source-address=198.18.0.0/15 key.pub");
  const auto line = parse_public_line(text_of("key-cert.pub"));
  ASSERT_TRUE(line);
  const auto certificate = Certificate::parse(*line);
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_EQ(certificate->key_id, "someone");
  EXPECT_EQ(certificate->serial, 7U);
  EXPECT_EQ(certificate->principals, (std::vector<std::string>{"alice", "bob"}));
  EXPECT_EQ(*certificate->critical_option("force-command"), "id");
  EXPECT_EQ(*certificate->critical_option("source-address"), "198.18.0.0/15");
  EXPECT_EQ(certificate->critical_option("other"), nullptr);
  ASSERT_EQ(certificate->extensions.size(), 1U);
  EXPECT_EQ(certificate->extensions[0].first, "permit-pty");
  for (std::size_t i = 0; i < line->size(); ++i) {
    Buffer changed = *line;
    changed[i] ^= std::byte{1};
    ASSERT_FALSE(Certificate::parse(changed)) << i;
    ASSERT_FALSE(Certificate::parse(Bytes(*line).first(i))) << i;
  }
}

class Judged : public ::testing::Test {
 protected:
  Judged() {
    request.key = &test_key(KeyType::kEd25519).public_key();
    request.principals = {"alice"};
    request.from = at(1000);
    request.until = at(2000);
    question.authorities = {&authority, 1};
    question.principal = "alice";
    question.now = at(1500);
  }
  static sys_seconds at(int64_t second) { return sys_seconds(std::chrono::seconds(second)); }
  std::string verdict() {
    SeededRandom random(5);
    const auto blob = mint_certificate(test_key(KeyType::kEcdsa384), request, random);
    if (!blob) return "not minted: " + blob.error().message;
    const auto certificate = Certificate::parse(*blob);
    EXPECT_TRUE(certificate);
    const auto checked = check_certificate(*certificate, question);
    return checked ? "good" : checked.error().message;
  }
  PublicKey authority = test_key(KeyType::kEcdsa384).public_key();
  CertificateRequest request;
  CertificateQuestion question;
};
TEST_F(Judged, ForItsUseNameAndTime) {
  EXPECT_EQ(verdict(), "good");
  question.principal = "alic";
  EXPECT_THAT(verdict(), HasSubstr("principals"));
  question.principal = "";
  EXPECT_THAT(verdict(), HasSubstr("principals"));
  question.principal = "alice";
  question.now = at(999);
  EXPECT_THAT(verdict(), HasSubstr("not valid yet"));
  question.now = at(1000);
  EXPECT_EQ(verdict(), "good");
  question.now = at(2000);
  EXPECT_THAT(verdict(), HasSubstr("expired"));
  question.now = at(1999);
  question.use = CertificateUse::kHost;
  EXPECT_THAT(verdict(), HasSubstr("for a user"));
}
TEST_F(Judged, OfACaThatIsTrusted) {
  authority = test_key(KeyType::kEd25519).public_key();
  EXPECT_THAT(verdict(), HasSubstr("not trusted"));
  question.authorities = {};
  EXPECT_THAT(verdict(), HasSubstr("not trusted"));
}
TEST_F(Judged, WithOptionsThatAreUnderstood) {
  request.critical = {{"force-command", "id"}};
  EXPECT_EQ(verdict(), "good");
  request.critical = {{"verify-required", ""}};
  EXPECT_THAT(verdict(), HasSubstr("not understood"));
  request.critical = {{"source-address", "198.18.0.0/15,203.0.113.7"}};
  EXPECT_THAT(verdict(), HasSubstr("source address"));  // Nobody said where the client is.
  Address source = *Address::parse("203.0.113.7");
  question.source = &source;
  EXPECT_EQ(verdict(), "good");
  source = *Address::parse("203.0.113.8");
  EXPECT_THAT(verdict(), HasSubstr("source address"));
}
TEST_F(Judged, HostsByPatternAndWithoutOptions) {
  request.use = question.use = CertificateUse::kHost;
  request.principals = {"*.lab.example"};
  question.principal = "db.lab.example";
  EXPECT_EQ(verdict(), "good");
  question.principal = "db.other.example";
  EXPECT_THAT(verdict(), HasSubstr("principals"));
  question.principal = "db.lab.example";
  request.critical = {{"force-command", "id"}};
  EXPECT_THAT(verdict(), HasSubstr("not understood"));
}
TEST_F(Judged, NothingIsMintedForEverybodyOrForNoTime) {
  request.principals = {};
  EXPECT_THAT(verdict(), HasSubstr("good for everybody"));
  request.principals = {"alice", ""};
  EXPECT_THAT(verdict(), HasSubstr("good for everybody"));
  request.principals.assign(257, "a");
  EXPECT_THAT(verdict(), HasSubstr("256"));
  request.principals = {"alice"};
  request.until = request.from;
  EXPECT_THAT(verdict(), HasSubstr("some time"));
}

}  // namespace
}  // namespace weir::ssh::testing
