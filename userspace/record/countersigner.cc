#include "record/countersigner.h"

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "record/time_stamp.h"

namespace weir::record {
namespace {

using namespace std::chrono_literals;
using Health = CountersignState::Health;

constexpr std::size_t kAnswerSizeMax = 64u << 10;
constexpr auto kWaitMax = 10min;        // Between attempts that fail.
constexpr auto kRetryAfterMax = 1h;     // What a peer may ask for.
constexpr auto kTellEvery = 10min;      // A witness that comes and goes fills no log.
constexpr int kAttemptsMax = 3;         // Each but the last learns where the witness stands.

std::string status_name(const Result<PostAnswer>& answer) {
  if (!answer) return "none";
  switch (answer->status) {
    case 200:
    case 400:
    case 403:
    case 404:
    case 409:
    case 422:
    case 429: return std::to_string(answer->status);
    default: return answer->status >= 500 && answer->status < 600 ? "5xx" : "other";
  }
}

std::map<std::string, uint64_t> no_answers() {
  std::map<std::string, uint64_t> all;
  for (const char* name : {"200", "400", "403", "404", "409", "422", "429", "5xx", "other", "none", "wrong"}) all[name] = 0;
  return all;
}

Health health_of(WitnessSays says) {
  switch (says) {
    case WitnessSays::kCosigned: return Health::kGood;
    case WitnessSays::kOtherSize:
    case WitnessSays::kAway: return Health::kAway;
    case WitnessSays::kRefused: return Health::kRefused;
    case WitnessSays::kWrong: return Health::kWrong;
    case WitnessSays::kContradicts: return Health::kContradicts;
  }
  return Health::kWrong;
}

// The log's own lines alone: what is shown to others, and what is kept beside their signatures.
Note own_note(const LogHead& head) {
  Note note{.text = head.note.text, .signatures = {}};
  for (const NoteSignature& line : head.note.signatures) {
    if (line.name == head.checkpoint.origin) note.signatures.push_back(line);
  }
  return note;
}

}  // namespace

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kNew: return "new";
    case Health::kGood: return "good";
    case Health::kAway: return "away";
    case Health::kRefused: return "refused";
    case Health::kWrong: return "wrong";
    case Health::kContradicts: return "contradicts";
  }
  return "unknown";
}

Countersigner::Countersigner(CountersignerOptions options, HttpPost post, Files& files, LeafQueue* leaves)
    : options_(std::move(options)), post_(std::move(post)), files_(files), leaves_(leaves) {
  for (const WitnessSetup& witness : options_.witnesses) witnesses_.push_back({.state = {.name = witness.key.name, .problem = {}, .answers = no_answers()}, .told_at = {}});
  if (!options_.stamps.url.empty()) authority_.emplace(Peer{.state = {.name = "timestamps", .problem = {}, .answers = no_answers()}, .told_at = {}});
}

Result<void> Countersigner::open() {
  const Result<std::vector<KeptCheckpoint>> kept = read_witnessed(options_.log);
  if (!kept) return tl::unexpected(kept.error());
  const std::lock_guard lock(mutex_);
  for (std::size_t at = 0; at < witnesses_.size(); ++at) {
    for (const KeptCheckpoint& each : *kept) {   // By size: the last one counts.
      const CosignatureCheck check = each.problem.empty() ? check_cosignature(each.note, options_.witnesses[at].key) : CosignatureCheck{};
      if (check.outcome != NoteCheck::kSigned) continue;
      witnesses_[at].state.size = each.size;
      witnesses_[at].state.at_s = check.at_s;
      witnesses_[at].root = each.checkpoint.root;
    }
  }
  if (!authority_) return {};
  const Result<std::vector<KeptStamp>> stamps = read_stamps(options_.log);
  if (!stamps) return tl::unexpected(stamps.error());
  for (const KeptStamp& stamp : *stamps) {
    // A crash between the two files.
    if (stamp.name.empty()) {
      if (Result<void> done = files_.remove(options_.log + "/" + stamp.over.name); !done) return done;
      continue;
    }
    const Result<Stamp> read = read_stamp(as_bytes(stamp.answer));
    if (!read || !stamp.over.problem.empty()) continue;
    authority_->state.size = stamp.over.size;
    authority_->state.at_s = static_cast<uint64_t>(read->at_s);
  }
  return {};
}

