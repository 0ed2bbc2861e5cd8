#include "record/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "record/note_values.h"
#include "record/files.h"
#include "record/key_store.h"
#include "record/verify_archive.h"
#include "record/verify_countersigned.h"
#include "record/verify_journal.h"
#include "record/verify_log.h"
#include "record/verify_retention.h"

namespace weir::record {
namespace {

using Severity = Finding::Severity;

std::string plural(uint64_t count, const char* noun) { return std::to_string(count) + " " + noun + (count == 1 ? "" : "s"); }

class Verifier {
 public:
  explicit Verifier(const VerifyOptions& options) : options_(options) {}
  Result<VerifyReport> run();

 private:
  void add(Severity severity, const char* code, std::string where, std::string message) {
    report_.findings.push_back({severity, code, std::move(where), std::move(message)});
  }
  Result<void> read_log();
  Result<void> check_archives();
  void check_chain();
  void check_chain_start(const CheckedArchive& first);
  void check_list();
  using NamedActs = std::map<std::pair<uint64_t, uint64_t>, const ActEntry*>;   // By session and sequence.
  void check_acts();
  void check_shut_acts(const CheckedArchive&, NamedActs&);
  Result<void> check_known_head();
  void check_expired();
  void check_link_over_expired(const CheckedArchive&);
  void check_sessions();
  void check_session(uint64_t session, const std::vector<const CheckedArchive*>& parts);
  void check_numbers(const std::map<uint64_t, std::vector<const CheckedArchive*>>& sessions);
  Result<void> check_journal();
  [[nodiscard]] const std::vector<ListedSeal>& seals() const {
    static const std::vector<ListedSeal> kNone;
    return log_ ? log_->seals : kNone;
  }

