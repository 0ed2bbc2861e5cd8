// An access list that went on the record in pieces comes back whole or not at all, and never one that was out of force.
#include "report/access_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::report {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json entries_of(std::size_t count, std::size_t size = 10) {
  json entries = json::array();
  for (std::size_t i = 0; i < count; ++i) entries.push_back({{"kind", "grant"}, {"name", "grant-" + std::to_string(i)}, {"tags", std::string(size, 'x')}});
  return entries;
}

// Acts as the record gives them back: parsed from text.  `at`: seconds of one minute.
std::vector<json> acts_of(const json& entries, const std::string& config, unsigned at, uint64_t session = 5, uint64_t sequence = 2) {
  std::vector<json> acts;
  for (const json& piece : access_pieces(entries, config)) {
    acts.push_back(json::parse(json{{"act", kAccessListAct}, {"at", "2027-03-01T08:00:" + std::to_string(at + acts.size()) + ".000000001Z"}, {"by", {{"via", "start"}}}, {"outcome", "done"}, {"session", session},
                                    {"seq", sequence + acts.size()}, {"change", piece}}.dump()));
  }
  return acts;
}

json reload(const std::string& config, unsigned at) {
  return json{{"act", "reload"}, {"at", "2027-03-01T08:00:" + std::to_string(at) + ".000000001Z"}, {"outcome", "done"}, {"session", 5u}, {"seq", 90u}, {"change", {{"digest", {{"before", "b"}, {"after", config}}}}}};
}

std::optional<AccessFound> ask(AccessAt& access, std::vector<json> acts, const std::vector<json>& log = {}) {
  std::reverse(acts.begin(), acts.end());
  for (const json& act : acts) {
    if (!access.add_act(act)) break;
  }
  for (std::size_t i = 0; i < log.size(); ++i) access.add_log_entry(i, log[i]);
  return access.found();
}

TEST(AccessList, ComesBackFromItsPiecesWithItsLeaf) {
  const json entries = entries_of(40, 4'000);
  const auto acts = acts_of(entries, "c1", 10);
  ASSERT_GT(acts.size(), 2u);
  AccessAt access("2027-03-01T08:01:00Z");
  const auto found = ask(access, acts, {{{"kind", "start"}, {"at", "2027-03-01T08:00:09.000000001Z"}, {"config", "c1"}},
                                        {{"kind", "act"}, {"at", acts.back()["at"]}, {"act", "access-list"}, {"session", 5u}, {"sequence", acts.back()["seq"]}, {"digest", "ab"}}});
  ASSERT_TRUE(found) << access.why();
  EXPECT_EQ(found->entries, entries);
  EXPECT_EQ(found->digest, access_list_digest(entries));
  EXPECT_EQ(found->config, "c1");
  EXPECT_EQ(found->leaf, 1u);
  EXPECT_EQ(found->why, "start");
}

TEST(AccessList, IsTheOneOfTheTimeAndNotANewerOne) {
  std::vector<json> acts = acts_of(entries_of(2), "c1", 10);
  for (const json& act : {reload("c2", 29), acts_of(entries_of(3), "c2", 30).front()}) acts.push_back(act);
  AccessAt before("2027-03-01T08:00:20Z"), after("2027-03-01T08:00:40Z"), earlier("2027-03-01T08:00:01Z");
  EXPECT_EQ(ask(before, acts)->config, "c1");
  EXPECT_EQ(ask(after, acts)->config, "c2");
  EXPECT_FALSE(ask(earlier, acts));
  EXPECT_THAT(earlier.why(), HasSubstr("no access list"));
}

TEST(AccessList, IsNotKnownWhereTheConfigurationChangedWithoutOne) {
  std::vector<json> acts = acts_of(entries_of(2), "c1", 10);
  acts.push_back(reload("c2", 30));
  AccessAt by_reload("2027-03-01T08:00:40Z");
  EXPECT_FALSE(ask(by_reload, acts));
  EXPECT_THAT(by_reload.why(), HasSubstr("c2"));
  acts.pop_back();
  AccessAt by_start("2027-03-01T08:00:40Z");
  EXPECT_FALSE(ask(by_start, acts, {{{"kind", "start"}, {"at", "2027-03-01T08:00:35.000000001Z"}, {"config", "c3"}}}));
  json refused = reload("c2", 30);
  refused["outcome"] = "denied: no";
  acts.push_back(refused);
  AccessAt unchanged("2027-03-01T08:00:40Z");
  EXPECT_TRUE(ask(unchanged, acts)) << "a reload that was refused changes nothing";
}

TEST(AccessList, ThatIsNotWholeOrWasChangedIsNotShown) {
  std::vector<json> acts = acts_of(entries_of(40, 4'000), "c1", 10);
  std::vector<json> missing = acts;
  missing.erase(missing.begin() + 1);
  AccessAt holed("2027-03-01T08:01:00Z");
  EXPECT_FALSE(ask(holed, missing));
  std::vector<json> cut = acts;
  cut.pop_back();
  AccessAt young("2027-03-01T08:01:00Z");
  EXPECT_FALSE(ask(young, cut)) << "its last piece is not there";
  acts[1]["change"]["entries"][0]["name"] = "grant-of-somebody";
  AccessAt changed("2027-03-01T08:01:00Z");
  EXPECT_FALSE(ask(changed, acts));
  EXPECT_THAT(changed.why(), HasSubstr("was changed"));
}

TEST(AccessList, SaysThatNoGatewayRanThen) {
  AccessAt access("2027-03-01T08:00:40Z");
  EXPECT_TRUE(ask(access, acts_of(entries_of(2), "c1", 10), {{{"kind", "gap"}, {"from", "2027-03-01T08:00:30.000000001Z"}, {"at", "2027-03-01T08:00:50.000000001Z"}, {"why", "killed"}}}));
  EXPECT_THAT(access.gap(), HasSubstr("killed"));
}

TEST(AccessList, HasABound) {
  EXPECT_TRUE(access_pieces(entries_of(3, kAccessListMax / 2), "c").empty());
  const auto pieces = access_pieces(json::array(), "c");
  ASSERT_EQ(pieces.size(), 1u) << "that nobody may do anything is a list too";
  for (const json& piece : access_pieces(entries_of(500, 1'000), "c")) EXPECT_LT(piece.dump().size(), 2 * kAccessPieceMax);
}

}  // namespace
}  // namespace weir::report
