// The access list on the record, and people's word on it: so that who could do what at a date, and who said that it is right, is known
// from the record alone.
#include <unistd.h>

#include <algorithm>

#include "control/access_entries.h"
#include "core/json_fields.h"
#include "report/access_list.h"
#include "session/act_rules.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kTryAgain{60};
constexpr std::string_view kDecisions[] = {"keep", "change", "remove"};

}  // namespace

// Once for each configuration that comes in force; what the record does not take now is tried again from on_tick().
// Pre: control_mutex_ is held, or nobody asks yet.
void Engine::note_access(const char* why) {
  if (access_noted_ == config().digest || wall_seconds() < access_tried_ + kTryAgain) return;
  const std::vector<json> pieces = report::access_pieces(control::access_entries(config()), config().digest);
  if (pieces.empty()) {
    logging_->log().error("the access list is larger than {} bytes and is not on the record: `weir grants --at` does not know it", report::kAccessListMax);
    access_noted_ = config().digest;
    return;
  }
  for (const json& piece : pieces) {
    Act act;
    act.name = report::kAccessListAct;
    act.text = act_text({{"by", {{"via", why}, {"uid", getuid()}}},
                         {"object", "access list " + text_at(piece, "digest") + ", part " + std::to_string(number_at(piece, "part")) + " of " + std::to_string(number_at(piece, "parts"))},
                         {"outcome", "done"}, {"change", piece}});
    if (record_act(std::move(act))) continue;   // Else counted and said.
    access_tried_ = wall_seconds();
    return;
  }
  access_noted_ = config().digest;
  access_tried_ = {};
}

// A reviewer's word on grants as they are in force.  Errors: kNotFound; kInvalid; kDenied: another list is in force than the one that was looked at.
Result<json> Engine::sign_off(const json& arguments) const {
  const std::string decision = text_at(arguments, "decision"), list = text_at(arguments, "list");
  if (std::find(std::begin(kDecisions), std::end(kDecisions), decision) == std::end(kDecisions)) return fail(Error::Kind::kInvalid, "decision is one of keep, change, remove");
  const json entries = control::access_entries(config());
  const std::string digest = report::access_list_digest(entries);
  if (!list.empty() && list != digest) return fail(Error::Kind::kDenied, "another access list is in force than the one that was looked at: look again (weir grants --at now)");
  const auto all = arguments.find("all");
  const bool is_all = all != arguments.end() && (*all == true || *all == "true");
  const auto names = arguments.find("grants");
  const bool has_names = names != arguments.end() && names->is_array() && !names->empty();
  if (is_all == has_names) return fail(Error::Kind::kInvalid, "name grants, or all of them");
  json signed_off = json::array();
  std::string text;
  const auto add = [&](const json& entry) {
    signed_off.push_back({{"name", entry.at("name")}, {"digest", report::access_entry_digest(entry)}});
    text += (text.empty() ? "" : ", ") + text_at(entry, "name");
  };
  const auto is_grant = [](const json& entry) { return text_at(entry, "kind") == "grant"; };
  if (is_all) {
    for (const json& entry : entries) {
      if (is_grant(entry)) add(entry);
    }
  } else {
    for (const json& name : *names) {
      const auto entry = std::find_if(entries.begin(), entries.end(), [&](const json& each) { return is_grant(each) && each.at("name") == name; });
      if (entry == entries.end()) return fail(Error::Kind::kNotFound, "there is no grant " + name.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80) + " in force");
      add(*entry);
    }
  }
  return json{{"decision", decision}, {"list", digest}, {"config", config().digest}, {"grants", std::move(signed_off)}, {"what", decision + ": " + text}};
}

}  // namespace weir::session
