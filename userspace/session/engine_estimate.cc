// What the target's planner thinks of a held command, for its reviewer.  A look: it stands on the record.  The target is asked on a
// thread of its own, one question at a time; whoever asks meanwhile comes again.
#include <algorithm>
#include <chrono>

#include "parse/postgres/estimate.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPatience{100};   // Who asks meanwhile waits for it.
constexpr std::chrono::seconds kKept{30};             // An answer, for who comes again.

json made_of(const postgres::Estimate& estimate, uint64_t ticket) {
  return {{"ticket", ticket}, {"plan", estimate.plan}, {"statement", estimate.statement}, {"server", estimate.server},
          {"note", "of its general form, without its constants; nothing was executed"}};
}

Result<json> make(const postgres::CatalogueReaderOptions& how, const std::shared_ptr<postgres::CatalogueReader>& reader, const Limits& limits, const decide::TicketPtr& ticket) {
  const auto facts = postgres::make_inline_facts(limits, reader);
  FactsQuery query;
  query.text = as_bytes(ticket->statement);
  query.database = ticket->database;
  const FactsAnswer answer = facts->facts(query);
  if (answer.state != FactsAnswer::State::kReady) return fail(Error::Kind::kDenied, "no estimate: it is too large to be read again");
  const auto catalogue = reader->snapshot(ticket->database);
  if (const auto may = postgres::may_estimate(*answer.facts, catalogue.get()); !may) return tl::unexpected<Error>(may.error());
  const auto estimate = postgres::estimate(how, ticket->database, ticket->statement);
  if (!estimate) return tl::unexpected<Error>(estimate.error());
  return made_of(*estimate, ticket->number);
}

}  // namespace

Result<json> Engine::estimate_ticket(const json& arguments) {
  const auto found = arguments.find("ticket");
  const uint64_t number = found != arguments.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  const decide::TicketPtr ticket = tickets_->find(number, wall_seconds());
  if (ticket == nullptr) return fail(Error::Kind::kNotFound, "there is no ticket " + std::to_string(number));
  if (!ticket->is_open()) return fail(Error::Kind::kDenied, "no estimate: ticket " + std::to_string(number) + " waits no more");
  if (ticket->statement.empty()) return fail(Error::Kind::kDenied, "no estimate: its statement cannot be shown");
  const auto now = std::chrono::steady_clock::now();
  const bool is_ready = estimate_ && estimate_->answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  const bool is_old = estimate_ && (estimate_->ticket != number || now >= estimate_->begun + kKept);
  if (is_ready && is_old) estimate_.reset();
  if (estimate_ && estimate_->ticket != number) return fail(Error::Kind::kUnavailable, "another estimate is being made: ask again in a second");
  if (!estimate_) {
    const auto& targets = config().targets;
    const auto target = std::find_if(targets.begin(), targets.end(), [&](const TargetConfig& each) { return each.name == ticket->target; });
    const auto reader = builder_->catalogue(ticket->target);
    if (target == targets.end() || reader == nullptr) return fail(Error::Kind::kDenied, "no estimate: target " + ticket->target + " has no catalogue login (targets[].catalogue)");
    auto how = builder_->catalogue_options(*target);
    if (!how) return tl::unexpected<Error>(how.error());
    estimate_ = Estimating{number, now, std::async(std::launch::async, [how = std::move(*how), reader, limits = config().engine.limits, ticket] {
                             return make(how, reader, limits, ticket);
                           }).share()};
  }
  if (estimate_->answer.wait_for(kPatience) != std::future_status::ready) return fail(Error::Kind::kUnavailable, "the estimate is being made: ask again in a second");
  return estimate_->answer.get();
}

}  // namespace weir::session
