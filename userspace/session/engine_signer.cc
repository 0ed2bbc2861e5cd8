// The process that holds the keys: started first, asked for every signature, and the engine's end when it is gone.
#include <signal.h>
#include <unistd.h>

#include "control/privileges.h"
#include "record/evidence_log.h"
#include "session/engine_state.h"

namespace weir::session {

using nlohmann::json;

// As root, and alone: the signer opens its files before it drops to its own user, and the engine has not read a thing by then.
Result<void> Engine::open_signer() {
  const Config& wanted = options_.config;
  if (auto prepared = control::prepare_state_folder(wanted.state, wanted.engine.user); !prepared) return prepared;
  auto started = signer::Process::start(signer::setup_of(wanted));
  if (!started) return tl::unexpected<Error>(started.error());
  signer_ = std::move(*started);
  return {};
}

void Engine::note_signer() const {
  const signer::Hello& hello = signer_->client().hello();
  for (const std::string& note : hello.notes) logging_->log().warn("signer: {}", note);
  logging_->log().info("signer: pid {}, user {}", hello.pid, hello.user);
}

// What a crash kept from the disk after it was signed is put in its place; a log that is behind what was signed is not gone on with.
Result<void> Engine::adopt_log() {
  const std::string log = options_.config.state + "/log";
  const signer::Hello& hello = signer_->client().hello();
  const Result<std::string> there = record::read_text(record::checkpoint_path(log), signer::kNoteMax);
  if (!there && there.error().kind != Error::Kind::kNotFound) return tl::unexpected<Error>(there.error());
  auto newest = signer_->client().adopt_head(there.value_or(""));
  if (!newest) return fail(newest.error().kind == Error::Kind::kDenied ? Error::Kind::kCorrupt : newest.error().kind, record::checkpoint_path(log) + ": " + newest.error().message +
                           "; a log keeps its origin and its key (record.log.origin, record.signing.key_file), a new key needs a new state folder");
  if (newest->empty()) return {};
  const auto restored = record::restore_head(files_, log, *newest);
  if (!restored) {
    return fail(restored.error().kind, restored.error().message + "; put the newest copy of the state folder back, or, if the log is to go on without them, remove " + hello.head_file +
                                           " as root and say so to your auditors");
  }
  if (*restored) logging_->log().info("recovery: the newest checkpoint of the log was signed and not on disk yet: it is now");
  return {};
}

// Nothing is sealed without it, and nobody may start another: the engine ends, and who started it starts both again.
void Engine::watch_signer() {
  if (is_signer_lost_ || !signer_->client().is_away()) return;
  is_signer_lost_ = true;
  logging_->log().error("the signer (pid {}) has ended: nothing can be sealed, so the engine ends too; its journal is whole, and is sealed after the next start", signer_->pid());
  kill(getpid(), SIGTERM);
}

Result<void> Engine::outcome() const {
  if (is_signer_lost_) return fail(Error::Kind::kSystem, "the signer ended before the engine: what was not sealed is in the journal; start again");
  return {};
}

json Engine::signer_status() const {
  const signer::Hello& hello = signer_->client().hello();
  json status = {{"pid", hello.pid}, {"uid", hello.uid}, {"user", hello.user}};
  const auto counts = signer_->client().counts();
  if (!counts) {
    status["error"] = "failed: " + counts.error().message;
    return status;
  }
  status.update({{"signed", counts->seals + counts->checkpoints}, {"seals", counts->seals}, {"checkpoints", counts->checkpoints}, {"log_entries", counts->log_size}, {"wrapped", counts->wrapped},
                 {"opened", counts->opened + counts->derived}, {"leaves", counts->leaves}, {"refused", counts->refused}});
  return status;
}

std::vector<control::MetricSample> Engine::signer_samples() const {
  const auto counts = signer_->client().counts();
  std::vector<control::MetricSample> all = {{"weir_signer_up", "", "1: the process that holds the keys answers.", MetricType::kGauge, counts ? 1.0 : 0.0}};
  if (!counts) return all;
  const auto add = [&](const char* kind, uint64_t count) {
    all.push_back({"weir_signer_done_total", std::string("what=\"") + kind + "\"", all.size() == 1 ? "What the signer did: signed seals, checkpoints and leaves; wrapped, opened and derived keys." : "", MetricType::kCounter, static_cast<double>(count)});
  };
  add("seal", counts->seals);
  add("checkpoint", counts->checkpoints);
  add("leaf", counts->leaves);
  add("wrap", counts->wrapped);
  add("open", counts->opened);
  add("derive", counts->derived);
  all.push_back({"weir_signer_refused_total", "", "Requests that the signer refused: a gateway that is whole makes none.", MetricType::kCounter, static_cast<double>(counts->refused)});
  all.push_back({"weir_signer_log_entries", "", "Entries of the evidence log under the newest checkpoint that was signed; a smaller one is refused.", MetricType::kGauge, static_cast<double>(counts->log_size)});
  return all;
}

}  // namespace weir::session
