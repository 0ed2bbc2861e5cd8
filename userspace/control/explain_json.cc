#include "control/explain_json.h"

namespace weir::control {

using nlohmann::ordered_json;

ordered_json to_json(const decide::Explanation& explanation) {
  ordered_json grants = ordered_json::array(), rules = ordered_json::array();
  for (const decide::GrantTrace& grant : explanation.grants) grants.push_back({{"grant", grant.grant}, {"admits", grant.admits}, {"why", grant.why}});
  for (const decide::RuleTrace& rule : explanation.rules) {
    rules.push_back({{"rule", rule.rule}, {"applies", rule.applies}, {"matches", rule.matches}, {"observed", rule.observed}, {"exempted", rule.exempted}, {"action", rule.action}, {"why", rule.why}});
  }
  return {{"verdict", explanation.action}, {"rule", explanation.rule}, {"reason", explanation.reason}, {"observed", explanation.observed}, {"grant", explanation.grant},
          {"identity", explanation.identity}, {"target", explanation.target}, {"facts", explanation.facts}, {"grants", std::move(grants)}, {"rules", std::move(rules)}, {"masks", explanation.masks}};
}

}  // namespace weir::control
