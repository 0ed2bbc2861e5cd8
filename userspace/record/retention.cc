#include "record/retention.h"

#include <algorithm>

#include "core/glob.h"
#include "core/time_text.h"

namespace weir::record {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::string_view kHoldsFormat = "weir holds 1";
constexpr std::size_t kHoldsFileMax = 64u << 20;

bool any_fits(const std::vector<std::string>& patterns, const std::string& text) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return glob_matches(pattern, text); });
}
template <class Set>
bool has_any(const std::vector<std::string>& wanted, const Set& there) {
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& each) { return std::find(there.begin(), there.end(), each) != there.end(); });
}
enum class Fit : uint8_t { kNo, kMaybe, kYes };
Fit fit_of(const RetentionRuleConfig& rule, const SessionTraits& traits) {
  if (!any_fits(rule.targets, traits.target) || !any_fits(rule.subjects, traits.subject) || !has_any(rule.groups, traits.groups)) return Fit::kNo;
  if (has_any(rule.rules, traits.rules) && has_any(rule.tags, traits.tags)) return Fit::kYes;
  return traits.has_more_rules ? Fit::kMaybe : Fit::kNo;
}

std::optional<sys_seconds> time_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return sys_seconds(seconds(found->get<int64_t>()));
}

// As the file has it.
json kept_form(const Hold& hold) {
  json object = {{"id", hold.id}, {"subject", hold.subject}, {"target", hold.target}, {"reason", hold.reason}, {"by", hold.by}, {"at", hold.at.time_since_epoch().count()}};
  if (hold.session) object["session"] = *hold.session;
  if (hold.from) object["from"] = hold.from->time_since_epoch().count();
  if (hold.until) object["until"] = hold.until->time_since_epoch().count();
  return object;
}

std::optional<Hold> from_kept(const json& object) {
  Hold hold{.id = text_at(object, "id")};
  for (const char* key : {"id", "subject", "target", "reason", "by"}) {
    if (const auto found = object.find(key); found == object.end() || !found->is_string()) return std::nullopt;
  }
  hold.subject = text_at(object, "subject");
  hold.target = text_at(object, "target");
  hold.reason = text_at(object, "reason");
  hold.by = text_at(object, "by");
  if (const auto session = object.find("session"); session != object.end()) {
    if (!session->is_number_unsigned()) return std::nullopt;
    hold.session = session->get<uint64_t>();
  }
  hold.from = time_at(object, "from");
  hold.until = time_at(object, "until");
  if (object.contains("from") != hold.from.has_value() || object.contains("until") != hold.until.has_value()) return std::nullopt;
  hold.at = time_at(object, "at").value_or(sys_seconds{});
  const bool names_something = hold.session || !hold.subject.empty() || !hold.target.empty() || hold.from || hold.until;
  return hold.id.empty() || !names_something ? std::nullopt : std::optional(std::move(hold));
}

}  // namespace

void SessionTraits::add(const Manifest& m) {
  const json facts = parse_object(m.summary.opened_json);
  session = m.session;
  if (target.empty()) target = text_at(facts, "target");
  // Who proved themselves on the wire is known by the later parts alone.
  if (const std::string who = text_at(facts, "subject"); !who.empty()) subject = who;
  if (const auto found = facts.find("groups"); found != facts.end() && found->is_array()) {
    for (const json& each : *found) {
      if (each.is_string() && std::find(groups.begin(), groups.end(), each.get<std::string>()) == groups.end()) groups.push_back(each.get<std::string>());
    }
  }
  rules.insert(m.summary.rules.begin(), m.summary.rules.end());
  tags.insert(m.tags.begin(), m.tags.end());
  has_more_rules = has_more_rules || m.summary.has_more_rules;
  if (opened_ns == 0) opened_ns = m.opened_ns;
  closed_ns = std::max({closed_ns, m.summary.closed_ns, m.summary.last_at_ns});
  last_at_ns = std::max(last_at_ns, m.summary.last_at_ns);
}

Ruling ruling_of(const RetentionConfig& config, const SessionTraits& traits) {
  const RetentionRuleConfig* longest = nullptr;
  bool is_sure = false;
  for (const RetentionRuleConfig& rule : config.rules) {
    const Fit fit = fit_of(rule, traits);
    is_sure = is_sure || fit == Fit::kYes;
    if (fit != Fit::kNo && (longest == nullptr || rule.keep > longest->keep)) longest = &rule;
  }
  // What is not known of its rules keeps it longer, never shorter: neither than the default, where that may be what counts.
  if (longest == nullptr || (!is_sure && longest->keep < config.keep)) return {std::string(kDefaultPolicy), config.keep};
  return {longest->name, longest->keep};
}

seconds shortest(const RetentionConfig& config) {
  seconds least = config.keep;
  for (const RetentionRuleConfig& rule : config.rules) least = std::min(least, rule.keep);
  return least;
}

