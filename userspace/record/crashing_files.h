// For this folder's tests: a disk that stops at any of its changes.
#pragma once
#include <cerrno>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "record/files.h"

namespace weir::record::test {

// Stops at the n-th change of the disk.  With power loss, what was not synced is cut at random and renames are undone.
class CrashingFiles final : public Files {
 public:
  CrashingFiles(uint64_t seed, uint64_t steps, bool loses_power) : prng_(seed), left_(steps), loses_power_(loses_power) {}
  [[nodiscard]] bool has_crashed() const { return has_crashed_; }

  Result<void> make_folder(const std::string& path) override { return step([&] { return real_.make_folder(path); }); }
  Result<void> append(const std::string& path, Bytes bytes) override {
    if (left_ == 1 && !has_crashed_) (void)real_.append(path, bytes.first(prng_.below(bytes.size() + 1)));  // Half of it went out.
    unsynced_.try_emplace(path, file_size(path).value_or(0));
    return step([&] { return real_.append(path, bytes); });
  }
  Result<void> truncate(const std::string& path, uint64_t size) override { return step([&] { return real_.truncate(path, size); }); }
  Result<void> sync(const std::string& path) override {
    return step([&] {
      unsynced_.erase(path);
      return real_.sync(path);
    });
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return step([&] {
      if (!exists(to)) renamed_.emplace_back(from, to);
      if (auto unsynced = unsynced_.extract(from)) {
        unsynced.key() = to;
        unsynced_.insert(std::move(unsynced));
      }
      return real_.rename(from, to);
    });
  }
  Result<void> sync_folder(const std::string& path) override {
    return step([&] {
      std::erase_if(renamed_, [&](const auto& one) { return folder_of(one.second) == path; });
      return real_.sync_folder(path);
    });
  }
  Result<void> remove(const std::string& path) override {
    return step([&] {
      unsynced_.erase(path);
      return real_.remove(path);
    });
  }
  Result<void> remove_folder(const std::string& path) override { return step([&] { return real_.remove_folder(path); }); }
  Result<void> overwrite(const std::string& path) override { return step([&] { return real_.overwrite(path); }); }

 private:
  template <class Change>
  Result<void> step(Change change) {
    if (has_crashed_) return fail(Error::Kind::kSystem, "crashed", EIO);
    if (--left_ > 0) return change();
    has_crashed_ = true;
    if (loses_power_) lose_power();
    return fail(Error::Kind::kSystem, "crashed", EIO);
  }
  void lose_power() {
    for (auto one = renamed_.rbegin(); one != renamed_.rend(); ++one) {
      if (prng_.one_in(2)) (void)real_.rename(one->second, one->first);
    }
    for (const auto& [path, synced] : unsynced_) {
      const Result<uint64_t> size = file_size(path);
      if (size && *size > synced) (void)real_.truncate(path, synced + prng_.below(*size - synced + 1));
    }
  }

  PosixFiles real_;
  Prng prng_;
  uint64_t left_;
  bool loses_power_;
  bool has_crashed_ = false;
  std::map<std::string, uint64_t> unsynced_;
  std::vector<std::pair<std::string, std::string>> renamed_;
};

}  // namespace weir::record::test
