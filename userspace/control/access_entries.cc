#include "control/access_entries.h"

#include "control/api_auth.h"
#include "control/config_values.h"
#include "control/policy_json.h"

namespace weir::control {
namespace {

using nlohmann::json;

json named(const char* kind, const std::string& name, const std::vector<std::string>& subjects, const std::vector<std::string>& groups) {
  return {{"kind", kind}, {"name", name}, {"subjects", subjects}, {"groups", groups}};
}

}  // namespace

json access_entry(const GrantConfig& grant) {
  json entry = json::parse(to_json(grant).dump());
  entry.erase("file");
  entry.erase("line");
  entry["kind"] = "grant";
  return entry;
}

json access_entries(const Config& config) {
  json all = json::array();
  for (const GrantConfig& grant : config.grants) all.push_back(access_entry(grant));
  for (const ApprovalConfig& approval : config.approvals) {
    json entry = named("approval", approval.name, approval.reviewers.subjects, approval.reviewers.groups);
    entry["min_reviewers"] = approval.min_reviewers;
    entry["deadline_s"] = approval.deadline.count();
    entry["bound_to"] = approval.is_for_class ? "class" : "command";
    if (approval.is_for_class) entry["window_max_s"] = approval.window_max.count();
    all.push_back(std::move(entry));
  }
  if (!config.api.listen.empty()) {
    for (const auto& [name, role] : {std::pair{ApiRole::kAdmin, &config.api.admin}, {ApiRole::kReviewer, &config.api.reviewer}, {ApiRole::kAuditor, &config.api.auditor}}) {
      all.push_back(named("role", std::string(name_of(name)), role->subjects, role->groups));
    }
  }
  for (const SinkConfig& sink : config.notify.sinks) {
    for (const SinkReviewerConfig& reviewer : sink.reviewers) all.push_back(named("reviewer", sink.name + " " + reviewer.id, {reviewer.subject}, reviewer.groups));
  }
  for (const StaticBindingConfig& binding : config.identity.static_bindings) {
    json entry = named("static", binding.address.text(), {binding.subject}, binding.groups);
    entry["until"] = binding.until == std::chrono::sys_seconds{} ? json(nullptr) : json(text_of(binding.until));
    entry["reason"] = binding.reason;
    all.push_back(std::move(entry));
  }
  for (const CertificateGroupsConfig& pattern : config.identity.certificates.groups) all.push_back(named("certificate", pattern.name, {}, pattern.groups));
  for (const TargetConfig& target : config.targets) all.push_back({{"kind", "target"}, {"name", target.name}, {"protocol", target.protocol}, {"mode", target.observe ? "observe" : "enforce"}});
  return all;
}

}  // namespace weir::control
