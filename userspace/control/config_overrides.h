// `--set key=value`: one value put into the tree before it is read, so that it is checked like any other.
#pragma once
#include <string>
#include <vector>

#include "control/yaml_tree.h"

namespace weir::control {

// Key: names joined by dots; an entry of a list by its name, id or index: "targets[orders-db].mode", "steer.clients[0]".
// The value is YAML: "5", "true", "[0, 1]".  Maps on the way are made; list entries must be there.
// Post: the tree is changed, or there is a problem with the place "--set KEY=...".
void apply_override(const std::string& text, YamlNode& root, std::vector<ConfigProblem>& problems);

}  // namespace weir::control
