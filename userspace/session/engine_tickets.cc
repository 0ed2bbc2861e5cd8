// Tickets as reviewers see them, and who a reviewer is.
#include <pwd.h>
#include <unistd.h>

#include "control/config_values.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

json verbs_of(VerbSet verbs) {
  return names_of(verbs);
}

json describe(const decide::Ticket& ticket) {
  json answers = json::array();
  for (const decide::TicketReview& each : ticket.answers) {
    answers.push_back({{"by", each.by}, {"issuer", each.issuer}, {"at", utc_text_if_set(each.at)}, {"what", each.is_approval ? "approve" : "deny"},
                       {"reason", each.reason}, {"until", utc_text_if_set(each.until)}});
  }
  return {{"number", ticket.number},         {"state", weir::name_of(ticket.state)}, {"text", ticket.text},
          {"subject", ticket.subject},       {"groups", ticket.groups},         {"acting_for", ticket.acting_for},
          {"issuer", ticket.issuer},         {"assurance", weir::name_of(ticket.assurance)},
          {"target", ticket.target},         {"login", ticket.login},           {"database", ticket.database},
          {"rule", ticket.rule},             {"approval", ticket.approval},     {"reason", ticket.reason},
          {"statement", ticket.statement},   {"parameters", ticket.parameters}, {"objects", ticket.objects},
          {"verbs", verbs_of(ticket.verbs)}, {"digest", decide::hex_of(ticket.digest)},
          {"opened", utc_text_if_set(ticket.opened)}, {"deadline", utc_text_if_set(ticket.deadline)}, {"closed", utc_text_if_set(ticket.closed)},
          {"min_reviewers", ticket.min_reviewers}, {"window_ticket", ticket.window_ticket},
          {"window_possible", ticket.is_open() && ticket.terms != nullptr && ticket.terms->is_for_class},
          {"session", ticket.session},       {"unit", ticket.unit},
          {"gateway", ticket.gateway},       {"kept", ticket.is_detached},      {"answers", std::move(answers)}};
}

}  // namespace

std::string local_name(const control::ControlPeer& peer) {
  const uid_t uid = peer.login_uid != control::ControlPeer::kNoLogin ? peer.login_uid : peer.uid;
  std::vector<char> buffer(16u << 10);
  passwd entry{};
  passwd* found = nullptr;
  const bool is_known = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  return std::string(decide::kLocalReviewer) + (is_known ? found->pw_name : std::to_string(uid));
}

Result<decide::Reviewer> Engine::reviewer_of(const json& arguments, const control::ControlPeer& peer) {
  const std::string token = text_at(arguments, "token");
  if (token.empty()) {
    if (peer.is_api()) return fail(Error::Kind::kDenied, "a reviewer's token is needed");
    return decide::Reviewer{local_name(peer), {}, "", {}};
  }
  auto verified = verify(token);
  if (!verified) return tl::unexpected<Error>(verified.error());
  return decide::Reviewer{verified->subject, verified->groups, verified->issuer, verified->acting_for};
}

Result<json> Engine::list_tickets(const json& arguments) {
  if (arguments.contains("ticket")) {
    const uint64_t number = number_at(arguments, "ticket");
    const decide::TicketPtr ticket = tickets_->find(number, wall_seconds());
    if (ticket == nullptr) return fail(Error::Kind::kNotFound, "there is no ticket " + std::to_string(number));
    return describe(*ticket);
  }
  const auto all = arguments.find("all");
  const bool is_all = all != arguments.end() && all->is_boolean() && all->get<bool>();
  json list = json::array();
  for (const decide::TicketPtr& ticket : tickets_->list(is_all ? decide::TicketBook::Which::kAll : decide::TicketBook::Which::kOpen, wall_seconds())) {
    decide::Ticket shown = *ticket;
    decide::shorten(shown);  // Marked as cut; asked for by its number it is whole.
    list.push_back(describe(shown));
  }
  return list;
}

Result<json> Engine::answer_ticket(std::string_view verb, const json& arguments, const control::ControlPeer& peer) {
  const bool is_approval = verb == "approve";
  const uint64_t number = number_at(arguments, "ticket");
  const std::string reason = text_at(arguments, "reason");
  std::chrono::sys_seconds until{};
  if (const std::string text = text_at(arguments, "until"); !text.empty()) {
    const auto time = control::parse_time(text);
    if (!time || *time == std::chrono::sys_seconds{}) return fail(Error::Kind::kInvalid, "until: " + (time ? "a time in the past" : time.error().message));
    until = *time;
  }
  auto reviewer = reviewer_of(arguments, peer);
  if (!reviewer) return tl::unexpected<Error>(reviewer.error());
  auto outcome = is_approval ? tickets_->approve(number, *reviewer, reason, until, wall_seconds()) : tickets_->deny(number, *reviewer, reason, wall_seconds());
  logging_->log().info("{} ticket {} by {}: {}", verb, number, control::escape_bytes(reviewer->subject), control::escape_bytes(outcome ? outcome->text : outcome.error().message));
  if (!outcome) return tl::unexpected<Error>(outcome.error());
  notifier_->wake();
  json result = describe(*outcome->ticket);
  result["by"] = reviewer->subject;
  result["what"] = outcome->text;
  result["changed"] = outcome->is_changed;
  return result;
}

std::vector<control::MetricSample> Engine::ticket_samples() const {
  const decide::TicketCounters counts = tickets_->counters();
  const auto sample = [](const char* name, const char* labels, const char* help, MetricType type, uint64_t value) {
    return control::MetricSample{name, labels, help, type, static_cast<double>(value)};
  };
  constexpr const char* kTickets = "weir_tickets_total";
  return {sample("weir_tickets_open", "", "Commands that wait for a reviewer.", MetricType::kGauge, counts.open),
          sample(kTickets, "event=\"opened\"", "Tickets, by what became of them.", MetricType::kCounter, counts.opened),
          sample(kTickets, "event=\"approved\"", "", MetricType::kCounter, counts.approved),
          sample(kTickets, "event=\"approved-by-window\"", "", MetricType::kCounter, counts.approved_by_window),
          sample(kTickets, "event=\"denied\"", "", MetricType::kCounter, counts.denied),
          sample(kTickets, "event=\"expired\"", "", MetricType::kCounter, counts.expired),
          sample(kTickets, "event=\"withdrawn\"", "", MetricType::kCounter, counts.withdrawn),
          sample(kTickets, "event=\"kept\"", "", MetricType::kCounter, counts.kept),
          sample(kTickets, "event=\"resumed\"", "", MetricType::kCounter, counts.resumed),
          sample(kTickets, "event=\"refused\"", "", MetricType::kCounter, counts.refused),
          sample(kTickets, "event=\"answer-refused\"", "", MetricType::kCounter, counts.answers_refused),
          sample(kTickets, "event=\"not-written\"", "", MetricType::kCounter, counts.write_failures)};
}

}  // namespace weir::session
