#include "session/request_ids.h"

#include "identify/request_id.h"

namespace weir::session {

void RequestIds::follow(const Codec& codec, std::span<const std::string> order, uint64_t generation) {
  const std::string_view application_name = codec.login().application_name.substr(0, identify::kRequestIdSizeMax + 1);
  const bool is_same = round_ != 0 && generation == generation_ && application_name == application_name_;
  if (is_same) return;
  order_ = order;
  generation_ = generation;
  application_name_ = application_name;
  of_session_ = identify::find_request_id(order_, {}, application_name_);
  ++round_;
}

// Where the comment has none, it is the session's own.
std::string_view RequestIds::find(std::string_view statement) const {
  if (!identify::may_have_request_id(statement)) return of_session_;
  const std::string_view found = identify::find_request_id(order_, statement, application_name_);
  const bool is_in_text = !found.empty() && found.data() >= statement.data() && found.data() < statement.data() + statement.size();
  return is_in_text ? found : of_session_;
}

std::string_view RequestIds::find_kept(uint64_t id, std::string_view statement) {
  if (!identify::may_have_request_id(statement)) return of_session_;
  if (!kept_) kept_ = std::make_unique<std::array<Kept, kKept>>();
  Kept& kept = (*kept_)[id & (kKept - 1)];
  if (kept.statement != id || kept.round != round_) {
    const std::string_view found = find(statement);
    const bool is_in_text = found.data() != of_session_.data();
    kept = {id, round_, is_in_text, is_in_text ? static_cast<uint32_t>(found.data() - statement.data()) : 0, static_cast<uint32_t>(found.size())};
  }
  return kept.is_in_text ? statement.substr(kept.offset, kept.size) : of_session_;
}

void RequestIds::name(std::span<Unit> units, const Codec& codec, std::span<const std::string> order, uint64_t generation) {
  bool is_followed = false;
  for (Unit& unit : units) {
    if (unit.kind != UnitKind::kCommand && unit.kind != UnitKind::kLogin) continue;
    if (!is_followed) follow(codec, order, generation);
    is_followed = true;
    const uint64_t id = unit.meanings[0] != 0 ? unit.meanings[0] : unit.meanings[1];
    if (unit.kind == UnitKind::kLogin) unit.request_id = of_session_;
    else if (!unit.text.empty() || id == 0) unit.request_id = find(as_text(unit.text));
    else unit.request_id = find_kept(id, as_text(codec.statement(id)));
  }
}

std::string_view RequestIds::for_record(const Unit& unit, const Policy& policy, DecideContext& context, const Codec& codec) {
  const std::string_view id = unit.request_id;
  if (id.empty() || identify::is_traceparent(id)) return id;  // A trace context has room for nothing but hex digits.
  if (id.data() != of_session_.data()) return as_text(policy.redact_text(context, codec, as_bytes(id)));
  if (safe_round_ != round_ || safe_policy_ != policy.generation()) {
    safe_of_session_ = as_text(policy.redact_text(context, codec, as_bytes(id)));
    safe_round_ = round_;
    safe_policy_ = policy.generation();
  }
  return safe_of_session_;
}

}  // namespace weir::session
