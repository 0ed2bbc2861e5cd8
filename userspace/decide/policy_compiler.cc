#include "decide/policy_compiler.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "decide/policy_digest.h"
#include "decide/snapshot.h"

namespace weir::decide {
namespace {

constexpr std::size_t kRulesMax = 8192;

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// The known name with the fewest edits, if it is near enough to be meant.
std::string nearest(std::string_view name, const std::vector<std::string>& known) {
  std::size_t best = 3;
  std::string found;
  for (const std::string& candidate : known) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j <= candidate.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t cost = diagonal + (name[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, cost}));
      }
    }
    if (row.back() < best) {
      best = row.back();
      found = candidate;
    }
  }
  return found.empty() ? "" : "; did you mean " + quoted(found) + "?";
}

// \b ^ $ and kin: what they look at is a protocol byte, not the value's edge.
std::string_view anchor_in(std::string_view pattern) {
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (!in_class && std::string_view("bBAzZG").find(next) != std::string_view::npos) return pattern.substr(i - 1, 2);
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i;
    } else if (c == '^' || c == '$') {
      return pattern.substr(i, 1);
    }
  }
  return {};
}

// A word or phrase as a regular expression: its characters, and any white space for a space.
std::string word_expression(std::string_view word) {
  std::string made;
  for (const char c : word) {
    if (c == ' ') {
      made += "\\s+";
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      made += c;
    } else {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      made += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
    }
  }
  return made;
}

// Spaces made single, ends trimmed: what confirm_word() walks over.
std::string tidy_word(std::string_view word) {
  std::string made;
  for (const char c : word) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    if (is_space && (made.empty() || made.back() == ' ')) continue;
    made += is_space ? ' ' : c;
  }
  while (!made.empty() && made.back() == ' ') made.pop_back();
  return made;
}

// In words, by what the configuration looks for.
std::string how_to_name_a_request(const std::vector<std::string>& sources) {
  const auto has = [&](std::string_view source) { return std::find(sources.begin(), sources.end(), source) != sources.end(); };
  std::string text;
  if (has("traceparent")) text = "end the statement with /*traceparent='00-...'*/";
  if (has("sqlcommenter")) text += text.empty() ? "end the statement with /*key='value'*/" : " or another sqlcommenter comment";
  if (has("application_name")) text += text.empty() ? "set application_name" : ", or set application_name";
  return text.empty() ? "and this gateway is set to look for none (identity.request_id)" : text;
}

class Compiler {
 public:
  Compiler(const Config& config, std::shared_ptr<const Masker> masker, const CompileOptions& options)
      : config_(config), options_(options) {
    contents_.masker = std::move(masker);
    contents_.generation = options.generation;
  }

  std::vector<CompileIssue> run() {
    compile_targets();
    compile_grants();
    compile_rules();
    compile_kinds();
    for (std::size_t i = 0; i < config_.rules.size() && i < contents_.rules.size(); ++i)
      add_patterns(config_.rules[i], contents_.rules[i]);
    if (issues_.empty()) compile_scans();
    contents_.digest = policy_digest(config_);
    contents_.how_to_name_a_request = how_to_name_a_request(config_.identity.request_id);
    contents_.how_to_sign_in = how_to_sign_in(config_.identity);
    return std::move(issues_);
  }
  SnapshotContents take() { return std::move(contents_); }

 private:
  void issue(const SourcePlace& place, std::string message) { issues_.push_back({place, std::move(message)}); }

  void compile_targets() {
    for (const TargetConfig& config : config_.targets) {
      contents_.targets.push_back({config.name, config.protocol, config.observe, config.opaque, config.opaque_approval, config.unknown_functions_block,
                                   config.record.parameters});
      if (config.record.parameters == RecordParameters::kDigest && !contents_.masker->has_key()) {
        issue(config.place, "target " + quoted(config.name) + ": parameters: digest needs masks.hash_key_file");
      }
    }
  }

  void check_targets(const SourcePlace& place, const std::string& owner, const std::vector<std::string>& patterns) {
    std::vector<std::string> names;
    for (const TargetConfig& target : config_.targets) names.push_back(target.name);
    for (const std::string& pattern : patterns) {
      const std::string_view name = pattern.starts_with('!') ? std::string_view(pattern).substr(1) : std::string_view(pattern);
      const bool is_found =
          std::any_of(names.begin(), names.end(), [&](const std::string& each) { return glob_matches(name, each); });
      if (!is_found && name.find('*') == std::string_view::npos)
        issue(place, owner + ": no target is named " + quoted(name) + nearest(name, names));
    }
  }

