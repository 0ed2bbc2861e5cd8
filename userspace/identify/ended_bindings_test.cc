#include "identify/ended_bindings.h"

#include <gtest/gtest.h>

namespace weir::identify {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

Binding binding(uint64_t id, const char* where, const char* subject, sys_seconds until) {
  Identity identity;
  identity.binding_id = id;
  identity.subject = subject;
  identity.expires = until;
  Binding made;
  made.identity = std::make_shared<const Identity>(std::move(identity));
  made.where = *Prefix::parse(where);
  return made;
}

const sys_seconds kEnd{seconds(1'000'000)};

TEST(EndedBindings, TellTheNewestOfAnAddressForADay) {
  EndedBindings ended;
  const Address address = *Address::parse("198.18.1.3");
  EXPECT_FALSE(ended.find(address, kEnd));
  ended.note({binding(1, "198.18.1.3", "user:ann", kEnd), binding(2, "198.18.1.4", "user:bob", kEnd)});
  ended.note({binding(3, "198.18.1.3", "user:eve", kEnd + seconds(60))});
  ASSERT_TRUE(ended.find(address, kEnd + seconds(61)));
  EXPECT_EQ(ended.find(address, kEnd + seconds(61))->subject, "user:eve");
  EXPECT_EQ(ended.find(address, kEnd + seconds(61))->id, 3u);
  EXPECT_TRUE(ended.find(address, kEnd + seconds(60) + EndedBindings::kKeptFor));
  EXPECT_FALSE(ended.find(address, kEnd + seconds(61) + EndedBindings::kKeptFor));
  EXPECT_FALSE(ended.find(*Address::parse("198.18.1.5"), kEnd));
}

TEST(EndedBindings, APrefixHoldsAllItsAddresses) {
  EndedBindings ended;
  ended.note({binding(1, "198.18.2.0/24", "svc:batch", kEnd)});
  EXPECT_TRUE(ended.find(*Address::parse("198.18.2.77"), kEnd));
}

TEST(EndedBindings, TheOldestIsForgotten) {
  EndedBindings ended;
  ended.note({binding(1, "198.18.1.3", "user:ann", kEnd)});
  for (std::size_t i = 0; i < EndedBindings::kKeptMax; ++i) ended.note({binding(2, "198.18.1.4", "user:bob", kEnd)});
  EXPECT_FALSE(ended.find(*Address::parse("198.18.1.3"), kEnd));
}

}  // namespace
}  // namespace weir::identify
