// `weir replay`: the events of one session, from its archives and, as far as it is not sealed, from the journals.
#include "record/archive.h"
#include "record/archive_tree.h"
#include "record/event_codec.h"
#include "record/key_store.h"
#include "record/live.h"
#include "record/outcome.h"
#include "record/reader.h"

namespace weir::record {
namespace {

class Replay {
 public:
  Replay(const RecordPlace& place, uint64_t session, const LineSink& sink, std::optional<std::chrono::sys_seconds> opened)
      : place_(place), session_(session), opened_(opened), lines_(sink) {}

  Result<void> run() {
    constexpr int kTries = 8;
    for (int left = kTries; left > 0 && !has_ended_ && go_on_; --left) {
      if (Result<void> done = read_archives(); !done) return done;
      if (place_.journal.empty() || has_ended_ || !go_on_) break;
      // Sealed while the journal is read, events may be gone from it half-way: they stand in an archive by then.
      bool is_torn = false, is_shut = false;
      const Result<void> done = read_live(place_.journal, place_.openers, [&](const EventAssembler::Event& event) {
        if (event.header.session != session_) return true;
        is_shut = event.header.key_id != 0;
        if (is_shut) return false;
        is_torn = left > 1 && event.header.sequence > last_sequence_ + 1;
        if (!is_torn) take(event);
        return go_on_ && !is_torn;
      });
      const bool is_gone = !done && done.error().kind == Error::Kind::kNotFound;  // A segment, recycled meanwhile.
      if (!done && (!is_gone || left == 1)) return done;
      if (is_shut) return fail(Error::Kind::kDenied, "session " + std::to_string(session_) + " is not sealed yet, and the journal is encrypted: `--key-file FILE`, with an auditor's private key or the file of record.encryption.key_file");
      if (!is_torn && !is_gone && !has_ended_ && go_on_) {
        if (Result<void> again = read_archives(); !again) return again;
        break;
      }
    }
    if (!is_found_) return fail(Error::Kind::kNotFound, "session " + std::to_string(session_) + " is not in this record");
    if (go_on_) go_on_ = lines_.finish(has_ended_);
    return {};
  }

 private:
  Result<void> read_archives() {
    const Result<std::vector<ArchiveFile>> parts = archives_of(place_.archive, session_, opened_);
    if (!parts) return tl::unexpected<Error>(parts.error());
    for (const ArchiveFile& part : *parts) {
      const std::string path = place_.archive + "/" + part.name;
      const Result<ArchiveReader> reader = ArchiveReader::open(path);
      if (!reader) return fail(reader.error().kind, path + ": " + reader.error().message);
      is_found_ = true;
      EventAssembler assembler;
      const Result<void> done = read_archive(place_, part.name, *reader, [&](const FrameView& frame) {
        if (const std::optional<EventAssembler::Event> event = assembler.add(frame)) take(*event);
        return go_on_;
      });
      if (!done) return fail(done.error().kind, path + ": " + done.error().message);
    }
    return {};
  }

  void take(const EventAssembler::Event& whole) {
    if (!go_on_ || whole.header.sequence <= last_sequence_) return;
    is_found_ = true;
    last_sequence_ = whole.header.sequence;
    RecordEvent event;
    Accounts accounts;
    if (!decode_event(whole.header, whole.payload, event, accounts)) {
      go_on_ = lines_.add_unreadable(whole.header.sequence, whole.header.at_ns, whole.header.kind);
      return;
    }
    has_ended_ = has_ended_ || event.kind == RecordEvent::Kind::kClosed;
    go_on_ = lines_.add(event);
  }

  const RecordPlace& place_;
  const uint64_t session_;
  const std::optional<std::chrono::sys_seconds> opened_;
  ReplayLines lines_;
  uint64_t last_sequence_ = 0;
  bool is_found_ = false, has_ended_ = false, go_on_ = true;
};

}  // namespace

Result<void> replay(const RecordPlace& place, uint64_t session, const LineSink& sink, std::optional<std::chrono::sys_seconds> opened) {
  return Replay(place, session, sink, opened).run();
}

}  // namespace weir::record
