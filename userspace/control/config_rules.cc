// rules, data kinds: the same form in weir.yaml and in rule files.
#include <algorithm>

#include "control/config_sections.h"
#include "mask/validators.h"
#include "parse/registry.h"

namespace weir::control {
namespace {

constexpr std::size_t kPatternMax = 4096;
constexpr std::pair<std::string_view, RuleAction> kActions[] = {
    {"allow", RuleAction::kAllow}, {"block", RuleAction::kBlock}, {"terminate", RuleAction::kTerminate},
    {"hold", RuleAction::kHold},   {"mask", RuleAction::kMask},   {"alert", RuleAction::kAlert}};
constexpr std::pair<std::string_view, Guess> kGuesses[] = {{"allow", Guess::kAllow}, {"alert", Guess::kAlert}, {"block", Guess::kBlock}};
const std::vector<std::string_view> kSeverities = {"info", "low", "medium", "high", "critical"};
// As in mask/validators.h, which is asked; these are for the suggestion.
const std::vector<std::string_view> kValidators = {"none", "boundary", "luhn", "iban", "mod97", "email", "entropy", "ssn", "pem", "jwt"};

void read_where(MapReader where, RuleWhere& out) {
  where.strings("targets", out.targets);
  where.text("protocol", out.protocol);
  if (!out.protocol.empty() && find_protocol(out.protocol) == nullptr) {
    std::vector<std::string_view> names;
    for (const ProtocolModule* module : protocol_modules()) names.push_back(module->name);
    where.context().error(where.place_of("protocol"), where.path_of("protocol") + ": this build does not read " + in_quotes(out.protocol), suggestion(out.protocol, names));
  }
  read_who(where.map("who"), out.who);
  Direction direction = Direction::kToTarget;
  if (const int found = where.choice_of("direction", {"to_target", "to_client"}); found >= 0) {
    direction = found == 0 ? Direction::kToTarget : Direction::kToClient;
    out.direction = direction;
  }
  where.finish();
}

ShapeSet read_shapes(MapReader& what) {
  ShapeSet shapes = 0;
  std::vector<std::string_view> names;
  for (int i = 0; i < static_cast<int>(Shape::kCount); ++i) names.push_back(name_of(static_cast<Shape>(i)));
  for (const auto& [name, place] : what.placed_strings("facts")) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      what.context().error(place, what.path_of("facts") + ": " + in_quotes(name) + " is not a fact", suggestion(name, names));
    } else {
      shapes |= bit(static_cast<Shape>(found - names.begin()));
    }
  }
  return shapes;
}

void read_patterns(MapReader& what, std::string_view key, std::vector<std::string>& out) {
  for (auto& [pattern, place] : what.placed_strings(key)) {
    if (pattern.size() > kPatternMax) {
      what.context().error(place, what.path_of(key) + ": longer than " + std::to_string(kPatternMax) + " bytes");
    } else {
      out.push_back(std::move(pattern));
    }
  }
}

void read_what(MapReader what, RuleWhat& out) {
  out.shapes = read_shapes(what);
  out.verbs = read_verbs(what, "verbs");
  what.strings("functions", out.functions);
  what.strings("objects", out.objects);
  for (auto& [column, place] : what.placed_strings("columns")) {
    if (std::count(column.begin(), column.end(), '.') != 2 || column.front() == '.' || column.back() == '.' || column.find("..") != std::string::npos) {
      what.context().error(place, what.path_of("columns") + ": " + in_quotes(column) + " is not a column", "schema.table.column, each may be *");
    } else {
      out.columns.push_back(std::move(column));
    }
  }
  read_patterns(what, "text", out.text);
  read_patterns(what, "words", out.words);
  what.strings("data", out.data);
  what.finish();
}

bool is_empty(const RuleWhat& what) {
  return what.shapes == 0 && what.verbs == 0 && what.functions.empty() && what.objects.empty() && what.columns.empty() &&
         what.text.empty() && what.words.empty() && what.data.empty();
}
bool is_empty(const RuleWhere& where) {
  return where.targets.empty() && where.protocol.empty() && where.who.subjects.empty() && where.who.groups.empty() && !where.direction;
}

void read_mask(MapReader mask, MaskConfig& out) {
  mask.choice("as", out.spec.as, {std::pair{std::string_view("full"), MaskSpec::As::kFull}, {"partial", MaskSpec::As::kPartial},
                                  {"hash", MaskSpec::As::kHash}, {"null", MaskSpec::As::kNull}}, Need::kRequired);
  mask.number("keep_last", out.spec.keep_last, 1, 64);
  if (mask.has("keep_last") && out.spec.as != MaskSpec::As::kPartial) {
    mask.context().error(mask.place_of("keep_last"), mask.path_of("keep_last") + " belongs to as: partial");
  }
  mask.choice("in_filters", out.in_filters, kGuesses);
  mask.choice("write_back", out.write_back, kGuesses);
  mask.choice("unsure", out.unsure_strict, {std::pair{std::string_view("values"), false}, {"strict", true}});
  mask.finish();
}

