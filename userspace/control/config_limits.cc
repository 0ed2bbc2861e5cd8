// `weir check --limits`: every limit with its value and what it costs.  The sums are those of the pools that the engine makes
// at start-up (fixed) and of what sessions and caches may take later (at most).
#include "control/config_loader.h"
#include "control/config_values.h"

namespace weir::control {
namespace {

// One cached statement with its facts: text, vectors and strings of a usual statement, as measured with malloc_usable_size.
constexpr uint64_t kFactsEntry = 2048;
// A session's own objects, codec and both windows included (DESIGN section 4: 8 KiB for an idle plain session).
constexpr uint64_t kSessionBase = 8u << 10;

class TableBuilder {
 public:
  template <class T>
  void count(std::string name, T value, T preset, std::string when_hit, uint64_t memory = 0, std::string formula = {}) {
    table_.rows.push_back({std::move(name), std::to_string(value), std::to_string(preset), std::move(when_hit), memory, std::move(formula)});
  }
  template <class T>
  void size(std::string name, T value, T preset, std::string when_hit, uint64_t memory = 0, std::string formula = {}) {
    table_.rows.push_back({std::move(name), size_text(value), size_text(preset), std::move(when_hit), memory, std::move(formula)});
  }
  void time(std::string name, std::chrono::milliseconds value, std::chrono::milliseconds preset, std::string when_hit) {
    table_.rows.push_back({std::move(name), text_of(std::chrono::microseconds(value)), text_of(std::chrono::microseconds(preset)), std::move(when_hit), 0, {}});
  }
  LimitTable take(uint64_t fixed) {
    table_.fixed = fixed;
    for (const LimitRow& row : table_.rows) table_.at_most += row.memory;
    return std::move(table_);
  }

 private:
  LimitTable table_;
};

}  // namespace

LimitTable limit_table(const Config& config, uint32_t core_count) {
  const Limits& now = config.engine.limits;
  const Limits preset;
  const uint64_t cores = core_count, sessions = now.sessions_max;
  const std::string per_core = std::to_string(core_count) + (core_count == 1 ? " core x " : " cores x ");
  TableBuilder table;
  table.count("engine.limits.sessions_max", now.sessions_max, preset.sessions_max, "new flows are refused, counted, on the record",
              sessions * kSessionBase, "sessions_max x 8KiB");
  table.count("engine.limits.sessions_per_identity_max", now.sessions_per_identity_max, preset.sessions_per_identity_max,
              "that identity's new flows are refused, counted, on the record");
  table.size("engine.limits.unit_size_max", now.unit_size_max, preset.unit_size_max, "rows and data come in parts; a command is opaque");
  table.size("engine.limits.statement_size_max", now.statement_size_max, preset.statement_size_max, "the statement is opaque");
  table.size("engine.limits.statement_inline_max", now.statement_inline_max, preset.statement_inline_max, "it is parsed off the core");
  table.count("engine.limits.prepared_per_session_max", now.prepared_per_session_max, preset.prepared_per_session_max, "the Parse is blocked, 53400");
  table.count("engine.limits.held_per_session_max", now.held_per_session_max, preset.held_per_session_max, "the next one is blocked");
  table.size("engine.limits.held_bytes_max", now.held_bytes_max, preset.held_bytes_max, "blocked: too much is waiting", now.held_bytes_max, "held_bytes_max");
  const uint64_t buffers = 2 * uint64_t{now.receive_buffer_size} * now.receive_buffer_count * cores;
  table.size("engine.limits.receive_buffer_size", now.receive_buffer_size, preset.receive_buffer_size, "a receive takes several buffers");
  table.count("engine.limits.receive_buffer_count", now.receive_buffer_count, preset.receive_buffer_count, "back-pressure until one is back", buffers,
              per_core + "2 sides x receive_buffer_count x receive_buffer_size");
  table.count("engine.limits.leases_per_direction_max", now.leases_per_direction_max, preset.leases_per_direction_max,
              "that direction stops receiving until what it holds is sent");
  table.size("engine.limits.session_arena_size", now.session_arena_size, preset.session_arena_size, "blocked: too large to judge",
             sessions * now.session_arena_size, "sessions_max x session_arena_size, while units are unsettled");
  table.count("engine.limits.units_per_step_max", now.units_per_step_max, preset.units_per_step_max, "the rest of the chunk waits for the next step");
  table.size("engine.limits.queued_output_max", now.queued_output_max, preset.queued_output_max, "the other side's receive stops",
             2 * sessions * now.queued_output_max, "2 x sessions_max x queued_output_max, while peers do not read");
  table.count("engine.limits.facts_cache_entries", now.facts_cache_entries, preset.facts_cache_entries, "the least recently used leaves",
              cores * now.facts_cache_entries * kFactsEntry, per_core + "facts_cache_entries x 2KiB");
  table.count("engine.limits.facts_pending_max", now.facts_pending_max, preset.facts_pending_max, "the statement is opaque");
  table.time("engine.timeouts.connect", now.connect_timeout, preset.connect_timeout, "the client is told that the target does not answer");
  table.time("engine.timeouts.handshake", now.handshake_timeout, preset.handshake_timeout, "the session ends");
  table.time("engine.timeouts.idle", now.idle_timeout, preset.idle_timeout, "the session ends with the protocol's own message");
  table.time("engine.timeouts.drain", now.drain_timeout, preset.drain_timeout, "what is still open at the end of a drain is closed");
  const SteerConfig steer;
  table.count("steer.bindings_max", config.steer.bindings_max, steer.bindings_max, "a new binding is refused; in the kernel, an unknown address is unbound");
  table.count("steer.flows_max", config.steer.flows_max, steer.flows_max, "packets of new flows are dropped and counted");
  table.count("steer.drop_notices_per_second", config.steer.drop_notices_per_second, steer.drop_notices_per_second, "drops are counted without a notice");
  return table.take(buffers);
}

}  // namespace weir::control