void Countersigner::step(Clock now) {
  const auto is_due = [&](const Peer& peer) { return now >= peer.next && !is_stopping_; };
  if (std::none_of(witnesses_.begin(), witnesses_.end(), is_due) && !(authority_ && is_due(*authority_))) return;
  const Result<LogHead> head = read_head(options_.log);
  if (!head) return;                             // The sealer has not begun, or says itself what is wrong.
  for (std::size_t at = 0; at < witnesses_.size(); ++at) {
    if (is_due(witnesses_[at])) ask_witness(options_.witnesses[at], witnesses_[at], *head, now);
  }
  if (authority_ && is_due(*authority_)) ask_authority(*head, now);
}

std::vector<CountersignState> Countersigner::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<CountersignState> all;
  for (const Peer& peer : witnesses_) all.push_back(peer.state);
  if (authority_) all.push_back(authority_->state);
  return all;
}

// What became of an attempt, and when the next one is due.
void Countersigner::settle(Peer& peer, Health health, std::string problem, Clock now, std::chrono::seconds retry_after, std::chrono::seconds every) {
  {
    const std::lock_guard lock(mutex_);
    peer.state.health = health;
    peer.state.problem = std::move(problem);
  }
  peer.failures = health == Health::kGood ? 0 : std::min<uint64_t>(peer.failures + 1, 16);
  const Clock wait = peer.failures == 0 ? Clock(every) : std::min<Clock>(Clock(options_.every) * (int64_t{1} << peer.failures), std::max<Clock>(kWaitMax, options_.every));
  peer.next = now + std::max(wait, Clock(std::min<std::chrono::seconds>(retry_after, kRetryAfterMax)));
}

// A leaf when it becomes alarming, and when it is well again.  One that is away is no news for a log that is for ever.
void Countersigner::tell(Peer& peer, Clock now, uint64_t log_size) {
  const Health health = peer.state.health;
  if (health == peer.told || health == Health::kAway || (!is_alarming(health) && !is_alarming(peer.told))) return;
  if (peer.told_at && now - *peer.told_at < kTellEvery && health != Health::kContradicts) return;
  peer.told = health;
  peer.told_at = now;
  if (leaves_ == nullptr) return;
  leaves_->add({.kind = "countersign", .object = {{"by", peer.state.name}, {"state", name_of(health)}, {"size", log_size}, {"signed", peer.state.size}}});
}

void Countersigner::ask_witness(const WitnessSetup& setup, Peer& peer, const LogHead& head, Clock now) {
  const Checkpoint& checkpoint = head.checkpoint;
  if (peer.state.size == checkpoint.size && peer.state.size != 0 && peer.root == checkpoint.root) return settle(peer, Health::kGood, "", now, 0s, options_.every);
  const Note note = own_note(head);
  std::chrono::seconds retry_after{0};
  WitnessAnswer answer{.says = WitnessSays::kOtherSize, .reason = {}, .cosignature = {}, .size = peer.state.size};
  for (int attempt = 0; attempt < kAttemptsMax && answer.says == WitnessSays::kOtherSize && !is_stopping_; ++attempt) {
    answer = ask_from(setup, peer, head, note, answer.size, retry_after);
  }
  if (answer.says == WitnessSays::kCosigned) {
    if (Result<void> kept = keep(head, note, answer.cosignature, setup.key.name); !kept) return settle(peer, Health::kAway, "its cosignature cannot be kept: " + kept.error().message, now, 0s, options_.every);
    const std::lock_guard lock(mutex_);
    peer.state.size = checkpoint.size;
    peer.state.at_s = answer.at_s;
    peer.root = checkpoint.root;
  }
  settle(peer, health_of(answer.says), answer.reason, now, retry_after, options_.every);
  tell(peer, now, checkpoint.size);
}

