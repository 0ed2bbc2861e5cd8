// Who signs the log beside us: every answer that a witness and a time stamp authority can give, and what is kept of it.
#include "record/countersigner.h"

#include "record/countersigner_test_support.h"
#include "record/log_leaf.h"
#include "record/prove.h"
#include "record/record_test_gateway.h"
#include "record/time_stamp.h"
#include "record/verify.h"

namespace weir::record {
namespace {

using namespace std::chrono_literals;
using Health = CountersignState::Health;
using test::FakeAuthority;
using test::FakeWitness;

PostAnswer status(int code, std::string body = {}, std::string type = {}, std::chrono::seconds retry_after = 0s) {
  return {.status = code, .content_type = std::move(type), .body = std::move(body), .retry_after = retry_after};
}

class Countersigning : public testing::Test {
 protected:
  Countersigning() {
    gw_.start();
    grow();
    make();
  }
  void grow() {
    gw_.open(++sessions_, "orders-db", "user:ann");
    gw_.close(sessions_);
    gw_.seal();
  }
  void make() {
    CountersignerOptions options{.log = log(), .every = 10s, .witnesses = {}, .stamps = {.url = has_stamps_ ? "http://tsa" : "", .ca_file = authority_.ca_file, .every = 60s}};
    for (FakeWitness* each : witnesses_) options.witnesses.push_back({.url = "http://" + each->verifier().name, .key = each->verifier()});
    countersigner_ = std::make_unique<Countersigner>(options, [this](const PostRequest& request) -> Result<PostAnswer> {
      urls_.push_back(request.url);
      if (request.url == "http://tsa") return authority_.post(request);
      for (FakeWitness* each : witnesses_) {
        if (request.url == "http://" + each->verifier().name + "/add-checkpoint") return each->post(request);
      }
      return fail(Error::Kind::kUnavailable, "nobody there");
    }, files_, &leaves_);
    ASSERT_TRUE(countersigner_->open());
  }
  void step(std::chrono::seconds later = 700s) { countersigner_->step(now_ += later); }
  CountersignState state(std::size_t index = 0) const { return countersigner_->states().at(index); }
  std::string log() const { return gw_.state() + "/log"; }
  uint64_t size() const { return read_head(log()).value().checkpoint.size; }
  VerifyReport verify(bool with_witness = true, bool with_ca = false) {
    VerifyOptions options;
    options.place = RecordPlace::of(gw_.state());
    options.threads = 1;
    options.keys.push_back(VerifyingKey::read(gw_.key_file() + ".pub").value());
    if (with_witness) options.witnesses = {witness_.verifier()};
    if (with_ca) options.stamp_ca = authority_.ca_file;
    return record::verify(options).value();
  }

  test::Gateway gw_{"/dev/shm"};
  test::TemporaryFolder keys_{"/dev/shm"};
  FakeWitness witness_{keys_.path() + "/w1"}, second_{keys_.path() + "/w2", "witness.example/w2"};
  FakeAuthority authority_{keys_.path()};
  std::vector<FakeWitness*> witnesses_{&witness_};
  bool has_stamps_ = false;
  PosixFiles files_;
  LeafQueue leaves_;
  std::unique_ptr<Countersigner> countersigner_;
  std::vector<std::string> urls_;
  std::chrono::nanoseconds now_{0};
  uint64_t sessions_ = 0;
};

TEST_F(Countersigning, TheNewestCheckpointIsCosignedAndKeptAsANote) {
  step(0s);
  EXPECT_EQ(state().health, Health::kGood) << state().problem;
  EXPECT_EQ(state().size, size());
  EXPECT_EQ(state().at_s, witness_.at_s);
  const auto kept = read_witnessed(log()).value();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].note.text, read_head(log()).value().note.text);
  EXPECT_EQ(check_cosignature(kept[0].note, witness_.verifier()).outcome, NoteCheck::kSigned);
  EXPECT_EQ(check_signature(kept[0].note, note_verifier("weir.invalid/gw", NoteAlgorithm::kEd25519, VerifyingKey::read(gw_.key_file() + ".pub").value())), NoteCheck::kSigned);
  const VerifyReport report = verify();
  EXPECT_EQ(report.exit_code(), 0) << (report.findings.empty() ? "" : report.findings[0].message);
  EXPECT_TRUE(report.has_witness());
  EXPECT_EQ(report.witnesses[0].size, size());
}

