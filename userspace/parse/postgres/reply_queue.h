// What the target still owes: one entry for each passed message that has an answer, in order.  Two places in it: where the
// parser of to_client stands (read), and what was settled towards the client (pop).  settled <= read.
#pragma once
#include <cstdint>
#include <string>

#include "parse/postgres/codec_ring.h"
#include "parse/postgres/statements.h"

namespace weir::postgres {

// Answers outstanding.  Hit: to_target is parsed no further until some came; a target answers at the latest when its own
// output buffer is full.
constexpr std::size_t kRepliesMax = 16'384;

enum class ReplyKind : uint8_t {
  kQuery,              // Results ..., ReadyForQuery.
  kParse,              // ParseComplete
  kBind,               // BindComplete
  kDescribeStatement,  // ParameterDescription, then RowDescription or NoData
  kDescribePortal,     // RowDescription or NoData
  kExecute,            // Rows, then CommandComplete, EmptyQueryResponse or PortalSuspended
  kClose,              // CloseComplete
  kFunctionCall,       // FunctionCallResponse, ReadyForQuery
  kSync,               // ReadyForQuery
  kStandIn,            // The error that our stand-in provokes.
};

struct Expected {
  uint64_t unit = 0;          // The to_target unit that asked.
  ReplyKind kind{};
  Traits traits = 0;
  uint64_t statement = 0;     // kQuery, kParse: its own text.
  Meanings meanings{};        // What the answer's rows may come from.
  PortalMeaning portal{};     // kBind, kDescribePortal, kExecute.
  char closes = 0;            // kClose: 'S' or 'P'.
  bool is_answered = false;   // As read: the target did what it was asked.
  std::string name;           // kParse, kBind, kClose: the statement or portal.
};

class ReplyQueue {
 public:
  Expected& add() { return entries_.add(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  Expected& operator[](std::size_t index) { return entries_[index]; }

  // The entry that the target's next message answers; nullptr: none.
  Expected* reading() { return read_ < entries_.size() ? &entries_[read_] : nullptr; }
  void read_next() { ++read_; }
  // After an error in an extended segment the target answers nothing before its next Sync.  False: none was sent yet.
  bool read_to_sync() {
    while (read_ < entries_.size() && entries_[read_].kind != ReplyKind::kSync) ++read_;
    return read_ < entries_.size();
  }
  // Settled: all up to and with the answer to `unit`.  `f` sees each one that goes.
  template <class F>
  void pop_through(uint64_t unit, F&& f) {
    while (!entries_.empty() && entries_.front().unit <= unit) pop(f);
  }
  // Settled: an error; what was to be answered before the next Sync never will be.
  template <class F>
  void pop_to_sync(F&& f) {
    while (!entries_.empty() && entries_.front().kind != ReplyKind::kSync) pop(f);
  }
  [[nodiscard]] bool has_sync() const {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].kind == ReplyKind::kSync) return true;
    }
    return false;
  }

 private:
  template <class F>
  void pop(F&& f) {
    f(entries_.front());
    entries_.pop();
    if (read_ > 0) --read_;
  }
  Ring<Expected> entries_;
  std::size_t read_ = 0;
};

}  // namespace weir::postgres
