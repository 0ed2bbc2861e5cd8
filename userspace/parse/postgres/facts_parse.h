// One text in, StatementFacts out: the miss path.  Runs on a thread with a stack for depth_limit(): see facts_pool.h.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "core/facts.h"
#include "core/limits.h"

namespace weir::postgres {

struct ParsedFacts {
  std::shared_ptr<StatementFacts> facts;
  // The facts hold for every text of the same key (sql_key): no constant shows in them.
  bool holds_for_key = false;
  bool ran_out = false;    // Opaque for want of work alone: more effort may read it.
  std::size_t bytes = 0;   // What they take, by estimate.
};
// Quick: a few milliseconds at most, for the lane that small statements wait in.
enum class Effort : uint8_t { kQuick, kFull };
// Never fails: what cannot be read is opaque.  `catalogue` may be null.
ParsedFacts parse_facts(std::string_view text, const Catalogue* catalogue, std::string_view search_path,
                        bool standard_conforming_strings, const Limits& limits, Effort effort = Effort::kFull);

// The deepest tree, in tokens, that is parsed; deeper ones are opaque.  And the stack that takes.
uint32_t depth_limit(const Limits& limits);
std::size_t parser_stack_size(const Limits& limits);

}  // namespace weir::postgres
