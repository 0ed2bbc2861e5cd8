#include "record/verify_countersigned.h"

#include <algorithm>

#include "record/files.h"
#include "record/time_stamp.h"

namespace weir::record {
namespace {

using Severity = Finding::Severity;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kClockGrace_ns = 60 * kSecond;     // Two clocks are never the same.
constexpr int64_t kBehind_ns = 3'600 * kSecond;

std::string seconds_text(uint64_t at_s) { return time_text(static_cast<int64_t>(std::min<uint64_t>(at_s, INT64_MAX / kSecond)) * kSecond); }

class CountersignChecker {
 public:
  CountersignChecker(const VerifyOptions& options, const CheckedLog& log, VerifyReport& report) : options_(options), log_(log), report_(report) {}
  Result<void> run(const Countersigned& kept);

 private:
  void add(Severity severity, const char* code, std::string where, std::string message) { report_.findings.push_back({severity, code, std::move(where), std::move(message)}); }
  struct Codes { const char *changed, *removed, *differs; };
  bool is_of_this_log(const KeptCheckpoint&, const Codes&, bool is_vouched);
  void check_time(const char* code, const std::string& where, uint64_t size, uint64_t at_s);
  void check_witnessed(const KeptCheckpoint&);
  void ask_for_witnesses(const std::vector<KeptCheckpoint>&);
  void check_stamp_file(const KeptStamp&);

