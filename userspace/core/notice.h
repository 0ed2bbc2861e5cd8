// What somebody outside should be told of: made by cores and by the control thread, carried by notify/.
// Must never: hold a secret, or more of a statement than the record has; make a core wait.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/ring_queue.h"

namespace weir {

enum class NoticeEvent : uint8_t {
  kAlert,          // An alert rule fired.
  kRefused,        // A rule, or the lack of a grant, refused a command or a login.
  kTicket,         // A ticket was opened, answered, withdrawn, or its deadline came.
  kRevoked,        // A person ended bindings, or cut what was live.
  kDropBurst,      // The kernel side dropped more packets than usual.
  kRecordingGap,   // The journal could not take events.
  kDiskLow,        // The record has no room, or has room again.
  kConfigRefused,  // A reload was refused: the file on disk is not what is in force.
  kProviderDown,   // An issuer's keys cannot be fetched, or can be again.
  kStoreDown,      // What outlives the process cannot be written, or can be again.
  kLogUnwitnessed, // A witness or the time stamp authority does not sign the evidence log, or says that it is another one; or signs it again.
  kBypass,         // A target is let through unwatched for a time, or no more.
  kNoticesLost,    // Notices did not fit into a queue or the spool.
  kTest,           // `weir alerts test`.
  kCount,
};
using NoticeEventSet = uint32_t;
constexpr NoticeEventSet bit(NoticeEvent event) { return NoticeEventSet{1} << static_cast<uint32_t>(event); }
// "alert", "drop-burst", ...: as in the configuration.
std::string_view name_of(NoticeEvent event);

enum class NoticeSeverity : uint8_t { kInfo, kLow, kMedium, kHigh, kCritical, kCount };
std::string_view name_of(NoticeSeverity severity);
// True: it stays open until a person closes it (`weir alerts close`).
constexpr bool is_alert(NoticeEvent event) {
  constexpr NoticeEventSet kNot = bit(NoticeEvent::kTicket) | bit(NoticeEvent::kRevoked) | bit(NoticeEvent::kTest);
  return (kNot & bit(event)) == 0;
}

inline constexpr std::string_view kBack = "back";

struct Notice {
  std::string id;            // Unique over gateways and restarts, in the order of time: who gets it twice knows it by this.
  NoticeEvent event = NoticeEvent::kAlert;
  NoticeSeverity severity = NoticeSeverity::kMedium;
  std::chrono::sys_time<std::chrono::milliseconds> at{};
  std::string gateway, subject, target;
  std::string rule;          // Or reason, issuer: what it is the same by.
  std::string state;         // Of a ticket: "open", "approved", ...; kBack: what was wrong is over, which nobody has to close.
  std::string text;          // One sentence for people.
  std::string statement;     // As the record has it: masked; cut.
  uint64_t session = 0, unit = 0, ticket = 0, alert = 0;  // 0: none.
};

// Text of at most N bytes, kept in place; what is longer is cut.
template <std::size_t N>
class FixedText {
 public:
  void set(std::string_view text) noexcept {
    size_ = static_cast<uint16_t>(std::min(text.size(), N));
    std::copy_n(text.data(), size_, data_.data());
  }
  [[nodiscard]] std::string_view view() const noexcept { return {data_.data(), size_}; }

 private:
  static_assert(N <= UINT16_MAX);
  std::array<char, N> data_{};  // The first size_ bytes are text.
  uint16_t size_ = 0;
};

// What a core writes: fixed memory, copied into a queue.
struct CoreNotice {
  NoticeEvent event = NoticeEvent::kAlert;
  int64_t at_ns = 0;         // Wall clock.
  uint64_t session = 0, unit = 0;
  FixedText<128> rule;
  FixedText<192> subject;
  FixedText<64> target;
  FixedText<24> verb;
  FixedText<512> statement;  // Masked, as the record has it.
};

// One core's notices on their way to the thread that carries them.  Never waits: what does not fit is counted.
class NoticeQueue {
 public:
  static constexpr std::size_t kCapacity = 1024;
  // `wake`: called by the core once for all that it pushes until the other side looks; must not wait.
  explicit NoticeQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  // The core.
  void push(const CoreNotice& notice) noexcept {
    if (!queue_.push(notice)) lost_.fetch_add(1, std::memory_order_relaxed);
    if (!is_woken_.exchange(true)) wake_();
  }
  // The other thread: before it pops, so that what comes later wakes it again.
  void look() noexcept { is_woken_.store(false); }
  [[nodiscard]] bool pop(CoreNotice& notice) noexcept { return queue_.pop(notice); }
  [[nodiscard]] uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  RingQueue<CoreNotice> queue_{kCapacity};
  const std::function<void()> wake_;
  std::atomic<bool> is_woken_{false};
  std::atomic<uint64_t> lost_{0};
};

}  // namespace weir
