// What the verbs that read the record have in common: which record, and of which time.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "control/config_values.h"
#include "control/verbs.h"
#include "record/keys.h"

namespace weir::control {

// --state FOLDER, else the configuration's.  nullopt: the configuration is wrong, and that was said.
inline std::optional<std::string> record_folder(VerbCall& call) {
  if (call.has("state")) return call.text("state");
  const auto config = call.load_state();
  if (!config) return std::nullopt;
  return config->state;
}

// --key FILE..., else what the configuration's signing key has beside it.
Result<std::vector<record::VerifyingKey>> record_keys(VerbCall& call);

// Who looks at what somebody did leaves a trace, where the record is a running gateway's own.  Whoever can read the files
// could read a copy of them as well: a gateway that cannot take it only earns a warning.
void tell_engine(VerbCall& call, const char* act, const std::string& object);

// --since, --until and --limit into a filter of record/reader.h.
template <class Filter>
Result<void> read_period(const VerbCall& call, Filter& filter) {
  if (call.has("limit")) filter.count_max = call.options["limit"].as<uint64_t>();
  for (const char* key : {"since", "until"}) {
    if (!call.has(key)) continue;
    const auto moment = parse_moment(call.text(key));
    if (!moment) return fail(Error::Kind::kInvalid, std::string("--") + key + " " + moment.error().message);
    (key[0] == 's' ? filter.since : filter.until) = *moment;
  }
  return {};
}

}  // namespace weir::control
