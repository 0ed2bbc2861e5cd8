// Bypasses: a target whose new flows pass raw for a while.  The kernel ends them; the engine starts them, tells of them, and puts
// their start, their end and what passed on the record.
#include <algorithm>

#include "control/config_values.h"
#include "control/logging.h"
#include "core/json_fields.h"
#include "session/act_rules.h"
#include "session/engine_state.h"

namespace weir::session {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr std::string_view kNotOurs = "begun before this engine: why stands on the record";

std::string by_text(const control::ControlPeer& peer) { return peer.is_api() ? peer.subject : "uid " + std::to_string(peer.uid); }

json counts_of(const steer::BypassCounts& counts) {
  return {{"flows", counts.flows},
          {"packets_to_target", counts.packets_to_target}, {"bytes_to_target", counts.bytes_to_target},
          {"packets_to_client", counts.packets_to_client}, {"bytes_to_client", counts.bytes_to_client}};
}
std::string counts_text(const steer::BypassCounts& counts) {
  return std::to_string(counts.flows) + " flows, to the target " + std::to_string(counts.packets_to_target) + " packets of " + std::to_string(counts.bytes_to_target) +
         " bytes, to clients " + std::to_string(counts.packets_to_client) + " of " + std::to_string(counts.bytes_to_client);
}

}  // namespace

// What an engine before this one left on.
Result<void> Engine::open_bypasses() {
  auto opened = steer::KernelBypasses::open(config());
  if (!opened) return tl::unexpected<Error>(opened.error());
  bypasses_.emplace(std::move(*opened));
  for (const steer::KernelBypass& bypass : bypasses_->list()) {
    const auto until = wall_seconds() + std::chrono::floor<seconds>(bypass.left);
    bypass_notes_[bypass.target] = {"", std::string(kNotOurs), until};
    logging_->log().warn("a bypass is on for {} until {}: its new flows pass raw", bypass.target, control::text_of(until));
  }
  return {};
}

Result<json> Engine::start_bypass(const json& arguments, const control::ControlPeer& peer) {
  const std::string target = text_at(arguments, "target"), reason = text_at(arguments, "reason");
  const auto& targets = config().targets;
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const TargetConfig& each) { return each.name == target; });
  if (found == targets.end()) return fail(Error::Kind::kNotFound, "there is no target \"" + target.substr(0, 64) + "\"");
  const auto time = control::parse_duration(text_at(arguments, "for"));
  if (!time) return tl::unexpected<Error>(time.error());
  const auto length = std::chrono::floor<seconds>(*time);
  if (length < seconds(1) || length > config().bypass_max) {
    return fail(Error::Kind::kInvalid, "a bypass lasts 1s to " + control::text_of(std::chrono::microseconds(config().bypass_max)) + " (bypass.max), not " + control::text_of(*time));
  }
  const auto on = bypass_notes_.find(target);
  if (on != bypass_notes_.end()) {
    return fail(Error::Kind::kInvalid, "a bypass is on for " + target + " until " + control::text_of(on->second.until) + ": end it first (weir bypass " + target + " --end)");
  }
  // Above every id before it, also over restarts: a raw flow of an earlier bypass is none of this one.
  const uint64_t id = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const auto index = static_cast<uint32_t>(found - targets.begin());
  if (auto put = bypasses_->put(id, target, index, length); !put) return tl::unexpected<Error>(put.error());
  const BypassNote& note = bypass_notes_[target] = {by_text(peer), reason, wall_seconds() + length};
  const std::string until = control::text_of(note.until);
  logging_->log().warn("bypass: new flows of {} pass raw until {}, by {}, reason: {}", target, until, control::escape_bytes(note.by), control::escape_bytes(reason));
  tell(NoticeEvent::kBypass, NoticeSeverity::kHigh, target, "new flows to " + target + " pass raw, unjudged and unrecorded, until " + until + ", by " + note.by + ": " + reason);
  return json{{"target", target}, {"until", until}};
}

