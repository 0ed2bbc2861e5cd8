// What a pack says of grants: those of the record's access lists, their reviews, and who held them.
#include <algorithm>

#include "core/glob.h"
#include "core/time_text.h"
#include "report/evidence_pack.h"
#include "report/pack_text.h"

namespace weir::report {

using nlohmann::json;

// Grants are those of the access list that the record holds; where it holds none, of the configuration.
void EvidencePack::settle_access() {
  const auto put = [&](const char* when, const AccessFound& found) {
    for (const json& entry : found.entries) {
      const json& who = entry.contains("who") ? entry["who"] : entry;
      std::set<std::string> names = texts_at(who, "subjects");
      for (const std::string& group : texts_at(who, "groups")) names.insert("group:" + group);
      json rest = entry;
      for (const char* key : {"kind", "name", "who", "subjects", "groups"}) rest.erase(key);
      table("access").add({when, text_at(entry, "kind"), text_at(entry, "name"), joined(names), rest.dump(-1, ' ', false, json::error_handler_t::replace), access_entry_digest(entry), found.since, found.digest,
                           std::to_string(found.session), std::to_string(found.sequence), found.leaf ? std::to_string(*found.leaf) : ""});
    }
  };
  const auto begin = access_begin_.found(), end = access_end_.found();
  if (begin) put("begin", *begin);
  else add_exception(utc_text(scope_.from), "access-not-known", "beginning of the period", access_begin_.why());
  if (end) {
    put("end", *end);
    for (const json& entry : end->entries) {
      if (text_at(entry, "kind") == "grant") grants_[text_at(entry, "name")].held = entry;
    }
    grants_from_ = "the access list " + end->digest.substr(0, 16) + "... that is on the record since " + end->since + " (session " + std::to_string(end->session) + ", event " + std::to_string(end->sequence) + ")";
  } else {
    add_exception(utc_text(scope_.until), "access-not-known", "end of the period", access_end_.why());
    for (const json& grant : config_grants_) grants_[text_at(grant, "name")].held = grant;
    grants_from_ = config_grants_.empty() ? "what sessions name: neither an access list nor a configuration was there to be read" : "the configuration on the day that this was made";
  }
  uint64_t held = 0, due = 0;
  for (const auto& [name, grant] : grants_) {
    if (grant.held.is_null()) continue;
    ++held;
    if (text_at(grant.held, "until").empty()) add_exception("", "grant-without-end", "grant " + name, "it has no end: somebody must take it away when it is no longer due");
    const PackLedger::Review review = ledger_.review_of(name, end ? access_entry_digest(grant.held) : std::string());
    due += review.is_due ? 1 : 0;
    if (!review.is_due && review.is_changed) add_exception(review.at, "changed-since-review", "grant " + name, "it is not what was signed off by " + review.by);
    if (!review.is_due && !review.is_changed && review.decision != "keep") add_exception(review.at, "review-not-carried-out", "grant " + name, "signed off as " + review.decision + " by " + review.by + ", and it is as it was");
  }
  if (due != 0) add_exception("", "grants-not-reviewed", "table grants", std::to_string(due) + " of " + std::to_string(held) + " grants have no sign-off in the " + std::to_string(kReviewDays) + " days before the end of the period");
}

// Of who proved nothing: those that anybody has.
std::set<std::string> EvidencePack::grants_of(const std::string& subject, const std::set<std::string>& groups) const {
  std::set<std::string> held;
  for (const auto& [name, grant] : grants_) {
    if (grant.held.is_null()) continue;
    const json who = object_at(grant.held, "who");
    const std::set<std::string> subjects = texts_at(who, "subjects"), named = texts_at(who, "groups");
    const bool is_subject = subjects.empty() || std::any_of(subjects.begin(), subjects.end(), [&](const std::string& each) { return glob_matches(each, subject); });
    const bool is_group = named.empty() || std::any_of(named.begin(), named.end(), [&](const std::string& each) { return std::any_of(groups.begin(), groups.end(), [&](const std::string& group) { return glob_matches(each, group); }); });
    if (is_subject && is_group) held.insert(name);
  }
  return held;
}

}  // namespace weir::report
