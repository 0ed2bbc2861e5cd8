// The syslog sink: datagrams, streams, TLS streams, and this host's own /dev/log.
// UDP says nothing of what arrives.  A stream's message counts as delivered once the other side's kernel has acknowledged it.
#pragma once
#include <atomic>
#include <memory>

#include "notify/sink.h"

namespace weir::notify {

inline constexpr const char* kLocalLog = "/dev/log";

// `local`: where "local" is; another one in tests.
[[nodiscard]] std::unique_ptr<Sink> make_syslog(const SinkConfig& config, const std::atomic<bool>& stop, std::string local = kLocalLog);

}  // namespace weir::notify
