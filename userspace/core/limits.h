// Every limit of the engine: a name, a default, what happens when it is hit.  Pools are sums of these (pool_bytes()).
#pragma once
#include <chrono>
#include <cstdint>

namespace weir {

struct Limits {
  // Admission.  Hit: the new flow is refused in the protocol's words (53300), counted, on the record.
  uint32_t sessions_max = 10'000;              // All cores together.
  uint32_t sessions_per_identity_max = 200;
  // Units.  Hit: rows and data come in parts; a command that cannot be judged in parts is `opaque`.
  uint32_t unit_size_max = 1u << 20;
  uint32_t statement_size_max = 16u << 20;     // Parser input; hit: opaque.
  uint32_t statement_inline_max = 16u << 10;   // Larger ones are never lexed or parsed on the core.
  uint32_t prepared_per_session_max = 1000;    // Hit: the Parse is blocked, 53400.
  uint32_t held_per_session_max = 1;
  uint64_t held_bytes_max = 64u << 20;
  // Buffers of one core.
  uint32_t receive_buffer_size = 16u << 10;    // One provided buffer.
  uint32_t receive_buffer_count = 512;         // Of each side (clients, targets).  Power of two.  Hit: -ENOBUFS, back-pressure until one is back.
  uint32_t leases_per_direction_max = 8;       // Hit: that direction stops receiving until what it holds is sent.
  uint32_t session_arena_size = 64u << 10;     // Decoded text and edits of unsettled units, taken from a pool when needed.  Hit: block "too large to judge".
  uint32_t units_per_step_max = 64;            // Hit: the rest of the chunk waits for the next step.
  uint32_t queued_output_max = 1u << 20;       // Per side.  Hit: the other side's receive stops (back-pressure).
  uint32_t facts_cache_entries = 8192;         // Per core.  Hit: the least recently used leaves.
  uint32_t facts_pending_max = 1024;           // Per core.  Hit: opaque.

  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds idle_timeout{8 * 3600 * 1000};
  std::chrono::milliseconds drain_timeout{30'000};
};

}  // namespace weir
