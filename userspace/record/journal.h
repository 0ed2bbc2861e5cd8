// The journal of one core: takes events, and makes them durable in groups (I5).
//
//   write() -> frame into the open group (pending memory) -> end_turn() closes the group and asks for one durable write
//           -> on_completion() moves durable_upto()
//
// Group commit: one write is in flight at most; what arrives meanwhile forms the next group.  A group that somebody waits
// for goes out at the end of the turn, or, where groups held several sessions lately, at most half a write later: the others'
// commands come with it, and one write serves them all.  Groups that nobody waits for go at most commit_every later.  A group never shares a block with
// another, so no write ever touches what was reported durable (the price is padding; README has figures).
// Must never: allocate after construction, write to a file again whose write failed, report a group durable before its
// write completed, or take part of an event.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/event.h"
#include "core/io.h"
#include "core/metrics.h"
#include "record/event_codec.h"
#include "record/journal_cipher.h"
#include "record/pending.h"
#include "record/segments.h"

namespace weir::record {

struct JournalOptions {
  std::string gateway{};
  uint32_t core = 0;
  uint64_t first_group = 1;       // From recovery: one after the last that was ever used.
  uint64_t first_segment = 1;
  std::chrono::nanoseconds commit_every = std::chrono::milliseconds(2);
  PendingShape shape{};
  std::shared_ptr<const JournalKey> key{};       // Null: frames stand in clear.
  OpToken write_token{.kind = OpKind::kWrite};   // Both come back to on_completion().
  OpToken timer_token{.kind = OpKind::kTimer};
};

class JournalWriter final : public Recorder {
 public:
  // Pre: `pending` is options.shape.bytes() of block-aligned memory; all references outlive this.
  JournalWriter(JournalOptions options, Io& io, SegmentSupply& supply, MutableBytes pending, CoreCounters& counters);

  // kRefused: nothing was taken.  Openings, logins, commands, stand-ins and acts are refused as soon as space runs out; what
  // ends a session is refused only when there is no place at all.
  [[nodiscard]] Written write(const RecordEvent&, uint64_t& group) override;
  [[nodiscard]] uint64_t durable_upto() const override { return durable_group_; }
  [[nodiscard]] bool is_accepting() const override;
  [[nodiscard]] bool has_failed() const override { return is_broken_ || (is_starved_ && supply_.is_full()); }
  [[nodiscard]] bool is_congested() const override { return free_.size() * 2 < buffers_.size(); }

  // Pre: the token is one of ours.
  void on_completion(const Completion&);
  // Once a turn, after all completions were handled and before Io::turn().
  void end_turn();
  // For shutdown: what is pending goes out without waiting for company.  Then turn until is_idle().
  void flush();
  // What ended sessions left: out of memory at once, out of the segment that is written to by beginning another one with the next
  // group.  Seldom: before something is destroyed for good.
  void tidy();
  [[nodiscard]] bool is_idle() const { return !in_flight_ && closed_count_ == 0 && !has_open_frames(); }

  [[nodiscard]] uint64_t run() const { return run_; }

 private:
  struct Buffer {
    uint64_t group = 0;
    uint32_t used = 0;             // Bytes of frames.
    uint32_t frame_count = 0;
    uint32_t frames_crc = 0;
    uint32_t seed = 0;
    uint32_t waiting = 0;          // Sessions whose bytes are held back for it.
    uint64_t last_waiting = 0;
    std::chrono::nanoseconds opened{}, awaited_since{};
  };
  void leave_segment();

  [[nodiscard]] bool has_open_frames() const { return open_ && buffers_[*open_].used != 0; }
  [[nodiscard]] bool has_place(uint64_t message_size, bool is_new_work) const;
  void open_buffer();
  void close_open_buffer();
  void add_frame(EncodedEvent&, const RecordEvent&, uint32_t message_size, uint8_t flags);
  // Of the message, in one frame.
  [[nodiscard]] uint32_t message_part_max() const { return part_max_ - static_cast<uint32_t>(FrameHeader::kSize) - seal_size_; }
  void submit();
  bool begin_segment();
  void write_rest();
  void complete();
  void fail_over();
  void arm_timer(std::optional<std::chrono::nanoseconds>& due, std::chrono::nanoseconds after);
  void note_waiting(Buffer&, uint64_t session);
  [[nodiscard]] std::chrono::nanoseconds company_time() const;
  void check() const;

  const JournalOptions options_;
  Io& io_;
  SegmentSupply& supply_;
  CoreCounters& counters_;
  const uint64_t run_;
  PendingMemory pending_;
  uint32_t part_max_;                   // Largest frame.
  std::optional<FrameSealer> sealer_;   // None: frames stand in clear.
  uint32_t seal_size_;                  // What it adds to a frame.
  std::vector<std::byte> clear_;        // A frame's message before it is encrypted: clear text is never in the mapped memory.

  std::vector<Buffer> buffers_;
  std::vector<uint64_t> touched_;       // Of each buffer: bytes from its start that may not be zeros.
  std::vector<uint32_t> free_;          // A stack: the same few pages stay warm.
  std::vector<uint32_t> closed_;        // Ring of buffers that wait for their write, oldest first.
  std::size_t closed_head_ = 0, closed_count_ = 0;
  std::optional<uint32_t> open_;

  std::optional<SegmentFile> segment_;
  uint64_t segment_number_;             // Of segment_, or of the next one.
  uint64_t segment_offset_ = 0;         // Where the next group goes.
  bool is_leaving_ = false;             // The segment is left once nothing is in flight.
  std::optional<uint32_t> in_flight_;
  Bytes writing_;                       // What of the group in flight is not yet written.
  uint64_t writing_at_ = 0;
  uint32_t failures_ = 0;               // In a row, of the group in flight.

  uint64_t next_group_;
  uint64_t durable_group_;
  std::optional<std::chrono::nanoseconds> commit_due_, company_due_;  // Timers that are armed.
  // Group commit waits for company only where it came lately: how many sessions a group is likely to have, and how long a
  // write takes (a moving average).
  uint32_t company_ = 1;
  std::chrono::nanoseconds write_begun_{}, write_time_{};
  bool is_broken_ = false;
  bool is_starved_ = false;             // A group waits and the supply had no segment.
};

}  // namespace weir::record
