#include "record/journal_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "record/crc32c.h"
#include "record/segment_store.h"

namespace weir::record {
namespace {

constexpr std::size_t kWindowSize = 1u << 20;

class FileSource final : public SegmentSource {
 public:
  explicit FileSource(FileHandle file) : file_(std::move(file)) {}
  Result<std::size_t> read(uint64_t offset, MutableBytes out) override { return read_at(file_.get(), offset, out); }

 private:
  FileHandle file_;
};

// The frames of `group` that are whole; all of them, or the prefix before the first that is not.
Bytes sound_frames(const GroupHeader& group, Bytes frames, uint32_t& count, uint32_t& crc) {
  const uint32_t seed = frame_seed(group.run, group.number);
  Bytes rest = frames;
  count = crc = 0;
  while (const std::optional<FrameView> frame = take_frame(rest, seed)) {
    crc = crc32c(crc, frame->whole.subspan(4, 4));
    ++count;
  }
  return frames.first(frames.size() - rest.size());
}

}  // namespace

Result<std::vector<uint32_t>> cores_of(const std::string& path, JournalFolder& folder) {
  std::vector<uint32_t> cores;
  const Result<std::vector<SegmentEntry>> segments = folder.segments();
  if (!segments) return tl::unexpected(segments.error());
  for (const SegmentEntry& segment : *segments) cores.push_back(segment.header.core);
  const Result<std::vector<std::string>> names = list_folder(path);
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    uint32_t core = 0;
    if (!name.starts_with("core-")) continue;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), core);
    if (error == std::errc{} && std::string_view(end) == ".pending") cores.push_back(core);
  }
  std::sort(cores.begin(), cores.end());
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  return cores;
}

Result<uint64_t> next_segment_id(const std::string& path) {
  const Result<std::vector<std::string>> names = list_folder(path);
  if (!names) return tl::unexpected(names.error());
  uint64_t next = 1;
  for (const std::string& name : *names) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error == std::errc{} && std::string_view(end) == ".segment") next = std::max(next, id + 1);
  }
  return next;
}

Result<std::vector<SegmentEntry>> FileJournalFolder::segments() {
  const Result<std::vector<std::string>> names = list_folder(folder_);
  if (!names) return tl::unexpected(names.error());
  std::vector<SegmentEntry> entries;
  AlignedBuffer block(kBlockSize);
  for (const std::string& name : *names) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc{} || std::string_view(end) != ".segment") continue;
    const Result<FileHandle> file = open_direct(folder_ + "/" + name, O_RDONLY);
    if (!file && file.error().kind == Error::Kind::kNotFound) continue;  // Removed since.
    if (!file) return tl::unexpected(file.error());
    const Result<std::size_t> size = read_at(file->get(), 0, block.bytes());
    if (!size) return tl::unexpected(size.error());
    if (*size != kBlockSize) continue;
    std::optional<SegmentHeader> header = load_segment_header(block.bytes());
    if (header) header->gateway = {};  // The block is read into again.
    if (header) entries.push_back({*header, id});
  }
  return entries;
}

