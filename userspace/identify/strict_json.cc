#include "identify/strict_json.h"

#include <string>
#include <unordered_set>
#include <vector>

namespace weir::identify {

Result<nlohmann::json> parse_strict_json(std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  bool has_repeat = false, is_too_deep = false;
  std::vector<std::unordered_set<std::string>> names;  // Of each object that is open.
  const auto look = [&](int depth, Event event, nlohmann::json& value) {
    if (depth > kJsonDepthMax) is_too_deep = true;
    if (is_too_deep) return false;  // What lies deeper is thrown away as it is read.
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end && !names.empty()) names.pop_back();
    if (event == Event::key && !names.empty() && !names.back().insert(value.get_ref<const std::string&>()).second)
      has_repeat = true;
    return true;
  };
  nlohmann::json parsed = nlohmann::json::parse(text.begin(), text.end(), look, /*allow_exceptions=*/false);
  if (is_too_deep) return fail(Error::Kind::kInvalid, "it is nested too deep");
  if (has_repeat) return fail(Error::Kind::kInvalid, "it has a name twice in one object");
  if (parsed.is_discarded() || !parsed.is_object()) return fail(Error::Kind::kInvalid, "it is malformed, or no object");
  return parsed;
}

}  // namespace weir::identify
