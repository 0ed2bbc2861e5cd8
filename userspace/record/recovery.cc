#include "record/recovery.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>
#include <unordered_map>

#include "base/check.h"
#include "record/archive.h"
#include "record/journal_reader.h"
#include "record/key_store.h"
#include "record/recovery_segment.h"
#include "record/seal_log.h"
#include "record/segment_store.h"

namespace weir::record {
namespace {

constexpr std::size_t kPendingMax = std::size_t{4} << 30;
constexpr uint64_t kNeverOpenedMax = 100'000;  // More than that is no lost tail but a wrong number.

// A session as the last run's journals show it.
struct Seen {
  SessionSummary summary;
  int64_t opened_ns = 0;
  uint32_t core = 0;
};

class Recovery {
 public:
  explicit Recovery(const RecoveryOptions& options)
      : options_(options), journal_(options.state + "/journal"), archive_(options.state + "/archive"), log_(options.state + "/log"), folder_(journal_) {}

  Result<RecoveryReport> run();

 private:
  Result<void> read_list();
  Result<void> read_core(uint32_t core);
  void carry_over(uint32_t core, const CoreReader& reader, Bytes pending, uint64_t expected, EventAssembler& assembler);
  Result<void> report_damage(uint32_t core, CoreReader& reader, uint64_t expected, uint64_t durable);
  void see(uint32_t core, EventAssembler&, const JournalFrame&);
  std::optional<FrameView> in_clear(const FrameView&);
  Result<void> adopt_unlisted();
  void close_sessions();
  void close_session(RecoverySegment&, uint64_t session, Seen&);
  void close_never_opened();
  Result<void> write_segments();
  int64_t now_ns() const { return options_.now.time_since_epoch().count(); }

  struct Core {
    uint64_t next_group = 1, next_segment = 1;
    bool has_gap = false;  // Group numbers are left out: the segment that says so is written even if it is empty.
    std::unique_ptr<RecoverySegment> segment;
  };
  RecoverySegment& segment_of(uint32_t core);

