// A change brings its reason along, whole, or it is not made.
#include "session/act_rules.h"

#include <gtest/gtest.h>

namespace weir::session {
namespace {

using nlohmann::json;

bool takes(std::string_view verb, const json& arguments, bool is_required = true) { return reason_of(verb, arguments, is_required).has_value(); }

TEST(ActRules, ChangesNeedAReasonWhereTheConfigurationSaysSo) {
  for (const char* verb : {"reload", "revoke", "cut"}) {
    EXPECT_FALSE(takes(verb, json::object())) << verb;
    EXPECT_FALSE(takes(verb, {{"reason", ""}})) << verb;
    EXPECT_FALSE(takes(verb, {{"reason", "   "}})) << verb;
    EXPECT_TRUE(takes(verb, json::object(), false)) << verb;
    EXPECT_EQ(reason_of(verb, {{"reason", "CHG-1"}}, true).value(), "CHG-1");
  }
}

TEST(ActRules, AnswersAlwaysNeedOneAndABindingNever) {
  for (const char* verb : {"approve", "deny"}) EXPECT_FALSE(takes(verb, json::object(), false)) << verb;
  for (const char* verb : {"hold-add", "hold-remove", "retention-run"}) EXPECT_FALSE(takes(verb, json::object(), false)) << verb;
  EXPECT_TRUE(takes("bind", json::object()));
  EXPECT_EQ(reason_of("bind", {{"reason", "night shift"}}, true).value(), "night shift");
}

TEST(ActRules, AReasonThatCannotStandOnTheRecordAsItIsIsRefused) {
  EXPECT_TRUE(takes("reload", {{"reason", std::string(kReasonMax, 'x')}}));
  EXPECT_FALSE(takes("reload", {{"reason", std::string(kReasonMax + 1, 'x')}})) << "not cut short";
  EXPECT_FALSE(takes("reload", {{"reason", "two\nlines"}}));
  EXPECT_FALSE(takes("reload", {{"reason", "\x1b[31mred"}}));
  EXPECT_FALSE(takes("reload", {{"reason", "\xff\xfe"}}));
  EXPECT_FALSE(takes("reload", {{"reason", 17}}));
  EXPECT_TRUE(takes("reload", {{"reason", "für Müller"}}));
  EXPECT_FALSE(takes("bind", {{"reason", std::string(kReasonMax + 1, 'x')}})) << "also where none is needed";
}

}  // namespace
}  // namespace weir::session
