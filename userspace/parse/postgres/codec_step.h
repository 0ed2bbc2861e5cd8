// How the codec's parsing functions say "one more unit is out, go on" within one parse() call.
#pragma once
#include "core/module.h"

namespace weir::postgres {

constexpr Step went_on() { return {Outcome::kNeedBytes, 0, 0, Side::kClient, nullptr}; }
constexpr bool has_gone_on(const Step& step) { return step.outcome == Outcome::kNeedBytes && step.need == 0; }

}  // namespace weir::postgres
