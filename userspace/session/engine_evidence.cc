// What the evidence log says of the engine itself: with its start, and each minute what the kernel counted.  Counts, tags and
// clocks alone: a leaf is for ever, and names nobody.
#include <sys/timex.h>

#include "control/cli_text.h"
#include "control/version.h"
#include "core/time_text.h"
#include "kernel/https.h"
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

Result<record::NoteVerifier> witness_key(const WitnessConfig& witness) {
  constexpr std::size_t kSizeMax = 16u << 10;
  const Result<std::string> text = record::read_text(witness.key_file, kSizeMax);
  Result<record::NoteVerifier> key = text ? record::witness_from_text(*text) : tl::unexpected(text.error());
  if (!key) return fail(Error::Kind::kInvalid, "record.log.witnesses: " + witness.key_file + ": " + key.error().message);
  return key;
}

}  // namespace

void Engine::tell_evidence_log(record::SealerOptions& sealer) {
  const Config& wanted = options_.config;
  sealer.origin = wanted.record.origin;
  sealer.unlisted = recovered_.unlisted;
  sealer.start = {{"version", control::kVersion},
                  {"config", wanted.digest},
                  {"recovered", {{"interrupted", recovered_.interrupted}, {"unknown_commands", recovered_.unknown_commands}, {"torn_bytes", recovered_.torn_bytes}}}};
  sealer.leaves = &leaves_;
  for (const WitnessConfig& witness : wanted.record.witnesses) {
    if (const auto key = witness_key(witness)) sealer.start["witnesses"].push_back(record::to_vkey(*key));
  }
  if (!wanted.record.timestamps.url.empty()) sealer.start["timestamps_s"] = wanted.record.timestamps.every.count();
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

// Whoever signs beside us is asked by a thread of its own: one that is away holds up nothing.
Result<void> Engine::open_countersigner() {
  const RecordConfig& wanted = options_.config.record;
  if (wanted.witnesses.empty() && wanted.timestamps.url.empty()) return {};
  record::CountersignerOptions options{.log = options_.config.state + "/log", .every = wanted.checkpoint_every, .witnesses = {},
                                       .stamps = {.url = wanted.timestamps.url, .ca_file = wanted.timestamps.ca_file, .every = wanted.timestamps.every}};
  for (const WitnessConfig& witness : wanted.witnesses) {
    auto key = witness_key(witness);
    if (!key) return tl::unexpected<Error>(key.error());
    options.witnesses.push_back({.url = witness.url, .key = std::move(*key)});
  }
  const auto post = [this](const record::PostRequest& asked) -> Result<record::PostAnswer> {
    kernel::HttpsRequest request;
    request.url = asked.url;
    request.size_max = asked.answer_size_max;
    request.body = asked.body;
    request.content_type = asked.content_type;
    request.accept = asked.accept;
    request.may_be_plain = true;  // Both kinds of answer are signed.
    auto answer = kernel::https_request(request, &is_asking_over_);
    if (!answer) return tl::unexpected<Error>(answer.error());
    return record::PostAnswer{.status = answer->status, .content_type = std::move(answer->content_type), .body = std::move(answer->body), .retry_after = answer->retry_after};
  };
  auto countersigner = std::make_unique<record::Countersigner>(std::move(options), post, files_, &leaves_);
  if (auto opened = countersigner->open(); !opened) return opened;
  countersigner_ = std::make_unique<record::CountersignerThread>(std::move(countersigner));
  return {};
}

json Engine::countersigners() const {
  json all = json::array();
  for (const record::CountersignState& state : countersigner_ ? countersigner_->states() : std::vector<record::CountersignState>{}) {
    json entry = {{"by", state.name}, {"state", record::name_of(state.health)}, {"entries", state.size}, {"at", utc_text_if_set(std::chrono::sys_seconds(std::chrono::seconds(state.at_s)))}};
    if (!state.problem.empty()) entry["failed"] = state.problem;
    all.push_back(std::move(entry));
  }
  return all;
}

// What became of who signs beside us since the last look: to the log, and to whom it concerns.
void Engine::watch_countersigner() {
  using Health = record::CountersignState::Health;
  if (!countersigner_) return;
  for (const record::CountersignState& state : countersigner_->states()) {
    Health& told = countersign_told_[state.name];
    if (state.health == told || state.health == Health::kNew) continue;
    const bool was_well = told == Health::kNew || told == Health::kGood, is_well = state.health == Health::kGood;
    told = state.health;
    const std::string text = is_well ? state.name + " signs the evidence log" : state.name + " does not sign the evidence log (" + std::string(record::name_of(state.health)) + "): " + state.problem;
    if (is_well) logging_->log().info("{}", control::escape_bytes(text));
    else if (record::is_alarming(state.health)) logging_->log().error("{}", control::escape_bytes(text));
    else logging_->log().warn("{}", control::escape_bytes(text));
    if (is_well && was_well) continue;
    const NoticeSeverity severity = state.health == Health::kContradicts ? NoticeSeverity::kCritical : record::is_alarming(state.health) ? NoticeSeverity::kHigh : NoticeSeverity::kMedium;
    tell(NoticeEvent::kLogUnwitnessed, severity, state.name, text, is_well);
  }
}

std::vector<control::MetricSample> Engine::countersign_samples() const {
  std::vector<control::MetricSample> all;
  const std::vector<record::CountersignState> states = countersigner_ ? countersigner_->states() : std::vector<record::CountersignState>{};
  const auto add = [&](const char* name, const char* help, auto value) {
    for (const record::CountersignState& state : states)
      all.push_back({name, "by=\"" + state.name + "\"", &state == states.data() ? help : "", MetricType::kGauge, static_cast<double>(value(state))});
  };
  using State = record::CountersignState;
  add("weir_log_countersigned_entries", "Entries of the evidence log under the newest signature of a witness, or of the time stamp authority.", [](const State& state) { return state.size; });
  add("weir_log_countersigned_seconds", "The time that its newest signature states, in seconds since 1970.", [](const State& state) { return state.at_s; });
  add("weir_log_countersign_good", "1: its last answer was a signature that holds.", [](const State& state) { return state.health == State::Health::kGood ? 1 : 0; });
  add("weir_log_countersign_alarm", "1: it refused, signed something else, or says that the log is not the one it signed.", [](const State& state) { return record::is_alarming(state.health) ? 1 : 0; });
  bool is_first = true;
  for (const record::CountersignState& state : states) {
    for (const auto& [answer, count] : state.answers) {
      all.push_back({"weir_log_countersign_answers_total", "by=\"" + state.name + "\",answer=\"" + answer + "\"",
                     std::exchange(is_first, false) ? "Answers of witnesses and of the time stamp authority, by HTTP status; none: no answer; wrong: what it signed did not hold." : "", MetricType::kCounter, static_cast<double>(count)});
    }
  }
  return all;
}

// A cache of what sessions can be looked for by: its troubles are told and stop nothing.
void Engine::start_index() {
  record::RecordPlace place = record::RecordPlace::of(options_.config.state);
  place.openers = keys_.openers;
  index_ = std::make_unique<record::IndexThread>(std::move(place), std::chrono::milliseconds(500),
                                                 [this](const Error& error) { logging_->log().error("index: {}", error.message); });
}

json Engine::index_status() const {
  const record::FeedCounts counts = index_->counts();
  return {{"sessions", counts.sessions}, {"behind", counts.behind}, {"errors", counts.errors}, {"rebuilds", counts.rebuilds}, {"error", counts.error}};
}

std::vector<control::MetricSample> Engine::index_samples() const {
  const record::FeedCounts counts = index_->counts();
  const auto value = [](uint64_t number) { return static_cast<double>(number); };
  return {{"weir_index_seals_total", "", "Seals that were put into the search index since the start.", MetricType::kCounter, value(counts.sessions)},
          {"weir_index_behind", "", "Entries of the evidence log that the search index has not seen.", MetricType::kGauge, value(counts.behind)},
          {"weir_index_errors_total", "", "Steps of the search index that failed; it is a cache, and sealing goes on.", MetricType::kCounter, value(counts.errors)},
          {"weir_index_rebuilds_total", "", "Times the search index was damaged, of another version or of another log, and was begun anew.", MetricType::kCounter, value(counts.rebuilds)}};
}

}  // namespace weir::session
