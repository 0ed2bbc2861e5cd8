// Names in a snapshot.
#include "parse/postgres/catalogue.h"

#include <gtest/gtest.h>

namespace weir::postgres {
namespace {

using Path = std::vector<std::string>;

TEST(SearchPath, SplitsAsTheServerDoes) {
  EXPECT_EQ(split_search_path("\"$user\", public"), (Path{"$user", "public"}));
  EXPECT_EQ(split_search_path("A,\"B c\" , \"d\"\"e\""), (Path{"a", "B c", "d\"e"}));
  EXPECT_EQ(split_search_path(""), Path{});
  EXPECT_EQ(split_search_path(" , "), Path{});
  EXPECT_EQ(split_search_path("\"open"), Path{"open"});
}

std::shared_ptr<const Catalogue> sample() {
  CatalogueContents contents;
  contents.generation = 5;
  const auto add = [&contents](uint32_t id, const char* schema, const char* name) {
    CatalogueRelation& relation = contents.relations.emplace_back();
    relation.id = id;
    relation.schema = schema;
    relation.name = name;
  };
  add(1, "public", "t");
  add(2, "a", "t");
  add(3, "public", "only");
  add(4, "pg_catalog", "pg_class");
  add(5, "a", "pg_class");
  add(6, "public", "temp");
  contents.functions = {{"public", "f", true}, {"a", "f", false}, {"pg_catalog", "lower", true}, {"pg_catalog", "g", false}, {"public", "g", true}};
  contents.temporary_names = {"temp"};
  contents.role_search_paths = {{"bob", "\"a\", \"public\""}};
  return make_catalogue(std::move(contents));
}

uint32_t id_of(const CatalogueRelation* relation) { return relation == nullptr ? 0 : relation->id; }

TEST(Catalogue, FindsRelationsByPathAndRefusesWhatMayBeAnother) {
  const auto catalogue = sample();
  EXPECT_EQ(catalogue->generation(), 5U);
  EXPECT_EQ(id_of(catalogue->relation("a", "t", "")), 2U);
  EXPECT_EQ(id_of(catalogue->relation("", "t", "public, a")), 1U);
  EXPECT_EQ(id_of(catalogue->relation("", "t", "a, public")), 2U);
  EXPECT_EQ(id_of(catalogue->relation("", "t", "b")), 0U);
  EXPECT_EQ(id_of(catalogue->relation("", "only", "")), 3U);          // The default: "$user", public.
  EXPECT_EQ(id_of(catalogue->relation("", "t", "")), 0U);             // The user may be called a.
  EXPECT_EQ(id_of(catalogue->relation("", "pg_class", "a")), 4U);     // pg_catalog comes first,
  EXPECT_EQ(id_of(catalogue->relation("", "pg_class", "a, pg_catalog")), 5U);  // unless the path says when.
  EXPECT_EQ(id_of(catalogue->relation("", "temp", "public")), 0U);    // A session has a temporary table of that name.
  EXPECT_EQ(id_of(catalogue->relation("public", "temp", "")), 6U);
  EXPECT_EQ(id_of(catalogue->relation(4)), 4U);
  EXPECT_EQ(catalogue->relation(99), nullptr);
}

TEST(Catalogue, ClearsAFunctionOnlyIfEveryOverloadInReachIsCleared) {
  const auto catalogue = sample();
  EXPECT_TRUE(catalogue->function_only_reads("public", "f", ""));
  EXPECT_FALSE(catalogue->function_only_reads("a", "f", ""));
  EXPECT_TRUE(catalogue->function_only_reads("", "f", "public"));
  EXPECT_FALSE(catalogue->function_only_reads("", "f", "public, a"));
  EXPECT_FALSE(catalogue->function_only_reads("", "f", ""));          // "$user": it may be a.
  EXPECT_FALSE(catalogue->function_only_reads("", "g", "public"));    // pg_catalog has one that is not.
  EXPECT_FALSE(catalogue->function_only_reads("", "unknown", "public"));
  EXPECT_TRUE(catalogue->function_is_shadowed("g", "public"));
  EXPECT_FALSE(catalogue->function_is_shadowed("g", "b"));
  EXPECT_FALSE(catalogue->function_is_shadowed("lower", "public"));
}

TEST(Catalogue, KnowsTheSearchPathOfALogin) {
  const auto catalogue = sample();
  EXPECT_EQ(catalogue->default_search_path("bob"), "\"a\", \"public\"");
  EXPECT_EQ(catalogue->default_search_path("eve"), "\"$user\", public");
}

}  // namespace
}  // namespace weir::postgres