  void compile_grants() {
    std::set<std::string> seen;
    for (const GrantConfig& config : config_.grants) {
      const std::string owner = "grant " + quoted(config.name);
      if (!seen.insert(config.name).second) issue(config.place, owner + " is there twice");
      check_targets(config.place, owner, config.targets);
      if (config.verbs == 0) issue(config.place, owner + ": verbs is empty, so that it grants nothing");
      if (!config.impersonate.empty() && (config.verbs & bit(Verb::kImpersonate)) == 0) {
        issue(config.place, owner + ": impersonate names roles, and the verb impersonate is not granted");
      }
      Grant& grant = contents_.grants.emplace_back(config);
      grant.number = static_cast<uint32_t>(contents_.grants.size());
      Result<TimeZone> zone = TimeZone::load(options_.zone_folder, config.hours.zone);
      if (!config.hours.spans.empty() && !zone) issue(config.place, owner + ": hours: " + zone.error().message);
      if (zone) grant.hours.zone = std::move(*zone);
      grant.hours.text = hours_text(config.hours);
    }
  }

  static std::string hours_text(const HoursConfig& hours) {
    constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    const auto clock = [](unsigned minute) {
      const auto two = [](unsigned n) {
        return std::string(1, static_cast<char>('0' + n / 10)) + static_cast<char>('0' + n % 10);
      };
      return two(minute / 60 % 100) + ":" + two(minute % 60);
    };
    std::string text;
    for (const HoursConfig::Span& span : hours.spans) {
      text += (text.empty() ? "" : ", ") + std::string(kDays[span.first_day % 7]);
      if (span.last_day != span.first_day) text += "-" + std::string(kDays[span.last_day % 7]);
      text += " " + clock(span.from_minute) + "-" + clock(span.to_minute);
    }
    return text + " " + hours.zone;
  }

  void compile_rules() {
    if (config_.rules.size() > kRulesMax)
      issue(config_.rules[kRulesMax].place, "more than " + std::to_string(kRulesMax) + " rules");
    std::map<std::string, uint32_t> by_id;
    contents_.rules.reserve(config_.rules.size());
    for (const RuleConfig& config : config_.rules) {
      const auto index = static_cast<uint32_t>(contents_.rules.size() + 1);
      if (!by_id.emplace(config.id, index).second) issue(config.place, "rule " + quoted(config.id) + " is there twice");
      contents_.rules.emplace_back(config, index);
      contents_.rule_examples.push_back({config.place, config.match_examples, config.no_match_examples});
      check_rule(config);
    }
    std::vector<std::string> ids;
    for (const RuleConfig& config : config_.rules) ids.push_back(config.id);
    for (std::size_t i = 0; i < config_.rules.size(); ++i) {
      for (const std::string& name : config_.rules[i].except_rules) {
        const auto found = by_id.find(name);
        if (found != by_id.end())
          contents_.rules[i].exempts.push_back(found->second);
        else
          issue(config_.rules[i].place, "rule " + quoted(config_.rules[i].id) + ": except_rules: no rule is named " +
                                            quoted(name) + nearest(name, ids));
      }
    }
  }

  void check_rule(const RuleConfig& config) {
    const std::string owner = "rule " + quoted(config.id);
    check_targets(config.place, owner, config.where.targets);
    const bool masks = config.then == RuleAction::kMask;
    if (masks && config.what.columns.empty() && config.what.data.empty())
      issue(config.place, owner + ": then: mask needs columns or data kinds");
    if (masks && config.where.direction == Direction::kToTarget)
      issue(config.place, owner + ": masks are for what comes back: direction: to_client");
    if (masks && (!config.what.text.empty() || !config.what.words.empty()))
      issue(config.place, owner + ": then: mask goes by columns and data kinds, not by text or words");
    if (masks && config.mask.spec.as == MaskSpec::As::kHash && !contents_.masker->has_key())
      issue(config.place, owner + ": as: hash needs masks.hash_key_file");
    if (config.then == RuleAction::kAllow && config.except_rules.empty())
      issue(config.place, owner + ": then: allow needs except_rules: it opens nothing else");
    if (config.where.direction == Direction::kToClient && !config.what.text.empty()) {
      issue(config.place, owner + ": text is of statements, which go to_target: use data or words for what comes back");
    }
    if (config.where.direction == Direction::kToClient && config.then == RuleAction::kHold)
      issue(config.place, owner + ": an answer cannot be held for a reviewer");
    for (const std::string& column : config.what.columns) {
      if (!ColumnPattern::parse(column)) issue(config.place, owner + ": " + quoted(column) + " is not schema.table.column");
    }
  }

