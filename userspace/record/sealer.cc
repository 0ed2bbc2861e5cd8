#include "record/sealer.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "base/check.h"
#include "record/archive.h"
#include "record/event_codec.h"
#include "record/expirer.h"
#include "record/journal_reader.h"
#include "record/seal_writer.h"

namespace weir::record {
namespace {

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

// A session's events since its last seal.
struct Gathered {
  SessionSummary summary;
  EventAssembler assembler;
  ArchiveBuilder builder;
  ActChain acts{};
  uint32_t part = 1;
  int64_t opened_ns = 0;
  uint32_t core = 0;
  uint64_t oldest_segment = 0;   // Ordinal of the segment with its first frame.
  Time begun{}, closed{};        // When the sealer saw the first frame, the end.
};

struct Core {
  Core(JournalFolder& folder, uint32_t number, Bytes memory) : reader(folder, number), index(number), pending(memory) {}
  CoreReader reader;
  uint32_t index;
  Bytes pending;                                   // Empty: a core of an earlier run; its journal is at rest.
  uint64_t current_id = 0, current_ordinal = 0;
  std::map<uint64_t, uint64_t> ordinals;           // Segment id -> ordinal, of segments with frames not yet passed.
  std::deque<std::pair<uint64_t, uint64_t>> passed;  // Ordinal, id: read to the end, not recycled.
  std::map<uint64_t, int64_t> oldest_ns;           // Ordinal -> the oldest event in it, of segments that are not recycled.
  bool is_done = false;                            // At rest, and read to its end.
  [[nodiscard]] uint64_t limit() const { return pending.empty() ? UINT64_MAX : load_progress(pending).durable_group; }
};

class JournalSealer final : public Sealer {
 public:
  JournalSealer(SealerOptions options, LogKey key, Files& files, Recycle recycle)
      : options_(std::move(options)),
        files_(files),
        recycle_(std::move(recycle)),
        folder_(options_.state + "/journal"),
        seals_(options_.state, options_.gateway, options_.origin, std::move(key), options_.keys, files) {}

  Result<void> start(const std::vector<SealerCore>& cores);
  Result<void> step(Time now) override;
  Result<void> finish(Time now) override;
  Result<void> stop(Time now) override;
  SealerCounts counts() const override;

 private:
  Result<void> work(Time now, std::chrono::milliseconds after_close);
  void begin(Time now);
  void beat(Time now);
  Result<void> read(Core&, Time now);
  FrameView in_clear(const FrameView&);
  void take(Core&, const JournalFrame&, Time now);
  Gathered* gathered(Core&, const JournalFrame&, Time now);
  Result<void> spill_for_memory();
  std::vector<Gathered*> due(Time now, std::chrono::milliseconds after_close);
  Result<void> make(Gathered&, Time now);
  Result<void> commit(Time now);
  void recycle_passed();
  [[nodiscard]] int64_t oldest_in_journal_ns() const;

