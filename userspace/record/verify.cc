#include "record/verify.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "record/files.h"
#include "record/seal_log.h"
#include "record/verify_archive.h"
#include "record/verify_journal.h"

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
  void check_head(const SealHead& head, const char* name);
  void check_sessions();
  void check_session(uint64_t session, const std::vector<const CheckedArchive*>& parts);
  void check_numbers(const std::map<uint64_t, std::vector<const CheckedArchive*>>& sessions);
  Result<void> check_journal();
  [[nodiscard]] bool is_listed(uint64_t seal) const { return seal >= 1 && seal <= list_.size(); }

  const VerifyOptions& options_;
  VerifyReport report_;
  std::optional<SealHead> head_, known_head_;
  std::vector<SealEntry> list_;                       // Index: seal - 1, once check_list() found it in order.
  std::vector<CheckedArchive> archives_;
  std::map<uint64_t, const CheckedArchive*> by_seal_;
  std::optional<JournalSessions> journal_;
  std::set<uint64_t> named_missing_;                  // Seals that a finding names already.
};

Result<VerifyReport> Verifier::run() {
  if (options_.keys.empty()) return fail(Error::Kind::kInvalid, "a public key is needed: that of record.signing, usually log.key.pub");
  if (!exists(options_.place.archive) && (options_.place.log.empty() || !exists(options_.place.log))) {
    return fail(Error::Kind::kNotFound, options_.place.archive + ": no such record");
  }
  // Before the archives: what is listed now is in its place now.  And the journal before those: what leaves it is sealed.
  if (Result<void> done = check_journal(); !done) return tl::unexpected(done.error());
  if (Result<void> done = read_log(); !done) return tl::unexpected(done.error());
  if (Result<void> done = check_archives(); !done) return tl::unexpected(done.error());
  check_list();
  check_chain();
  if (head_) check_head(*head_, "log/seals.head");
  if (known_head_) check_head(*known_head_, "the head that was kept");
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
  if (!options_.known_head.empty()) {
    const Result<SealHead> known = head_from_text(options_.known_head, options_.keys);
    if (!known) return fail(Error::Kind::kInvalid, "the head that was given: " + known.error().message);
    known_head_ = *known;
    report_.has_known_head = true;
  }
  if (options_.place.log.empty()) {
    add(Severity::kNote, "head-not-given", options_.place.archive, "archives alone: nothing says that the newest seals are all here; give the state folder");
    return {};
  }
  const Result<std::string> text = read_text(head_path(options_.place.log), 64u << 10);
  if (text) {
    const Result<SealHead> head = head_from_text(*text, options_.keys);
    if (!head) {
      add(Severity::kBroken, "head-changed", head_path(options_.place.log), head.error().message);
    } else {
      head_ = *head;
      report_.has_head = true;
    }
  }
  const Result<SealList> list = read_seals(options_.place.log, [&](const SealEntry& entry) { list_.push_back(entry); });
  if (!list && list.error().kind != Error::Kind::kCorrupt) return tl::unexpected(list.error());
  if (!list) add(Severity::kBroken, "list-changed", seals_path(options_.place.log), list.error().message);
  if (list && list->torn_size != 0) {
    add(Severity::kNote, "list-torn", seals_path(options_.place.log), "it ends in half a line: the gateway was writing, or ended while it wrote");
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
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t done = 0;
  const auto work = [&] {
    for (std::size_t index = next++; index < files.size(); index = next++) {
      archives_[index] = check_archive(options_.place.archive, files[index], options_.keys);
      const std::lock_guard lock(mutex);
      ++done;
      if (options_.progress) options_.progress(done, files.size());
    }
  };
  const std::size_t wanted = options_.threads != 0 ? options_.threads : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (std::size_t index = 1; index < std::min(wanted, files.size()); ++index) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  for (const CheckedArchive& archive : archives_) {
    report_.findings.insert(report_.findings.end(), archive.findings.begin(), archive.findings.end());
    ++report_.archives;
    report_.bytes += archive.size;
    if (archive.is_readable) report_.events += archive.manifest.summary.events;
  }
  return {};
}

// Seals by number: no two alike, each with the digest of the one before it, none left out.
void Verifier::check_chain() {
  for (const CheckedArchive& archive : archives_) {
    if (!archive.is_readable) {
      // Its seal is there, though changed: the list tells which, and one finding is enough.
      for (const SealEntry& entry : list_) {
        if (entry.path == archive.file.name) named_missing_.insert(entry.seal);
      }
      continue;
    }
    const auto [place, is_new] = by_seal_.emplace(archive.manifest.seal, &archive);
    if (!is_new) {
      add(Severity::kBroken, "seal-twice", archive.file.name, "seal " + std::to_string(archive.manifest.seal) + " is also " + place->second->file.name);
    }
  }
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
}

void Verifier::check_chain_start(const CheckedArchive& first) {
  const uint64_t seal = first.manifest.seal;
  for (uint64_t missing = 1; missing < seal && missing <= 1000; ++missing) {
    if (named_missing_.insert(missing).second) add(Severity::kBroken, "seal-missing", "seal " + std::to_string(missing), "the record begins with " + first.file.name);
  }
  if (seal == 1 && first.manifest.previous != Digest{}) add(Severity::kBroken, "link-broken", first.file.name, "the first seal names one before it");
}

// Each line names an archive that is there and is it; each archive has its line.
void Verifier::check_list() {
  if (options_.place.log.empty()) return;
  std::map<std::string, const CheckedArchive*> by_name;
  for (const CheckedArchive& archive : archives_) by_name.emplace(archive.file.name, &archive);
  uint64_t expected = 1;
  for (const SealEntry& entry : list_) {
    const std::string line = "log/seals, seal " + std::to_string(entry.seal);
    if (entry.seal != expected) add(Severity::kBroken, "list-changed", line, "seal " + std::to_string(expected) + " was to stand here");
    expected = entry.seal + 1;
    const auto found = by_name.find(entry.path);
    if (found == by_name.end()) {
      add(Severity::kBroken, "archive-missing", entry.path, "seal " + std::to_string(entry.seal) + " of session " + std::to_string(entry.session) + " is listed, its archive is not there");
      named_missing_.insert(entry.seal);
    } else if (found->second->is_readable && to_line(entry_of(found->second->manifest, found->second->digest, entry.path)) != to_line(entry)) {
      add(Severity::kBroken, "archive-replaced", entry.path, line + " lists another seal than the one that is there");
    }
  }
  if (head_ && expected <= head_->seals) {
    add(Severity::kBroken, "list-changed", seals_path(options_.place.log), "it ends with seal " + std::to_string(expected - 1) + ", the head speaks of " + std::to_string(head_->seals));
  }
  std::set<std::string> listed;
  for (const SealEntry& entry : list_) listed.insert(entry.path);
  const uint64_t last = list_.empty() ? 0 : list_.back().seal;
  for (const CheckedArchive& archive : archives_) {
    if (listed.contains(archive.file.name)) continue;
    if (archive.is_readable && archive.manifest.seal > last) {
      add(Severity::kNote, "seal-unlisted", archive.file.name, "sealed, not listed yet: the gateway was at it");
    } else {
      add(Severity::kBroken, "archive-extra", archive.file.name, "no line of log/seals names it");
    }
  }
}

// Post: a head fits if the chain, as it is here, has its digest at its number.
void Verifier::check_head(const SealHead& head, const char* name) {
  if (head.seals == 0) return;
  const auto found = by_seal_.find(head.seals);
  const uint64_t have = std::max(report_.last_seal, list_.empty() ? 0 : list_.back().seal);
  if (have < head.seals) {
    add(Severity::kBroken, "seals-removed", name, "it speaks of " + plural(head.seals, "seal") + "; the newest here is " + std::to_string(have));
  } else if (found != by_seal_.end() && found->second->digest != head.digest) {
    add(Severity::kBroken, "head-differs", name, "its seal " + std::to_string(head.seals) + " is another than " + found->second->file.name);
  } else if (found == by_seal_.end() && !named_missing_.contains(head.seals)) {
    add(Severity::kBroken, "seal-missing", name, "the newest seal it speaks of, " + std::to_string(head.seals) + ", is not here");
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
  if (!options_.place.log.empty() && !exists(head_path(options_.place.log)) && (!archives_.empty() || !list_.empty())) {
    add(Severity::kBroken, "head-missing", head_path(options_.place.log), "archives are here, the signed head is not");
  }
  if (journal_) report_.live_sessions = journal_->open.size();
}

void Verifier::check_session(uint64_t session, const std::vector<const CheckedArchive*>& parts) {
  const std::string where = "session " + std::to_string(session);
  uint32_t expected = 1;
  uint64_t last = 0;
  for (const CheckedArchive* part : parts) {
    const Manifest& m = part->manifest;
    if (m.part != expected) {
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
  uint64_t highest = head_ ? head_->sessions : 0;
  if (!sessions.empty()) highest = std::max(highest, sessions.rbegin()->first);
  std::set<uint64_t> damaged;  // Their archives have a finding of their own.
  for (const CheckedArchive& archive : archives_) {
    if (!archive.is_readable) damaged.insert(archive.file.session);
  }
  for (const SealEntry& entry : list_) damaged.insert(entry.session);
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
