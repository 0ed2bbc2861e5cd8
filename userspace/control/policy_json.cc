#include "control/policy_json.h"

#include <cstdio>

#include "control/config_values.h"

namespace weir::control {
namespace {

using nlohmann::ordered_json;

constexpr weir::Verb kGrantable[] = {weir::Verb::kRead,  weir::Verb::kWrite, weir::Verb::kDdl,     weir::Verb::kAdmin,       weir::Verb::kExec,
                                     weir::Verb::kShell, weir::Verb::kFile,  weir::Verb::kForward, weir::Verb::kImpersonate, weir::Verb::kReplicate};

}  // namespace

std::string_view name_of(RuleAction action) {
  switch (action) {
    case RuleAction::kAllow: return "allow";
    case RuleAction::kBlock: return "block";
    case RuleAction::kTerminate: return "terminate";
    case RuleAction::kHold: return "hold";
    case RuleAction::kMask: return "mask";
    case RuleAction::kAlert: return "alert";
  }
  return "block";
}

std::vector<std::string> verb_names(VerbSet verbs) {
  std::vector<std::string> names;
  for (const weir::Verb verb : kGrantable) {
    if ((verbs & bit(verb)) != 0) names.emplace_back(name_of(verb));
  }
  return names;
}

std::string hours_text(const HoursConfig& hours) {
  static constexpr const char* kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  std::string text;
  for (const HoursConfig::Span& span : hours.spans) {
    char times[48];
    std::snprintf(times, sizeof times, "%s%s-%s %02d:%02d-%02d:%02d", text.empty() ? "" : ", ", kDays[span.first_day % 7], kDays[span.last_day % 7], span.from_minute / 60, span.from_minute % 60,
                  span.to_minute / 60, span.to_minute % 60);
    text += times;
  }
  return text.empty() ? "always" : text + " " + hours.zone;
}

ordered_json to_json(const RuleConfig& rule) {
  return {{"id", rule.id}, {"then", name_of(rule.then)}, {"mode", rule.observe ? "observe" : "enforce"}, {"severity", rule.severity}, {"tags", rule.tags}, {"why", rule.why},
          {"file", rule.place.file}, {"line", rule.place.line}};
}

ordered_json to_json(const GrantConfig& grant) {
  ordered_json object{{"name", grant.name},
                      {"who", {{"subjects", grant.who.subjects}, {"groups", grant.who.groups}}},
                      {"targets", grant.targets},
                      {"logins", grant.logins},
                      {"databases", grant.databases},
                      {"verbs", verb_names(grant.verbs)},
                      {"objects", grant.objects},
                      {"hours", hours_text(grant.hours)},
                      {"assurance", name_of(grant.assurance)},
                      {"request_id", grant.request_id_required ? "required" : "optional"},
                      {"used_by", grant.is_for_people ? "people" : "anybody"},
                      {"approval", grant.approval},
                      {"tags", grant.tags},
                      {"file", grant.place.file},
                      {"line", grant.place.line}};
  object["until"] = grant.until == std::chrono::sys_seconds{} ? ordered_json(nullptr) : ordered_json(text_of(grant.until));
  return object;
}

}  // namespace weir::control