std::optional<seconds> keep_of(const RetentionConfig& config, std::string_view policy) {
  if (policy == kDefaultPolicy) return config.keep;
  for (const RetentionRuleConfig& rule : config.rules) {
    if (rule.name == policy) return rule.keep;
  }
  return std::nullopt;
}

json retention_leaf(const RetentionConfig& config) {
  json policies = {{std::string(kDefaultPolicy), config.keep.count()}};
  for (const RetentionRuleConfig& rule : config.rules) policies[rule.name] = rule.keep.count();
  return {{"policies", std::move(policies)}};
}

bool Hold::covers(const SessionTraits& traits) const {
  if (session && *session != traits.session) return false;
  if (!subject.empty() && subject != traits.subject) return false;
  if (!target.empty() && target != traits.target) return false;
  constexpr int64_t kSecond = 1'000'000'000;
  if (from && traits.closed_ns / kSecond < from->time_since_epoch().count()) return false;
  return !until || traits.opened_ns / kSecond < until->time_since_epoch().count();
}

json to_json(const Hold& hold) {
  json object = {{"id", hold.id}, {"reason", hold.reason}, {"by", hold.by}, {"at", utc_text_if_set(hold.at)}, {"configured", hold.is_configured}};
  if (hold.session) object["session"] = *hold.session;
  if (!hold.subject.empty()) object["subject"] = hold.subject;
  if (!hold.target.empty()) object["target"] = hold.target;
  if (hold.from) object["from"] = utc_text(*hold.from);
  if (hold.until) object["until"] = utc_text(*hold.until);
  return object;
}

std::string words_of(const Hold& hold) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (hold.session) add("session " + std::to_string(*hold.session));
  if (!hold.subject.empty()) add(hold.subject);
  if (!hold.target.empty()) add("target " + hold.target);
  if (hold.from) add("from " + utc_text(*hold.from));
  if (hold.until) add("until " + utc_text(*hold.until));
  return text;
}

std::vector<Hold> holds_of(const RetentionConfig& config) {
  std::vector<Hold> all;
  for (const RetentionHoldConfig& each : config.holds) {
    Hold hold{.id = each.name, .subject = each.subject, .target = each.target, .reason = each.reason, .by = each.set_by, .is_configured = true};
    if (each.session != 0) hold.session = each.session;
    all.push_back(std::move(hold));
  }
  return all;
}

Result<void> HoldBook::read() {
  const Result<std::string> text = read_text(path_, kHoldsFileMax);
  if (!text) return tl::unexpected(text.error());
  const auto damaged = [&] { return fail(Error::Kind::kCorrupt, path_ + ": it is damaged, or not a list of legal holds: nothing expires until it is put right"); };
  const json object = parse_object(*text);
  const auto list = object.find("holds");
  if (text_at(object, "format") != kHoldsFormat || list == object.end() || !list->is_array() || !object.contains("next")) return damaged();
  std::vector<Hold> holds;
  for (const json& each : *list) {
    std::optional<Hold> hold = each.is_object() ? from_kept(each) : std::nullopt;
    if (!hold) return damaged();
    holds.push_back(std::move(*hold));
  }
  holds_ = std::move(holds);
  next_ = std::max<uint64_t>(1, number_at(object, "next"));
  return {};
}

Result<void> HoldBook::create(Files& files) { return write(files, {}, 1); }

Result<void> HoldBook::write(Files& files, const std::vector<Hold>& holds, uint64_t next) const {
  json list = json::array();
  for (const Hold& hold : holds) list.push_back(kept_form(hold));
  return replace_file(files, path_, as_bytes(dump({{"format", kHoldsFormat}, {"next", next}, {"holds", std::move(list)}}) + "\n"));
}

Result<Hold> HoldBook::add(Files& files, Hold hold) {
  if (holds_.size() >= kHoldsMax) return fail(Error::Kind::kInvalid, "there are " + std::to_string(kHoldsMax) + " legal holds already: one by identity or time covers many sessions");
  hold.id = "hold-" + std::to_string(next_);
  std::vector<Hold> all = holds_;
  all.push_back(hold);
  if (Result<void> done = write(files, all, next_ + 1); !done) return tl::unexpected(done.error());
  holds_ = std::move(all);
  ++next_;
  return hold;
}

Result<Hold> HoldBook::remove(Files& files, std::string_view id) {
  std::vector<Hold> all = holds_;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Hold& hold) { return hold.id == id; });
  if (found == all.end()) return fail(Error::Kind::kNotFound, "there is no legal hold \"" + std::string(id.substr(0, 64)) + "\"");
  Hold gone = *found;
  all.erase(found);
  if (Result<void> done = write(files, all, next_); !done) return tl::unexpected(done.error());
  holds_ = std::move(all);
  return gone;
}

}  // namespace weir::record