Result<std::unique_ptr<SegmentSource>> FileJournalFolder::open(const SegmentEntry& entry) {
  Result<FileHandle> file = open_direct(segment_path(folder_, entry.id), O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  return std::make_unique<FileSource>(std::move(*file));
}

GroupCursor::GroupCursor(std::unique_ptr<SegmentSource> source, const SegmentHeader& header)
    : source_(std::move(source)), segment_(header), window_(kWindowSize) {}

Result<Bytes> GroupCursor::look(uint64_t offset, std::size_t size) {
  if (offset < window_at_ || offset + size > window_at_ + window_size_) {
    if (size > window_.bytes().size()) window_ = AlignedBuffer(size);
    const Result<std::size_t> got = source_->read(offset, window_.bytes());
    if (!got) return tl::unexpected(got.error());
    window_at_ = offset;
    window_size_ = *got;
  }
  const std::size_t begin = static_cast<std::size_t>(offset - window_at_);
  return Bytes(window_.bytes()).subspan(begin, std::min(size, window_size_ - begin));
}

Result<GroupCursor::Step> GroupCursor::next(uint64_t expected) {
  group_ = {};
  frames_ = {};
  const Result<Bytes> block = look(offset_, kBlockSize);
  if (!block) return tl::unexpected(block.error());
  const std::optional<GroupHeader> begun = load_open_group(*block);
  if (block->size() < kBlockSize || !begun || begun->run != segment_.run || begun->number != expected) return Step::kEnd;
  const std::optional<GroupHeader> closed = load_closed_group(*block);
  if (!closed || closed->core != segment_.core || closed->used > kWindowSize * 64) {
    group_ = *begun;
    return Step::kTorn;
  }
  group_ = *closed;
  const uint64_t size = group_.padded_size();
  const Result<Bytes> whole = look(offset_, static_cast<std::size_t>(size));
  if (!whole) return tl::unexpected(whole.error());
  const std::size_t there = std::min<std::size_t>(whole->size(), GroupHeader::kSize + group_.used);
  uint32_t count = 0, crc = 0;
  frames_ = sound_frames(group_, whole->subspan(GroupHeader::kSize, there - GroupHeader::kSize), count, crc);
  if (frames_.size() != group_.used || count != group_.frame_count || crc != group_.frames_crc) return Step::kTorn;
  offset_ += size;
  return Step::kGroup;
}

Result<bool> GroupCursor::has_later_group(uint64_t expected) {
  for (uint64_t offset = offset_;; offset += kBlockSize) {
    const Result<Bytes> block = look(offset, kBlockSize);
    if (!block) return tl::unexpected(block.error());
    if (block->size() < kBlockSize) return false;
    const std::optional<GroupHeader> group = load_closed_group(*block);
    if (group && group->run == segment_.run && group->number > expected) return true;
  }
}

Result<void> CoreReader::refresh() {
  Result<std::vector<SegmentEntry>> found = folder_.segments();
  if (!found) return tl::unexpected(found.error());
  std::sort(found->begin(), found->end(), [](const SegmentEntry& a, const SegmentEntry& b) { return a.header.number < b.header.number; });
  for (SegmentEntry& entry : *found) {
    if (entry.header.core != core_ || entry.header.number <= last_segment_) continue;
    last_segment_ = entry.header.number;
    segments_.push_back(std::move(entry));
  }
  return {};
}

std::vector<uint64_t> CoreReader::take_passed() { return std::exchange(passed_, {}); }

void CoreReader::pass_all() {
  for (const SegmentEntry& segment : segments_) passed_.push_back(segment.id);
  segments_.clear();
  cursor_.reset();
}

void CoreReader::damaged(const std::string& what) {
  damage_.push_back("journal of core " + std::to_string(core_) + ": " + what);
}

// To the next segment, if there is one.  Pre: the current one has no further group of ours.
Result<bool> CoreReader::advance() {
  if (segments_.size() < 2) return false;
  const uint64_t first = segments_[1].header.first_group;
  if (first > expected_ && (segments_[1].header.flags & SegmentHeader::kRecovered) == 0) {
    damaged("groups " + std::to_string(expected_) + " to " + std::to_string(first - 1) + " are missing before segment " +
            std::to_string(segments_[1].id));
  }
  expected_ = std::max(expected_, first);
  passed_.push_back(segments_.front().id);
  segments_.erase(segments_.begin());
  cursor_.reset();
  is_torn_ = false;
  return true;
}

Result<void> CoreReader::read(uint64_t limit, const FrameSink& sink) {
  while (!segments_.empty()) {
    if (!cursor_) {
      Result<std::unique_ptr<SegmentSource>> source = folder_.open(segments_.front());
      if (!source) return tl::unexpected(source.error());
      cursor_.emplace(std::move(*source), segments_.front().header);
      // A writer that gave up on a segment wrote its group again in the next: numbers go back to that group.
      expected_ = std::max(expected_, segments_.front().header.first_group);
    }
    const bool belongs_to_next = segments_.size() > 1 && expected_ >= segments_[1].header.first_group;
    if (!belongs_to_next) {
      if (expected_ > limit) break;
      const Result<GroupCursor::Step> step = cursor_->next(expected_);
      if (!step) return tl::unexpected(step.error());
      is_torn_ = *step == GroupCursor::Step::kTorn;
      if (*step == GroupCursor::Step::kGroup) {
        ++expected_;
        Bytes rest = cursor_->frames();
        bool go_on = true;
        while (const std::optional<FrameView> frame = take_frame(rest, frame_seed(cursor_->header().run, cursor_->header().number))) {
          go_on = sink({*frame, segments_.front().id, cursor_->header().number}) && go_on;
        }
        if (!go_on) return {};
        continue;
      }
    }
    const Result<bool> moved = advance();
    if (!moved) return tl::unexpected(moved.error());
    if (!*moved) break;
  }
  if (cursor_) cursor_->forget_window();
  return {};
}

Result<bool> CoreReader::is_damaged_at_end() {
  if (!cursor_) return false;
  return cursor_->has_later_group(expected_);
}

PendingFrames read_pending(Bytes memory, uint64_t expected, const FrameSink& sink) {
  PendingFrames result{.groups = 0, .next = expected};
  const std::optional<PendingHeader> header = load_pending_header(memory);
  if (!header) return result;
  std::vector<PendingGroup> groups;
  for (uint32_t buffer = 0; buffer < header->shape.buffer_count; ++buffer) {
    if (const std::optional<PendingGroup> group = load_pending_group(memory, *header, buffer)) groups.push_back(*group);
  }
  std::sort(groups.begin(), groups.end(), [](const PendingGroup& a, const PendingGroup& b) { return a.header.number < b.header.number; });
  for (const PendingGroup& group : groups) {
    if (group.header.number < result.next) continue;
    if (group.header.number > result.next) break;
    uint32_t count = 0, crc = 0;
    Bytes sound = sound_frames(group.header, group.frames, count, crc);
    const bool is_whole = group.is_closed && count == group.header.frame_count && crc == group.header.frames_crc;
    if (count == 0) break;
    ++result.groups;
    ++result.next;
    while (const std::optional<FrameView> frame = take_frame(sound, frame_seed(group.header.run, group.header.number))) {
      if (!sink({*frame, 0, group.header.number})) return result;
    }
    if (!is_whole) break;
  }
  return result;
}

std::optional<EventAssembler::Event> EventAssembler::add(const FrameView& frame) {
  const FrameHeader& header = frame.header;
  const bool continues = (header.flags & FrameHeader::kContinues) != 0, more = (header.flags & FrameHeader::kMoreFollows) != 0;
  const bool fits = is_inside_ && header.session == first_.session && header.sequence == first_.sequence && header.kind == first_.kind &&
                    payload_.size() + frame.payload().size() <= kEventMax;
  if (continues != is_inside_ || (continues && !fits)) {
    ++broken_;
    is_inside_ = false;
    if (continues) return std::nullopt;
  }
  if (!continues && !more) return Event{header, frame.payload()};
  if (!continues) {
    first_ = header;
    payload_.clear();
  }
  payload_.insert(payload_.end(), frame.payload().begin(), frame.payload().end());
  is_inside_ = more;
  if (more) return std::nullopt;
  return Event{first_, payload_};
}

}  // namespace weir::record