  const VerifyOptions& options_;
  const CheckedLog& log_;
  VerifyReport& report_;
  std::map<uint64_t, Digest> roots_;
  uint64_t stamps_unchecked_ = 0;
  std::set<std::string> unchecked_;     // Names of keys that were not given.
};

Result<void> CountersignChecker::run(const Countersigned& all) {
  if (!options_.stamp_ca.empty() && !exists(options_.stamp_ca)) return fail(Error::Kind::kInvalid, options_.stamp_ca + ": no such file");
  for (const std::string& name : all.strange) add(Severity::kBroken, "file-strange", options_.place.log + "/" + name, "neither a checkpoint nor a time stamp has this name");
  std::set<uint64_t> sizes;
  for (const KeptCheckpoint& kept : all.witnessed) sizes.insert(kept.size);
  for (const KeptStamp& stamp : all.stamps) sizes.insert(stamp.over.size);
  roots_ = roots_at(log_, sizes);
  for (const NoteVerifier& witness : options_.witnesses) report_.witnesses.push_back({.name = witness.name, .at = {}});
  for (const KeptCheckpoint& kept : all.witnessed) check_witnessed(kept);
  if (log_.has_all_entries) ask_for_witnesses(all.witnessed);
  for (const KeptStamp& stamp : all.stamps) check_stamp_file(stamp);
  for (const std::string& name : unchecked_) add(Severity::kNote, "cosignature-unchecked", witnessed_folder(options_.place.log), "cosigned by " + name + ", whose key was not given (--witness)");
  if (stamps_unchecked_ != 0) add(Severity::kNote, "stamp-unchecked", stamps_folder(options_.place.log), std::to_string(stamps_unchecked_) + " time stamps, and no CA was given (--tsa-ca)");
  if (!options_.stamp_ca.empty() && report_.stamps.size == 0 && log_.has_all_entries) add(Severity::kAttention, "stamp-missing", stamps_folder(options_.place.log), "no time stamp that holds is here");
  return {};
}

// The log begins with the entries that this checkpoint states.  `is_vouched`: somebody else's signature over it holds, so that
// whether the log's own does is no matter.
bool CountersignChecker::is_of_this_log(const KeptCheckpoint& kept, const Codes& codes, bool is_vouched) {
  if (!kept.problem.empty()) {
    add(Severity::kBroken, codes.changed, kept.name, kept.problem);
    return false;
  }
  if (log_.is_missing) return false;            // Which has a finding of its own.
  if (kept.checkpoint.origin != log_.checkpoint.origin) {
    add(Severity::kBroken, codes.changed, kept.name, "it is of the log " + kept.checkpoint.origin + ", this one is of " + log_.checkpoint.origin);
    return false;
  }
  if (!is_vouched && !is_signed_by_any(kept.note, kept.checkpoint.origin, options_.keys)) {
    add(Severity::kBroken, codes.changed, kept.name, "it was changed, or the log's signature on it is of a key that was not given");
    return false;
  }
  const auto root = roots_.find(kept.size);
  const std::string entries = std::to_string(kept.size) + " log entries";
  if (root == roots_.end() && kept.size <= log_.checkpoint.size) return false;   // Entries that cannot be read have a finding of their own.
  if (root == roots_.end()) {
    add(Severity::kBroken, codes.removed, kept.name, "it speaks of " + entries + "; here are " + std::to_string(log_.leaves.size()) + ": the log was put back, or cut");
    return false;
  }
  if (root->second != kept.checkpoint.root) {
    add(Severity::kBroken, codes.differs, kept.name, "the first " + entries + " are not those that it is over: the log was made anew, or forked");
    return false;
  }
  return true;
}

void CountersignChecker::check_time(const char* code, const std::string& where, uint64_t size, uint64_t at_s) {
  if (size == 0 || size > log_.newest_ns.size() || at_s > static_cast<uint64_t>(INT64_MAX / kSecond)) return;
  const int64_t newest = log_.newest_ns[size - 1];
  if (newest <= static_cast<int64_t>(at_s) * kSecond + kClockGrace_ns) return;
  add(Severity::kAttention, code, where, "signed at " + seconds_text(at_s) + ", before an entry that it covers, of " + time_text(newest) + ": one of the two clocks is wrong");
}

void CountersignChecker::check_witnessed(const KeptCheckpoint& kept) {
  struct Held { std::size_t witness; uint64_t at_s; };
  std::vector<Held> held;
  std::set<std::pair<std::string, uint32_t>> known;
  for (std::size_t at = 0; at < options_.witnesses.size() && kept.problem.empty(); ++at) {
    const NoteVerifier& witness = options_.witnesses[at];
    known.emplace(witness.name, witness.key_id);
    const CosignatureCheck check = check_cosignature(kept.note, witness);
    if (check.outcome == NoteCheck::kSigned) held.push_back({at, check.at_s});
    if (check.outcome == NoteCheck::kWrong) add(Severity::kBroken, "cosignature-wrong", kept.name, "the line of " + witness.name + " is not its signature over this checkpoint");
    if (check.outcome == NoteCheck::kUnsupported) unchecked_.insert(witness.name + " (its algorithm is not checked by this build)");
  }
  if (kept.problem.empty()) {
    const std::vector<NoteSignature> lines = foreign_signatures(kept);
    for (const NoteSignature& line : lines) {
      if (!known.contains({line.name, line.key_id})) unchecked_.insert(line.name);
    }
    if (lines.empty()) add(Severity::kBroken, "cosigned-changed", kept.name, "it stands among the cosigned checkpoints, and no cosignature is on it");
  }
  if (!is_of_this_log(kept, {"cosigned-changed", "cosigned-removed", "cosigned-differs"}, !held.empty())) return;
  for (const Held& each : held) {
    Vouched& vouched = report_.witnesses[each.witness];
    ++vouched.count;
    if (kept.size >= vouched.size) {
      vouched.size = kept.size;
      vouched.at = seconds_text(each.at_s);
    }
    check_time("cosignature-early", kept.name, kept.size, each.at_s);
  }
}

// Those that the auditor names, and those that the log itself says it has.
void CountersignChecker::ask_for_witnesses(const std::vector<KeptCheckpoint>& witnessed) {
  const std::string folder = witnessed_folder(options_.place.log);
  for (const Vouched& vouched : report_.witnesses) {
    if (vouched.size == 0) {
      add(Severity::kAttention, "cosignature-missing", folder, "no cosignature of " + vouched.name + " that holds is here: it was never asked, or what it signed was taken away; ask it what it has seen");
      continue;
    }
    if (vouched.size >= log_.newest_ns.size()) continue;
    const int64_t silence = log_.newest_ns.back() - log_.newest_ns[vouched.size - 1];
    if (silence > kBehind_ns) {
      add(Severity::kAttention, "cosignature-behind", folder,
          vouched.name + " has cosigned " + std::to_string(vouched.size) + " of " + std::to_string(log_.newest_ns.size()) + " entries: what is behind them, until " + time_text(log_.newest_ns.back()) + ", nobody else has seen");
    }
  }
  for (const std::string& vkey : log_.witnesses) {
    const Result<NoteVerifier> named = note_verifier_from_vkey(vkey);
    if (!named) continue;
    const auto is_it = [&](const auto& line) { return line.name == named->name && line.key_id == named->key_id; };
    const bool is_asked = std::any_of(options_.witnesses.begin(), options_.witnesses.end(), is_it);
    const bool has_line = std::any_of(witnessed.begin(), witnessed.end(), [&](const KeptCheckpoint& kept) { return std::any_of(kept.note.signatures.begin(), kept.note.signatures.end(), is_it); });
    if (!is_asked && !has_line) add(Severity::kAttention, "cosignature-missing", folder, "the log says that " + named->name + " cosigns it, and no cosignature of it is here");
  }
}

void CountersignChecker::check_stamp_file(const KeptStamp& stamp) {
  const Codes codes{"stamped-changed", "stamped-removed", "stamped-differs"};
  if (stamp.name.empty()) {
    add(Severity::kAttention, "stamp-missing", stamp.over.name, "its time stamp is not beside it");
    (void)is_of_this_log(stamp.over, codes, false);
    return;
  }
  const Result<Stamp> read = read_stamp(as_bytes(stamp.answer));
  Result<Stamp> checked = read;
  if (read && !options_.stamp_ca.empty() && stamp.over.problem.empty()) checked = check_stamp(as_bytes(stamp.answer), stamp.over.note.text, options_.stamp_ca);
  if (!checked) add(Severity::kBroken, "stamp-wrong", stamp.name, checked.error().message);
  // A stamp says that a text was there, not whose it is: the log's own signature says that.
  const bool fits = is_of_this_log(stamp.over, codes, false);
  if (!fits || !checked) return;
  if (options_.stamp_ca.empty()) {
    ++stamps_unchecked_;
    return;
  }
  ++report_.stamps.count;
  if (stamp.over.size >= report_.stamps.size) {
    report_.stamps = {.name = stamp.name, .size = stamp.over.size, .count = report_.stamps.count, .at = seconds_text(static_cast<uint64_t>(std::max<int64_t>(checked->at_s, 0)))};
  }
  check_time("stamp-early", stamp.name, stamp.over.size, static_cast<uint64_t>(std::max<int64_t>(checked->at_s, 0)));
}

}  // namespace

Result<void> check_countersigned(const VerifyOptions& options, const CheckedLog& log, const Countersigned& kept, VerifyReport& report) {
  return CountersignChecker(options, log, report).run(kept);
}

}  // namespace weir::record
