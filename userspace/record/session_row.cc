#include "record/session_row.h"

#include <array>

#include "record/archive.h"
#include "record/manifest.h"

namespace weir::record {

using nlohmann::json;

void SessionRow::add(const SessionSummary& part) {
  if (total.opened_json.empty()) total.opened_json = part.opened_json;
  if (!part.login_json.empty() && part.login_json != "{}") total.login_json = part.login_json;
  total.events += part.events;
  total.commands += part.commands;
  total.blocked += part.blocked;
  total.masked += part.masked;
  total.alerts += part.alerts;
  total.stand_ins += part.stand_ins;
  total.responses += part.responses;
  total.errors += part.errors;
  total.rows += part.rows;
  total.gaps += part.gaps;
  total.requests.merge(part.requests);
  if (opened_ns == 0) opened_ns = part.opened_ns != 0 ? part.opened_ns : part.first_at_ns;
  if (!part.is_closed) return;
  is_closed = true;
  total.closed_ns = part.closed_ns;
  total.reason = part.reason;
  total.accounts = part.accounts;
}

void SessionRow::add(const std::string& path) {
  const Result<ArchiveReader> reader = ArchiveReader::open(path);
  if (!reader) {
    broken = reader.error().message;
    return;
  }
  ++parts;
  add(reader->manifest().summary);
}

json to_json(uint64_t session, const SessionRow& row) {
  const SessionSummary& s = row.total;
  const json facts = opening_facts(s.opened_json), login = parse_object(s.login_json);
  const std::array<ByteAccount, 2> accounts = s.accounts.value_or(std::array<ByteAccount, 2>{});
  const bool is_interrupted = s.is_interrupted();
  const bool balances = accounts[0].balances() && accounts[1].balances();
  json line = {{"id", session}, {"target", text_at(facts, "target")}, {"subject", text_at(facts, "subject")},
               {"opened", time_text(row.opened_ns)}, {"closed", row.is_closed ? json(time_text(s.closed_ns)) : json(nullptr)},
               {"reason", s.reason}, {"commands", s.commands}, {"blocked", s.blocked}, {"masked", s.masked},
               {"bytes", {{"to_target", account_json(accounts[0])}, {"to_client", account_json(accounts[1])}}},
               {"account", !row.is_closed ? "open" : is_interrupted || !s.accounts ? "unknown" : balances ? "balanced" : "differs"},
               {"alerts", s.alerts}, {"stand_ins", s.stand_ins}, {"errors", s.errors}, {"rows", s.rows}, {"events", s.events}, {"gaps", s.gaps},
               {"is_live", !row.is_closed}, {"is_interrupted", is_interrupted}, {"sealed_parts", row.parts},
               {"login", text_at(login, "login")}, {"database", text_at(login, "database")}, {"facts", facts}};
  if (!row.broken.empty()) line["broken"] = row.broken;
  return line;
}

}  // namespace weir::record
