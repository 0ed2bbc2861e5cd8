#include "record/segment_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "base/check.h"
#include "record/files.h"
#include "record/layout.h"

namespace weir::record {
namespace {

constexpr std::size_t kReadyPerCore = 2;
constexpr uint64_t kFillStep = 1u << 20;
// Between two steps of filling while cores write: leaves the disk to them.
constexpr std::chrono::milliseconds kFillPause{4};
constexpr std::string_view kSuffix = ".segment", kWiping = ".wiping";

std::optional<uint64_t> id_of(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc{} && end == name.data() + name.size() ? std::optional(id) : std::nullopt;
}

Result<uint64_t> free_space(const std::string& folder) {
  struct statvfs space {};
  if (::statvfs(folder.c_str(), &space) != 0) return system_error(folder);
  return static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
}

}  // namespace

std::string segment_path(const std::string& folder, uint64_t id) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "/%08llu.segment", static_cast<unsigned long long>(id));
  return folder + name.data();
}
std::string pending_path(const std::string& folder, uint32_t core) { return folder + "/core-" + std::to_string(core) + ".pending"; }

class SegmentStore::CoreSupply final : public SegmentSupply {
 public:
  explicit CoreSupply(const std::atomic<bool>& is_full) : is_full_(is_full) {}
  ~CoreSupply() override {
    SegmentFile segment;
    while (ready_.pop(segment)) ::close(segment.file);
    while (given_up_.pop(segment)) ::close(segment.file);
  }

  std::optional<SegmentFile> take() override {
    SegmentFile segment;
    if (!ready_.pop(segment)) return std::nullopt;
    taken_.fetch_add(1, std::memory_order_release);
    return segment;
  }
  void give_up(const SegmentFile& segment) override {
    if (!given_up_.push(segment)) ::close(segment.file);  // The helper is far behind: close here rather than leak.
  }
  [[nodiscard]] bool is_full() const override { return is_full_.load(std::memory_order_relaxed); }

  // The helper thread's side.
  [[nodiscard]] bool wants_one() const { return fed_ - taken_.load(std::memory_order_acquire) < kReadyPerCore; }
  void feed(const SegmentFile& segment) {
    WEIR_CHECK(ready_.push(segment));
    ++fed_;
  }
  void close_given_up() {
    SegmentFile segment;
    while (given_up_.pop(segment)) ::close(segment.file);
  }

 private:
  const std::atomic<bool>& is_full_;
  RingQueue<SegmentFile> ready_{kReadyPerCore};
  RingQueue<SegmentFile> given_up_{16};
  std::atomic<uint64_t> taken_{0};
  uint64_t fed_ = 0;
};

SegmentStore::SegmentStore(SegmentStoreOptions options) : options_(std::move(options)) {
  for (uint32_t core = 0; core < options_.core_count; ++core) supplies_.push_back(std::make_unique<CoreSupply>(is_full_));
}

Result<std::unique_ptr<SegmentStore>> SegmentStore::start(SegmentStoreOptions options) {
  WEIR_CHECK(options.core_count > 0 && options.segment_size % kBlockSize == 0 && options.segment_size >= 16 * kBlockSize);
  if (options.space_low == 0) options.space_low = options.segment_size;
  PosixFiles files;
  if (Result<void> made = files.make_folder(options.folder); !made) return tl::unexpected(made.error());
  std::unique_ptr<SegmentStore> store(new SegmentStore(std::move(options)));
  if (Result<void> scanned = store->scan(); !scanned) return tl::unexpected(scanned.error());
  const Result<uint64_t> space = free_space(store->options_.folder);
  if (!space) return tl::unexpected(space.error());
  const std::size_t have = store->free_.size(), want = store->wanted_free();
  const uint64_t needed = (want > have ? want - have : 0) * store->options_.segment_size + store->options_.space_low;
  if (needed > *space) {
    return fail(Error::Kind::kUnavailable,
                store->options_.folder + ": the journal needs " + std::to_string(needed >> 20) + " MiB of free space and has " +
                    std::to_string(*space >> 20) + "; free some, or lower record.journal.reserve or record.journal.segment",
                ENOSPC);
  }
  while (store->free_.size() < store->options_.core_count) {
    if (!store->make_one()) {
      return fail(Error::Kind::kUnavailable, store->options_.folder + ": a journal segment could not be made", ENOSPC);
    }
  }
  store->feed();
  store->thread_ = std::thread([raw = store.get()] { raw->run(); });
  return store;
}

SegmentStore::~SegmentStore() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

SegmentSupply& SegmentStore::supply(uint32_t core) { return *supplies_.at(core); }

void SegmentStore::recycle(uint64_t id) {
  const std::lock_guard lock(mutex_);
  to_recycle_.push_back(id);
  ++unwiped_;
}

SegmentStore::Counts SegmentStore::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.is_full = is_full_.load(std::memory_order_relaxed);
  return counts;
}

std::size_t SegmentStore::wanted_free() const {
  return (options_.reserve + options_.segment_size - 1) / options_.segment_size + kReadyPerCore * options_.core_count;
}

