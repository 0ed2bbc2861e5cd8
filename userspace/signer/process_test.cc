#include "signer/process.h"

#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "record/sealer.h"
#include "signer/signer_test_support.h"
#include "transport/leaf_mint.h"

namespace weir::signer {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::Not;

// Signer and engine in one: the signer is a child without an exec, that drops to `nobody`.
class SignerProcess : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(geteuid(), 0u) << "run the tests as root"; }
  SignerProcess() {
    chmod(folder_.path().c_str(), 0755);
    setup_.gateway = "gw";
    setup_.origin = "weir.invalid/gw";
    setup_.state = folder_ / "state";
    setup_.folder = folder_ / "state-signer";
    setup_.log_key_file = folder_ / "log.key";
    setup_.gateway_key_file = folder_ / "kek.key";
    setup_.ca = {folder_ / "ca.crt", folder_ / "ca.key", "1.2"};
    setup_.needs_ca = true;
    setup_.names = {{"db.example"}, {}};
    setup_.user = "nobody";
    setup_.engine_user = "daemon";
    EXPECT_TRUE(transport::init_ca({.certificate_file = folder_ / "ca.crt", .key_file = folder_ / "ca.key"}, wall_now()));
  }
  Result<std::unique_ptr<Process>> start() {
    std::array<int, 2> sockets{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
    setup_.parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      ::close(sockets[0]);
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      _exit(serve(sockets[1], [](const std::string& user) -> Result<void> {
        const passwd* entry = getpwnam(user.c_str());
        if (setgid(entry->pw_gid) != 0 || setuid(entry->pw_uid) != 0) return fail(Error::Kind::kSystem, "no such luck");
        return {};
      }));
    }
    ::close(sockets[1]);
    auto client = Client::open(sockets[0], setup_);
    if (!client) {
      waitpid(pid, nullptr, 0);
      return tl::unexpected<Error>(client.error());
    }
    return std::make_unique<Process>(pid, std::move(*client));
  }
  static uid_t owner_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_uid;
  }
  Folder folder_;
  signer::Setup setup_;
  record::PosixFiles files_;
};

TEST_F(SignerProcess, MakesItsKeysAndDropsToItsUser) {
  const auto signer = start();
  ASSERT_TRUE(signer) << signer.error().message;
  const Hello& hello = (*signer)->client().hello();
  EXPECT_EQ(hello.uid, getpwnam("nobody")->pw_uid);
  EXPECT_EQ(hello.pid, (*signer)->pid());
  EXPECT_TRUE(hello.has_ca);
  EXPECT_THAT(hello.notes, testing::ElementsAre(HasSubstr("made a new signing key"), HasSubstr("made a new key for the session archives")));
  EXPECT_EQ(owner_of(folder_ / "log.key"), 0u);
  EXPECT_EQ(owner_of(folder_ / "kek.key"), 0u);
  EXPECT_EQ(owner_of(setup_.folder), hello.uid);
  std::ifstream status("/proc/" + std::to_string((*signer)->pid()) + "/status");
  const std::string text{std::istreambuf_iterator<char>(status), {}};
  EXPECT_THAT(text, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
}

TEST_F(SignerProcess, ALogIsWrittenReadAndGoneOnWithThroughIt) {
  std::string before;
  for (int run = 0; run < 3; ++run) {
    const auto signer = start();
    ASSERT_TRUE(signer) << signer.error().message;
    Client& client = (*signer)->client();
    const std::string log = folder_ / "log";
    const auto there = record::read_text(record::checkpoint_path(log), kNoteMax);
    ASSERT_TRUE(client.adopt_head(there.value_or("")));
    record::EvidenceLog evidence(log, setup_.origin, client.log_key(), files_);
    ASSERT_TRUE(evidence.open([](uint64_t, Bytes) {}));
    for (int commit = 0; commit < 20; ++commit) {
      for (int leaf = 0; leaf < 30; ++leaf) evidence.add("{\"leaf\":" + std::to_string(commit * 100 + leaf) + "}");
      const auto done = evidence.commit();
      ASSERT_TRUE(done) << done.error().message;
    }
    EXPECT_EQ(evidence.size(), 600u * static_cast<unsigned>(run + 1));
    EXPECT_EQ(client.counts()->log_size, evidence.size());
  }
}

// The signature was out, and the engine died before the checkpoint was in its place.
TEST_F(SignerProcess, ACheckpointThatACrashKeptFromTheDiskIsPutInItsPlace) {
  const std::string log = folder_ / "log", path = record::checkpoint_path(log);
  std::string early, newest;
  {
    const auto signer = start();
    ASSERT_TRUE(signer) << signer.error().message;
    ASSERT_TRUE((*signer)->client().adopt_head(""));
    record::EvidenceLog evidence(log, setup_.origin, (*signer)->client().log_key(), files_);
    ASSERT_TRUE(evidence.open([](uint64_t, Bytes) {}));
    for (std::string* kept : {&early, &newest}) {
      for (int leaf = 0; leaf < 300; ++leaf) evidence.add("{\"leaf\":" + std::to_string(leaf) + "}");
      ASSERT_TRUE(evidence.commit());
      *kept = record::read_text(path, kNoteMax).value();
    }
  }
  ASSERT_TRUE(record::replace_file(files_, path, as_bytes(early)));
  const auto signer = start();
  const auto shown = (*signer)->client().adopt_head(early);
  ASSERT_TRUE(shown);
  EXPECT_EQ(*shown, newest);
  const auto restored = record::restore_head(files_, log, *shown);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_TRUE(*restored);
  record::EvidenceLog evidence(log, setup_.origin, (*signer)->client().log_key(), files_);
  ASSERT_TRUE(evidence.open([](uint64_t, Bytes) {}));
  EXPECT_EQ(evidence.size(), 600u);
  evidence.add("{}");
  EXPECT_TRUE(evidence.commit());

  // A log that was put back as it was, tiles and all, is not gone on with.
  std::filesystem::remove_all(log);
  const auto missing = record::restore_head(files_, log, *shown);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("the log here is empty"));
}

