// openapi.yaml is what clients are built from: it has every route of the table, no other, and says of each what the table says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "control/api_router.h"

namespace weir::control {
namespace {

const YAML::Node& document() {
  static const YAML::Node node = YAML::LoadFile(std::string(WEIR_SOURCE_FOLDER) + "/userspace/control/openapi.yaml");
  return node;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

std::set<std::string> names(const YAML::Node& list) {
  std::set<std::string> all;
  for (const YAML::Node& one : list) all.insert(one.as<std::string>());
  return all;
}
std::set<std::string> keys(const YAML::Node& map) {
  std::set<std::string> all;
  for (const auto& entry : map) all.insert(entry.first.as<std::string>());
  return all;
}

TEST(ApiOpenapi, HasTheRoutesOfTheTableAndNoOther) {
  std::set<std::string> table, file;
  for (const ApiRoute& route : api_routes()) {
    if (route.access == ApiAccess::kPage) continue;  // For browsers, not for clients of the API.
    EXPECT_TRUE(table.insert(lower(route.method) + " " + std::string(route.path)).second) << "twice: " << route.path;
  }
  for (const auto& path : document()["paths"]) {
    for (const auto& method : path.second) file.insert(method.first.as<std::string>() + " " + path.first.as<std::string>());
  }
  EXPECT_EQ(file, table);
  EXPECT_EQ(document()["openapi"].as<std::string>(), "3.1.0");
}

TEST(ApiOpenapi, SaysOfEachRouteWhatTheTableSays) {
  for (const ApiRoute& route : api_routes()) {
    if (route.access == ApiAccess::kPage) continue;
    SCOPED_TRACE(std::string(route.method) + " " + std::string(route.path));
    const YAML::Node operation = document()["paths"][std::string(route.path)][lower(route.method)];
    ASSERT_TRUE(operation.IsMap());
    EXPECT_FALSE(operation["summary"].as<std::string>().empty());
    // Who may.
    const YAML::Node security = operation["security"];
    ASSERT_TRUE(security.IsSequence());
    EXPECT_EQ(security.size(), route.access == ApiAccess::kOpen ? 0u : 1u);
    if (security.size() == 1) {
      EXPECT_TRUE(security[0][route.access == ApiAccess::kSigned ? "signature" : "oidc"].IsDefined());
    }
    std::set<std::string> roles;
    for (const ApiRole role : kApiRoles) {
      if (has_role(route.roles, role)) roles.emplace(name_of(role));
    }
    EXPECT_EQ(names(operation["x-roles"]), roles);
    // What it takes.
    std::set<std::string> parameters, expected;
    for (const YAML::Node& parameter : operation["parameters"]) {
      parameters.insert(parameter["in"].as<std::string>() + " " + parameter["name"].as<std::string>() + (parameter["required"].as<bool>() ? "!" : ""));
    }
    if (route.path.find("{id}") != std::string_view::npos) expected.insert("path id!");
    if (route.path.find("{sink}") != std::string_view::npos) expected.insert("path sink!");
    for (const ApiArgument& query : route.queries) expected.insert("query " + std::string(query.name) + (query.is_required ? "!" : ""));
    EXPECT_EQ(parameters, expected);
    const YAML::Node body = operation["requestBody"];
    EXPECT_EQ(body.IsDefined(), route.method == "POST");
    if (body.IsDefined()) {
      const YAML::Node schema = body["content"]["application/json"]["schema"];
      std::set<std::string> fields, required;
      for (const ApiArgument& field : route.fields) {
        fields.emplace(field.name);
        if (field.is_required) required.emplace(field.name);
      }
      EXPECT_EQ(keys(schema["properties"]), fields);
      EXPECT_EQ(names(schema["required"]), required);
      EXPECT_EQ(body["required"].as<bool>(), !required.empty());
      EXPECT_FALSE(schema["additionalProperties"].as<bool>());
    }
    // What it answers.
    std::set<std::string> statuses;
    for (const int status : route.statuses()) statuses.insert(std::to_string(status));
    EXPECT_EQ(keys(operation["responses"]), statuses);
  }
}

TEST(ApiOpenapi, EveryReferencePointsSomewhere) {
  std::vector<YAML::Node> left = {document()};
  std::size_t count = 0;
  while (!left.empty()) {
    const YAML::Node node = left.back();
    left.pop_back();
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) left.push_back(item);
    } else if (node.IsMap()) {
      for (const auto& entry : node) {
        left.push_back(entry.second);
        if (entry.first.as<std::string>() != "$ref") continue;
        const std::string target = entry.second.as<std::string>();
        const std::size_t last = target.rfind('/'), kind = target.rfind('/', last - 1);
        EXPECT_TRUE(document()["components"][target.substr(kind + 1, last - kind - 1)][target.substr(last + 1)].IsDefined()) << target;
        ++count;
      }
    }
  }
  EXPECT_GT(count, 100u);
}

}  // namespace
}  // namespace weir::control