Result<json> Engine::end_bypass(const json& arguments) {
  const std::string target = text_at(arguments, "target");
  const auto ended = bypasses_->take(target);
  bypass_notes_.erase(target);
  if (!ended) return fail(Error::Kind::kNotFound, "no bypass is on for \"" + target.substr(0, 64) + "\"");
  logging_->log().warn("bypass of {} ended: {}", target, counts_text(ended->counts));
  tell(NoticeEvent::kBypass, NoticeSeverity::kHigh, target, "the bypass of " + target + " was ended: " + counts_text(ended->counts), true);
  json answer = counts_of(ended->counts);
  answer["target"] = target;
  answer["counts"] = counts_text(ended->counts);
  return answer;
}

json Engine::list_bypasses() const {
  json all = json::array();
  for (const steer::KernelBypass& bypass : bypasses_->list()) {
    json entry = counts_of(bypass.counts);
    entry["target"] = bypass.target;
    entry["left_seconds"] = std::chrono::floor<seconds>(bypass.left).count();
    const auto note = bypass_notes_.find(bypass.target);
    if (note != bypass_notes_.end()) {
      entry["by"] = note->second.by;
      entry["reason"] = note->second.reason;
      entry["until"] = control::text_of(note->second.until);
    }
    all.push_back(std::move(entry));
  }
  return all;
}

// The kernel has ended them: what passed goes on the record.  Pre: control_mutex_ is held.
void Engine::close_bypasses() {
  if (bypass_notes_.empty()) return;
  const std::vector<steer::KernelBypass> there = bypasses_->list();
  const auto record_end = [this](const std::string& target, const std::string& counts, const std::string& reason) {
    logging_->log().warn("bypass of {} ended by itself: {}", target, counts);
    tell(NoticeEvent::kBypass, NoticeSeverity::kHigh, target, "the bypass of " + target + " is over: " + counts, true);
    Act act;
    act.name = "bypass-ended";
    act.text = act_text({{"by", {{"via", "gateway"}}}, {"object", target + ": " + counts}, {"outcome", "done"}});
    act.reason = reason;
    static_cast<void>(record_act(std::move(act)));
  };
  for (auto note = bypass_notes_.begin(); note != bypass_notes_.end();) {
    const auto entry = std::find_if(there.begin(), there.end(), [&](const steer::KernelBypass& each) { return each.target == note->first; });
    if (entry != there.end() && entry->left > std::chrono::nanoseconds(0)) {
      ++note;
      continue;
    }
    const auto ended = bypasses_->take(note->first);
    record_end(note->first, ended ? counts_text(ended->counts) : "taken out of the kernel, so that its counts are gone", note->second.reason);
    note = bypass_notes_.erase(note);
  }
}

std::vector<control::MetricSample> Engine::bypass_samples() const {
  const std::vector<steer::KernelBypass> all = bypasses_->list();
  std::vector<control::MetricSample> samples = {{"weir_bypasses", "", "Targets whose new flows pass raw now (weir bypass).", MetricType::kGauge, static_cast<double>(bypass_notes_.size())}};
  const auto add = [&](const char* name, const char* help, auto value) {
    for (const steer::KernelBypass& bypass : all) {
      samples.push_back({name, "target=\"" + bypass.target + "\"", &bypass == all.data() ? help : "", MetricType::kGauge, static_cast<double>(value(bypass.counts))});
    }
  };
  using Counts = steer::BypassCounts;
  add("weir_bypass_flows", "Flows that passed raw in the bypass that is on.", [](const Counts& counts) { return counts.flows; });
  add("weir_bypass_bytes", "Bytes that passed raw in the bypass that is on, both ways.", [](const Counts& counts) { return counts.bytes_to_target + counts.bytes_to_client; });
  return samples;
}

}  // namespace weir::session
