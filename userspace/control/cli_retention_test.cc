// retention on the command line, without an engine.
#include <gmock/gmock.h>

#include <fstream>

#include "control/cli_test_support.h"

namespace weir::control {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST_F(Cli, RetentionShowsAnEmptyRecord) {
  const json shown = json::parse(weir({"retention", "--json"}).out);
  EXPECT_EQ(shown["policies"].back()["name"], "default");
  EXPECT_EQ(shown["policies"].back()["keep_s"], 400 * 86'400);
  EXPECT_EQ(shown["kept"], 0);
  EXPECT_EQ(json::parse(weir({"retention", "--plan", "--json"}).out), json::array());
  EXPECT_EQ(json::parse(weir({"retention", "hold", "list", "--json"}).out), json::array());
  EXPECT_THAT(weir({"retention"}).out, HasSubstr("no legal holds"));
}

TEST_F(Cli, RetentionRefusesWhatIsNotWholeBeforeItAsksTheEngine) {
  EXPECT_EQ(weir({"retention", "--run"}).code, kExitUsage) << "no reason";
  EXPECT_EQ(weir({"retention", "--run", "--plan", "--reason", "x"}).code, kExitUsage);
  EXPECT_EQ(weir({"retention", "--plan", "--at", "tomorrow"}).code, kExitUsage);
  EXPECT_EQ(weir({"retention", "hold", "add", "--session", "1"}).code, kExitUsage) << "no reason";
  EXPECT_THAT(weir({"retention", "hold", "add", "--reason", "x"}).err, HasSubstr("say what is held"));
  EXPECT_EQ(weir({"retention", "hold", "remove"}).code, kExitUsage);
  EXPECT_EQ(weir({"retention", "holds"}).code, kExitUsage);
  EXPECT_EQ(weir({"retention", "hold", "remove", "hold-1", "--reason", "x"}).code, kExitNoEngine);
}

}  // namespace
}  // namespace weir::control
