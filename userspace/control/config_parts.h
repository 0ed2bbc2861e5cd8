// What a configuration consists of: the files it was read from, and every rule, grant, approval, target and setting by name, each
// with the digest of its content; and what two configurations differ in, so that an auditor reads of a reload what it changed.
// Configuration and rule files hold no secret (secrets are in files of their own, which are not hashed here), so the digests
// are plain SHA-256.
// Must never: call two configurations the same whose text differs beyond comments and layout.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/yaml_tree.h"
#include "core/config.h"

namespace weir::control {

// SHA-256 of `text`, hex.
[[nodiscard]] std::string sha256_text(std::string_view text);

// Adds the parts of one file, overrides applied.  `rule_file`: its path; empty: it is weir.yaml.
void add_parts(const YamlNode& root, std::string_view rule_file, std::vector<ConfigPart>& out);
void sort_parts(std::vector<ConfigPart>& parts);

// {digest: {before, after}, files: [{file, before, after}..], parts: [{kind, name, how}..], more?}: only what differs; how is added,
// removed or changed; null for a file that was not, or is no more, among them.  `more`: how many parts are not listed.
// Pre: both are usable, their parts sorted.
[[nodiscard]] nlohmann::json change_between(const Config& before, const Config& after);
// For people, on one line: "rule no-drop added, grant read changed"; "nothing but layout" if no part differs.
[[nodiscard]] std::string change_text(const nlohmann::json& change);

}  // namespace weir::control