  uint32_t pattern_of(PatternKind kind, const std::string& name) {
    for (std::size_t i = 0; i < contents_.patterns.size(); ++i) {
      if (contents_.patterns[i].kind == kind && contents_.patterns[i].name == name) return static_cast<uint32_t>(i);
    }
    Pattern& made = contents_.patterns.emplace_back();
    made.kind = kind;
    made.name = name;
    made.expression.id = static_cast<uint32_t>(contents_.patterns.size() - 1);
    contents_.kind_examples.emplace_back();
    return made.expression.id;
  }

  void compile_kinds() {
    std::set<std::string> seen;
    for (const DataKindConfig& config : config_.data_kinds) {
      const std::string owner = "data kind " + quoted(config.name);
      if (!seen.insert(config.name).second) {
        issue(config.place, owner + " is there twice");
        continue;
      }
      const uint32_t index = pattern_of(PatternKind::kData, config.name);
      Pattern& pattern = contents_.patterns[index];
      contents_.kind_examples[index] = {config.place, config.match_examples, config.no_match_examples};
      pattern.expression.regex = config.pattern;
      pattern.width_max = config.width_max;
      pattern.validator = contents_.masker->validator(config.validator.empty() ? "none" : config.validator);
      if (pattern.validator == nullptr) {
        issue(config.place, owner + ": no validator is named " + quoted(config.validator) +
                                "; there are none, boundary, luhn, iban, mod97, email, entropy, ssn, pem, jwt");
      }
      check_kind(config, owner);
      std::size_t failed = 0;
      Result<PatternDatabase> finder = PatternDatabase::compile(std::span(&pattern.expression, 1), true, failed);
      if (finder)
        pattern.finder = std::move(*finder);
      else
        issue(config.place, owner + ": " + finder.error().message);
    }
  }

  void check_kind(const DataKindConfig& config, const std::string& owner) {
    const std::string_view anchor = anchor_in(config.pattern);
    if (!anchor.empty()) {
      issue(config.place, owner + ": " + quoted(anchor) +
                              " looks at protocol bytes beside the value; leave it out and name a validator such as boundary");
    }
    const Result<ExpressionWidth> width = expression_width(config.pattern);
    if (!width) return;  // The compiler says why.
    if (config.width_max == 0) issue(config.place, owner + ": width_max is missing: the longest match in bytes");
    if (width->minimum == 0) issue(config.place, owner + ": the pattern matches the empty string");
    if (!width->maximum)
      issue(config.place, owner + ": the pattern has no longest match: bound its repeats, {1,64} for +");
    else if (config.width_max != 0 && *width->maximum > config.width_max) {
      issue(config.place, owner + ": the pattern matches up to " + std::to_string(*width->maximum) +
                              " bytes, more than width_max " + std::to_string(config.width_max));
    }
  }