void read_examples(MapReader examples, std::vector<std::string>& match, std::vector<std::string>& no_match) {
  examples.strings("match", match);
  examples.strings("no_match", no_match);
  examples.finish();
}

// What belongs to one action and makes no sense with another.
void check_action(MapReader& rule, const RuleConfig& made, bool what_is_right) {
  LoadContext& context = rule.context();
  const bool masks = made.then == RuleAction::kMask;
  if (masks != rule.has("mask")) {
    context.error(masks ? rule.place() : rule.place_of("mask"),
                  masks ? rule.path_of("mask") + " is missing: then: mask needs to know how" : rule.path_of("mask") + " belongs to then: mask", masks ? "mask: {as: full}" : "");
  }
  if (what_is_right && masks && made.what.columns.empty() && made.what.data.empty()) {
    context.error(rule.place(), rule.path_of("what") + ": then: mask needs columns or data kinds");
  }
  if (masks && made.where.direction == Direction::kToTarget) {
    context.error(rule.place_of("where"), rule.path_of("where.direction") + ": masks are for what comes back", "direction: to_client");
  }
  if (!masks && !made.what.columns.empty() && made.where.direction == Direction::kToClient) {
    context.error(rule.place_of("what"), rule.path_of("what.columns") + ": columns of a reply can only be masked", "then: mask");
  }
  if ((made.then == RuleAction::kAllow) == made.except_rules.empty()) {
    context.error(rule.has("except_rules") ? rule.place_of("except_rules") : rule.place(),
                  made.then == RuleAction::kAllow ? rule.path_of("except_rules") + " is missing: an allow rule exempts from the rules that it names, and from nothing else"
                                                  : rule.path_of("except_rules") + " belongs to then: allow");
  }
  if (made.then == RuleAction::kHold && !rule.has("approval")) {
    context.error(rule.place_of("then"), rule.path_of("approval") + " is missing: then: hold needs to know who is asked", "approval: NAME, of `approvals`");
  } else if (made.then != RuleAction::kHold && !made.approval.empty()) {
    context.error(rule.place_of("approval"), rule.path_of("approval") + " belongs to then: hold");
  }
  if (what_is_right && is_empty(made.what) && made.then != RuleAction::kAllow && is_empty(made.where)) {
    context.error(rule.place(), rule.path_of("what") + " is missing: this rule would match every command of everybody");
  }
}

void read_rule(MapReader rule, RuleConfig& out) {
  rule.name("id", out.id);
  rule.text("why", out.why);
  if (const int found = rule.choice_of("severity", kSeverities); found >= 0) out.severity = kSeverities[static_cast<std::size_t>(found)];
  rule.strings("tags", out.tags);
  read_where(rule.map("where"), out.where);
  const std::size_t problems_before = rule.context().problems.size();
  read_what(rule.map("what"), out.what);
  const bool what_is_right = rule.context().problems.size() == problems_before;
  rule.choice("then", out.then, kActions, Need::kRequired);
  if (rule.has("mask")) read_mask(rule.map("mask"), out.mask);
  else rule.take("mask");
  rule.choice("mode", out.observe, {std::pair{std::string_view("enforce"), false}, {"observe", true}});
  rule.name("approval", out.approval, Need::kOptional);
  rule.text("message", out.message);
  if (!is_printable(out.message)) rule.context().error(rule.place_of("message"), rule.path_of("message") + ": one line of printable text");
  rule.strings("except_rules", out.except_rules);
  read_examples(rule.map("examples"), out.match_examples, out.no_match_examples);
  if (rule.has("then") || rule.has("mask")) check_action(rule, out, what_is_right);
  rule.finish();
}

}  // namespace

void read_rules(MapReader& file, std::vector<RuleConfig>& out) {
  const auto entries = file.take_maps("rules");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    RuleConfig& made = out.emplace_back();
    made.place = entries[i].place;
    read_rule(MapReader::entry(file, "rules", entries[i], i), made);
  }
}

void read_data_kinds(MapReader& file, std::vector<DataKindConfig>& out) {
  const auto entries = file.take_maps("kinds");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    DataKindConfig& made = out.emplace_back();
    made.place = entries[i].place;
    MapReader kind = MapReader::entry(file, "kinds", entries[i], i);
    kind.name("name", made.name);
    kind.text("pattern", made.pattern, Need::kRequired);
    if (made.pattern.size() > kPatternMax) kind.context().error(kind.place_of("pattern"), kind.path_of("pattern") + ": longer than " + std::to_string(kPatternMax) + " bytes");
    made.validator = "none";
    kind.name("validator", made.validator, Need::kOptional);
    if (mask::find_validator(made.validator) == nullptr) {
      kind.context().error(kind.place_of("validator"), kind.path_of("validator") + ": there is no validator " + in_quotes(made.validator), suggestion(made.validator, kValidators));
    }
    if (!kind.has("width_max")) kind.context().error(kind.place(), kind.path_of("width_max") + " is missing: the longest match in bytes");
    kind.number("width_max", made.width_max, 1, 65536);
    read_examples(kind.map("examples"), made.match_examples, made.no_match_examples);
    kind.finish();
  }
}

}  // namespace weir::control
