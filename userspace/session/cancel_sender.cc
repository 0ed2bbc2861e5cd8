#include "session/cancel_sender.h"

#include <algorithm>
#include <cstring>

namespace weir::session {

void CancelSender::deliver(const Endpoint& target, uint32_t mark, Bytes request) {
  const auto slot = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.is_busy; });
  if (slot == slots_.end() || request.size() > kRequestSizeMax) {
    counters_.add(Metric::kSystemErrors);
    return;
  }
  slot->is_busy = true;
  ++busy_;
  std::memcpy(slot->request.data(), request.data(), request.size());
  slot->piece = Bytes(slot->request).first(request.size());
  DialPlan plan;
  plan.target = target;
  plan.is_transparent = false;
  plan.mark = mark;
  io_.connect(plan, token(static_cast<uint32_t>(slot - slots_.begin()), OpKind::kConnect));
}

void CancelSender::on_completion(const Completion& completion) {
  const uint32_t index = completion.token.slot;
  if (index >= kSlots) return;
  Slot& slot = slots_[index];
  if (completion.token.kind == OpKind::kConnect && completion.result >= 0) {
    slot.fd = completion.result;
    io_.send(slot.fd, {&slot.piece, 1}, token(index, OpKind::kSend));
  } else if (completion.token.kind == OpKind::kSend) {
    io_.close(slot.fd, false, token(index, OpKind::kClose));
  } else {
    if (completion.token.kind == OpKind::kConnect) counters_.add(Metric::kSystemErrors);
    slot.is_busy = false;
    slot.fd = -1;
    --busy_;
  }
}

}  // namespace weir::session
