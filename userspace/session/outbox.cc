#include "session/outbox.h"

#include "base/check.h"

namespace weir::session {

void SessionOutbox::cover(ByteRange range) {
  WEIR_CHECK(range.offset == covered_ && range.end() <= end_);  // Once, in order (I1, I2).
  covered_ = range.end();
  touched_ = true;
}

void SessionOutbox::check_covered() const { WEIR_CHECK(covered_ == end_); }

void SessionOutbox::pass(ByteRange range) {
  cover(range);
  session_.leg(sink_of(direction_)).out.pass(session_.stream(direction_).buffer.slice(range), range.end());
  out_size_ += range.size;
  passed_ += range.size;
}

void SessionOutbox::replace(ByteRange range, Bytes with) {
  cover(range);
  session_.leg(sink_of(direction_)).out.own(with, range.end());
  out_size_ += with.size();
}

void SessionOutbox::drop(ByteRange range) {
  cover(range);
  session_.leg(sink_of(direction_)).out.mark(range.end());
}

void SessionOutbox::inject(Side side, Bytes bytes) {
  const Direction direction = side == Side::kTarget ? Direction::kToTarget : Direction::kToClient;
  session_.leg(side).out.own(bytes, 0);
  Session::Stream& stream = session_.stream(direction);
  stream.account.injected += bytes.size();
  stream.window.on_injected(bytes.size());
}

}  // namespace weir::session
