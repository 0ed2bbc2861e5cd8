#include "identify/binding_index.h"

#include <gtest/gtest.h>

namespace weir::identify::testing {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr sys_seconds kNow{seconds(1'900'000'000)};

Binding binding_of(uint64_t id, const char* where, bool is_static = true, sys_seconds expires = {}) {
  Identity identity;
  identity.binding_id = id;
  identity.expires = expires;
  Binding binding;
  binding.identity = std::make_shared<const Identity>(std::move(identity));
  binding.where = *Prefix::parse(where);
  binding.is_static = is_static;
  return binding;
}
uint64_t id_at(const BindingIndex& index, const char* where) {
  const IdentityPtr identity = index.find(*Address::parse(where), kNow);
  return identity ? identity->binding_id : 0;
}

TEST(BindingIndex, TheLongestPrefixThatLivesCounts) {
  const std::vector<Binding> all = {binding_of(1, "198.18.0.0/15"), binding_of(2, "198.18.1.0/24"), binding_of(3, "198.18.1.2"),
                                    binding_of(4, "198.18.1.128/25", true, kNow), binding_of(5, "fd57::/16"), binding_of(6, "fd57:1::/64")};
  const BindingIndex index(all);
  EXPECT_EQ(id_at(index, "198.18.1.2"), 3u);
  EXPECT_EQ(id_at(index, "198.18.1.3"), 2u);
  EXPECT_EQ(id_at(index, "198.18.1.200"), 2u);  // The longer one has ended.
  EXPECT_EQ(id_at(index, "198.19.0.1"), 1u);
  EXPECT_EQ(id_at(index, "198.20.0.1"), 0u);
  EXPECT_EQ(id_at(index, "fd57:1::9"), 6u);
  EXPECT_EQ(id_at(index, "fd57:2::9"), 5u);
}

TEST(BindingIndex, OfOnePrefixTheSignedInCountsThenTheOlder) {
  const std::vector<Binding> all = {binding_of(1, "198.18.1.2", true, kNow), binding_of(2, "198.18.1.2"), binding_of(3, "198.18.1.2"),
                                    binding_of(4, "198.18.1.2", false), binding_of(5, "198.18.1.3", false, kNow), binding_of(6, "198.18.1.3")};
  const BindingIndex index(all);
  EXPECT_EQ(id_at(index, "198.18.1.2"), 4u);
  EXPECT_EQ(id_at(index, "198.18.1.3"), 6u);
  const std::vector<Binding> without(all.begin(), all.begin() + 3);
  EXPECT_EQ(id_at(BindingIndex(without), "198.18.1.2"), 2u);
}

TEST(BindingIndex, AtIsExact) {
  const std::vector<Binding> all = {binding_of(1, "198.18.1.0/24"), binding_of(2, "0.0.0.0/0")};
  const BindingIndex index(all);
  EXPECT_EQ(index.at(*Prefix::parse("198.18.1.2"), kNow), nullptr);
  EXPECT_EQ(index.at(*Prefix::parse("198.18.1.0/25"), kNow), nullptr);
  ASSERT_NE(index.at(*Prefix::parse("198.18.1.0/24"), kNow), nullptr);
  EXPECT_EQ(id_at(index, "203.0.113.9"), 2u);
}

}  // namespace
}  // namespace weir::identify::testing