TEST_F(Countersigning, GoesOnWithAProofAndAsksForNothingThatIsNotNew) {
  step(0s);
  step(10s);
  EXPECT_EQ(witness_.asked, 1U) << "nothing new";
  for (int more = 0; more < 5; ++more) grow();
  step(5s);
  EXPECT_EQ(witness_.asked, 1U) << "not yet";
  step(5s);
  EXPECT_EQ(witness_.asked, 2U);
  EXPECT_EQ(state().size, size());
  EXPECT_EQ(read_witnessed(log()).value().size(), 1U) << "the older one is no witness's newest";
}

TEST_F(Countersigning, AStartKnowsWhereTheWitnessStands) {
  step(0s);
  grow();
  make();
  EXPECT_EQ(state().size, witness_.size);
  step(0s);
  EXPECT_EQ(witness_.asked, 2U) << "without a 409";
  EXPECT_EQ(state().health, Health::kGood);
}

TEST_F(Countersigning, AWitnessThatStandsElsewhereIsAskedAgainFromThere) {
  step(0s);
  grow();
  std::filesystem::remove_all(witnessed_folder(log()));
  make();
  step(0s);
  EXPECT_EQ(state().answers.at("409"), 1U);
  EXPECT_EQ(state().answers.at("200"), 1U);
  EXPECT_EQ(state().size, size());
}

TEST_F(Countersigning, EachStatusIsCountedAndTold) {
  struct Given { Result<PostAnswer> answer; Health health; const char* counted; };
  const std::vector<Given> all = {
      {status(400), Health::kRefused, "400"},
      {status(403), Health::kRefused, "403"},
      {status(404), Health::kRefused, "404"},
      {status(409, "999999\n", std::string(kSizeType)), Health::kContradicts, "409"},
      {status(409, "999999\n", "text/plain"), Health::kWrong, "409"},
      {status(409, "x", std::string(kSizeType)), Health::kWrong, "409"},
      {status(422), Health::kContradicts, "422"},
      {status(429), Health::kAway, "429"},
      {status(500), Health::kAway, "5xx"},
      {status(503), Health::kAway, "5xx"},
      {status(302), Health::kRefused, "other"},
      {status(200, ""), Health::kWrong, "200"},
      {status(200, "no line\n"), Health::kWrong, "200"},
      {status(200, to_line(second_.cosign("x"))), Health::kWrong, "200"},
      {status(200, to_line(witness_.cosign("another text\n"))), Health::kWrong, "200"},
      {fail(Error::Kind::kUnavailable, "cannot connect"), Health::kAway, "none"},
  };
  for (const Given& given : all) {
    const uint64_t before = state().answers.at(given.counted), asked = witness_.asked;
    witness_.next = given.answer;
    step();
    EXPECT_EQ(witness_.asked, asked + 1);
    EXPECT_EQ(state().health, given.health) << given.counted << ": " << state().problem;
    EXPECT_EQ(state().answers.at(given.counted), before + 1) << given.counted;
    EXPECT_FALSE(state().problem.empty());
    EXPECT_EQ(state().size, 0U);
    EXPECT_TRUE(read_witnessed(log()).value().empty()) << "nothing was kept";
  }
  step();
  EXPECT_EQ(state().health, Health::kGood) << "and it goes on: " << state().problem;
}

TEST_F(Countersigning, AFailureIsWaitedOutLongerEachTimeAndAsLongAsThePeerAsks) {
  const auto fails = [&](std::chrono::seconds later, std::chrono::seconds retry_after = 0s) {
    const uint64_t asked = witness_.asked;
    witness_.next = status(503, "", "", retry_after);
    step(later);
    return witness_.asked != asked;
  };
  EXPECT_TRUE(fails(0s));
  EXPECT_FALSE(fails(19s));
  EXPECT_TRUE(fails(1s, 120s));
  EXPECT_FALSE(fails(119s));
  EXPECT_TRUE(fails(1s, std::chrono::seconds(1'000'000)));
  EXPECT_FALSE(fails(3599s));
  EXPECT_TRUE(fails(1s));
}

TEST_F(Countersigning, OfTwoWitnessesOneMayBeAway) {
  witnesses_ = {&witness_, &second_};
  make();
  second_.next = status(503);
  step(0s);
  EXPECT_EQ(state(0).health, Health::kGood);
  EXPECT_EQ(state(1).health, Health::kAway);
  step(20s);
  const auto kept = read_witnessed(log()).value();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].note.signatures.size(), 3U) << "the log's, and both";
  grow();
  second_.next = status(503);
  step(10s);
  EXPECT_EQ(read_witnessed(log()).value().size(), 2U) << "the other one's newest stays";
}

