// The cursors of one (stream, direction).  The only place where they move (I1).
//
//   input axis    released <= settled <= judged <= parsed <= received      offsets in the plaintext as it came
//   output axis   sent <= queued                                            offsets in what we send; an edit may change sizes
//
// A byte is `judged` when its unit has a final verdict and a durable record, `settled` when the codec has said what becomes
// of it, `released` when what it became has been sent.
#pragma once
#include <cstdint>

#include "base/check.h"
#include "core/unit.h"

namespace weir::forward {

class Window {
 public:
  void on_received(uint64_t size) { received_ += size; }
  // Pre: upto never goes back, and is at most received().
  void on_parsed(uint64_t upto) {
    WEIR_CHECK(upto >= parsed_ && upto <= received_);
    parsed_ = upto;
  }
  void on_judged(uint64_t upto) {
    WEIR_CHECK(upto >= judged_ && upto <= parsed_);  // I1
    judged_ = upto;
  }
  // Pre: `in` starts where the last one ended, and was judged.  `out_size`: bytes that it became (0 for a drop).
  void on_settled(ByteRange in, uint64_t out_size) {
    WEIR_CHECK(in.offset == settled_);
    WEIR_CHECK(in.end() <= judged_);  // I1: nothing settles, hence nothing is queued, before its verdict.
    settled_ = in.end();
    queued_ += out_size;
  }
  void on_injected(uint64_t out_size) { queued_ += out_size; }
  void on_sent(uint64_t out_size) {
    WEIR_CHECK(out_size <= queued_ - sent_);  // I1: sent <= queued
    sent_ += out_size;
  }
  void on_released(uint64_t upto) {
    WEIR_CHECK(upto >= released_ && upto <= settled_);  // I1
    released_ = upto;
  }

  [[nodiscard]] uint64_t received() const { return received_; }
  [[nodiscard]] uint64_t parsed() const { return parsed_; }
  [[nodiscard]] uint64_t judged() const { return judged_; }
  [[nodiscard]] uint64_t settled() const { return settled_; }
  [[nodiscard]] uint64_t released() const { return released_; }
  [[nodiscard]] uint64_t queued() const { return queued_; }
  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] bool is_drained() const { return settled_ == received_ && sent_ == queued_; }

 private:
  uint64_t received_ = 0, parsed_ = 0, judged_ = 0, settled_ = 0, released_ = 0;
  uint64_t queued_ = 0, sent_ = 0;
};

}  // namespace weir::forward
