#include "record/sealed_view.h"

#include "record/files.h"
#include "record/index_feed.h"
#include "record/evidence_log.h"
#include "record/reader.h"

namespace weir::record {
namespace {

constexpr std::size_t kForgottenMax = 10'000;
constexpr uint64_t kTailMax = 50'000;     // Entries that a reader reads itself; above it the archives are as good.

SealedView::OpenPart open_part_of(const SealEntry& entry) { return {entry.part, entry.last_sequence, folder_of(entry.path)}; }
SealedView::OpenPart open_part_of(const IndexedSession& one) { return {one.part, one.last_sequence, one.day}; }

class LogView final : public SealedView {
 public:
  ListedSessions listed;
  Result<bool> has_ended(uint64_t session) override { return listed.has_ended(session); }
  Result<std::optional<OpenPart>> open_part(uint64_t session) override {
    const auto part = listed.open_parts.find(session);
    return part == listed.open_parts.end() ? std::nullopt : std::optional(open_part_of(part->second));
  }
  Result<std::map<uint64_t, OpenPart>> open_parts() override {
    std::map<uint64_t, OpenPart> all;
    for (const auto& [session, entry] : listed.open_parts) all.emplace(session, open_part_of(entry));
    return all;
  }
  Result<std::map<uint64_t, OpenPart>> untold() override { return std::map<uint64_t, OpenPart>(); }
};

class IndexView final : public SealedView {
 public:
  explicit IndexView(std::unique_ptr<SessionIndex> index) : index_(std::move(index)) {}

  Result<void> read(const std::string& log) {
    if (auto begun = index_->begin_reading(); !begun) return begun;
    const auto at = index_->position();
    if (!at) return tl::unexpected<Error>(at.error());
    // After the index: it goes no further than the log that is read now.
    const Result<LogHead> head = read_head(log);
    if (!head) return tl::unexpected<Error>(head.error());
    const uint64_t size = head->checkpoint.size;
    if (auto checked = check_position(log, *at, size); !checked) return checked;
    if (size - at->entries > kTailMax) return fail(Error::Kind::kUnavailable, "the index is " + std::to_string(size - at->entries) + " entries of the log behind");
    auto read = read_entries_from(log, at->entries, size, [&](uint64_t, Bytes entry) {
      if (const std::optional<SealEntry> seal = seal_from_leaf(as_text(entry))) {
        tail_.add(*seal);
        tail_last_.insert_or_assign(seal->session, *seal);
      }
      return true;
    });
    if (!read) return read;
    auto open = index_->open_sessions();
    if (!open) return tl::unexpected<Error>(open.error());
    for (IndexedSession& one : *open) open_.emplace(one.session, std::move(one));
    // Of a great many the feeder tells, when it was there.
    auto forgotten = index_->forgotten(kForgottenMax);
    if (!forgotten) return tl::unexpected<Error>(forgotten.error());
    forgotten_ = std::move(*forgotten);
    return {};
  }

  Result<bool> has_ended(uint64_t session) override {
    if (tail_.has_ended(session)) return true;
    if (tail_last_.contains(session)) return false;
    if (const auto open = open_.find(session); open != open_.end()) return open->second.is_ended;
    if (const auto known = known_.find(session); known != known_.end()) return known->second;
    auto found = index_->find(session, false);
    if (!found) return tl::unexpected<Error>(found.error());
    return known_[session] = found->has_value() && (*found)->is_ended;
  }
  Result<std::optional<OpenPart>> open_part(uint64_t session) override {
    if (const auto last = tail_last_.find(session); last != tail_last_.end()) {
      return last->second.is_last ? std::nullopt : std::optional(open_part_of(last->second));
    }
    const auto open = open_.find(session);
    return open == open_.end() || open->second.is_ended ? std::nullopt : std::optional(open_part_of(open->second));
  }
  Result<std::map<uint64_t, OpenPart>> open_parts() override {
    std::map<uint64_t, OpenPart> all;
    for (const auto& [session, one] : open_) {
      if (!one.is_ended && !tail_.has_ended(session)) all.insert_or_assign(session, open_part_of(one));
    }
    for (const auto& [session, entry] : tail_.open_parts) all.insert_or_assign(session, open_part_of(entry));
    return all;
  }
  Result<std::map<uint64_t, OpenPart>> untold() override {
    std::map<uint64_t, OpenPart> all;
    for (const auto& [session, one] : open_) {
      if (one.is_ended) all.emplace(session, open_part_of(one));
    }
    for (const IndexedSession& one : forgotten_) all.emplace(one.session, open_part_of(one));
    for (const auto& [session, entry] : tail_last_) {
      if (entry.is_last) all.insert_or_assign(session, open_part_of(entry));
    }
    return all;
  }
  SessionIndex* index() override { return index_.get(); }

 private:
  std::unique_ptr<SessionIndex> index_;
  ListedSessions tail_;
  std::map<uint64_t, SealEntry> tail_last_;        // The newest part in the tail.
  std::map<uint64_t, IndexedSession> open_;        // Of the index: not ended, or unread.
  std::vector<IndexedSession> forgotten_;
  std::unordered_map<uint64_t, bool> known_;
};

}  // namespace

Result<std::unique_ptr<SealedView>> view_by_log(const std::string& log) {
  auto view = std::make_unique<LogView>();
  if (!log.empty()) {
    if (auto done = read_seals(log, [&](const SealEntry& entry) { view->listed.add(entry); }); !done) return tl::unexpected<Error>(done.error());
  }
  return std::unique_ptr<SealedView>(std::move(view));
}

Result<std::unique_ptr<SealedView>> view_by_index(const RecordPlace& place) {
  auto index = SessionIndex::open(place.index, SessionIndex::Mode::kRead, place.openers);
  if (!index) return tl::unexpected<Error>(index.error());
  auto view = std::make_unique<IndexView>(std::move(*index));
  if (auto done = view->read(place.log); !done) return tl::unexpected<Error>(done.error());
  return std::unique_ptr<SealedView>(std::move(view));
}

}  // namespace weir::record