  const RecoveryOptions& options_;
  const std::string journal_, archive_, log_;
  FileJournalFolder folder_;
  PosixFiles files_;
  ListedSessions listed_;
  std::map<uint32_t, Core> cores_;
  std::unordered_map<uint64_t, Seen> sessions_;     // Not known to have ended in the seal list.
  uint64_t session_max_ = 0;
  std::vector<std::byte> clear_;
  std::optional<Error> shut_;
  RecoveryReport report_;
};

Result<RecoveryReport> Recovery::run() {
  for (const std::string& folder : {journal_, archive_, log_}) {
    if (Result<void> done = files_.make_folder(folder); !done) return tl::unexpected(done.error());
  }
  if (Result<void> done = read_list(); !done) return tl::unexpected(done.error());
  const Result<std::vector<uint32_t>> cores = cores_of(journal_, folder_);
  if (!cores) return tl::unexpected(cores.error());
  for (const uint32_t core : *cores) {
    if (Result<void> done = read_core(core); !done) return tl::unexpected(done.error());
    if (shut_) return tl::unexpected(*shut_);
  }
  if (Result<void> done = adopt_unlisted(); !done) return tl::unexpected(done.error());
  close_sessions();
  close_never_opened();
  if (Result<void> done = write_segments(); !done) return tl::unexpected(done.error());
  report_.next_session = session_max_ + 1;
  for (const auto& [core, state] : cores_) report_.cores.push_back({core, state.next_group, state.next_segment});
  return std::move(report_);
}

Result<void> Recovery::read_list() {
  if (Result<void> there = check_log_is_there(archive_, log_); !there) return there;
  const Result<LogHead> head = read_head(log_);
  if (!head) return head.error().kind == Error::Kind::kNotFound ? Result<void>{} : tl::unexpected(head.error());
  MerkleFrontier tree;
  const Result<void> read = read_entries(log_, head->checkpoint.size, [&](uint64_t, Bytes entry) {
    tree.add(leaf_hash(entry));
    listed_.add_leaf(as_text(entry));
  });
  if (!read) return read;
  if (tree.root() != head->checkpoint.root) {
    return fail(Error::Kind::kCorrupt, log_ + ": the entries are not those that the checkpoint was signed over: the log was changed; `weir verify` says where");
  }
  session_max_ = listed_.session_max;
  if (options_.public_key_file.empty()) return {};
  const Result<VerifyingKey> key = VerifyingKey::read(options_.public_key_file);
  if (!key) return tl::unexpected(key.error());
  if (check_signature(head->note, note_verifier(head->checkpoint.origin, NoteAlgorithm::kEd25519, *key)) != NoteCheck::kSigned) {
    report_.damage.push_back(checkpoint_path(log_) + ": it was changed, or signed with another key");
  }
  return {};
}

// A frame that is not what was written counts as an event that cannot be read; one whose key is not held ends the recovery.
std::optional<FrameView> Recovery::in_clear(const FrameView& frame) {
  if (frame.header.key_id == 0) return frame;
  Result<FrameView> opened = options_.keys != nullptr ? options_.keys->open(frame, clear_) : fail(Error::Kind::kDenied, "the journal is encrypted, and no key was given");
  if (opened) return *opened;
  if (opened.error().kind == Error::Kind::kCorrupt) {
    report_.damage.push_back("journal: " + opened.error().message);
    return frame;
  }
  if (!shut_) shut_ = Error{opened.error().kind, opened.error().message + "; what the journal holds is not sealed yet: start once with the key file of then (record.encryption.key_file; its lines can stand below those of a new one)"};
  return std::nullopt;
}

void Recovery::see(uint32_t core, EventAssembler& assembler, const JournalFrame& frame) {
  const std::optional<FrameView> clear = in_clear(frame.frame);
  const std::optional<EventAssembler::Event> whole = clear ? assembler.add(*clear) : std::nullopt;
  if (!whole) return;
  ++report_.events;
  const uint64_t session = whole->header.session;
  session_max_ = std::max(session_max_, session);
  if (listed_.has_ended(session)) return;
  const auto part = listed_.open_parts.find(session);
  if (part != listed_.open_parts.end() && whole->header.sequence <= part->second.last_sequence) return;
  const auto [place, is_new] = sessions_.try_emplace(session);
  Seen& seen = place->second;
  if (is_new) {
    seen.core = core;
    seen.opened_ns = whole->header.at_ns;
    if (part != listed_.open_parts.end()) {
      if (const Result<ArchiveReader> newest = ArchiveReader::open(archive_ + "/" + part->second.path)) {
        seen.opened_ns = newest->manifest().opened_ns;
        seen.summary.awaiting = newest->manifest().summary.awaiting;
      }
    }
  }
  RecordEvent event;
  Accounts accounts;
  if (decode_event(whole->header, whole->payload, event, accounts)) {
    seen.summary.add(event);
  } else {
    seen.summary.add_undecodable(whole->header);
  }
}

Result<void> Recovery::read_core(uint32_t core) {
  CoreReader reader(folder_, core);
  if (Result<void> done = reader.refresh(); !done) return done;
  EventAssembler assembler;
  const auto visit = [&](const JournalFrame& frame) {
    see(core, assembler, frame);
    return true;
  };
  if (Result<void> done = reader.read(UINT64_MAX, visit); !done) return done;
  const Result<std::string> memory = read_text(pending_path(journal_, core), kPendingMax);
  if (!memory && memory.error().kind != Error::Kind::kNotFound) return tl::unexpected(memory.error());
  const Bytes pending = memory ? as_bytes(*memory) : Bytes{};
  const std::optional<PendingHeader> header = load_pending_header(pending);
  const uint64_t durable = header ? load_progress(pending).durable_group : 0;
  const uint64_t expected = reader.next_group() != 0 ? reader.next_group() : durable + 1;
  if (Result<void> done = report_damage(core, reader, expected, durable); !done) return done;

  // Numbers go on above everything that pending memory ever held, so that a second recovery does not take it again.
  uint64_t top = std::max(expected - 1, durable);
  for (uint32_t buffer = 0; header && buffer < header->shape.buffer_count; ++buffer) {
    if (const std::optional<PendingGroup> group = load_pending_group(pending, *header, buffer)) top = std::max(top, group->header.number);
  }
  Core& state = cores_[core];
  state.next_group = top + 1;
  state.next_segment = reader.next_segment();
  state.has_gap = top + 1 > expected;
  carry_over(core, reader, pending, expected, assembler);
  return {};
}

// What no segment holds whole goes to the segment that recovery writes: pending groups, or what is sound of a torn one.
void Recovery::carry_over(uint32_t core, const CoreReader& reader, Bytes pending, uint64_t expected, EventAssembler& assembler) {
  RecoverySegment& segment = segment_of(core);
  std::vector<std::byte> held;  // Frames of an event whose last part has not come yet.
  const auto carry = [&](const JournalFrame& frame) {
    held.insert(held.end(), frame.frame.whole.begin(), frame.frame.whole.end());
    see(core, assembler, frame);
    if ((frame.frame.header.flags & FrameHeader::kMoreFollows) != 0) return true;
    for (Bytes rest(held); !rest.empty();) {
      const FrameHeader header = *load_frame_header(rest);
      segment.add(FrameView{header, rest.first(header.size)});
      rest = rest.subspan(header.size);
    }
    held.clear();
    return true;
  };
  const PendingFrames from_pending = read_pending(pending, expected, carry);
  report_.from_pending += from_pending.groups;
  if (!reader.is_torn() || from_pending.groups != 0) return;
  Bytes rest = reader.torn_frames();
  const std::size_t sound = rest.size();
  const uint32_t seed = frame_seed(reader.torn_group().run, reader.torn_group().number);
  while (const std::optional<FrameView> frame = take_frame(rest, seed)) carry({*frame, 0, expected});
  report_.torn_bytes += reader.torn_group().used - std::min<uint64_t>(sound, reader.torn_group().used);
  report_.notes.push_back("journal of core " + std::to_string(core) + ": the last group was written in part and never reported durable; " +
                          std::to_string(sound) + " bytes of it are whole, the rest is cut");
}

Result<void> Recovery::report_damage(uint32_t core, CoreReader& reader, uint64_t expected, uint64_t durable) {
  const std::string name = "journal of core " + std::to_string(core);
  for (const std::string& damage : reader.damage()) report_.damage.push_back(damage);
  if (durable >= expected) {
    report_.damage.push_back(name + ": groups " + std::to_string(expected) + " to " + std::to_string(durable) + " were durable and cannot be read");
  }
  const Result<bool> is_damaged = reader.is_damaged_at_end();
  if (!is_damaged) return tl::unexpected(is_damaged.error());
  if (!*is_damaged) return {};
  // The segment will be reused once what can be read of it is sealed: an examiner gets a copy.
  const std::string from = segment_path(journal_, reader.current_segment()), to = journal_ + "/damaged-" + std::to_string(reader.current_segment());
  std::error_code ignored;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, ignored);
  report_.damage.push_back(name + ": group " + std::to_string(expected) + " is damaged, and later ones follow it; the segment is kept as " + to);
  return {};
}

RecoverySegment& Recovery::segment_of(uint32_t core) {
  Core& state = cores_[core];
  if (!state.segment) {
    // A run that no other has: from the place that it takes.  It tells this segment's frames from older ones.
    const uint64_t run = load_le<uint64_t>(sha256(as_bytes(std::to_string(now_ns()) + " " + std::to_string(core) + " " + std::to_string(state.next_group))));
    state.segment = std::make_unique<RecoverySegment>(core, state.next_segment, state.next_group, run, options_.gateway);
  }
  return *state.segment;
}

// Seals of the last run that stand in their place, but were not listed before it ended: listed by the sealer, which
// has the key, if they go on where the log ends and the signature fits, else removed; the journal still has their sessions.
Result<void> Recovery::adopt_unlisted() {
  struct Found { std::string name; Manifest manifest; Digest digest; bool is_signed; };
  std::vector<Found> found;
  std::optional<VerifyingKey> key;
  if (!options_.public_key_file.empty()) {
    Result<VerifyingKey> read = VerifyingKey::read(options_.public_key_file);
    if (!read) return tl::unexpected(read.error());
    key = std::move(*read);
  }
  for (const auto& [session, seen] : sessions_) {
    const auto part = listed_.open_parts.find(session);
    const std::string name = archive_name(seen.opened_ns, session, part == listed_.open_parts.end() ? 1 : part->second.part + 1);
    if (!exists(archive_ + "/" + name)) continue;
    const Result<ArchiveReader> reader = ArchiveReader::open(archive_ + "/" + name);
    if (!reader) {
      found.push_back({.name = name, .manifest = {}, .digest = {}, .is_signed = false});
      continue;
    }
    const Result<KeysState> keys = check_keys(options_.state + "/keys", name, reader->manifest());
    const bool has_keys = keys && (*keys == KeysState::kNone || *keys == KeysState::kFit);
    const bool is_signed = has_keys && key && key->verify(as_bytes(signed_text(reader->digest())), reader->signature());
    found.push_back({.name = name, .manifest = reader->manifest(), .digest = reader->digest(), .is_signed = is_signed});
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.manifest.seal < b.manifest.seal; });
  for (const Found& one : found) {
    const uint64_t next = listed_.last ? listed_.last->seal + 1 : 1;
    const Digest previous = listed_.last ? listed_.last->digest : Digest{};
    if (one.is_signed && one.manifest.seal == next && one.manifest.previous == previous) {
      listed_.add(entry_of(one.manifest, one.digest, one.name));
      report_.unlisted.push_back(one.name);
      ++report_.seals_finished;
    } else if (Result<void> done = files_.remove(archive_ + "/" + one.name); !done) {
      return done;
    }
  }
  return {};
}

