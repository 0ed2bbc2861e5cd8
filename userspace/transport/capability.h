// What Weir can see at a target with this configuration, said before the first session: printed by `weir check`, sealed into
// each archive, so that no session is silently blind.  Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/config.h"

namespace weir::transport {

struct CapabilityVerdict {
  enum class Kind : uint8_t {
    kFull,          // Every command is read.
    kFullWithKey,   // The same, because the gateway holds the target's own certificate and key.
    kMetadataOnly,  // Who, when, how much; not what.
    kRefused,       // Cannot work, or would be blind against the configuration: sessions are refused with `reason`.
  };
  Kind kind = Kind::kRefused;
  std::string reason;  // A sentence.
  std::string fix;     // kRefused: what to change, by key.  Else empty.
  std::string trust;   // What a client that verifies the server needs.  Empty: nothing.
  [[nodiscard]] bool admits() const { return kind != Kind::kRefused; }
};
[[nodiscard]] std::string_view name_of(CapabilityVerdict::Kind kind);  // "full", "full with the target's key", ...

// `is_readable`: this build has a module for the target's protocol.
[[nodiscard]] CapabilityVerdict capability(const TargetConfig&, const Config&, bool is_readable = true);
// "orders-db: full (reason). Clients that verify the server: ..."  One line, for `weir check` and the seals.
[[nodiscard]] std::string text_of(const CapabilityVerdict&, std::string_view target);

}  // namespace weir::transport