// One request.
WitnessAnswer Countersigner::ask_from(const WitnessSetup& setup, Peer& peer, const LogHead& head, const Note& note, uint64_t old_size, std::chrono::seconds& retry_after) {
  const auto contradicts = [](std::string reason) { return WitnessAnswer{.says = WitnessSays::kContradicts, .reason = std::move(reason), .cosignature = {}}; };
  const Checkpoint& checkpoint = head.checkpoint;
  // What it signed is on our own disk: a log that does not go on from there is shown to nobody, lest a forgetful witness signs it.
  if (peer.state.size > checkpoint.size) {
    return contradicts("it has cosigned " + std::to_string(peer.state.size) + " entries of this log (log/witnessed), which has " + std::to_string(checkpoint.size) + ": the log was put back");
  }
  const Result<std::vector<Digest>> known = proof_from(peer, peer.state.size, checkpoint);
  if (!known) {
    if (known.error().kind == Error::Kind::kDenied) return contradicts(known.error().message);
    return {.says = WitnessSays::kAway, .reason = "no proof can be made for it: " + known.error().message, .cosignature = {}};
  }
  const Result<std::vector<Digest>> proof = old_size == peer.state.size ? known : consistency_proof(old_size, checkpoint.size, hashes_of_tiles(checkpoint.size, tiles_on_disk(options_.log)));
  if (!proof) return {.says = WitnessSays::kAway, .reason = "no proof can be made for it: " + proof.error().message, .cosignature = {}};
  const Result<PostAnswer> answer = post_({.url = add_checkpoint_url(setup.url), .content_type = "text/plain", .accept = "*/*", .body = add_checkpoint_body(old_size, *proof, note), .answer_size_max = kAnswerSizeMax});
  WitnessAnswer judged = judge_answer(answer, old_size, checkpoint.size, note, setup.key);
  if (answer) retry_after = answer->retry_after;
  const std::lock_guard lock(mutex_);
  ++peer.state.answers[status_name(answer)];
  if (judged.says == WitnessSays::kWrong) ++peer.state.answers["wrong"];
  return judged;
}

// kDenied: the log on disk does not go on from what this witness signed.
Result<std::vector<Digest>> Countersigner::proof_from(const Peer& peer, uint64_t old_size, const Checkpoint& checkpoint) const {
  Result<std::vector<Digest>> proof = consistency_proof(old_size, checkpoint.size, hashes_of_tiles(checkpoint.size, tiles_on_disk(options_.log)));
  if (!proof || old_size == 0) return proof;
  if (!is_consistent(old_size, peer.root, checkpoint.size, checkpoint.root, *proof)) {
    return fail(Error::Kind::kDenied, "the log does not go on from the " + std::to_string(old_size) + " entries that it has cosigned (log/witnessed): it was rewritten or forked");
  }
  return proof;
}

// Beside what other witnesses signed of the same checkpoint; then what is no witness's newest goes.
Result<void> Countersigner::keep(const LogHead& head, const Note& note, const NoteSignature& cosignature, const std::string& witness) {
  const std::string folder = witnessed_folder(options_.log);
  if (Result<void> done = files_.make_folder(folder); !done) return done;
  const Result<std::vector<KeptCheckpoint>> kept = read_witnessed(options_.log);
  if (!kept) return tl::unexpected(kept.error());
  Note all = note;
  std::vector<uint64_t> outdated;
  for (const KeptCheckpoint& each : *kept) {
    if (each.size == head.checkpoint.size) {
      for (const NoteSignature& line : foreign_signatures(each)) {
        if (each.note.text == note.text && (line.name != cosignature.name || line.key_id != cosignature.key_id)) all.signatures.push_back(line);
      }
      continue;
    }
    const std::vector<NoteSignature> lines = foreign_signatures(each);
    const auto is_newer_elsewhere = [&](const NoteSignature& line) {
      if (line.name == witness && line.key_id == cosignature.key_id) return true;
      return std::any_of(kept->begin(), kept->end(), [&](const KeptCheckpoint& other) {
        return other.size > each.size && other.size <= head.checkpoint.size &&
               std::any_of(other.note.signatures.begin(), other.note.signatures.end(), [&](const NoteSignature& theirs) { return theirs.name == line.name && theirs.key_id == line.key_id; });
      });
    };
    if (each.size < head.checkpoint.size && std::all_of(lines.begin(), lines.end(), is_newer_elsewhere)) outdated.push_back(each.size);
  }
  all.signatures.push_back(cosignature);
  if (Result<void> done = replace_file(files_, folder + "/" + std::to_string(head.checkpoint.size), as_bytes(to_text(all))); !done) return done;
  for (const uint64_t size : outdated) {
    if (Result<void> done = files_.remove(folder + "/" + std::to_string(size)); !done) return done;
  }
  return {};
}