  const SealerOptions options_;
  Files& files_;
  const Recycle recycle_;
  FileJournalFolder folder_;
  SealWriter seals_;
  std::optional<Expirer> expirer_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::unordered_map<uint64_t, std::unique_ptr<Gathered>> sessions_;
  std::optional<Error> blocked_;       // A spill that failed just now.
  bool is_spill_due_ = false;          // One failed: nothing more is read until it succeeds.
  uint64_t gathered_bytes_ = 0;
  bool has_begun_ = false;
  uint64_t heartbeats_ = 0;
  Time next_heartbeat_{};
  std::vector<std::byte> clear_;
  SealerCounts counts_;
};

Result<void> JournalSealer::start(const std::vector<SealerCore>& cores) {
  if (Result<void> done = seals_.start(options_.unlisted); !done) return done;
  if (options_.retention != nullptr) expirer_.emplace(options_.state, files_, seals_, seals_.lifetimes(), *options_.retention, seals_.listed().last_at_ns);
  for (const SealerCore& core : cores) cores_.push_back(std::make_unique<Core>(folder_, core.core, core.pending));
  const Result<std::vector<SegmentEntry>> segments = folder_.segments();
  if (!segments) return tl::unexpected(segments.error());
  for (const SegmentEntry& segment : *segments) {
    const auto is_it = [&](const auto& core) { return core->index == segment.header.core; };
    if (std::none_of(cores_.begin(), cores_.end(), is_it)) cores_.push_back(std::make_unique<Core>(folder_, segment.header.core, Bytes{}));
  }
  return {};
}

Result<void> JournalSealer::work(Time now, std::chrono::milliseconds after_close) {
  const auto steps = [&]() -> Result<void> {
    begin(now);
    beat(now);
    // Of a step that failed.  And a checkpoint stands before the first seal does: its absence later is a finding.
    if (Result<void> done = commit(now); !done) return done;
    if (Result<void> done = spill_for_memory(); !done) return done;
    for (const auto& core : cores_) {
      if (Result<void> done = read(*core, now); !done) return done;
    }
    while (true) {
      const std::vector<Gathered*> sessions = due(now, after_close);
      if (sessions.empty()) break;
      for (Gathered* session : sessions) {
        if (Result<void> done = make(*session, now); !done) return done;
      }
      if (Result<void> done = commit(now); !done) return done;
    }
    return commit(now);
  };
  const Result<void> done = steps();
  if (!done) ++counts_.errors;
  recycle_passed();
  return done;
}

// What is over goes when there is nothing more urgent to do.
Result<void> JournalSealer::step(Time now) {
  if (Result<void> done = work(now, options_.after_close); !done || !expirer_) return done;
  if (std::any_of(cores_.begin(), cores_.end(), [&](const auto& core) { return core->passed.size() > options_.segments_behind_max; })) return {};
  const Result<void> done = expirer_->step(now, oldest_in_journal_ns(), [&] { return commit(now); });
  return done ? done : fail(done.error().kind, "retention: " + done.error().message);
}

Result<void> JournalSealer::finish(Time now) { return work(now, std::chrono::milliseconds(0)); }

Result<void> JournalSealer::stop(Time now) {
  seals_.add("stop", now, nlohmann::json::object());
  return commit(now);
}

// The first leaves of a run: since when nobody was here, and that somebody is.
void JournalSealer::begin(Time now) {
  if (std::exchange(has_begun_, true)) return;
  const ListedSessions& before = seals_.listed();
  heartbeats_ = before.heartbeats;
  next_heartbeat_ = now;
  if (!before.last_kind.empty()) {
    seals_.add("gap", now, {{"from", time_text(before.last_at_ns)}, {"why", before.last_kind == "stop" ? "stopped" : "killed"}});
  }
  nlohmann::json start = options_.start.is_object() ? options_.start : nlohmann::json::object();
  start["format"] = kLogFormat;
  start["gateway"] = options_.gateway;
  start["heartbeat_s"] = options_.heartbeat ? options_.heartbeat_every.count() : 0;
  seals_.add("start", now, std::move(start));
}

// Each but the first of a run is due at a fixed time: a late one does not move those that follow.
void JournalSealer::beat(Time now) {
  for (LeafQueue::Leaf& leaf : options_.leaves != nullptr ? options_.leaves->take() : std::vector<LeafQueue::Leaf>{}) seals_.add(leaf.kind, now, std::move(leaf.object));
  if (!options_.heartbeat || now < next_heartbeat_) return;
  nlohmann::json said = options_.heartbeat();
  if (!said.is_object()) said = nlohmann::json::object();
  said["number"] = ++heartbeats_;
  seals_.add("heartbeat", now, std::move(said));
  next_heartbeat_ += options_.heartbeat_every;
  if (next_heartbeat_ <= now) next_heartbeat_ = now + options_.heartbeat_every;
}

Result<void> JournalSealer::read(Core& core, Time now) {
  if (core.is_done) return {};
  const uint64_t limit = core.limit();
  const auto visit = [&](const JournalFrame& frame) {
    take(core, frame, now);
    return !blocked_;
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (core.reader.next_group() > limit || blocked_) break;
    // A segment may have been begun since: only then is the folder read again.
    if (attempt == 1 || core.reader.segment_count() == 0) {
      if (Result<void> done = core.reader.refresh(); !done) return done;
    }
    if (Result<void> done = core.reader.read(limit, visit); !done) return done;
  }
  // A writer that has left its segment says so before it has the next one.  All of it is durable: asked after that.
  const uint64_t written_to = core.pending.empty() ? 0 : load_progress(core.pending).segment_number;
  if (!blocked_ && core.reader.segment_count() == 1 && written_to > core.reader.current_number() && core.reader.next_group() > core.limit()) core.reader.pass_all();
  if (core.pending.empty() && !blocked_) {
    core.reader.pass_all();
    core.is_done = true;
  }
  for (const uint64_t id : core.reader.take_passed()) {
    const auto ordinal = core.ordinals.find(id);
    core.passed.emplace_back(ordinal == core.ordinals.end() ? 0 : ordinal->second, id);
    if (ordinal != core.ordinals.end()) core.ordinals.erase(ordinal);
  }
  if (blocked_) return tl::unexpected(*std::exchange(blocked_, std::nullopt));
  if (!core.pending.empty() && core.reader.next_group() <= limit && limit != 0 && core.reader.next_group() != 0) {
    return fail(Error::Kind::kCorrupt, "journal of core " + std::to_string(core.index) + ": group " + std::to_string(core.reader.next_group()) +
                                           " was durable and cannot be read");
  }
  return spill_for_memory();
}

Gathered* JournalSealer::gathered(Core& core, const JournalFrame& frame, Time now) {
  const uint64_t session = frame.frame.header.session;
  if (const auto found = sessions_.find(session); found != sessions_.end()) return found->second.get();
  uint32_t part = 1;
  int64_t opened_ns = frame.frame.header.at_ns;
  SessionSummary carried;
  const ListedSessions& listed = seals_.listed();
  if (listed.has(session, frame.frame.header.sequence)) return nullptr;  // Whatever a journal still holds is not sealed again.
  if (const auto before = listed.open_parts.find(session); before != listed.open_parts.end()) {
    part = before->second.part + 1;
    if (const Result<ArchiveReader> newest = ArchiveReader::open(seals_.archive() + "/" + before->second.path)) {
      opened_ns = newest->manifest().opened_ns;
      carried.opened_json = newest->manifest().summary.opened_json;
      carried.login_json = newest->manifest().summary.login_json;
      carried.awaiting = newest->manifest().summary.awaiting;
    }
  }
  auto fresh = std::make_unique<Gathered>(Gathered{.summary = std::move(carried), .assembler = {}, .builder = ArchiveBuilder(files_, seals_.open_path(session, part), session, part, options_.keys.encrypts()),
                                                   .part = part, .opened_ns = opened_ns, .core = core.index,
                                                   .oldest_segment = core.current_ordinal, .begun = now});
  fresh->summary.session = session;
  return sessions_.emplace(session, std::move(fresh)).first->second.get();
}

// What cannot be opened is sealed as it stands, an event that nobody can read: recovery said so, and nothing is lost.
FrameView JournalSealer::in_clear(const FrameView& frame) {
  if (frame.header.key_id == 0 || !options_.journal_keys) return frame;
  const Result<FrameView> opened = options_.journal_keys->open(frame, clear_);
  if (!opened) ++counts_.errors;
  return opened ? *opened : frame;
}

void JournalSealer::take(Core& core, const JournalFrame& frame, Time now) {
  if (frame.segment_id != core.current_id) {
    core.current_id = frame.segment_id;
    core.ordinals[frame.segment_id] = ++core.current_ordinal;
    core.oldest_ns[core.current_ordinal] = frame.frame.header.at_ns;
  }
  int64_t& oldest = core.oldest_ns[core.current_ordinal];
  oldest = std::min(oldest, frame.frame.header.at_ns);
  Gathered* session = gathered(core, frame, now);
  if (session == nullptr) return;
  const FrameView clear = in_clear(frame.frame);
  const std::size_t before = session->builder.gathered();
  session->builder.add(clear);
  gathered_bytes_ += session->builder.gathered() - before;
  ++counts_.events;
  seals_.saw_session(frame.frame.header.session);
  if (const std::optional<EventAssembler::Event> whole = session->assembler.add(clear)) {
    RecordEvent event;
    Accounts accounts;
    if (decode_event(whole->header, whole->payload, event, accounts)) {
      session->summary.add(event);
      if (event.kind == RecordEvent::Kind::kAct) {
        const ActEntry act = act_entry(whole->header.session, whole->header.sequence, whole->header.at_ns, event.verb, whole->payload);
        session->acts.add(to_leaf(act));
        seals_.saw_act(act);
      }
    } else {
      session->summary.add_undecodable(whole->header);
    }
    if (session->summary.is_closed && session->closed == Time{}) session->closed = now;
  }
  if (session->builder.gathered() >= options_.chunk_size) {
    const std::size_t size = session->builder.gathered();
    if (Result<void> done = session->builder.spill(); !done) {
      blocked_ = done.error();
      is_spill_due_ = true;
    } else {
      gathered_bytes_ -= size;
    }
  }
}

Result<void> JournalSealer::spill_for_memory() {
  if (gathered_bytes_ <= options_.memory_max && !is_spill_due_) return {};
  std::vector<Gathered*> fullest;
  for (const auto& [id, session] : sessions_) fullest.push_back(session.get());
  std::sort(fullest.begin(), fullest.end(), [](const Gathered* a, const Gathered* b) { return a->builder.gathered() > b->builder.gathered(); });
  for (Gathered* session : fullest) {
    const std::size_t size = session->builder.gathered();
    if (gathered_bytes_ <= options_.memory_max / 2 && size < options_.chunk_size) break;
    if (Result<void> done = session->builder.spill(); !done) return done;
    gathered_bytes_ -= size;
  }
  is_spill_due_ = false;
  return {};
}

// Sessions to be sealed now, at most a batch: ended, older than a part may be, or holding back a segment.
std::vector<Gathered*> JournalSealer::due(Time now, std::chrono::milliseconds after_close) {
  std::map<uint32_t, uint64_t> pressed;  // Core -> ordinals up to this are held too long.
  for (const auto& core : cores_) {
    const std::size_t behind = core->passed.size();
    if (behind != 0 && expirer_ && expirer_->waits_for_journal()) pressed[core->index] = core->passed.back().first;
    else if (behind > options_.segments_behind_max) pressed[core->index] = core->passed[behind - options_.segments_behind_max - 1].first;
  }
  std::vector<Gathered*> sessions;
  for (const auto& [id, session] : sessions_) {
    if (session->summary.events == 0 || session->assembler.is_inside()) continue;
    const bool has_ended = session->summary.is_closed && now >= session->closed + after_close;
    const bool is_old = !session->summary.is_closed && now >= session->begun + options_.every;
    const auto press = pressed.find(session->core);
    const bool is_pressed = press != pressed.end() && session->oldest_segment <= press->second;
    if (has_ended || is_old || is_pressed) sessions.push_back(session.get());
  }
  const std::size_t count = std::min<std::size_t>(sessions.size(), options_.batch_max);
  std::partial_sort(sessions.begin(), sessions.begin() + static_cast<std::ptrdiff_t>(count), sessions.end(),
                    [](const Gathered* a, const Gathered* b) { return a->summary.session < b->summary.session; });
  sessions.resize(count);
  return sessions;
}

Result<void> JournalSealer::make(Gathered& session, Time now) {
  Manifest manifest;
  manifest.session = session.summary.session;
  manifest.part = session.part;
  manifest.is_last = session.summary.is_closed;
  manifest.opened_ns = session.opened_ns;
  manifest.summary = session.summary;
  manifest.acts = session.acts;
  if (options_.tags_of) {
    std::set<std::string> tags;
    for (const std::string& rule : manifest.summary.rules) {
      for (std::string& tag : options_.tags_of(rule)) tags.insert(std::move(tag));
    }
    manifest.tags.assign(tags.begin(), tags.end());
  }
  const std::size_t size = session.builder.gathered();
  const Result<void> made = seals_.make(session.builder, manifest, now);
  gathered_bytes_ -= size - session.builder.gathered();
  if (!made) return made;
  counts_.bytes += manifest.chunk_bytes;
  counts_.parts += manifest.is_last ? 0 : 1;
  return {};
}

// What is made is placed and listed; then its events are forgotten, and segments may go.
Result<void> JournalSealer::commit(Time now) {
  if (!seals_.is_commit_due()) return {};
  const Result<std::vector<SealEntry>> sealed = seals_.commit(now);
  if (!sealed) return tl::unexpected(sealed.error());
  for (const SealEntry& entry : *sealed) WEIR_CHECK(sessions_.erase(entry.session) == 1);
  counts_.seals += sealed->size();
  if (!sealed->empty()) recycle_passed();
  return {};
}

void JournalSealer::recycle_passed() {
  for (const auto& core : cores_) {
    uint64_t held = UINT64_MAX;
    for (const auto& [id, session] : sessions_) {
      if (session->core == core->index) held = std::min(held, session->oldest_segment);
    }
    while (!core->passed.empty() && core->passed.front().first < held) {
      recycle_(core->passed.front().second);
      core->oldest_ns.erase(core->passed.front().first);
      core->passed.pop_front();
      ++counts_.recycled;
    }
  }
}

// Of all events that a segment still holds.
int64_t JournalSealer::oldest_in_journal_ns() const {
  int64_t oldest = INT64_MAX;
  for (const auto& core : cores_) {
    for (const auto& [ordinal, at_ns] : core->oldest_ns) oldest = std::min(oldest, at_ns);
  }
  return oldest;
}

SealerCounts JournalSealer::counts() const {
  SealerCounts counts = counts_;
  counts.open_sessions = sessions_.size();
  counts.gathered_bytes = gathered_bytes_;
  for (const auto& core : cores_) counts.segments_behind += core->passed.size();
  return counts;
}

}  // namespace

Result<std::unique_ptr<Sealer>> Sealer::open(SealerOptions options, LogKey key, Files& files, std::vector<SealerCore> cores, Recycle recycle) {
  auto sealer = std::make_unique<JournalSealer>(std::move(options), std::move(key), files, std::move(recycle));
  if (Result<void> started = sealer->start(cores); !started) return tl::unexpected(started.error());
  return sealer;
}

}  // namespace weir::record