void Recovery::close_sessions() {
  std::vector<uint64_t> open;
  for (const auto& [session, seen] : sessions_) {
    if (!seen.summary.is_closed && !listed_.has_ended(session)) open.push_back(session);
  }
  for (const auto& [session, entry] : listed_.open_parts) {
    if (sessions_.contains(session)) continue;  // Sealed in part, and nothing came after.
    Seen seen;
    seen.core = 0;
    seen.summary.session = session;
    seen.summary.last_sequence = entry.last_sequence;
    if (const Result<ArchiveReader> newest = ArchiveReader::open(archive_ + "/" + entry.path)) {
      seen.summary.awaiting = newest->manifest().summary.awaiting;
      seen.summary.last_at_ns = newest->manifest().summary.last_at_ns;
    }
    sessions_.emplace(session, std::move(seen));
    open.push_back(session);
  }
  std::sort(open.begin(), open.end());
  for (const uint64_t session : open) close_session(segment_of(sessions_[session].core), session, sessions_[session]);
}

void Recovery::close_session(RecoverySegment& segment, uint64_t session, Seen& seen) {
  SessionSummary& summary = seen.summary;
  RecordEvent event;
  event.session = session;
  event.at = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(std::max(now_ns(), summary.last_at_ns)));
  event.sequence = summary.last_sequence;
  for (const SessionSummary::Unit& unit : summary.awaiting) {
    event.kind = RecordEvent::Kind::kFate;
    ++event.sequence;
    event.unit.id = unit.id;
    event.unit.stream = unit.stream;
    event.unit.kind = UnitKind::kCommand;
    event.fate = Fate::kUnknown;
    segment.add(event);
    ++report_.unknown_commands;
  }
  event.kind = RecordEvent::Kind::kClosed;
  ++event.sequence;
  event.unit = {};
  event.fate = Fate::kPassed;
  event.reason = kReasonInterrupted;
  Accounts accounts{};
  if (options_.kernel_bytes) {
    if (const auto bytes = options_.kernel_bytes(session)) {
      accounts[0].kernel = (*bytes)[0];
      accounts[1].kernel = (*bytes)[1];
      event.accounts = accounts.data();
    }
  }
  segment.add(event);
  ++report_.interrupted;
  report_.notes.push_back("session " + std::to_string(session) + ": closed as interrupted, with " + std::to_string(summary.awaiting.size()) +
                          " commands whose outcome is not known");
}

