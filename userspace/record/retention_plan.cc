#include "record/retention_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "record/archive.h"
#include "record/lifetimes.h"
#include "record/seal_at.h"

namespace weir::record {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// Every leaf but seals that fits; none if there is no log.
Result<void> read_others(const std::string& log, const std::function<void(const OtherLeaf&)>& visit) {
  const Result<LogHead> head = read_head(log);
  if (!head) return head.error().kind == Error::Kind::kNotFound ? Result<void>{} : tl::unexpected(head.error());
  return read_entries(log, head->checkpoint.size, [&](uint64_t, Bytes entry) {
    const std::string_view text = as_text(entry);
    if (text.find("\"kind\":\"tombstone\"") == std::string_view::npos) return;   // All others cost nothing.
    if (const std::optional<OtherLeaf> other = other_from_leaf(text)) visit(*other);
  });
}

Result<Lifetimes> read_lifetimes(const std::string& log) {
  Lifetimes lifetimes;
  const Result<LogHead> head = read_head(log);
  if (!head) return head.error().kind == Error::Kind::kNotFound ? Result<Lifetimes>(std::move(lifetimes)) : tl::unexpected(head.error());
  const Result<void> read = read_entries(log, head->checkpoint.size, [&](uint64_t index, Bytes entry) {
    if (const std::optional<SealEntry> seal = seal_from_leaf(as_text(entry))) lifetimes.add(*seal, index);
    else if (const std::optional<OtherLeaf> other = other_from_leaf(as_text(entry))) lifetimes.add(*other);
  });
  if (!read) return tl::unexpected(read.error());
  return lifetimes;
}

}  // namespace

Result<void> plan_retention(const RecordPlace& place, const PlanOptions& options, const std::function<bool(const PlanRow&)>& sink) {
  const Result<Lifetimes> lifetimes = read_lifetimes(place.log);
  if (!lifetimes) return tl::unexpected(lifetimes.error());
  SealsByIndex seals(place.log);
  const int64_t shortest_ns = shortest(options.config).count() * kSecondNs;
  const int64_t due_by_ns = options.due_by ? options.due_by->time_since_epoch().count() * kSecondNs : INT64_MAX;
  bool is_behind = options.after == 0;
  for (const Lifetimes::Ended& ended : lifetimes->ended()) {
    if (!is_behind) {
      is_behind = ended.session == options.after;
      continue;
    }
    if (lifetimes->is_gone(ended.session) || ended.sealed_ns + shortest_ns > due_by_ns) continue;
    PlanRow row{.session = ended.session, .parts = 0, .target = {}, .subject = {}, .sealed_ns = ended.sealed_ns, .by = {}, .held_by = {}, .problem = {}};
    SessionTraits traits;
    for (const uint64_t index : lifetimes->seals_of(ended)) {
      ++row.parts;
      const Result<SealEntry> seal = seals.at(index);
      const Result<ArchiveReader> reader = seal ? ArchiveReader::open(place.archive + "/" + seal->path) : tl::unexpected(seal.error());
      if (reader) traits.add(reader->manifest());
      else row.problem = reader.error().message;
    }
    row.is_expiring = lifetimes->expiring().contains(ended.session);
    if (row.is_expiring) row.problem.clear();
    row.target = traits.target;
    row.subject = traits.subject;
    row.by = ruling_of(options.config, traits);
    row.due_ns = ended.sealed_ns + row.by.keep.count() * kSecondNs;
    if (row.problem.empty() && row.due_ns > due_by_ns) continue;
    for (const Hold& hold : options.holds) {
      if (hold.covers(traits)) row.held_by.push_back(hold.id);
    }
    if (!sink(row)) return {};
  }
  return {};
}

Result<std::optional<Gone>> gone_by_policy(const std::string& log, uint64_t session) {
  std::optional<Gone> gone;
  const Result<void> read = read_others(log, [&](const OtherLeaf& leaf) {
    const std::optional<Tombstone> stone = tombstone_from(leaf);
    if (stone && stone->session == session) gone = Gone{stone->policy, time_text(leaf.at_ns), stone->keep_s};
  });
  if (!read) return tl::unexpected(read.error());
  return gone;
}

Result<std::vector<GoneCount>> count_gone(const std::string& log, std::optional<std::chrono::sys_seconds> since, std::optional<std::chrono::sys_seconds> until) {
  std::map<std::pair<std::string, uint64_t>, GoneCount> counts;
  const Result<void> read = read_others(log, [&](const OtherLeaf& leaf) {
    const std::optional<Tombstone> stone = tombstone_from(leaf);
    if (!stone || stone->part != 1) return;    // Each session once.
    if ((since && leaf.at_ns < since->time_since_epoch().count() * kSecondNs) || (until && leaf.at_ns >= until->time_since_epoch().count() * kSecondNs)) return;
    GoneCount& count = counts[{stone->policy, stone->keep_s}];
    count.policy = stone->policy;
    count.keep_s = stone->keep_s;
    if (count.sessions++ == 0) count.first = time_text(leaf.at_ns);
    count.last = time_text(leaf.at_ns);
  });
  if (!read) return tl::unexpected(read.error());
  std::vector<GoneCount> all;
  for (auto& [key, count] : counts) all.push_back(std::move(count));
  return all;
}

Result<std::vector<Hold>> read_holds(const std::string& state, const RetentionConfig& config) {
  HoldBook book(state);
  if (Result<void> done = book.read(); !done && done.error().kind != Error::Kind::kNotFound) return tl::unexpected(done.error());
  std::vector<Hold> all = holds_of(config);
  all.insert(all.end(), book.holds().begin(), book.holds().end());
  return all;
}

}  // namespace weir::record
