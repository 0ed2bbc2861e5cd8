// What the evidence log says of the engine itself: with its start, and each minute what the kernel counted.  Counts, tags and
// clocks alone: a leaf is for ever, and names nobody.
#include <sys/timex.h>

#include "control/version.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;

// What the kernel knows of its clock: how far it was off, how far it may be, and whether anybody disciplines it.
json clock_state() {
  timex state{};
  const int answer = adjtimex(&state);
  if (answer < 0) return {{"synchronised", false}};
  const long unit = (state.status & STA_NANO) != 0 ? 1'000 : 1;
  return {{"synchronised", answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0}, {"offset_us", state.offset / unit}, {"error_max_us", state.maxerror}};
}

}  // namespace

void Engine::tell_evidence_log(record::SealerOptions& sealer) {
  const Config& wanted = options_.config;
  sealer.origin = wanted.record.origin;
  sealer.unlisted = recovered_.unlisted;
  sealer.start = {{"version", control::kVersion},
                  {"config", wanted.digest},
                  {"recovered", {{"interrupted", recovered_.interrupted}, {"unknown_commands", recovered_.unknown_commands}, {"torn_bytes", recovered_.torn_bytes}}}};
  sealer.heartbeat_every = wanted.record.heartbeat_every;
  sealer.heartbeat = [this] { return heartbeat(); };
}

json Engine::heartbeat() const {
  const steer::KernelSteering::Counters counts = steering_->counters();
  json dropped = json::object();
  for (const steer::ReasonCount& reason : steering_->dropped()) {
    if (reason.packets != 0) dropped[reason.name] = reason.packets;
  }
  return {{"steered", counts.steered},  {"sent", counts.sent},
          {"passed", counts.passed},    {"dropped", std::move(dropped)},
          {"drop_notices", drops_noticed_.load()}, {"pieces_lost", pieces_lost_.load()},
          {"programs", steering_->program_tags()}, {"clock", clock_state()},
          {"accepting", !segments_->counts().is_full}};
}

}  // namespace weir::session