// Numbers that were given out and of which nothing reached the disk: each gets a record that says so, or the gap would look
// like a removed session.
void Recovery::close_never_opened() {
  std::vector<uint64_t> missing;
  for (uint64_t session = 1; session <= session_max_ && missing.size() <= kNeverOpenedMax; ++session) {
    if (!listed_.has_ended(session) && !sessions_.contains(session)) missing.push_back(session);
  }
  if (missing.size() > kNeverOpenedMax) {
    report_.damage.push_back("more than " + std::to_string(kNeverOpenedMax) + " session numbers have no record");
    return;
  }
  for (const uint64_t session : missing) {
    RecordEvent event;
    event.kind = RecordEvent::Kind::kClosed;
    event.session = session;
    event.sequence = 1;
    event.at = options_.now;
    event.reason = kReasonNeverOpened;
    segment_of(0).add(event);
    report_.notes.push_back("session " + std::to_string(session) + ": its number was given out, but nothing of it reached the disk");
  }
}

Result<void> Recovery::write_segments() {
  for (auto& [core, state] : cores_) {
    if (!state.segment) continue;
    if (!state.segment->is_empty() || state.has_gap) {
      const Result<uint64_t> id = next_segment_id(journal_);
      if (!id) return tl::unexpected(id.error());
      if (Result<void> done = state.segment->write(files_, segment_path(journal_, *id)); !done) return done;
      state.next_group = state.segment->next_group();
      ++state.next_segment;
    }
    const std::string pending = pending_path(journal_, core);
    if (!exists(pending)) continue;
    const Result<FileHandle> file = open_file(pending, O_WRONLY);
    if (!file) return tl::unexpected(file.error());
    const std::vector<std::byte> zeros(kBlockSize);
    if (Result<void> done = write_at(file->get(), 0, zeros); !done) return done;
    if (::fdatasync(file->get()) != 0) return system_error(pending);
  }
  return {};
}

}  // namespace

CoreNumbers RecoveryReport::numbers(uint32_t core) const {
  for (const CoreNumbers& one : cores) {
    if (one.core == core) return one;
  }
  return {.core = core};
}

Result<StateLock> StateLock::take(const std::string& state, std::chrono::milliseconds patience) {
  PosixFiles files;
  if (Result<void> done = files.make_folder(state + "/journal"); !done) return tl::unexpected(done.error());
  Result<FileHandle> file = open_file(state + "/journal/lock", O_RDWR | O_CREAT, 0600);
  if (!file) return tl::unexpected(file.error());
  // The threads of one that was just killed may still be ending, and it is theirs until the last has.
  const auto end = std::chrono::steady_clock::now() + patience;
  while (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    return fail(Error::Kind::kUnavailable, state + ": another gateway runs on this state folder", errno);
  }
  return StateLock(std::move(*file));
}

Result<RecoveryReport> recover(const RecoveryOptions& options) { return Recovery(options).run(); }

}  // namespace weir::record