void Countersigner::ask_authority(const LogHead& head, Clock now) {
  Peer& peer = *authority_;
  const std::chrono::seconds every = options_.stamps.every;
  if (peer.state.size == head.checkpoint.size && peer.state.size != 0) return settle(peer, Health::kGood, "", now, 0s, every);
  const Result<std::string> request = stamp_request(head.note.text);
  if (!request) return settle(peer, Health::kAway, request.error().message, now, 0s, every);
  const Result<PostAnswer> answer = post_({.url = options_.stamps.url, .content_type = std::string(kStampQueryType), .accept = std::string(kStampReplyType), .body = *request, .answer_size_max = kStampSizeMax});
  Health health = Health::kGood;
  std::string problem;
  const Result<Stamp> stamp = answer && answer->status == 200 ? check_stamp_answer(as_bytes(answer->body), *request, options_.stamps.ca_file) : fail(Error::Kind::kUnavailable, "");
  if (!answer) {
    health = Health::kAway;
    problem = answer.error().message;
  } else if (answer->status != 200) {
    health = answer->status >= 500 || answer->status == 429 ? Health::kAway : Health::kRefused;
    problem = "the authority answered " + std::to_string(answer->status);
  } else if (!stamp) {
    health = Health::kWrong;
    problem = stamp.error().message;
  } else if (Result<void> kept = keep_stamp(head, answer->body); !kept) {
    health = Health::kAway;
    problem = "the stamp cannot be kept: " + kept.error().message;
  }
  {
    const std::lock_guard lock(mutex_);
    ++peer.state.answers[status_name(answer)];
    if (health == Health::kWrong) ++peer.state.answers["wrong"];
    if (health == Health::kGood) {
      peer.state.size = head.checkpoint.size;
      peer.state.at_s = static_cast<uint64_t>(stamp->at_s);
    }
  }
  settle(peer, health, problem, now, answer ? answer->retry_after : 0s, every);
  tell(peer, now, head.checkpoint.size);
}

Result<void> Countersigner::keep_stamp(const LogHead& head, const std::string& answer) {
  const std::string stem = stamps_folder(options_.log) + "/" + std::to_string(head.checkpoint.size);
  if (Result<void> done = files_.make_folder(stamps_folder(options_.log)); !done) return done;
  if (Result<void> done = replace_file(files_, stem + ".checkpoint", as_bytes(to_text(own_note(head)))); !done) return done;
  return replace_file(files_, stem + ".tsr", as_bytes(answer));
}

struct CountersignerThread::Shared {
  std::unique_ptr<Countersigner> countersigner;
  std::mutex mutex;
  std::condition_variable wake;
  bool is_stopping = false;
  std::thread thread;

  void run() {
    constexpr auto kPoll = 500ms;
    std::unique_lock lock(mutex);
    while (!is_stopping) {
      lock.unlock();
      countersigner->step(std::chrono::steady_clock::now().time_since_epoch());
      lock.lock();
      if (!is_stopping) wake.wait_for(lock, kPoll);
    }
  }
};

CountersignerThread::CountersignerThread(std::unique_ptr<Countersigner> countersigner) : shared_(std::make_unique<Shared>()) {
  shared_->countersigner = std::move(countersigner);
  shared_->thread = std::thread([shared = shared_.get()] { shared->run(); });
}

CountersignerThread::~CountersignerThread() {
  shared_->countersigner->stop();
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->is_stopping = true;
  }
  shared_->wake.notify_all();
  if (shared_->thread.joinable()) shared_->thread.join();
}

std::vector<CountersignState> CountersignerThread::states() const { return shared_->countersigner->states(); }

}  // namespace weir::record
