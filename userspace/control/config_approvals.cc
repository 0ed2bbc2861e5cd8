// approvals: who answers what is held, and until when.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = std::chrono::hours(24);

// Without groups and patterns it is known who there is: an approval that nobody can give would deny everything, late.
void check_count(MapReader& approval, const ApprovalConfig& made) {
  const WhoConfig& who = made.reviewers;
  const bool is_open = !who.groups.empty() || std::any_of(who.subjects.begin(), who.subjects.end(), [](const std::string& s) { return s.find('*') != std::string::npos; });
  const std::size_t count = who.subjects.size();  // None stands twice.
  if (is_open || count == 0 || made.min_reviewers <= count) return;
  approval.context().error(approval.has("min_reviewers") ? approval.place_of("min_reviewers") : approval.place(),
                           approval.path_of("min_reviewers") + ": " + std::to_string(made.min_reviewers) + " can never be met: reviewers names " + std::to_string(count));
}

void read_approval(MapReader approval, ApprovalConfig& out) {
  LoadContext& context = approval.context();
  approval.name("name", out.name);
  if (!out.name.empty() && !context.approvals.insert(out.name).second) context.error(approval.place(), "approvals: " + in_quotes(out.name) + " stands twice");
  const bool has_reviewers = approval.has("reviewers");
  const std::size_t problems_before = context.problems.size();
  read_who(approval.map("reviewers"), out.reviewers);
  if (!has_reviewers || (out.reviewers.subjects.empty() && out.reviewers.groups.empty() && context.problems.size() == problems_before)) {
    context.error(has_reviewers ? approval.place_of("reviewers") : approval.place(), approval.path_of("reviewers") + (has_reviewers ? " names nobody" : " is missing"),
                  "reviewers: {groups: [security]}, or subjects: [\"local:ann\"]");
  }
  approval.number("min_reviewers", out.min_reviewers, 1, 16);
  check_count(approval, out);
  approval.duration("deadline", out.deadline, 1s, 30 * kDay);
  approval.choice("bound_to", out.is_for_class, {std::pair{std::string_view("command"), false}, {"class", true}});
  approval.duration("window_max", out.window_max, 1s, 30 * kDay);
  if (approval.has("window_max") && !out.is_for_class) {
    context.error(approval.place_of("window_max"), approval.path_of("window_max") + " belongs to bound_to: class");
  }
  approval.choice("if_client_leaves", out.is_kept_without_client, {std::pair{std::string_view("withdraw"), false}, {"keep", true}});
  approval.choice("at_restart", out.is_resumed_at_restart, {std::pair{std::string_view("deny"), false}, {"resume", true}});
  approval.choice_of("on_revoke", {"cancel", "finish"});
  approval.has_no_effect("on_revoke");
  approval.finish();
}

}  // namespace

void read_approvals(MapReader& root, std::vector<ApprovalConfig>& out) {
  const auto entries = root.take_maps("approvals");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ApprovalConfig& made = out.emplace_back();
    made.place = entries[i].place;
    read_approval(MapReader::entry(root, "approvals", entries[i], i), made);
  }
}

}  // namespace weir::control
