#include "record/index_feed.h"

#include <sys/resource.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "record/archive_events.h"
#include "record/evidence_log.h"
#include "record/manifest.h"
#include "record/merkle.h"
#include "record/seal_log.h"

namespace weir::record {
namespace {

constexpr int kNice = 15;  // Behind the sealer.

std::string part_path(const std::string& day, uint64_t session, uint32_t part) {
  return day + "/" + std::to_string(session) + (part > 1 ? "." + std::to_string(part) : "") + ".weir";
}

}  // namespace

Result<std::optional<IndexedSession>> index_part(const RecordPlace& place, const SealEntry& seal, const std::optional<IndexedSession>& before, const IndexKey& key) {
  IndexedSession one;
  one.session = seal.session;
  one.part = seal.part;
  one.is_ended = seal.is_last;
  one.last_sequence = seal.last_sequence;
  one.day = folder_of(seal.path);
  if (!exists(place.archive + "/" + seal.path)) {
    one.is_erased = true;
    return seal.is_last ? std::optional(one) : before;
  }
  SessionRow row;
  for (uint32_t part = 1; part <= seal.part; ++part) row.add(place.archive + "/" + part_path(one.day, seal.session, part));
  one.opened_ns = row.opened_ns;
  WordCollector words(key);
  const Result<void> read = read_archive_events(place, seal.path, [&](const RecordEvent& event) {
    words.add(event);
    return true;
  });
  if (!read && read.error().kind == Error::Kind::kUnavailable) return tl::unexpected(read.error());  // Nobody knows whether it is locked.
  const bool is_locked = !read && read.error().kind == Error::Kind::kDenied;
  one.is_locked = is_locked || (before && before->is_locked);
  one.is_unread = (!read && !is_locked) || !row.broken.empty() || (before && before->is_unread);
  one.is_cut = words.is_cut() || (before && before->is_cut);
  const nlohmann::json line = to_json(seal.session, row);
  one.words = words.words();
  const WordSet of_row = row_words(line, row.total, key, one.is_cut);
  one.words.insert(one.words.end(), of_row.begin(), of_row.end());
  if (before) one.words.insert(one.words.end(), before->words.begin(), before->words.end());
  make_set(one.words);
  if (one.words.size() > 4 * WordCollector::kWordsMax) one.is_cut = true;  // Of many parts: they need not all be kept.
  if (one.is_cut) one.words = of_row;
  if (one.is_locked) one.words.push_back(word_of(key, WordKind::kLocked, ""));
  make_set(one.words);
  one.line = dump(line);
  return one;
}

Result<void> check_position(const std::string& log, const IndexPosition& at, uint64_t size) {
  if (at.entries == 0) return {};
  if (at.entries > size) return fail(Error::Kind::kCorrupt, "the index goes further than the evidence log: it is of another one");
  const Result<Digest> mark = entry_hash(log, at.entries - 1, size);
  if (!mark) return fail(Error::Kind::kSystem, mark.error().message);  // The log's own trouble, not the index's.
  if (*mark != at.mark) return fail(Error::Kind::kCorrupt, "the index was made from another evidence log");
  return {};
}

Result<void> IndexFeeder::open() {
  if (index_ && index_->is_replaced()) index_.reset();
  if (index_) return {};
  auto opened = SessionIndex::open(place_.index, SessionIndex::Mode::kWrite, place_.openers);
  if (!opened) return tl::unexpected<Error>(opened.error());
  index_ = std::move(*opened);
  return {};
}

Result<void> IndexFeeder::restart() {
  index_.reset();
  if (auto opened = open(); opened) return index_->clear();
  if (auto removed = remove_index(place_.index); !removed) return removed;
  return open();
}

Result<uint64_t> IndexFeeder::feed() {
  if (auto opened = open(); !opened) return tl::unexpected<Error>(opened.error());
  const Result<LogHead> head = read_head(place_.log);
  if (!head && head.error().kind == Error::Kind::kNotFound) return 0;
  if (!head) return fail(Error::Kind::kSystem, head.error().message);   // The log's own trouble: verify tells of it.
  const uint64_t size = head->checkpoint.size;
  const auto from = index_->position();
  if (!from) return tl::unexpected<Error>(from.error());
  if (auto checked = check_position(place_.log, *from, size); !checked) return tl::unexpected<Error>(checked.error());
  const auto again = look_again(*from);
  if (!again) return tl::unexpected<Error>(again.error());
  IndexPosition to = *from;
  std::vector<SealEntry> seals;
  const Result<void> read = read_entries_from(place_.log, from->entries, size, [&](uint64_t number, Bytes entry) {
    if (std::optional<SealEntry> seal = seal_from_leaf(as_text(entry))) seals.push_back(std::move(*seal));
    to = {number + 1, leaf_hash(entry)};
    return seals.size() < kSealsMax && to.entries - from->entries < kEntriesMax;
  });
  if (!read) return fail(Error::Kind::kSystem, read.error().message);
  if (to.entries == from->entries) return *again ? 0 : 1;
  std::map<uint64_t, IndexedSession> batch;
  for (const SealEntry& seal : seals) {
    std::optional<IndexedSession> before;
    if (const auto there = batch.find(seal.session); there != batch.end()) {
      before = there->second;
    } else if (seal.part > 1) {
      auto found = index_->find(seal.session);
      if (!found) return tl::unexpected<Error>(found.error());
      before = std::move(*found);
    }
    auto one = index_part(place_, seal, before, index_->key());
    if (!one) return tl::unexpected<Error>(one.error());
    if (*one) batch.insert_or_assign(seal.session, std::move(**one));
  }
  std::vector<IndexedSession> sessions;
  for (auto& [number, one] : batch) sessions.push_back(std::move(one));
  if (auto written = index_->write(sessions, *from, to); !written) return tl::unexpected<Error>(written.error());
  counts_.sessions += seals.size();
  return size - to.entries + (*again ? 0 : 1);
}

// What is left of sessions that were forgotten: manifests without keys, or nothing.  True: that was all.
Result<bool> IndexFeeder::look_again(const IndexPosition& at) {
  const auto due = index_->forgotten(kSealsMax);
  if (!due) return tl::unexpected<Error>(due.error());
  std::vector<IndexedSession> sessions;
  for (const IndexedSession& gone : *due) {
    std::optional<IndexedSession> one = gone;
    for (uint32_t part = 1; part <= gone.part; ++part) {
      SealEntry seal;
      seal.session = gone.session;
      seal.part = part;
      seal.is_last = part == gone.part;
      seal.last_sequence = gone.last_sequence;
      seal.path = part_path(gone.day, gone.session, part);
      auto read = index_part(place_, seal, part == 1 ? std::nullopt : one, index_->key());
      if (!read) return tl::unexpected<Error>(read.error());
      one = std::move(*read);
    }
    sessions.push_back(one ? std::move(*one) : gone);
  }
  if (!sessions.empty()) {
    if (auto written = index_->write(sessions, at, at); !written) return tl::unexpected<Error>(written.error());
  }
  return due->size() < kSealsMax;
}

Result<uint64_t> IndexFeeder::step() {
  Result<uint64_t> left = feed();
  if (!left && left.error().kind == Error::Kind::kDenied) left = feed();  // Another one fed it.
  if (!left && left.error().kind == Error::Kind::kCorrupt) {
    ++counts_.rebuilds;
    if (auto again = restart(); !again) left = tl::unexpected<Error>(again.error());
    else left = feed();
  }
  if (!left) {
    ++counts_.errors;
    counts_.error = left.error().message;
    index_.reset();
    return left;
  }
  counts_.error.clear();
  counts_.behind = *left;
  return left;
}

struct IndexThread::Shared {
  IndexFeeder feeder;
  std::chrono::milliseconds poll;
  std::function<void(const Error&)> on_error;
  mutable std::mutex mutex;
  std::condition_variable wake;
  bool is_stopping = false;
  FeedCounts counts;
  std::thread thread;

  Shared(RecordPlace place, std::chrono::milliseconds every, std::function<void(const Error&)> tell) : feeder(std::move(place)), poll(every), on_error(std::move(tell)) {}
  void run() {
    ::setpriority(PRIO_PROCESS, 0, kNice);  // Of this thread alone, on Linux.
    std::unique_lock lock(mutex);
    while (!is_stopping) {
      lock.unlock();
      const std::string told = feeder.counts().error;
      const Result<uint64_t> left = feeder.step();
      if (!left && left.error().message != told) on_error(left.error());
      lock.lock();
      counts = feeder.counts();
      if (!is_stopping && (!left || *left == 0)) wake.wait_for(lock, poll);
    }
  }
};

IndexThread::IndexThread(RecordPlace place, std::chrono::milliseconds poll, std::function<void(const Error&)> on_error)
    : shared_(std::make_unique<Shared>(std::move(place), poll, std::move(on_error))) {
  shared_->thread = std::thread([shared = shared_.get()] { shared->run(); });
}

IndexThread::~IndexThread() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->is_stopping = true;
  }
  shared_->wake.notify_all();
  shared_->thread.join();
}

FeedCounts IndexThread::counts() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->counts;
}

}  // namespace weir::record
