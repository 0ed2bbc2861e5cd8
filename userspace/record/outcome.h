// Lines of a replay on their way out.  What became of a command stands in later events; its line waits here for them, with
// all lines behind it, but only so long: memory is bounded.
#pragma once
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>

#include "core/event.h"
#include "record/reader.h"

namespace weir::record {

class ReplayLines {
 public:
  static constexpr std::size_t kLinesMax = 4096, kBytesMax = 32u << 20;

  explicit ReplayLines(const LineSink& sink) : sink_(sink) {}
  // False: the reader has enough.
  [[nodiscard]] bool add(const RecordEvent&);
  // An event that this version cannot decode.
  [[nodiscard]] bool add_unreadable(uint64_t sequence, int64_t at_ns, uint8_t kind);
  // `has_ended`: no more events will come; commands without an answer stay unknown.
  [[nodiscard]] bool finish(bool has_ended);

 private:
  struct Line {
    nlohmann::json object;
    std::size_t size = 0;
    uint32_t stream = 0;
    uint64_t unit = 0;            // Of a command that waits for its outcome; 0: none.
  };
  void settle(uint32_t stream, uint64_t from, uint64_t upto, uint64_t exact, const std::string& outcome);
  bool push(Line);
  bool flush(bool all, const char* otherwise);

  const LineSink& sink_;
  std::deque<Line> lines_;
  std::size_t bytes_ = 0;
};

}  // namespace weir::record
