#include "record/journal.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "record/crc32c.h"

namespace weir::record {
namespace {

// Kept back for what ends sessions.
constexpr std::size_t kReservedBuffers = 2;
constexpr std::chrono::nanoseconds kCompanyTimeMax = std::chrono::microseconds(500);
constexpr std::chrono::milliseconds kTimerSlack{1};

bool is_new_work(RecordEvent::Kind kind) {
  switch (kind) {
    case RecordEvent::Kind::kOpened:
    case RecordEvent::Kind::kLogin:
    case RecordEvent::Kind::kCommand:
    case RecordEvent::Kind::kStandIn:
    case RecordEvent::Kind::kIdentified:
    case RecordEvent::Kind::kAct: return true;
    case RecordEvent::Kind::kFate:
    case RecordEvent::Kind::kResponse:
    case RecordEvent::Kind::kAlert:
    case RecordEvent::Kind::kNote:
    case RecordEvent::Kind::kClosed: return false;
  }
  return true;
}

uint64_t draw_run(RandomSource& random) {
  std::array<std::byte, 8> bytes{};
  random.fill(bytes);
  return load_le<uint64_t>(bytes);
}

}  // namespace

JournalWriter::JournalWriter(JournalOptions options, Io& io, SegmentSupply& supply, MutableBytes pending, CoreCounters& counters)
    : options_(std::move(options)),
      io_(io),
      supply_(supply),
      counters_(counters),
      run_(draw_run(io.random())),
      pending_(pending, options_.shape, options_.core, run_),
      part_max_(std::min(kFramePartMax, pending_.group_capacity() - static_cast<uint32_t>(GroupHeader::kSize))),
      seal_size_(options_.key ? static_cast<uint32_t>(kFrameSealSize) : 0),
      clear_(options_.key ? part_max_ : 0),
      buffers_(options_.shape.buffer_count),
      touched_(options_.shape.buffer_count),
      closed_(options_.shape.buffer_count),
      segment_number_(options_.first_segment),
      next_group_(options_.first_group),
      durable_group_(options_.first_group - 1) {
  WEIR_CHECK(options_.first_group > 0 && options_.first_segment > 0);
  WEIR_CHECK(buffers_.size() > kReservedBuffers);
  if (options_.key) sealer_.emplace(options_.key, options_.core);
  free_.reserve(buffers_.size());
  for (std::size_t index = buffers_.size(); index-- > 0;) free_.push_back(static_cast<uint32_t>(index));
  pending_.publish({.durable_group = durable_group_, .segment_number = 0, .durable_offset = 0});
}

bool JournalWriter::is_accepting() const {
  return !is_broken_ && !is_starved_ && !supply_.is_full() && free_.size() > kReservedBuffers;
}

bool JournalWriter::has_place(uint64_t message_size, bool is_new) const {
  const uint64_t part_payload = message_part_max();
  if (message_size <= part_payload && open_ &&
      GroupHeader::kSize + buffers_[*open_].used + FrameHeader::kSize + seal_size_ + message_size <= pending_.group_capacity()) {
    return true;
  }
  const uint64_t frames = std::max<uint64_t>(1, (message_size + part_payload - 1) / part_payload);
  const uint64_t per_buffer = (pending_.group_capacity() - GroupHeader::kSize) / part_max_;
  const uint64_t needed = (frames + per_buffer - 1) / per_buffer;
  return free_.size() >= needed + (is_new ? kReservedBuffers : 0);
}

Written JournalWriter::write(const RecordEvent& event, uint64_t& group) {
  const bool is_new = is_new_work(event.kind);
  EncodedEvent message(event);
  if (is_broken_ || (is_new && supply_.is_full()) || !has_place(message.size(), is_new)) {
    counters_.add(Metric::kJournalRefused);
    return Written::kRefused;
  }
  uint64_t left = message.size();
  uint8_t flags = 0;
  do {
    const auto size = static_cast<uint32_t>(std::min<uint64_t>(left, message_part_max()));
    left -= size;
    add_frame(message, event, size, static_cast<uint8_t>(flags | (left != 0 ? FrameHeader::kMoreFollows : 0)));
    flags = FrameHeader::kContinues;
  } while (left != 0);
  Buffer& buffer = buffers_[*open_];
  if (is_new && event.is_awaited) note_waiting(buffer, event.session);
  group = buffer.group;
  counters_.add(Metric::kJournalEvents);
  return Written::kDurableLater;
}

void JournalWriter::note_waiting(Buffer& buffer, uint64_t session) {
  if (buffer.waiting == 0) buffer.awaited_since = io_.now();
  if (buffer.waiting == 0 || buffer.last_waiting != session) ++buffer.waiting;  // Events of one session come in a row.
  buffer.last_waiting = session;
}

// Half a write: a command that comes later is not worth holding the first one back.
std::chrono::nanoseconds JournalWriter::company_time() const { return std::min(write_time_ / 2, kCompanyTimeMax); }

void JournalWriter::add_frame(EncodedEvent& message, const RecordEvent& event, uint32_t message_size, uint8_t flags) {
  const auto size = static_cast<uint32_t>(FrameHeader::kSize + seal_size_ + message_size);
  if (open_ && GroupHeader::kSize + buffers_[*open_].used + size > pending_.group_capacity()) close_open_buffer();
  if (!open_) open_buffer();
  Buffer& buffer = buffers_[*open_];
  const MutableBytes place = pending_.group(*open_).subspan(GroupHeader::kSize + buffer.used, size);
  store(place, FrameHeader{.size = size, .kind = static_cast<uint8_t>(event.kind), .flags = flags, .key_id = sealer_ ? sealer_->key_id() : 0,
                           .session = event.session, .sequence = event.sequence, .at_ns = event.at.time_since_epoch().count()});
  if (sealer_) {
    const MutableBytes clear = MutableBytes(clear_).first(message_size);
    message.copy_next(clear);
    sealer_->seal(place, clear);
  } else {
    message.copy_next(place.subspan(FrameHeader::kSize));
  }
  store_le(place, 4, frame_crc(buffer.seed, place));
  buffer.frames_crc = crc32c(buffer.frames_crc, place.subspan(4, 4));
  buffer.used += size;
  ++buffer.frame_count;
  pending_.publish_used(*open_, buffer.used);
}

void JournalWriter::open_buffer() {
  WEIR_CHECK(!free_.empty());
  open_ = free_.back();
  free_.pop_back();
  const uint64_t number = next_group_++;
  buffers_[*open_] = Buffer{.group = number, .seed = frame_seed(run_, number), .opened = io_.now()};
  pending_.open(*open_, number);
}

void JournalWriter::close_open_buffer() {
  const uint32_t index = *open_;
  open_.reset();
  const Buffer& buffer = buffers_[index];
  const GroupHeader header{.flags = GroupHeader::kClosed, .run = run_, .number = buffer.group, .used = buffer.used,
                           .frame_count = buffer.frame_count, .core = options_.core, .frames_crc = buffer.frames_crc};
  const std::size_t end = GroupHeader::kSize + buffer.used;
  const MutableBytes padding = pending_.group(index).subspan(end, header.padded_size() - end);
  std::memset(padding.data(), 0, padding.size());
  touched_[index] = std::max(touched_[index], header.padded_size());
  pending_.close(index, header);
  closed_[(closed_head_ + closed_count_) % closed_.size()] = index;
  ++closed_count_;
}

void JournalWriter::end_turn() {
  if (in_flight_ || is_broken_) return;
  if (closed_count_ == 0) {
    if (!has_open_frames()) return;
    const Buffer& buffer = buffers_[*open_];
    const auto age = io_.now() - buffer.opened;
    if (buffer.waiting == 0 && age < options_.commit_every) {
      arm_timer(commit_due_, options_.commit_every - age);
      return;
    }
    const auto held = io_.now() - buffer.awaited_since;
    if (buffer.waiting != 0 && buffer.waiting < company_ && held < company_time()) {
      arm_timer(company_due_, company_time() - held);
      return;
    }
  }
  submit();
}

void JournalWriter::flush() {
  if (!in_flight_ && !is_broken_ && (closed_count_ != 0 || has_open_frames())) submit();
}

void JournalWriter::tidy() {
  const auto clear = [&](uint32_t index, uint64_t from) {
    if (touched_[index] <= from) return;
    const MutableBytes old = pending_.group(index).subspan(from, touched_[index] - from);
    std::memset(old.data(), 0, old.size());
    touched_[index] = from;
  };
  for (const uint32_t index : free_) clear(index, 0);
  if (open_) clear(*open_, GroupHeader::kSize + buffers_[*open_].used);
  const auto clear_behind = [&](uint32_t index) { clear(index, GroupHeader{.used = buffers_[index].used}.padded_size()); };
  for (std::size_t each = 0; each < closed_count_; ++each) clear_behind(closed_[(closed_head_ + each) % closed_.size()]);
  if (in_flight_) clear_behind(*in_flight_);
  is_leaving_ = segment_.has_value();
  if (!in_flight_) leave_segment();
}

// Pre: nothing is in flight.
void JournalWriter::leave_segment() {
  if (!std::exchange(is_leaving_, false) || !segment_) return;
  supply_.give_up(*segment_);
  segment_.reset();
  ++segment_number_;
  pending_.publish({.durable_group = durable_group_, .segment_number = segment_number_, .durable_offset = 0});
}

void JournalWriter::arm_timer(std::optional<std::chrono::nanoseconds>& due, std::chrono::nanoseconds after) {
  if (due) return;
  due = io_.now() + after;
  io_.timer(after, options_.timer_token);
}

// Pre: no write is in flight and there is a group to write.
void JournalWriter::submit() {
  check();
  if (closed_count_ == 0) close_open_buffer();
  const uint32_t index = closed_[closed_head_];
  const uint64_t size = GroupHeader{.used = buffers_[index].used}.padded_size();
  if (segment_ && segment_offset_ + size > segment_->size) {
    supply_.give_up(*segment_);
    segment_.reset();
    ++segment_number_;
  }
  const bool is_first = !segment_;
  if (is_first && !begin_segment()) return;
  closed_head_ = (closed_head_ + 1) % closed_.size();
  --closed_count_;
  in_flight_ = index;
  write_begun_ = io_.now();
  if (const uint32_t waiting = buffers_[index].waiting; waiting != 0) company_ = waiting >= company_ ? waiting : company_ - 1;
  if (is_first) {
    const MutableBytes slot = pending_.segment_slot(index);
    store(slot, SegmentHeader{.core = options_.core, .number = segment_number_, .first_group = buffers_[index].group, .run = run_,
                              .key_id = sealer_ ? sealer_->key_id() : 0, .gateway = options_.gateway});
    writing_ = Bytes(slot.data(), kBlockSize + size);  // The slot stands right before the group.
    writing_at_ = 0;
  } else {
    writing_ = pending_.group(index).first(size);
    writing_at_ = segment_offset_;
  }
  write_rest();
}

bool JournalWriter::begin_segment() {
  segment_ = supply_.take();
  is_starved_ = !segment_;
  if (is_starved_) {
    arm_timer(commit_due_, options_.commit_every);  // Ask again.
    return false;
  }
  WEIR_CHECK(segment_->size % kBlockSize == 0 && segment_->size >= std::size_t{options_.shape.buffer_size});
  segment_offset_ = 0;
  is_leaving_ = false;
  return true;
}

void JournalWriter::write_rest() { io_.write(segment_->file, writing_at_, writing_, true, options_.write_token); }

void JournalWriter::on_completion(const Completion& completion) {
  if (completion.token.kind == OpKind::kTimer) {
    // Which of them it was, the time tells; to take one for fired that has a little left costs one more timer.
    const auto now = io_.now() + kTimerSlack;
    if (commit_due_ && now >= *commit_due_) commit_due_.reset();
    if (company_due_ && now >= *company_due_) company_due_.reset();
    return;
  }
  WEIR_CHECK(in_flight_.has_value());
  if (completion.result < 0) {
    counters_.add(Metric::kJournalErrors);
    fail_over();
    return;
  }
  const auto written = static_cast<std::size_t>(completion.result);
  if (written >= writing_.size()) {
    complete();
    return;
  }
  // Short: go on from the last whole block.  Nothing of this group was reported yet.
  counters_.add(Metric::kJournalErrors);
  const std::size_t whole = written / kBlockSize * kBlockSize;
  if (whole == 0) {
    fail_over();
    return;
  }
  writing_ = writing_.subspan(whole);
  writing_at_ += whole;
  write_rest();
}

void JournalWriter::complete() {
  const uint32_t index = *in_flight_;
  in_flight_.reset();
  failures_ = 0;
  write_time_ += (io_.now() - write_begun_ - write_time_) / 8;
  segment_offset_ = writing_at_ + writing_.size();
  durable_group_ = buffers_[index].group;
  pending_.publish({.durable_group = durable_group_, .segment_number = segment_number_, .durable_offset = segment_offset_});
  counters_.add(Metric::kJournalGroups);
  counters_.add(Metric::kJournalBytes, GroupHeader{.used = buffers_[index].used}.padded_size());
  free_.push_back(index);
  leave_segment();
}

// After a failed write or sync the kernel may have dropped the dirty pages and cleared the error: the file's state is
// unknown, so the group goes to another one.  A second failure in a row ends the journal.
void JournalWriter::fail_over() {
  const uint32_t index = *in_flight_;
  in_flight_.reset();
  supply_.give_up(*segment_);
  segment_.reset();
  ++segment_number_;
  if (++failures_ > 1) {
    is_broken_ = true;
    return;
  }
  closed_head_ = (closed_head_ + closed_.size() - 1) % closed_.size();
  closed_[closed_head_] = index;
  ++closed_count_;
  submit();
}

void JournalWriter::check() const {
  WEIR_CHECK(!in_flight_);
  WEIR_CHECK(free_.size() + closed_count_ + (open_ ? 1 : 0) == buffers_.size());  // I7
  WEIR_CHECK(durable_group_ < next_group_);
}

}  // namespace weir::record
