// Carries out what the codec decided for one unit, or for a signal: queues pieces and keeps the account.
#pragma once
#include "core/module.h"
#include "session/session.h"

namespace weir::session {

// For one settle() or signal() call.  Invariant: pass, replace and drop cover the unit from its first byte to its last.
class SessionOutbox final : public Outbox {
 public:
  // `unit` empty (size 0): a signal, which may only inject.
  SessionOutbox(Session& session, Direction direction, ByteRange unit)
      : session_(session), direction_(direction), covered_(unit.offset), end_(unit.end()) {}

  void pass(ByteRange range) override;
  void replace(ByteRange range, Bytes with) override;
  void drop(ByteRange range) override;
  void inject(Side side, Bytes bytes) override;

  [[nodiscard]] uint64_t out_size() const { return out_size_; }     // What the unit became, on its own direction's output.
  [[nodiscard]] uint64_t passed() const { return passed_; }
  [[nodiscard]] bool touched() const { return touched_; }
  void check_covered() const;

 private:
  void cover(ByteRange range);
  Session& session_;
  Direction direction_;
  uint64_t covered_, end_;
  uint64_t out_size_ = 0, passed_ = 0;
  bool touched_ = false;
};

}  // namespace weir::session
