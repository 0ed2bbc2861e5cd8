// Where notices go.  Each sink has a thread of its own, so that a dead one holds up no other.
#pragma once
#include <atomic>
#include <memory>

#include "base/result.h"
#include "core/config.h"
#include "core/notice.h"
#include "kernel/https.h"
#include "notify/signature.h"

namespace weir::notify {

class Sink {
 public:
  virtual ~Sink() = default;
  // Post: the other side has it.  Blocking, at most some 10 s; ends early once the flag it was made with is set.
  // Errors, without a secret or a word of the peer's: kInvalid: it will not take this one, whenever it is asked;
  // kUnavailable: not now.
  [[nodiscard]] virtual Result<void> deliver(const Notice& notice) = 0;
};

// `stop` outlives the sink.  `https`: empty: kernel::https_request().
[[nodiscard]] std::unique_ptr<Sink> make_sink(const SinkConfig& config, Secrets secrets, const std::atomic<bool>& stop, kernel::Https https = {});

}  // namespace weir::notify