Result<void> SegmentStore::scan() {
  const Result<std::vector<std::string>> names = list_folder(options_.folder);
  if (!names) return tl::unexpected(names.error());
  AlignedBuffer block(kBlockSize);
  for (const std::string& name : *names) {
    const std::string path = options_.folder + "/" + name;
    if (name.ends_with(".segment.new")) {
      ::unlink(path.c_str());  // Half made when the last run ended.
      continue;
    }
    if (name.ends_with(kWiping)) {
      // What is left of it is wiped before anything else is.
      if (const std::optional<uint64_t> id = id_of(std::string_view(name).substr(0, name.size() - kWiping.size()))) {
        next_id_ = std::max(next_id_, *id + 1);
        recycle(*id);
      }
      continue;
    }
    const std::optional<uint64_t> id = id_of(name);
    if (!id) continue;
    next_id_ = std::max(next_id_, *id + 1);
    const Result<FileHandle> file = open_direct(path, O_RDONLY);
    if (!file) return tl::unexpected(file.error());
    const Result<std::size_t> size = read_at(file->get(), 0, block.bytes());
    if (!size) return tl::unexpected(size.error());
    if (*size == kBlockSize && load_segment_header(block.bytes())) continue;  // In use: the sealer says when it is free.
    const Result<uint64_t> bytes = file_size(path);
    if (bytes && *bytes == options_.segment_size) {
      free_.push_back(*id);
    } else {
      ::unlink(path.c_str());
    }
  }
  return {};
}

void SegmentStore::run() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    lock.unlock();
    look_at_space();
    collect();
    feed();
    const bool has_wiped = wipe_one();
    const bool is_short = !has_wiped && free_.size() < wanted_free() && !is_full_.load(std::memory_order_relaxed);
    const bool made = is_short && make_one();
    lock.lock();
    counts_.free = free_.size();
    if (!is_stopping_ && !made && !has_wiped) wake_.wait_for(lock, options_.poll);
  }
}

void SegmentStore::look_at_space() {
  const Result<uint64_t> space = free_space(options_.folder);
  const bool was_full = is_full_.load(std::memory_order_relaxed);
  const uint64_t bound = was_full ? 2 * options_.space_low : options_.space_low;  // Hysteresis.
  is_full_.store(!space || *space < bound, std::memory_order_relaxed);
}

void SegmentStore::collect() {
  for (const auto& supply : supplies_) supply->close_given_up();
  std::vector<uint64_t> ids;
  {
    const std::lock_guard lock(mutex_);
    ids.swap(to_recycle_);
  }
  to_wipe_.insert(to_wipe_.end(), ids.begin(), ids.end());
}

// One at a time: cores that want a segment do not wait for all of them.
bool SegmentStore::wipe_one() {
  if (to_wipe_.empty()) return false;
  wipe(to_wipe_.front());
  to_wipe_.erase(to_wipe_.begin());
  return true;
}

void SegmentStore::feed() {
  for (const auto& supply : supplies_) {
    while (supply->wants_one() && !free_.empty()) {
      const uint64_t id = free_.back();
      free_.pop_back();
      Result<FileHandle> file = open_direct(segment_path(options_.folder, id), O_WRONLY);
      if (!file) {
        const std::lock_guard lock(mutex_);
        ++counts_.failed;
        continue;
      }
      supply->feed({.file = file->release(), .id = id, .size = options_.segment_size});
    }
  }
}

// Zeros are written, not only allocated: a write into an unwritten extent costs a journal commit of the file system.
Result<void> SegmentStore::fill(const std::string& path, uint64_t bytes) const {
  const Result<FileHandle> file = open_direct(path, O_WRONLY | O_CREAT);
  if (!file) return tl::unexpected(file.error());
  AlignedBuffer zeros(kFillStep);
  std::fill(zeros.bytes().begin(), zeros.bytes().end(), std::byte{0});
  for (uint64_t offset = 0; offset < bytes; offset += kFillStep) {
    const std::size_t size = static_cast<std::size_t>(std::min(kFillStep, bytes - offset));
    if (Result<void> done = write_at(file->get(), offset, zeros.bytes().first(size)); !done) return done;
    if (thread_.joinable()) std::this_thread::sleep_for(kFillPause);
  }
  return ::fsync(file->get()) == 0 ? Result<void>{} : system_error(path);
}

bool SegmentStore::make_one() {
  const uint64_t id = next_id_++;
  const std::string path = segment_path(options_.folder, id), aside = path + ".new";
  const auto make = [&]() -> Result<void> {
    ::unlink(aside.c_str());
    if (Result<void> done = fill(aside, options_.segment_size); !done) return done;
    if (::rename(aside.c_str(), path.c_str()) != 0) return system_error(path);
    return PosixFiles().sync_folder(options_.folder);
  };
  const Result<void> done = make();
  const std::lock_guard lock(mutex_);
  if (!done) {
    ::unlink(aside.c_str());
    ++counts_.failed;
    is_full_.store(true, std::memory_order_relaxed);
    return false;
  }
  free_.push_back(id);
  ++counts_.made;
  return true;
}

// Under another name first: whoever reads the journal meanwhile does not take zeros for damage, and a start goes on with it.
void SegmentStore::wipe(uint64_t id) {
  const std::string path = segment_path(options_.folder, id), aside = path + std::string(kWiping);
  const auto empty = [&]() -> Result<void> {
    if (!exists(aside) && ::rename(path.c_str(), aside.c_str()) != 0) return system_error(path);
    if (Result<void> done = PosixFiles().sync_folder(options_.folder); !done) return done;
    return fill(aside, file_size(aside).value_or(options_.segment_size));
  };
  const bool is_wiped = empty().has_value();
  const Result<uint64_t> size = file_size(aside);
  bool is_kept = is_wiped && size && *size == options_.segment_size && free_.size() < wanted_free();
  is_kept = is_kept && ::rename(aside.c_str(), path.c_str()) == 0;
  if (!is_kept) {
    ::unlink(aside.c_str());
    ::unlink(path.c_str());
  }
  --unwiped_;
  const std::lock_guard lock(mutex_);
  if (is_kept) {
    free_.push_back(id);
    ++counts_.reused;
  } else {
    ++counts_.removed;
  }
}

}  // namespace weir::record
