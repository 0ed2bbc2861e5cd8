// What the verbs that read the record have in common: which record, and of which time.
#pragma once
#include <boost/program_options.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/config_values.h"
#include "control/verbs.h"
#include "record/key_wrap.h"
#include "record/keys.h"
#include "record/reader.h"
#include "record/signed_note.h"

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
// --witness FILE...: verifier keys of witnesses.
Result<std::vector<record::NoteVerifier>> record_witnesses(const VerbCall& call);

// Who looks at what somebody did leaves a trace, where the record is a running gateway's own.  Whoever can read the files
// could read a copy of them as well: a gateway that cannot take it only earns a warning.
void tell_engine(VerbCall& call, const char* act, const std::string& object);

// The record to be read into, with what opens its encrypted archives: --key-file, else the configuration's key of the gateway, if it can
// be read.  Who cannot read it is told so by the first archive that needs it.
// `is_needed`: an index is read faster with a key, and that is all it is asked for.
inline Result<record::RecordPlace> record_place(VerbCall& call, const std::string& folder, bool is_needed = true) {
  record::RecordPlace place = record::RecordPlace::of(folder);
  std::string file = call.has("key-file") ? call.text("key-file") : std::string();
  if (file.empty() && !call.has("state")) {
    if (const auto config = call.load_state()) file = config->record.encryption_key_file;
  }
  if (file.empty()) return place;
  auto opener = record::read_opener(file);
  if (!opener && call.has("key-file")) return fail(Error::Kind::kInvalid, opener.error().message);
  if (!opener && is_needed && opener.error().kind != Error::Kind::kNotFound) call.terminal.err << "weir: encrypted archives cannot be read: " << opener.error().message << "\n";
  if (opener) place.openers.push_back(std::move(*opener));
  return place;
}

inline void add_key_file(boost::program_options::options_description& options) {
  options.add_options()("key-file", boost::program_options::value<std::string>()->value_name("FILE"),
                        "what opens encrypted archives: an auditor's private key (X25519, PEM), or the gateway's key file; else the configuration's");
}

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