// The log was put back, and log/witnessed with it or not: the witness is not fooled, and a forgetful one is not asked.
TEST_F(Countersigning, ALogThatWasPutBackIsContradictedAndNotShown) {
  std::filesystem::copy(log(), gw_.state() + "/early", std::filesystem::copy_options::recursive);
  grow();
  step(0s);
  const std::string witnessed = witnessed_folder(log());
  std::filesystem::rename(witnessed, gw_.state() + "/witnessed");
  std::filesystem::remove_all(log());
  std::filesystem::copy(gw_.state() + "/early", log(), std::filesystem::copy_options::recursive);
  make();
  step(0s);
  EXPECT_EQ(state().health, Health::kContradicts) << "by its answer";
  std::filesystem::rename(gw_.state() + "/witnessed", witnessed);
  make();
  const uint64_t asked = witness_.asked;
  step(0s);
  EXPECT_EQ(state().health, Health::kContradicts) << "by what was kept";
  EXPECT_EQ(witness_.asked, asked) << "it is not asked to sign that";
}

TEST_F(Countersigning, ALogThatWasMadeAnewIsContradicted) {
  step(0s);
  std::vector<std::string> all;
  ASSERT_TRUE(read_entries(log(), size(), [&](uint64_t, Bytes entry) { all.emplace_back(as_text(entry)); }));
  all[0] += " ";
  all.emplace_back("{}");
  const std::string witnessed = witnessed_folder(log());
  std::filesystem::rename(witnessed, gw_.state() + "/witnessed");
  std::filesystem::remove_all(log());
  EvidenceLog forged(log(), "weir.invalid/gw", SigningKey::read(gw_.key_file()).value(), files_);
  ASSERT_TRUE(forged.open([](uint64_t, Bytes) {}));
  for (std::string& leaf : all) forged.add(std::move(leaf));
  ASSERT_TRUE(forged.commit());
  make();
  step(0s);
  EXPECT_EQ(state().health, Health::kContradicts) << state().problem;
  EXPECT_EQ(state().answers.at("422"), 1U);
  std::filesystem::rename(gw_.state() + "/witnessed", witnessed);
  make();
  const uint64_t asked = witness_.asked;
  step(0s);
  EXPECT_EQ(state().health, Health::kContradicts);
  EXPECT_EQ(witness_.asked, asked);
}

TEST_F(Countersigning, WhatIsAlarmingStandsInTheLogAndItsEndTooAndAnAbsenceDoesNot) {
  witness_.next = status(503);
  step();
  EXPECT_TRUE(leaves_.take().empty());
  witness_.next = status(404);
  step();
  const auto told = leaves_.take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, "countersign");
  EXPECT_EQ(told[0].object["state"], "refused");
  EXPECT_EQ(told[0].object["by"], "witness.example/w1");
  witness_.next = status(404);
  step();
  EXPECT_TRUE(leaves_.take().empty()) << "once";
  step();
  ASSERT_EQ(leaves_.take().size(), 1U) << "well again";
}

TEST_F(Countersigning, AStampIsCheckedAndKeptWithItsCheckpoint) {
  has_stamps_ = true;
  witnesses_.clear();
  make();
  step(0s);
  EXPECT_EQ(state().health, Health::kGood) << state().problem;
  const auto stamps = read_stamps(log()).value();
  ASSERT_EQ(stamps.size(), 1U);
  EXPECT_EQ(stamps[0].over.size, size());
  const Result<Stamp> stamp = check_stamp(as_bytes(stamps[0].answer), stamps[0].over.note.text, authority_.ca_file);
  ASSERT_TRUE(stamp) << stamp.error().message;
  EXPECT_EQ(stamp->at_s, authority_.at_s);
  EXPECT_FALSE(check_stamp(as_bytes(stamps[0].answer), stamps[0].over.note.text + "x", authority_.ca_file));
  step(60s);
  EXPECT_EQ(authority_.asked, 1U) << "nothing new";
  grow();
  step(60s);
  EXPECT_EQ(read_stamps(log()).value().size(), 2U) << "each stays";
  make();
  EXPECT_EQ(state().size, size());
  EXPECT_TRUE(verify(false, true).has_stamp());
}

