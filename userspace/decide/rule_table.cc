#include "decide/rule_table.h"

#include <algorithm>
#include <array>

namespace weir::decide {
namespace {

// "name" or "schema.name" against a relation or function that may lack its schema.
bool matches_qualified(std::string_view pattern, std::string_view schema, std::string_view name) {
  const std::size_t dot = pattern.find('.');
  if (dot == std::string_view::npos) return glob_matches(pattern, name);
  return glob_matches(pattern.substr(dot + 1), name) && (schema.empty() || glob_matches(pattern.substr(0, dot), schema));
}

}  // namespace

std::optional<ColumnPattern> ColumnPattern::parse(std::string_view text) {
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  ColumnPattern made{std::string(text.substr(0, first)), std::string(text.substr(first + 1, second - first - 1)),
                     std::string(text.substr(second + 1))};
  if (made.schema.empty() || made.table.empty() || made.column.empty()) return std::nullopt;
  return made;
}

bool ColumnPattern::may_match_table(const RelationRef& relation) const {
  if (relation.is_resolved) return matches_table(relation.schema, relation.name);
  // pg_catalog written out cannot be shadowed; anything else unresolved may be a view or another schema's table.
  return relation.schema != "pg_catalog" && relation.schema != "information_schema";
}

bool Who::admits(const Identity& identity) const {
  if (!subjects.empty() && !any_matches(subjects, identity.subject)) return false;
  if (groups.empty()) return true;
  return std::any_of(identity.groups.begin(), identity.groups.end(),
                     [&](const std::string& group) { return any_matches(groups, group); });
}

Rule::Rule(const RuleConfig& config, uint32_t at)
    : index(at),
      id(config.id),
      message(config.message),
      approval(config.approval),
      then(config.then),
      mask(config.mask),
      is_observed(config.observe),
      direction(config.where.direction),
      targets(config.where.targets),
      protocol(config.where.protocol),
      who(config.where.who),
      shapes(config.what.shapes),
      verbs(config.what.verbs),
      functions(config.what.functions),
      objects(config.what.objects) {
  if (message.empty())
    message = then == RuleAction::kHold ? "rule \"" + id + "\": a reviewer must approve this first"
                                        : "not allowed here: rule \"" + id + "\"";
  has_patterns = !config.what.text.empty() || !config.what.words.empty() || !config.what.data.empty();
  for (const std::string& column : config.what.columns) {
    if (std::optional<ColumnPattern> pattern = ColumnPattern::parse(column)) columns.push_back(std::move(*pattern));
  }
}

bool Rule::applies_to(const Identity& identity, std::string_view target, std::string_view of_protocol) const {
  return targets.admits(target) && (protocol.empty() || protocol == of_protocol) && who.admits(identity);
}

bool Rule::narrows_to(const StatementFacts& facts) const {
  if (verbs != 0 && (verbs & facts.verbs) == 0) return false;
  if (objects.empty()) return true;
  const bool only_writes = verbs != 0 && (verbs & (Verb::kRead | Verb::kSession)) == 0;
  const bool only_reads = verbs == bit(Verb::kRead);
  return std::any_of(facts.relations.begin(), facts.relations.end(), [&](const RelationRef& relation) {
    if ((only_writes && !relation.is_written) || (only_reads && !relation.is_read)) return false;
    return std::any_of(objects.begin(), objects.end(),
                       [&](const std::string& pattern) { return matches_qualified(pattern, relation.schema, relation.name); });
  });
}

bool Rule::is_triggered_by(const StatementFacts& facts) const {
  if ((shapes & facts.shapes) != 0) return true;
  for (const std::string& pattern : functions) {
    for (const FunctionRef& function : facts.functions) {
      if (matches_qualified(pattern, function.schema, function.name)) return true;
    }
  }
  if (then == RuleAction::kMask) return false;
  return std::any_of(columns.begin(), columns.end(), [&](const ColumnPattern& pattern) { return touches(pattern, facts); });
}

bool Rule::touches(const ColumnPattern& pattern, const StatementFacts& facts) const {
  return std::any_of(facts.columns.begin(), facts.columns.end(), [&](const ColumnRef& column) {
    if (!pattern.matches_column(column.name) || column.relation >= facts.relations.size()) return false;
    const RelationRef& relation = facts.relations[column.relation];
    return relation.is_resolved ? pattern.matches_table(relation.schema, relation.name)
                                : glob_matches(pattern.table, relation.name);
  });
}

bool Rule::matches(const StatementFacts& facts) const {
  return narrows_to(facts) && (!has_triggers() || is_triggered_by(facts));
}

bool is_stricter(const MaskSpec& a, const MaskSpec& b) {
  const auto rank = [](MaskSpec::As as) {
    switch (as) {
      case MaskSpec::As::kNull:
        return 0;
      case MaskSpec::As::kFull:
        return 1;
      case MaskSpec::As::kHash:
        return 2;
      case MaskSpec::As::kPartial:
        return 3;
    }
    return 0;
  };
  return rank(a.as) < rank(b.as);
}

Verdict::Action action_of(RuleAction action) {
  switch (action) {
    case RuleAction::kBlock:
      return Verdict::Action::kBlock;
    case RuleAction::kTerminate:
      return Verdict::Action::kTerminate;
    case RuleAction::kHold:
      return Verdict::Action::kHold;
    case RuleAction::kMask:
      return Verdict::Action::kMask;
    case RuleAction::kAllow:
    case RuleAction::kAlert:
      return Verdict::Action::kAllow;
  }
  return Verdict::Action::kBlock;
}

bool Hours::admits(int64_t unix_seconds) const {
  if (spans.empty()) return true;
  constexpr int64_t kDay = 1440;
  const int64_t local = unix_seconds + zone.offset_at(unix_seconds);
  const int64_t minutes = (local >= 0 ? local : local - 59) / 60;
  const int64_t day = (minutes >= 0 ? minutes : minutes - (kDay - 1)) / kDay;
  const int64_t minute = minutes - day * kDay;
  const auto weekday = [](int64_t days) {
    return static_cast<uint8_t>(((days + 3) % 7 + 7) % 7);
  };  // 1970-01-01 was a Thursday; 0 = Monday.
  const auto covers = [](const HoursConfig::Span& span, uint8_t at) {
    return span.first_day <= span.last_day ? at >= span.first_day && at <= span.last_day
                                           : at >= span.first_day || at <= span.last_day;
  };
  return std::any_of(spans.begin(), spans.end(), [&](const HoursConfig::Span& span) {
    if (span.from_minute < span.to_minute)
      return covers(span, weekday(day)) && minute >= span.from_minute && minute < span.to_minute;
    // Over midnight: the days are those on which it begins.
    return (covers(span, weekday(day)) && minute >= span.from_minute) ||
           (covers(span, weekday(day - 1)) && minute < span.to_minute);
  });
}

Grant::Grant(const GrantConfig& config)
    : name(config.name),
      approval(config.approval),
      who(config.who),
      targets(config.targets),
      logins(config.logins),
      databases(config.databases),
      objects(config.objects),
      verbs(config.verbs),
      assurance(config.assurance),
      request_id_required(config.request_id_required),
      is_for_people(config.is_for_people),
      until(config.until.time_since_epoch().count()),
      impersonate(config.impersonate) {
  hours.spans = config.hours.spans;
}

bool Grant::is_read_only() const {
  return (verbs & static_cast<VerbSet>((Verb::kWrite | Verb::kDdl) | (Verb::kAdmin | Verb::kExec))) == 0;
}

bool is_open_metadata(const RelationRef& relation) {
  static constexpr auto kOpen = std::to_array<std::string_view>({
      "pg_aggregate",
      "pg_am",
      "pg_amop",
      "pg_amproc",
      "pg_attrdef",
      "pg_attribute",
      "pg_auth_members",
      "pg_available_extensions",
      "pg_cast",
      "pg_class",
      "pg_collation",
      "pg_constraint",
      "pg_conversion",
      "pg_database",
      "pg_depend",
      "pg_description",
      "pg_enum",
      "pg_event_trigger",
      "pg_extension",
      "pg_foreign_data_wrapper",
      "pg_foreign_server",
      "pg_foreign_table",
      "pg_index",
      "pg_indexes",
      "pg_inherits",
      "pg_language",
      "pg_matviews",
      "pg_namespace",
      "pg_opclass",
      "pg_operator",
      "pg_opfamily",
      "pg_partitioned_table",
      "pg_policies",
      "pg_policy",
      "pg_proc",
      "pg_publication",
      "pg_publication_namespace",
      "pg_publication_rel",
      "pg_publication_tables",
      "pg_range",
      "pg_rewrite",
      "pg_roles",
      "pg_rules",
      "pg_sequence",
      "pg_sequences",
      "pg_settings",
      "pg_shdescription",
      "pg_statistic_ext",
      "pg_tables",
      "pg_tablespace",
      "pg_timezone_abbrevs",
      "pg_timezone_names",
      "pg_trigger",
      "pg_ts_config",
      "pg_ts_dict",
      "pg_ts_parser",
      "pg_ts_template",
      "pg_type",
      "pg_user",
      "pg_views",
  });
  if (relation.is_written) return false;
  if (relation.schema == "information_schema") return true;
  return relation.schema == "pg_catalog" && std::binary_search(kOpen.begin(), kOpen.end(), std::string_view(relation.name));
}

bool holds_column_samples(const RelationRef& relation) {
  static constexpr auto kSamples = std::to_array<std::string_view>(
      {"pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_largeobject"});
  return (relation.schema == "pg_catalog" || relation.schema.empty()) &&
         std::find(kSamples.begin(), kSamples.end(), std::string_view(relation.name)) != kSamples.end();
}

}  // namespace weir::decide
