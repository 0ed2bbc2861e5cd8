#include "record/seal_log.h"

#include <algorithm>

#include "record/lifetimes.h"

namespace weir::record {

void ListedSessions::add(const SealEntry& entry) {
  session_max = std::max(session_max, entry.session);
  last = entry;
  if (!entry.is_last) {
    open_parts[entry.session] = entry;
    return;
  }
  open_parts.erase(entry.session);
  acts.erase(entry.session);
  if (entry.session >= ended.size()) ended.resize(entry.session + 1);
  ended[entry.session] = true;
}

void ListedSessions::add(const ActEntry& entry) {
  uint64_t& sequence = acts[entry.session];
  sequence = std::max(sequence, entry.sequence);
}

void ListedSessions::add_leaf(std::string_view leaf, uint64_t index) {
  if (const std::optional<SealEntry> seal = seal_from_leaf(leaf)) {
    add(*seal);
    if (lifetimes != nullptr) lifetimes->add(*seal, index);
    last_kind = "seal";
    last_at_ns = seal->sealed_ns;
    return;
  }
  const std::optional<OtherLeaf> other = other_from_leaf(leaf);
  if (!other) return;
  if (lifetimes != nullptr) lifetimes->add(*other);
  last_kind = other->kind;
  last_at_ns = other->at_ns;
  if (other->kind == "sessions") session_max = std::max(session_max, number_at(other->object, "highest"));
  if (other->kind == "heartbeat") heartbeats = std::max(heartbeats, number_at(other->object, "number"));
  if (const std::optional<ActEntry> act = act_from(*other)) add(*act);
}

bool ListedSessions::has(uint64_t session, uint64_t sequence) const {
  if (has_ended(session)) return true;
  const auto part = open_parts.find(session);
  return part != open_parts.end() && sequence <= part->second.last_sequence;
}

Result<void> check_log_is_there(const std::string& archive, const std::string& log) {
  if (exists(checkpoint_path(log)) || exists(log + "/seals")) return {};
  const Result<std::vector<std::string>> names = list_folder(archive);
  if (!names) return tl::unexpected(names.error());
  const auto is_year = [](const std::string& name) { return name.size() == 4 && name.find_first_not_of("0123456789") == std::string::npos; };
  if (std::none_of(names->begin(), names->end(), is_year)) return {};
  return fail(Error::Kind::kCorrupt, checkpoint_path(log) + ": it is not there, and archives are: it was taken away; put it back, or begin with a new state folder");
}

Result<void> read_seals(const std::string& log, const std::function<void(const SealEntry&)>& visit) {
  const Result<LogHead> head = read_head(log);
  if (!head) return head.error().kind == Error::Kind::kNotFound ? Result<void>{} : tl::unexpected(head.error());
  return read_entries(log, head->checkpoint.size, [&](uint64_t, Bytes entry) {
    if (const std::optional<SealEntry> seal = seal_from_leaf(as_text(entry))) visit(*seal);
  });
}

}  // namespace weir::record
