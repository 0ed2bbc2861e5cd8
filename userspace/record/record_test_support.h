// For this folder's tests: an Io over a disk that can be cut at any write, and a record in a temporary folder.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "core/io.h"
#include "record/journal.h"
#include "record/journal_reader.h"
#include "record/recovery.h"
#include "record/sealer.h"
#include "record/segment_store.h"

namespace weir::record::test {

class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : prng_(seed) {}
  void fill(MutableBytes out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(prng_.next());
  }

 private:
  Prng prng_;
};

// Writes and timers only.  `on_write` decides what a write does to the disk, and its result.
class DiskIo final : public Io {
 public:
  using OnWrite = std::function<int32_t(int file, uint64_t offset, Bytes)>;
  static constexpr int32_t kCut = INT32_MIN;   // The process is gone: no completion comes.
  explicit DiskIo(OnWrite on_write, uint64_t seed = 1) : on_write_(std::move(on_write)), random_(seed) {}

  void write(int file, uint64_t offset, Bytes bytes, bool durable, OpToken token) override {
    EXPECT_TRUE(durable);
    EXPECT_EQ(offset % kBlockSize, 0U);
    EXPECT_EQ(bytes.size() % kBlockSize, 0U);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % kBlockSize, 0U);
    writes_.push_back({file, offset, bytes, token});
    ++write_count;
  }
  void timer(std::chrono::nanoseconds after, OpToken token) override { timers_.push_back({now_ + after, token}); }
  // Completes the oldest write; if there is none, the oldest timer, and time goes on to it.  False: nothing to do.
  bool step(JournalWriter& journal) {
    if (!writes_.empty()) {
      const Pending write = writes_.front();
      writes_.pop_front();
      Completion completion;
      completion.token = write.token;
      completion.result = on_write_(write.file, write.offset, write.bytes);
      if (completion.result == kCut) return false;
      journal.on_completion(completion);
    } else if (!timers_.empty()) {
      now_ = std::max(now_, timers_.front().first);
      Completion completion;
      completion.token = timers_.front().second;
      timers_.pop_front();
      journal.on_completion(completion);
    } else {
      return false;
    }
    journal.end_turn();
    return true;
  }
  void settle(JournalWriter& journal) {
    journal.end_turn();
    for (int turns = 0; !journal.is_idle() && turns < 100'000 && step(journal); ++turns) continue;
  }
  [[nodiscard]] std::size_t writes_pending() const { return writes_.size(); }
  [[nodiscard]] std::size_t timers_pending() const { return timers_.size(); }
  void advance(std::chrono::nanoseconds by) { now_ += by; }

  std::chrono::nanoseconds now() const override { return now_; }
  std::chrono::sys_time<std::chrono::nanoseconds> wall() const override { return std::chrono::sys_time<std::chrono::nanoseconds>(now_); }
  RandomSource& random() override { return random_; }
  uint64_t write_count = 0;

  void accept(int, OpToken) override {}
  void connect(const DialPlan&, OpToken) override {}
  void receive(int, OpToken) override {}
  void send(int, std::span<const Bytes>, OpToken) override {}
  void shutdown(int, OpToken) override {}
  void close(int, bool, OpToken) override {}
  void cancel(OpToken) override {}
  void sync(int, OpToken) override {}
  void post(uint64_t) override {}
  std::span<Completion> turn() override { return {}; }
  FlowEndpoints endpoints(int) const override { return {}; }
  SocketAccount account(int, bool) const override { return {}; }

 private:
  struct Pending { int file; uint64_t offset; Bytes bytes; OpToken token; };
  OnWrite on_write_;
  SeededRandom random_;
  std::deque<Pending> writes_;
  std::deque<std::pair<std::chrono::nanoseconds, OpToken>> timers_;
  std::chrono::nanoseconds now_{1'000'000'000};
};

// Segments in memory.  Survives its writer, as a disk does.
class MemoryDisk final : public SegmentSupply, public JournalFolder {
 public:
  explicit MemoryDisk(uint64_t segment_size, std::size_t count) : size_(segment_size), left_(count) {}

  std::optional<SegmentFile> take() override {
    if (left_ == 0) return std::nullopt;
    --left_;
    const int file = static_cast<int>(files_.size()) + 1;
    files_[file].resize(size_);
    return SegmentFile{.file = file, .id = static_cast<uint64_t>(file), .size = size_};
  }
  void give_up(const SegmentFile&) override { ++given_up; }
  [[nodiscard]] bool is_full() const override { return is_full_now; }
  int32_t write(int file, uint64_t offset, Bytes bytes) {
    std::memcpy(files_.at(file).data() + offset, bytes.data(), bytes.size());
    return static_cast<int32_t>(bytes.size());
  }
  // An earlier use of a file left this there.
  void reuse(int file, const std::vector<std::byte>& old) { files_[file] = old; }
  std::vector<std::byte>& file(int number) { return files_.at(number); }
  [[nodiscard]] std::size_t file_count() const { return files_.size(); }
  void add_segments(std::size_t count) { left_ += count; }

  Result<std::vector<SegmentEntry>> segments() override {
    std::vector<SegmentEntry> entries;
    for (const auto& [number, bytes] : files_) {
      if (std::optional<SegmentHeader> header = load_segment_header(bytes)) {
        header->gateway = {};
        entries.push_back({*header, static_cast<uint64_t>(number)});
      }
    }
    return entries;
  }
  Result<std::unique_ptr<SegmentSource>> open(const SegmentEntry& entry) override {
    class Source final : public SegmentSource {
     public:
      explicit Source(const std::vector<std::byte>& bytes) : bytes_(bytes) {}
      Result<std::size_t> read(uint64_t offset, MutableBytes out) override {
        if (offset >= bytes_.size()) return 0;
        const std::size_t size = std::min<std::size_t>(out.size(), bytes_.size() - offset);
        std::memcpy(out.data(), bytes_.data() + offset, size);
        return size;
      }

     private:
      const std::vector<std::byte>& bytes_;
    };
    return std::make_unique<Source>(files_.at(static_cast<int>(entry.id)));
  }
  bool is_full_now = false;
  uint64_t given_up = 0;

 private:
  uint64_t size_;
  std::size_t left_;
  std::map<int, std::vector<std::byte>> files_;
};

inline RecordEvent event_of(RecordEvent::Kind kind, uint64_t session, uint64_t sequence, std::string_view text = {}) {
  RecordEvent event;
  event.kind = kind;
  event.session = session;
  event.sequence = sequence;
  event.at = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(1'790'000'000) + std::chrono::microseconds(sequence));
  event.text = as_bytes(text);
  event.action = Verdict::Action::kAllow;
  return event;
}

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& parent = std::filesystem::temp_directory_path().string()) {
    std::string name = parent + "/weir-record-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A disk that is full for a while.
class RefusingFiles final : public Files {
 public:
  int refusals = 0;                 // So many appends are refused, each after half of it.
  std::vector<std::string> tried;   // All that was ever handed to it.
  void refuse(bool is_full) { refusals = is_full ? INT_MAX : 0; }
  Result<void> make_folder(const std::string& path) override { return real_.make_folder(path); }
  Result<void> append(const std::string& path, Bytes bytes) override {
    tried.emplace_back(as_text(bytes));
    if (refusals == 0) return real_.append(path, bytes);
    --refusals;
    (void)real_.append(path, bytes.first(bytes.size() / 2));
    return fail(Error::Kind::kSystem, "No space left on device", ENOSPC);
  }
  Result<void> truncate(const std::string& path, uint64_t size) override { return real_.truncate(path, size); }
  Result<void> sync(const std::string& path) override { return real_.sync(path); }
  Result<void> rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Result<void> sync_folder(const std::string& path) override { return real_.sync_folder(path); }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<void> remove_folder(const std::string& path) override { return real_.remove_folder(path); }

 private:
  PosixFiles real_;
};

}  // namespace weir::record::test