TEST_F(Countersigning, AStampThatDoesNotHoldIsNotKept) {
  has_stamps_ = true;
  witnesses_.clear();
  make();
  test::TemporaryFolder elsewhere{"/dev/shm"};
  FakeAuthority other(elsewhere.path());
  struct Given { Result<PostAnswer> answer; Health health; };
  const std::vector<Given> all = {
      {status(200, "no stamp"), Health::kWrong},
      {status(200, authority_.answer(stamp_request("another text").value())), Health::kWrong},
      {status(200, authority_.answer(stamp_request(read_head(log()).value().note.text).value())), Health::kWrong},   // Another nonce.
      {status(200, other.answer(stamp_request(read_head(log()).value().note.text).value())), Health::kWrong},
      {status(200, authority_.answer("no request")), Health::kWrong},
      {status(400), Health::kRefused},
      {status(503), Health::kAway},
      {fail(Error::Kind::kUnavailable, "cannot connect"), Health::kAway},
  };
  for (const Given& given : all) {
    authority_.next = given.answer;
    step();
    EXPECT_EQ(state().health, given.health) << state().problem;
    EXPECT_TRUE(read_stamps(log()).value().empty());
  }
  step();
  EXPECT_EQ(state().health, Health::kGood) << state().problem;
}

TEST_F(Countersigning, AStampOfAnotherAuthorityDoesNotHoldLaterEither) {
  test::TemporaryFolder elsewhere{"/dev/shm"};
  FakeAuthority other(elsewhere.path());
  const std::string answer = other.answer(stamp_request("a text").value());
  EXPECT_TRUE(check_stamp(as_bytes(answer), "a text", other.ca_file));
  EXPECT_FALSE(check_stamp(as_bytes(answer), "a text", authority_.ca_file));
  EXPECT_EQ(check_stamp(as_bytes(answer), "a text", "/nowhere").error().kind, Error::Kind::kInvalid);
}

TEST_F(Countersigning, AProofCarriesTheCosignaturesOfACheckpointThatCoversIt) {
  step(0s);
  const uint64_t cosigned = size();
  grow();
  const std::vector<VerifyingKey> keys{VerifyingKey::read(gw_.key_file() + ".pub").value()};
  const std::string first = prove(log(), 1, std::nullopt).value(), second = prove(log(), 2, std::nullopt).value();
  const Result<Proved> proved = check_proof(first, keys, {witness_.verifier()});
  ASSERT_TRUE(proved) << proved.error().message;
  EXPECT_EQ(proved->checkpoint.size, cosigned);
  ASSERT_EQ(proved->witnesses.size(), 1U);
  EXPECT_EQ(proved->witnesses[0].at_s, witness_.at_s);
  EXPECT_TRUE(check_proof(second, keys));
  EXPECT_FALSE(check_proof(second, keys, {witness_.verifier()})) << "nobody has cosigned it yet";
  EXPECT_FALSE(check_proof(first, keys, {second_.verifier()}));
}

TEST(WitnessKey, OfALogOrOfAnAlgorithmThatCannotBeCheckedIsRefused) {
  test::TemporaryFolder folder{"/dev/shm"};
  const SigningKey key = SigningKey::generate(folder.path() + "/k").value();
  EXPECT_TRUE(witness_from_text(to_vkey(note_verifier("w", NoteAlgorithm::kCosignature, key.verifying())) + "\n"));
  EXPECT_FALSE(witness_from_text(to_vkey(note_verifier("w", NoteAlgorithm::kEd25519, key.verifying()))));
  NoteVerifier later{.name = "w", .algorithm = NoteAlgorithm::kMlDsa44, .public_key = std::vector<std::byte>(1312)};
  later.key_id = note_key_id("w", later.algorithm, later.public_key);
  EXPECT_FALSE(witness_from_text(to_vkey(later)));
  EXPECT_FALSE(witness_from_text("nothing"));
}

TEST(Leaves, OfOthersStandInTheLogWithTheNextStep) {
  test::Gateway gw("/dev/shm");
  LeafQueue leaves;
  gw.sealer_options.leaves = &leaves;
  gw.start();
  leaves.add({.kind = "countersign", .object = {{"by", "w"}, {"state", "refused"}}});
  gw.seal();
  bool is_there = false;
  const std::string log = gw.state() + "/log";
  ASSERT_TRUE(read_entries(log, read_head(log).value().checkpoint.size, [&](uint64_t, Bytes entry) {
    const auto leaf = other_from_leaf(as_text(entry));
    is_there = is_there || (leaf && leaf->kind == "countersign" && leaf->object["by"] == "w");
  }));
  EXPECT_TRUE(is_there);
}

}  // namespace
}  // namespace weir::record
