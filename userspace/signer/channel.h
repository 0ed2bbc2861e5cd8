// Frames over a stream socket, both ways.  Bounded in size, and in time where somebody waits.
#pragma once
#include <chrono>
#include <optional>

#include "base/result.h"
#include "signer/protocol.h"

namespace weir::signer {

// kUnavailable: the other side is gone.
[[nodiscard]] Result<void> send_frame(int socket, Bytes message);
// One message.  kNotFound: the other side has ended, at the end of a frame.  kUnavailable: it ended within one, or nothing came for `patience`
// (nullopt: for ever).  kInvalid: no frame of this version; the stream is of no use then.
[[nodiscard]] Result<Message> receive_frame(int socket, std::size_t size_max, std::optional<std::chrono::milliseconds> patience);

}  // namespace weir::signer
