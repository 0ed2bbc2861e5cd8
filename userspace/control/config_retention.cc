// retention: how long the record is kept, and what is held.  A mistake here destroys evidence: what is shorter than the floor is
// refused, and what does not cover an audit period is told.
#include <algorithm>
#include <set>

#include "control/config_sections.h"
#include "core/glob.h"
#include "record/retention.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);
constexpr auto kYear = 365 * kDay;
constexpr auto kMost = 100 * kYear;
constexpr std::size_t kRulesMax = 500;        // All of their names stand in one entry of the evidence log.

// Shorter than the floor: a slip of the pen, or somebody in a hurry.
void check_keep(MapReader& section, std::string_view key, std::chrono::seconds keep, std::chrono::seconds minimum) {
  if (!section.has(key) || keep >= minimum) return;
  section.context().error(section.place_of(key), section.path_of(key) + ": " + text_of(std::chrono::microseconds(keep)) + " is shorter than retention.minimum (" + text_of(std::chrono::microseconds(minimum)) + "): what was recorded since would be destroyed",
                          "400d");
}

void read_rule(MapReader& rule, RetentionRuleConfig& out, std::chrono::seconds minimum) {
  LoadContext& context = rule.context();
  rule.name("name", out.name);
  if (out.name == record::kDefaultPolicy) context.error(rule.place_of("name"), rule.path_of("name") + ": \"default\" is what counts where no rule fits", "another name");
  if (!rule.has("where")) context.error(rule.place(), rule.path_of("where") + " is missing", "where: {targets: [orders-db]}");
  MapReader where = rule.map("where");
  where.strings("targets", out.targets);
  where.strings("tags", out.tags);
  where.strings("rules", out.rules);
  where.strings("groups", out.groups);
  where.strings("subjects", out.subjects);
  if (rule.has("where") && out.targets.empty() && out.tags.empty() && out.rules.empty() && out.groups.empty() && out.subjects.empty()) {
    context.error(rule.place_of("where"), rule.path_of("where") + " names nothing, and would fit every session", "retention.default is for those");
  }
  where.finish();
  if (!rule.has("keep")) context.error(rule.place(), rule.path_of("keep") + " is missing");
  rule.duration("keep", out.keep, 1s, kMost, true);
  check_keep(rule, "keep", out.keep, minimum);
  if (out.keep >= minimum && out.keep < kYear) context.warn(rule.place_of("keep"), rule.path_of("keep") + ": below 365d, an audit period of twelve months is not covered");
  rule.finish();
}

void read_hold(MapReader& hold, RetentionHoldConfig& out) {
  LoadContext& context = hold.context();
  hold.name("name", out.name);
  if (out.name.starts_with("hold-")) context.error(hold.place_of("name"), hold.path_of("name") + ": names that begin with hold- are given by `weir retention hold add`", "case-17");
  MapReader where = hold.map("where");
  where.text("subject", out.subject);
  where.text("target", out.target);
  std::string session;
  where.text("session", session);
  if (!session.empty()) {
    const auto number = parse_number(session);
    if (!number || *number == 0) context.error(where.place_of("session"), where.path_of("session") + ": " + in_quotes(session) + " is no session's number", "session: \"17\"");
    else out.session = *number;
  }
  where.finish();
  if (out.subject.empty() && out.target.empty() && session.empty()) context.error(hold.place(), hold.path_of("where") + " names nothing", "where: {subject: \"user:mallory\"}");
  hold.text("set_by", out.set_by, Need::kRequired);
  hold.text("reason", out.reason, Need::kRequired);
  hold.finish();
}

}  // namespace

void read_retention(MapReader retention, RetentionConfig& out) {
  LoadContext& context = retention.context();
  retention.duration("minimum", out.minimum, 1s, kMost, true);
  if (out.minimum < kDay) context.warn(retention.place_of("minimum"), retention.path_of("minimum") + ": below 1d, a slip of the pen destroys the record of today", "for tests alone");
  retention.duration("default", out.keep, 1s, kMost, true);
  check_keep(retention, "default", out.keep, out.minimum);
  if (out.keep < out.minimum && !retention.has("default")) out.keep = out.minimum;
  if (retention.has("default") && out.keep >= out.minimum && out.keep < kYear) {
    context.warn(retention.place_of("default"), retention.path_of("default") + ": below 365d, an audit period of twelve months is not covered");
  }
  std::set<std::string> names;
  const auto is_twice = [&](MapReader& entry, const std::string& name) {
    if (name.empty() || names.insert(name).second) return;
    context.error(entry.place_of("name"), entry.path_of("name") + ": there are two of the name " + in_quotes(name));
  };
  const auto rules = retention.take_maps("rules");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    MapReader rule = MapReader::entry(retention, "rules", rules[i], i);
    read_rule(rule, out.rules.emplace_back(), out.minimum);
    is_twice(rule, out.rules.back().name);
  }
  if (rules.size() > kRulesMax) context.error(retention.place_of("rules"), retention.path_of("rules") + ": at most " + std::to_string(kRulesMax));
  names.clear();
  const auto holds = retention.take_maps("holds");
  for (std::size_t i = 0; i < holds.size(); ++i) {
    MapReader hold = MapReader::entry(retention, "holds", holds[i], i);
    read_hold(hold, out.holds.emplace_back());
    is_twice(hold, out.holds.back().name);
  }
  retention.finish();
}

// No mistake for certain: what is recorded already may be of a rule or a target that is gone.
void check_retention(LoadContext& context, const Config& config) {
  std::set<std::string> tags, rules;
  for (const RuleConfig& rule : config.rules) {
    tags.insert(rule.tags.begin(), rule.tags.end());
    rules.insert(rule.id);
  }
  for (const RetentionRuleConfig& rule : config.retention.rules) {
    const std::string path = "retention.rules[" + rule.name + "].where.";
    const auto warn = [&](const char* key, const std::string& name, const char* what) {
      context.warn(context.place_of(path + key, name, {config.file, 0, 0}), path + key + ": " + in_quotes(name) + " is no " + what + " here: only older sessions can fit");
    };
    for (const std::string& tag : rule.tags) {
      if (!tags.contains(tag)) warn("tags", tag, "tag of a rule");
    }
    for (const std::string& id : rule.rules) {
      if (!rules.contains(id)) warn("rules", id, "rule");
    }
    for (const std::string& pattern : rule.targets) {
      if (std::none_of(config.targets.begin(), config.targets.end(), [&](const TargetConfig& target) { return glob_matches(pattern, target.name); })) warn("targets", pattern, "target");
    }
  }
}

}  // namespace weir::control