  const VerifyOptions& options_;
  VerifyReport report_;
  std::optional<CheckedLog> log_;
  std::vector<CheckedArchive> archives_;
  std::map<uint64_t, const CheckedArchive*> by_seal_;
  std::optional<JournalSessions> journal_;
  CheckedRetention retention_;
  std::set<uint64_t> named_missing_;                  // Seals that a finding names already.
};

Result<VerifyReport> Verifier::run() {
  if (options_.keys.empty()) return fail(Error::Kind::kInvalid, "a public key is needed: that of record.signing, usually log.key.pub");
  if (!exists(options_.place.archive) && (options_.place.log.empty() || !exists(options_.place.log))) {
    return fail(Error::Kind::kNotFound, options_.place.archive + ": no such record");
  }
  // Before the archives: what is listed now is in its place now.  And the journal before those: what leaves it is sealed.
  if (Result<void> done = check_journal(); !done) return tl::unexpected(done.error());
  const Result<Countersigned> countersigned = options_.place.log.empty() ? Countersigned{} : read_countersigned(options_.place.log);
  if (!countersigned) return tl::unexpected(countersigned.error());
  if (Result<void> done = read_log(); !done) return tl::unexpected(done.error());
  if (Result<void> done = check_known_head(); !done) return tl::unexpected(done.error());
  if (log_) {
    if (Result<void> done = check_countersigned(options_, *log_, *countersigned, report_); !done) return tl::unexpected(done.error());
  }
  if (Result<void> done = check_archives(); !done) return tl::unexpected(done.error());
  check_expired();
  check_list();
  check_chain();
  check_acts();
  check_sessions();
  std::stable_sort(report_.findings.begin(), report_.findings.end(), [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  return std::move(report_);
}

Result<void> Verifier::check_journal() {
  if (options_.place.journal.empty() || !exists(options_.place.journal)) return {};
  Result<JournalSessions> journal = check_journals(options_.place.journal);
  if (!journal) return tl::unexpected(journal.error());
  journal_ = std::move(*journal);
  for (const std::string& damage : journal_->damage) add(Severity::kBroken, "journal-damaged", options_.place.journal, damage);
  return {};
}

Result<void> Verifier::read_log() {
  if (options_.place.log.empty()) {
    add(Severity::kNote, "head-not-given", options_.place.archive, "archives alone: nothing says that the newest seals are all here; give the state folder");
    return {};
  }
  Result<CheckedLog> log = check_log(options_);
  if (!log) return tl::unexpected(log.error());
  log_ = std::move(*log);
  report_.findings.insert(report_.findings.end(), log_->findings.begin(), log_->findings.end());
  report_.has_head = log_->has_checkpoint;
  report_.gateway = log_->gateway;
  report_.origin = log_->checkpoint.origin;
  report_.vkey = log_->vkey;
  report_.log_entries = log_->leaves.size();
  report_.heartbeats = log_->heartbeats;
  report_.gaps = log_->gaps;
  if (!log_->is_missing) report_.root = base64(log_->checkpoint.root);
  return {};
}

// The log goes on from the checkpoint that the auditor kept.
Result<void> Verifier::check_known_head() {
  if (options_.known_head.empty()) return {};
  constexpr const char* kName = "the checkpoint that was kept";
  const Result<Note> note = parse_note(options_.known_head);
  const Result<Checkpoint> known = note ? checkpoint_from_text(note->text) : tl::unexpected(note.error());
  if (!known) return fail(Error::Kind::kInvalid, std::string(kName) + ": " + known.error().message);
  // A witness may have kept its own signature alone.
  const bool is_cosigned = std::any_of(options_.witnesses.begin(), options_.witnesses.end(), [&](const NoteVerifier& witness) { return check_cosignature(*note, witness).outcome == NoteCheck::kSigned; });
  if (!is_cosigned && !is_signed_by_any(*note, known->origin, options_.keys)) return fail(Error::Kind::kInvalid, std::string(kName) + " is not signed with a key that was given");
  if (!log_) return fail(Error::Kind::kInvalid, std::string(kName) + " is checked against the log: give the state folder");
  report_.has_known_head = true;
  const std::optional<Digest> root = root_at(*log_, known->size);
  if (!log_->is_missing && known->origin != log_->checkpoint.origin) {
    add(Severity::kBroken, "head-differs", kName, "it is of the log " + known->origin + ", this one is of " + log_->checkpoint.origin);
  } else if (!root) {
    add(Severity::kBroken, "seals-removed", kName, "it speaks of " + std::to_string(known->size) + " log entries; here are " + std::to_string(log_->leaves.size()));
  } else if (*root != known->root) {
    add(Severity::kBroken, "head-differs", kName, "the first " + std::to_string(known->size) + " log entries are not those that it was signed over: the log was made anew, or forked");
  }
  return {};
}

Result<void> Verifier::check_archives() {
  std::vector<ArchiveFile> files;
  const Result<void> walked = walk_archive(options_.place.archive, std::nullopt, std::nullopt, [&](const auto& in_day, const auto& strange) {
    files.insert(files.end(), in_day.begin(), in_day.end());
    for (const std::string& name : strange) add(Severity::kBroken, "file-strange", name, "no archive has this name");
    return true;
  });
  if (!walked) return walked;
  archives_.resize(files.size());
  in_parallel(files.size(), options_.threads, [&](std::size_t index) { archives_[index] = check_archive(options_.place, files[index], options_.keys); }, options_.progress);
  std::erase_if(archives_, [](const CheckedArchive& archive) { return archive.is_gone; });   // Removed meanwhile: as if it had not been there.
  for (const CheckedArchive& archive : archives_) {
    report_.findings.insert(report_.findings.end(), archive.findings.begin(), archive.findings.end());
    ++report_.archives;
    report_.bytes += archive.size;
    if (archive.is_readable) report_.events += archive.manifest.summary.events;
    report_.shut += archive.is_shut ? 1 : 0;
  }
  const bool is_encrypted = std::any_of(archives_.begin(), archives_.end(), [](const CheckedArchive& archive) { return archive.is_readable && archive.manifest.is_encrypted; });
  if (is_encrypted && options_.place.keys.empty()) {
    add(Severity::kNote, "keys-not-given", options_.place.archive, "archives alone: whether their keys are still there was not looked at; give the state folder");
  }
  return {};
}

// Seals by number: no two alike, each with the digest of the one before it, none left out.
void Verifier::check_chain() {
  for (const CheckedArchive& archive : archives_) {
    if (!archive.is_readable) {
      // Its seal is there, though changed: the log tells which, and one finding is enough.
      for (const ListedSeal& seal : seals()) {
        if (seal.entry.path == archive.file.name) named_missing_.insert(seal.entry.seal);
      }
      continue;
    }
    const auto [place, is_new] = by_seal_.emplace(archive.manifest.seal, &archive);
    if (!is_new) {
      add(Severity::kBroken, "seal-twice", archive.file.name, "seal " + std::to_string(archive.manifest.seal) + " is also " + place->second->file.name);
    }
  }
  for (const auto& [seal, archive] : by_seal_) check_link_over_expired(*archive);
  if (by_seal_.empty()) return;
  report_.first_seal = by_seal_.begin()->first;
  report_.last_seal = by_seal_.rbegin()->first;
  check_chain_start(*by_seal_.begin()->second);
  const CheckedArchive* before = nullptr;
  for (const auto& [seal, archive] : by_seal_) {
    if (before != nullptr) {
      const Manifest& a = before->manifest;
      const Manifest& b = archive->manifest;
      if (b.seal != a.seal + 1) {
        for (uint64_t missing = a.seal + 1; missing < b.seal; ++missing) {
          if (!named_missing_.insert(missing).second) continue;
          add(Severity::kBroken, "seal-missing", "seal " + std::to_string(missing), "it stood between " + before->file.name + " and " + archive->file.name);
          if (missing - a.seal > 1000) break;  // Enough to say so.
        }
      } else if (b.previous != before->digest) {
        add(Severity::kBroken, "link-broken", archive->file.name, "it names another seal before it than " + before->file.name);
      }
      if (b.sealed_ns < a.sealed_ns) add(Severity::kAttention, "clock-back", archive->file.name, "sealed at an earlier time than the seal before it");
      if (b.gateway != a.gateway) add(Severity::kBroken, "gateway-differs", archive->file.name, "sealed by gateway \"" + b.gateway + "\", the seal before it by \"" + a.gateway + "\"");
    }
    before = archive;
  }
  if (log_ && !log_->gateway.empty() && before->manifest.gateway != log_->gateway) {
    add(Severity::kBroken, "gateway-differs", before->file.name, "sealed by gateway \"" + before->manifest.gateway + "\", the log is of \"" + log_->gateway + "\"");
  }
}

void Verifier::check_chain_start(const CheckedArchive& first) {
  const uint64_t seal = first.manifest.seal;
  for (uint64_t missing = 1; missing < seal && missing <= 1000; ++missing) {
    if (named_missing_.insert(missing).second) add(Severity::kBroken, "seal-missing", "seal " + std::to_string(missing), "the record begins with " + first.file.name);
  }
  if (seal == 1 && first.manifest.previous != Digest{}) add(Severity::kBroken, "link-broken", first.file.name, "the first seal names one before it");
}

// Each seal's leaf names an archive that is there and is it; each archive has its leaf.
void Verifier::check_list() {
  if (!log_) return;
  std::map<std::string, const CheckedArchive*> by_name;
  for (const CheckedArchive& archive : archives_) by_name.emplace(archive.file.name, &archive);
  uint64_t expected = 1;
  std::set<std::string> listed;
  for (const auto& [entry, index] : log_->seals) {
    const std::string where = "log entry " + std::to_string(index) + ", seal " + std::to_string(entry.seal);
    if (entry.seal != expected) add(Severity::kBroken, "list-changed", where, "seal " + std::to_string(expected) + " was to stand here");
    expected = entry.seal + 1;
    listed.insert(entry.path);
    const auto found = by_name.find(entry.path);
    const bool is_buried = retention_.buried.contains(entry.seal);
    if (found != by_name.end() && is_buried) add(Severity::kBroken, "tombstone-alive", entry.path, "the log says that it was destroyed by policy, and it is here: it was put back, or never removed");
    if (found == by_name.end() && (is_buried || retention_.expiring.contains(entry.session))) {
      named_missing_.insert(entry.seal);
    } else if (found == by_name.end()) {
      add(Severity::kBroken, "archive-missing", entry.path, "seal " + std::to_string(entry.seal) + " of session " + std::to_string(entry.session) + " is listed, its archive is not there");
      named_missing_.insert(entry.seal);
    } else if (found->second->is_readable && to_leaf(entry_of(found->second->manifest, found->second->digest, entry.path)) != to_leaf(entry)) {
      add(Severity::kBroken, "archive-replaced", entry.path, where + " is another seal than the one that is there");
    }
  }
  if (archives_.empty() && !log_->is_missing && !log_->has_all_entries) {
    add(Severity::kBroken, "seals-removed", log_->checkpoint.origin, "its checkpoint speaks of " + std::to_string(log_->checkpoint.size) + " log entries; neither they nor an archive is here");
  }
  const uint64_t last = log_->seals.empty() ? 0 : log_->seals.back().entry.seal;
  for (const CheckedArchive& archive : archives_) {
    if (listed.contains(archive.file.name)) continue;
    if (archive.is_readable && archive.manifest.seal > last) {
      add(Severity::kNote, "seal-unlisted", archive.file.name, "sealed, not in the log yet: the gateway was at it");
    } else {
      add(Severity::kBroken, "archive-extra", archive.file.name, "no entry of the log names it");
    }
  }
}

// What is gone by policy is no finding; what is said of it must hold.
void Verifier::check_expired() {
  if (!log_) return;
  retention_ = check_retention(*log_);
  std::set<std::string> there;
  for (const CheckedArchive& archive : archives_) there.insert(archive.file.name);
  const auto is_unexplained = [&](const ListedSeal& seal) {
    return !there.contains(seal.entry.path) && !retention_.buried.contains(seal.entry.seal) && !retention_.expiring.contains(seal.entry.session);
  };
  // What was announced since the log was read may be gone by now.
  if (std::any_of(log_->seals.begin(), log_->seals.end(), is_unexplained)) retention_.expiring.merge(expiring_since(options_, *log_));
  report_.findings.insert(report_.findings.end(), retention_.findings.begin(), retention_.findings.end());
  report_.expired = retention_.expired;
  for (const ListedSeal& seal : options_.place.keys.empty() ? std::vector<ListedSeal>{} : log_->seals) {
    const std::string keys = keys_name(seal.entry.path);
    if (!retention_.buried.contains(seal.entry.seal) || !exists(options_.place.keys + "/" + keys)) continue;
    add(Severity::kBroken, "tombstone-alive", "keys/" + keys, "the log says that they were destroyed by policy, and they are here");
  }
  std::erase_if(report_.findings, [&](const Finding& finding) {
    return (finding.code == "keys-missing" || finding.code == "keys-changed") && std::any_of(archives_.begin(), archives_.end(), [&](const CheckedArchive& archive) {
             return retention_.expiring.contains(archive.file.session) && finding.where == "keys/" + keys_name(archive.file.name);
           });
  });
}

// The chain goes on over seals whose archives are gone: by the digest that their leaves have.
void Verifier::check_link_over_expired(const CheckedArchive& archive) {
  const auto before = retention_.buried.find(archive.manifest.seal - 1);
  if (before == retention_.buried.end() || by_seal_.contains(archive.manifest.seal - 1) || before->second == archive.manifest.previous) return;
  add(Severity::kBroken, "link-broken", archive.file.name, "it names another seal before it than the expired one that the log has");
}

// Of an archive that cannot be looked into, the signed manifest says how many acts are in it, and the digest of their entries.
void Verifier::check_shut_acts(const CheckedArchive& archive, NamedActs& named) {
  const Manifest& m = archive.manifest;
  ActChain chain;
  const auto from = named.lower_bound({m.session, m.summary.first_sequence}), until = named.upper_bound({m.session, m.summary.last_sequence});
  for (auto act = from; act != until; ++act) chain.add(to_leaf(*act->second));
  named.erase(from, until);
  if (chain == m.acts) return;
  const char* code = chain.count < m.acts.count ? "act-unlisted" : chain.count > m.acts.count ? "act-missing" : "act-differs";
  add(Severity::kBroken, code, archive.file.name, "the log names " + plural(chain.count, "act") + " of it, it holds " + std::to_string(m.acts.count) + (chain.count == m.acts.count ? ", and they differ" : ""));
}

// Each act that a sealed session holds is named in the log before it, as it is; and none is named that is not there.
void Verifier::check_acts() {
  if (!log_ || !log_->has_all_entries) return;
  NamedActs named;
  for (const ActEntry& act : log_->acts) {
    if (!named.emplace(std::pair(act.session, act.sequence), &act).second) add(Severity::kBroken, "act-twice", "session " + std::to_string(act.session), "the log names its act " + std::to_string(act.sequence) + " twice");
  }
  std::map<uint64_t, uint64_t> sealed;  // Session -> highest sequence in a sealed part that can be read.
  std::set<std::string> listed;
  for (const ListedSeal& seal : log_->seals) listed.insert(seal.entry.path);
  std::set<uint64_t> damaged;
  for (const CheckedArchive& archive : archives_) {
    if (!archive.is_readable) {
      damaged.insert(archive.file.session);
      continue;
    }
    const bool is_listed = listed.contains(archive.file.name);
    if (is_listed) {
      uint64_t& last = sealed[archive.manifest.session];
      last = std::max(last, archive.manifest.summary.last_sequence);
    }
    if (archive.is_shut && is_listed) check_shut_acts(archive, named);
    for (const ActEntry& act : archive.acts) {
      const auto found = named.find({act.session, act.sequence});
      const std::string which = "act " + std::to_string(act.sequence) + " (" + act.act + ")";
      if (found == named.end()) {
        if (is_listed) add(Severity::kBroken, "act-unlisted", archive.file.name, "the log does not name its " + which);
        continue;
      }
      if (to_leaf(*found->second) != to_leaf(act)) add(Severity::kBroken, "act-differs", archive.file.name, "the log names another " + which);
      named.erase(found);
    }
  }
  for (const auto& [place, act] : named) {
    const auto last = sealed.find(place.first);
    if (damaged.contains(place.first) || last == sealed.end() || place.second > last->second) continue;
    add(Severity::kBroken, "act-missing", "session " + std::to_string(place.first), "the log names its act " + std::to_string(place.second) + " (" + act->act + "), and it is not in the archive");
  }
}

void Verifier::check_sessions() {
  std::map<uint64_t, std::vector<const CheckedArchive*>> sessions;
  for (const CheckedArchive& archive : archives_) {
    if (archive.is_readable) sessions[archive.manifest.session].push_back(&archive);
  }
  report_.sessions = sessions.size();
  for (auto& [session, parts] : sessions) {
    std::sort(parts.begin(), parts.end(), [](const auto* a, const auto* b) { return a->manifest.part < b->manifest.part; });
    check_session(session, parts);
  }
  check_numbers(sessions);
  if (log_ && log_->is_missing && (!archives_.empty() || exists(options_.place.log + "/tile"))) {
    add(Severity::kBroken, "head-missing", checkpoint_path(options_.place.log), "archives or tiles are here, the log's signed checkpoint is not");
  }
  if (journal_) report_.live_sessions = journal_->open.size();
}

void Verifier::check_session(uint64_t session, const std::vector<const CheckedArchive*>& parts) {
  const std::string where = "session " + std::to_string(session);
  uint32_t expected = 1;
  uint64_t last = 0;
  for (const CheckedArchive* part : parts) {
    const Manifest& m = part->manifest;
    if (m.part != expected && retention_.expiring.contains(session)) {
      // The others are gone already.
    } else if (m.part != expected) {
      add(Severity::kBroken, "part-missing", where, "part " + std::to_string(expected) + " is not here, part " + std::to_string(m.part) + " is");
    } else if (m.summary.first_sequence != last + 1) {
      add(Severity::kAttention, "sequence-gap", where, "part " + std::to_string(m.part) + " begins with event " + std::to_string(m.summary.first_sequence) + ", not " + std::to_string(last + 1));
    }
    expected = m.part + 1;
    last = m.summary.last_sequence;
  }
  if (parts.back()->manifest.is_last) return;
  if (!journal_) {
    add(Severity::kNote, "session-unfinished", where, "its end is not sealed yet; the journal was not given");
  } else if (!journal_->seen.contains(session) && journal_->is_at_rest) {
    add(Severity::kNote, "session-unfinished", where, "its end is not on the record yet: the next start of the gateway closes it");
  }
}

// Session numbers have no gaps: each is sealed, or still in the journal.
void Verifier::check_numbers(const std::map<uint64_t, std::vector<const CheckedArchive*>>& sessions) {
  uint64_t highest = log_ ? log_->session_max : 0;
  if (!sessions.empty()) highest = std::max(highest, sessions.rbegin()->first);
  std::set<uint64_t> damaged;  // Their archives have a finding of their own.
  for (const CheckedArchive& archive : archives_) {
    if (!archive.is_readable) damaged.insert(archive.file.session);
  }
  for (const ListedSeal& seal : seals()) damaged.insert(seal.entry.session);
  uint64_t missing = 0, first = 0;
  for (uint64_t session = 1; session <= highest; ++session) {
    if (sessions.contains(session) || damaged.contains(session) || (journal_ && journal_->seen.contains(session))) continue;
    if (missing++ == 0) first = session;
  }
  if (missing == 0) return;
  const std::string message = plural(missing, "session number") + " without a record, the first is " + std::to_string(first);
  if (journal_) {
    add(Severity::kAttention, "session-unrecorded", "session " + std::to_string(first), message + ": neither sealed nor in the journal");
  } else {
    add(Severity::kNote, "session-unsealed", "session " + std::to_string(first), message + ": alive when this was copied, or removed; give the state folder to tell");
  }
}

}  // namespace

std::string_view name_of(Finding::Severity severity) {
  switch (severity) {
    case Severity::kBroken: return "broken";
    case Severity::kAttention: return "attention";
    case Severity::kNote: return "note";
  }
  return "broken";
}

int VerifyReport::exit_code() const {
  int code = 0;
  for (const Finding& finding : findings) {
    if (finding.severity == Severity::kBroken) return 1;
    if (finding.severity == Severity::kAttention) code = 3;
  }
  return code;
}

Result<VerifyReport> verify(const VerifyOptions& options) { return Verifier(options).run(); }

}  // namespace weir::record