  void add_patterns(const RuleConfig& config, const Rule& rule) {
    const std::string owner = "rule " + quoted(config.id);
    std::vector<std::string> kinds;
    for (const DataKindConfig& kind : config_.data_kinds) kinds.push_back(kind.name);
    for (const std::string& name : config.what.data) {
      if (std::find(kinds.begin(), kinds.end(), name) == kinds.end())
        issue(config.place, owner + ": no data kind is named " + quoted(name) + nearest(name, kinds));
      else
        join(pattern_of(PatternKind::kData, name), rule);
    }
    for (const std::string& word : config.what.words) {
      const std::string tidy = tidy_word(word);
      if (tidy.empty()) {
        issue(config.place, owner + ": words has an empty one");
        continue;
      }
      const uint32_t index = pattern_of(PatternKind::kWord, tidy);
      contents_.patterns[index].expression.regex = word_expression(tidy);
      contents_.patterns[index].expression.ignore_case = true;
      contents_.patterns[index].width_max = static_cast<uint32_t>(tidy.size());
      join(index, rule);
    }
    for (const std::string& text : config.what.text) {
      const Result<ExpressionWidth> width = expression_width(text);
      if (!width)
        issue(config.place, owner + ": text " + quoted(text) + ": " + width.error().message);
      else if (width->minimum == 0)
        issue(config.place, owner + ": text " + quoted(text) + " matches the empty string, and so every statement");
      const uint32_t index = pattern_of(PatternKind::kText, text);
      contents_.patterns[index].expression.regex = text;
      join(index, rule);
    }
  }
  void join(uint32_t pattern, const Rule& rule) {
    std::vector<uint32_t>& rules = contents_.patterns[pattern].rules;
    if (rules.empty() || rules.back() != rule.index) rules.push_back(rule.index);
  }

  // Whether a protocol's scan of that direction has to look for the pattern.
  bool is_scanned(const Pattern& pattern, const std::string& protocol, Direction direction) const {
    return std::any_of(pattern.rules.begin(), pattern.rules.end(), [&](uint32_t index) {
      const Rule& rule = contents_.rules[index - 1];
      if (!rule.protocol.empty() && rule.protocol != protocol) return false;
      // Data kinds are looked for in all commands: what masks cover is taken out of the record too.
      if (pattern.kind == PatternKind::kData) return direction == Direction::kToTarget || rule.in(direction);
      return direction == Direction::kToTarget ? rule.in(direction) : rule.direction == direction;
    });
  }

  void compile_scans() {
    std::set<std::string> protocols;
    for (const TargetConfig& target : config_.targets) protocols.insert(target.protocol);
    for (const std::string& protocol : protocols) {
      ProtocolScans& scans = contents_.scans.emplace_back();
      scans.protocol = protocol;
      for (const Direction direction : {Direction::kToTarget, Direction::kToClient}) {
        ScanSet& set = scans.directions[index_of(direction)];
        std::vector<Expression> bytes, text;
        for (const Pattern& pattern : contents_.patterns) {
          if (!is_scanned(pattern, protocol, direction)) continue;
          (pattern.kind == PatternKind::kText ? text : bytes).push_back(pattern.expression);
          set.width_max = std::max(set.width_max, pattern.width_max);
        }
        compile_set(bytes, set.bytes);
        compile_set(text, set.text);
      }
    }
  }
  void compile_set(const std::vector<Expression>& expressions, PatternDatabase& out) {
    std::size_t failed = 0;
    Result<PatternDatabase> made = PatternDatabase::compile(expressions, false, failed);
    if (made) {
      out = std::move(*made);
      return;
    }
    SourcePlace place;
    std::string name;
    if (failed < expressions.size()) {
      const Pattern& pattern = contents_.patterns[expressions[failed].id];
      name = quoted(pattern.name) + ": ";
      if (!pattern.rules.empty()) place = config_.rules[pattern.rules.front() - 1].place;
    }
    issue(place, name + made.error().message);
  }

  const Config& config_;
  const CompileOptions& options_;
  SnapshotContents contents_;
  std::vector<CompileIssue> issues_;
};

}  // namespace

Result<std::shared_ptr<const CompiledPolicy>> compile_policy(const Config& config, std::shared_ptr<const Masker> masker,
                                                             const CompileOptions& options, std::vector<CompileIssue>* issues) {
  if (!masker) return fail(Error::Kind::kInvalid, "a policy needs a masker");
  Compiler compiler(config, std::move(masker), options);
  const std::vector<CompileIssue> found = compiler.run();
  if (issues != nullptr) *issues = found;
  if (found.empty()) return std::make_shared<const Snapshot>(compiler.take());
  std::string message;
  for (const CompileIssue& each : found) {
    if (!message.empty()) message += '\n';
    if (!each.place.file.empty())
      message += each.place.file + ":" + std::to_string(each.place.line) + ":" + std::to_string(each.place.column) + ": ";
    message += each.message;
  }
  return fail(Error::Kind::kInvalid, std::move(message));
}

}  // namespace weir::decide
