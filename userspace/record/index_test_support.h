// What the tests of the index share: feeding it, listing with and without it, and what stands on disk.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "record/index_feed.h"
#include "record/reader.h"

namespace weir::record::test {

inline void feed(const RecordPlace& place) {
  IndexFeeder feeder(place);
  for (int turn = 0; turn < 1000; ++turn) {
    const Result<uint64_t> left = feeder.step();
    ASSERT_TRUE(left) << left.error().message;
    if (*left == 0) return;
  }
  FAIL() << "it never came to the end of the log";
}

// The lines, then why the index was not used (if it had to be), then what was told to be locked.
inline std::string list(const RecordPlace& place, SessionFilter filter, bool must_be_by_index = false) {
  std::string all;
  filter.tell = [&](const std::string& why) { if (must_be_by_index) all += why; };
  std::set<uint64_t> locked;
  filter.tell_locked = [&](uint64_t session) { EXPECT_TRUE(locked.insert(session).second) << "told twice"; };
  const Result<void> done = list_sessions(place, filter, [&](const std::string& line) {
    all += line + "\n";
    return true;
  });
  for (const uint64_t session : locked) all += "locked " + std::to_string(session) + "\n";
  return done ? all : all + done.error().message;
}

inline RecordPlace without_index(RecordPlace place) {
  place.index.clear();
  return place;
}

inline std::string archive_path(const RecordPlace& place, uint64_t session) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(place.archive)) {
    if (entry.path().filename() == std::to_string(session) + ".weir") return entry.path();
  }
  return {};
}

// The database and what SQLite keeps beside it.
inline std::string bytes_beside(const std::string& file) {
  std::string all;
  for (const char* tail : {"", "-wal", "-journal"}) {
    std::ifstream in(file + tail, std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  return all;
}

}  // namespace weir::record::test
