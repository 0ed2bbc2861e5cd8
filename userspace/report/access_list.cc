#include "report/access_list.h"

#include <algorithm>

#include "core/json_fields.h"
#include "report/pack_table.h"

namespace weir::report {
namespace {

using nlohmann::json;

std::string dumped(const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace); }

json object_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

// "2026-11-27T16:14:15Z" and "2026-11-27T16:14:15.000000001Z": without the Z the shorter one stands first.
std::string comparable(std::string at) {
  if (at.ends_with('Z')) at.pop_back();
  return at;
}

bool is_done(const json& act) { return text_at(act, "outcome").starts_with("done"); }

}  // namespace

std::string access_entry_digest(const json& entry) { return sha256_hex(dumped(entry)); }

std::string access_list_digest(const json& entries) {
  std::string text;
  for (const json& entry : entries) text += dumped(entry) + "\n";
  return sha256_hex(text);
}

std::vector<json> access_pieces(const json& entries, const std::string& config) {
  std::vector<json> lists(1, json::array());
  std::size_t total = 0, here = 0;
  for (const json& entry : entries) {
    const std::size_t size = dumped(entry).size();
    total += size;
    if (total > kAccessListMax) return {};
    if (here != 0 && here + size > kAccessPieceMax) {
      lists.push_back(json::array());
      here = 0;
    }
    here += size;
    lists.back().push_back(entry);
  }
  const std::string digest = access_list_digest(entries);
  std::vector<json> pieces;
  for (json& list : lists) {
    pieces.push_back({{"digest", digest}, {"config", config}, {"part", pieces.size() + 1}, {"parts", lists.size()}, {"count", entries.size()}, {"entries", std::move(list)}});
  }
  return pieces;
}

AccessAt::AccessAt(std::string at) : at_(comparable(std::move(at))) {}

void AccessAt::note_config(const std::string& at, const std::string& config, const char* by) {
  if (!config.empty() && comparable(at) > comparable(newest_.at)) newest_ = {at, config, by};
}

bool AccessAt::add_act(const json& act) {
  const std::string name = text_at(act, "act"), at = text_at(act, "at");
  if (comparable(at) > at_ || is_whole_) return !is_whole_;
  const json change = object_at(act, "change");
  if (is_done(act) && (name == "reload" || name == "start")) note_config(at, text_at(object_at(change, "digest"), "after"), "reload");
  // A reload that waited for a second person: `change` is what was asked for, and in it is what it changed.
  if (is_done(act) && name == "change-approve" && text_at(change, "act") == "reload") note_config(at, text_at(object_at(object_at(change, "change"), "digest"), "after"), "reload");
  if (name != kAccessListAct) return true;
  const uint64_t part = number_at(change, "part"), parts = number_at(change, "parts");
  const bool goes_on = !pieces_.empty() && text_at(change, "digest") == text_at(pieces_.back().change, "digest") && parts == number_at(pieces_.back().change, "parts") &&
                       part + 1 == number_at(pieces_.back().change, "part") && number_at(act, "session") == pieces_.back().session;
  if (!goes_on) pieces_.clear();
  if (!goes_on && (part == 0 || part != parts)) return true;   // Its last pieces are later than at_, or were not taken.
  pieces_.push_back({change, at, text_at(object_at(act, "by"), "via"), number_at(act, "session"), number_at(act, "seq")});
  is_whole_ = part == 1;
  return !is_whole_;
}

void AccessAt::add_log_entry(uint64_t index, const json& entry) {
  const std::string kind = text_at(entry, "kind"), at = text_at(entry, "at");
  if (kind == "gap" && comparable(text_at(entry, "from")) < at_ && at_ < comparable(at)) gap_ = text_at(entry, "from") + " until " + at + " (" + text_at(entry, "why") + ")";
  if (comparable(at) > at_) return;
  if (kind == "start") note_config(at, text_at(entry, "config"), "start");
  if (kind == "act" && text_at(entry, "act") == kAccessListAct) leaves_.emplace_back(index, dumped({{"session", number_at(entry, "session")}, {"sequence", number_at(entry, "sequence")}, {"digest", text_at(entry, "digest")}}));
}

std::optional<AccessFound> AccessAt::found() const {
  if (!is_whole_) {
    why_ = "the record has no access list from before that time: it is on it since the first start of a version that writes one, for as long as acts are kept";
    return std::nullopt;
  }
  AccessFound found;
  for (auto piece = pieces_.rbegin(); piece != pieces_.rend(); ++piece) {
    const auto entries = piece->change.find("entries");
    if (entries == piece->change.end() || !entries->is_array()) continue;
    for (const json& entry : *entries) found.entries.push_back(entry);
  }
  const Set& last = pieces_.front();
  found.digest = text_at(last.change, "digest");
  found.config = text_at(last.change, "config");
  found.since = last.at;
  found.why = last.why;
  found.session = last.session;
  found.sequence = last.sequence;
  if (access_list_digest(found.entries) != found.digest) {
    why_ = "the access list of " + found.since + " (session " + std::to_string(found.session) + ", event " + std::to_string(found.sequence) + ") does not have the digest that it names: it was changed, or a part of it is missing; `weir verify` says more";
    return std::nullopt;
  }
  if (comparable(newest_.at) > comparable(found.since) && newest_.config != found.config) {
    why_ = "since " + newest_.at + " the configuration " + newest_.config.substr(0, 16) + "... was in force (" + newest_.by + "), and its access list is not on the record; the newest one before it is of " + found.since;
    return std::nullopt;
  }
  for (const auto& [index, text] : leaves_) {
    const json leaf = json::parse(text);
    if (leaf["session"] != found.session || leaf["sequence"] != found.sequence) continue;
    found.leaf = index;
    found.leaf_digest = leaf["digest"];
  }
  return found;
}

}  // namespace weir::report