TEST_F(SignerProcess, KeysAreWrappedAndOpenedThroughIt) {
  const auto signer = start();
  ASSERT_TRUE(signer) << signer.error().message;
  const auto ring = (*signer)->client().ring({});
  ASSERT_TRUE(ring && ring->encrypts());
  const record::SecretKey key = record::SecretKey::random();
  const record::WrapContext context{.session = 9, .part = 1, .commitment = record::commitment_of(key)};
  const auto text = record::wrap_for_all(*ring, key, context);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_TRUE(record::unwrap(*text, ring->openers, context));
  EXPECT_TRUE(record::unwrap(*text, record::open_ring(folder_ / "kek.key", {})->openers, context)) << "as the file opens it";
  (*signer)->end();
  const auto away = record::unwrap(*text, ring->openers, context);
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().kind, Error::Kind::kUnavailable) << "it is not locked: nobody was asked";
}

TEST_F(SignerProcess, LeavesAreMintedThroughIt) {
  const auto signer = start();
  ASSERT_TRUE(signer) << signer.error().message;
  const auto mint = transport::LeafMint::with(setup_.ca, (*signer)->client().leaf_signer(), wall_now());
  ASSERT_TRUE(mint) << mint.error().message;
  const auto leaf = (*mint)->leaf({{"db.example"}, {}}, wall_now());
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_EQ(transport::names_of((*leaf)->certificate.get()), "db.example");
  EXPECT_EQ((*mint)->leaf({{"bank.example"}, {}}, wall_now()).error().kind, Error::Kind::kDenied);
}

TEST_F(SignerProcess, OneThatIsKilledIsAwayForGood) {
  const auto signer = start();
  ASSERT_TRUE(signer) << signer.error().message;
  Client& client = (*signer)->client();
  EXPECT_FALSE(client.is_away());
  EXPECT_TRUE(client.counts());
  kill((*signer)->pid(), SIGTERM);
  EXPECT_TRUE(client.counts()) << "SIGTERM goes to a whole unit, and the last seals come after it";
  kill((*signer)->pid(), SIGKILL);
  EXPECT_EQ(client.counts().error().kind, Error::Kind::kUnavailable);
  EXPECT_TRUE(client.is_away());
  EXPECT_EQ(client.log_key().sign_seal("{}").error().kind, Error::Kind::kUnavailable);
  EXPECT_FALSE(client.leaf_signer()->sign({{"db.example"}, {}}, transport::PkeyPtr(EVP_EC_gen("P-256")).get(), wall_now()));
}

TEST_F(SignerProcess, TakesKeysFromTheEnginesUser) {
  ASSERT_TRUE(record::SigningKey::generate(setup_.log_key_file));
  const passwd* engine = getpwnam("daemon");
  ASSERT_EQ(chown(setup_.log_key_file.c_str(), engine->pw_uid, engine->pw_gid), 0);
  const auto signer = start();
  ASSERT_TRUE(signer) << signer.error().message;
  EXPECT_EQ(owner_of(setup_.log_key_file), 0u);
  EXPECT_THAT((*signer)->client().hello().notes, testing::Contains(HasSubstr("is root's now")));
  (*signer)->end();
  ASSERT_EQ(chown(setup_.log_key_file.c_str(), engine->pw_uid, engine->pw_gid), 0);
  ASSERT_EQ(link(setup_.log_key_file.c_str(), (folder_ / "other-name").c_str()), 0);
  EXPECT_THAT(start().error().message, HasSubstr("under more than one name"));
}

TEST_F(SignerProcess, WhatItCannotStartWithIsSaid) {
  setup_.user = "daemon";
  EXPECT_THAT(start().error().message, HasSubstr("users of their own"));
  setup_.user = "nobody";
  std::ofstream(setup_.log_key_file) << "not a key";
  chmod(setup_.log_key_file.c_str(), 0644);
  EXPECT_THAT(start().error().message, HasSubstr("chmod 600"));
  chmod(setup_.log_key_file.c_str(), 0600);
  EXPECT_THAT(start().error().message, HasSubstr("not a private key"));
}

}  // namespace
}  // namespace weir::signer
