// What a flow speaks: its first bytes, shown to the module that the target's configuration names.  Pure.
// Must never: guess.  A flow that is not what its target speaks is refused, with a reason; it is not tried elsewhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/module.h"

namespace weir::identify {

inline constexpr std::size_t kFirstBytesMax = 4096;  // Hit: the flow is not this protocol's.

struct FirstBytes {
  enum class Answer : uint8_t { kWait, kYes, kNo } answer = Answer::kNo;
  std::size_t need = 0;         // kWait: more bytes than are there, at least 1.
  std::string_view looks_like;  // kNo: "TLS", "HTTP", "SSH", ... or empty; static.
};

[[nodiscard]] FirstBytes identify_protocol(const ProtocolModule&, const FlowHint&, Bytes from_client, Bytes from_target);
// "not postgres: this looks like HTTP"
[[nodiscard]] std::string explain(const FirstBytes&, const ProtocolModule&);

}  // namespace weir::identify
