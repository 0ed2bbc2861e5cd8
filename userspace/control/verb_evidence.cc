// evidence: one folder for an auditor, made from the record alone.
#include <unistd.h>

#include <boost/program_options/value_semantic.hpp>
#include <filesystem>
#include <fstream>

#include "control/cli_text.h"
#include "control/pack_files.h"
#include "control/policy_json.h"
#include "control/record_options.h"
#include "control/verbs.h"
#include "control/version.h"
#include "core/time_text.h"
#include "record/evidence_log.h"
#include "record/prove.h"
#include "record/reader.h"
#include "record/retention_plan.h"
#include "record/verify.h"
#include "report/evidence_pack.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::chrono::seconds kPrintTimeout{60};

class Maker {
 public:
  Maker(VerbCall& call, record::RecordPlace place, std::vector<record::VerifyingKey> keys) : call_(call), place_(std::move(place)), keys_(std::move(keys)) {}
  Result<report::PackSummary> make(const std::string& folder, report::Scope scope);
  [[nodiscard]] bool is_verified() const { return is_verified_; }
  [[nodiscard]] uint64_t proofs() const { return proofs_; }

 private:
  void step(const std::string& words) {
    if (call_.terminal.err_is_terminal && !call_.json) call_.terminal.err << "\r" << words << "\x1b[K" << std::flush;
  }
  Result<report::VerifierResult> check();
  Result<void> fill(report::EvidencePack& pack, const report::Scope& scope);
  Result<void> told(report::EvidencePack& pack, const char* part, const Result<void>& read) const;
  [[nodiscard]] bool needs_key(const Result<void>& read) const { return !read && read.error().kind == Error::Kind::kDenied && place_.openers.empty(); }
  void add_grants(report::EvidencePack& pack);
  Result<void> add_sessions(report::EvidencePack& pack, const report::Scope& scope);
  Result<void> add_acts(report::EvidencePack& pack);
  Result<void> add_holds(report::EvidencePack& pack);
  Result<void> add_log(report::EvidencePack& pack);
  Result<void> add_proofs(report::EvidencePack& pack);
  Result<void> copy(const report::EvidencePack& pack, const std::string& from, const std::string& name);
  Result<void> put(const report::EvidencePack& pack, const std::string& name, const std::string& text);

  VerbCall& call_;
  record::RecordPlace place_;
  std::vector<record::VerifyingKey> keys_;
  bool is_verified_ = false;
  std::string gateway_;
  uint64_t proofs_ = 0;
  std::set<uint64_t> wanted_;           // Sessions whose proof goes into the pack.
  std::vector<std::string> extra_;      // Files that we put there.
};

Result<report::VerifierResult> Maker::check() {
  record::VerifyOptions options;
  options.place = place_;
  options.keys = keys_;
  if (call_.has("head")) {
    DiskFiles files;
    auto head = files.read(call_.text("head"), 64u << 10);
    if (!head) return fail(Error::Kind::kInvalid, call_.text("head") + " " + head.error().message);
    options.known_head = std::move(*head);
  }
  auto witnesses = record_witnesses(call_);
  if (!witnesses) return tl::unexpected(witnesses.error());
  options.witnesses = std::move(*witnesses);
  options.stamp_ca = call_.text("tsa-ca");
  options.progress = [&](uint64_t done, uint64_t total) { step("verifying: " + std::to_string(done) + " of " + counted(total, "archive")); };
  const auto verified = record::verify(options);
  if (!verified) return tl::unexpected(verified.error());
  report::VerifierResult result;
  result.is_verified = is_verified_ = verified->exit_code() != kExitFinding;
  gateway_ = verified->gateway.empty() ? "unknown" : verified->gateway;
  result.archives = verified->archives;
  result.sessions = verified->sessions;
  result.events = verified->events;
  result.live_sessions = verified->live_sessions;
  result.origin = verified->origin;
  result.root = verified->root;
  result.vkey = verified->vkey;
  result.log_entries = verified->log_entries;
  result.heartbeats = verified->heartbeats;
  for (const record::Finding& finding : verified->findings) result.findings.push_back({std::string(record::name_of(finding.severity)), finding.code, finding.where, finding.message});
  if (verified->has_known_head) result.protections.emplace_back("an earlier checkpoint that was kept");
  for (const record::Vouched& witness : verified->witnesses) {
    if (witness.size != 0) result.protections.push_back("the cosignature of " + witness.name + " over " + std::to_string(witness.size) + " log entries, of " + witness.at);
  }
  if (verified->has_stamp()) result.protections.push_back("a time stamp over " + std::to_string(verified->stamps.size) + " log entries, of " + verified->stamps.at);
  return result;
}

// What cannot be read is told in the pack, and the rest still stands in it.  An Error: nothing can be read without a key, or the
// pack cannot be written.
Result<void> Maker::told(report::EvidencePack& pack, const char* part, const Result<void>& read) const {
  if (read || needs_key(read) || read.error().kind == Error::Kind::kSystem) return read;
  pack.note_unreadable(part, read.error().message);
  return {};
}

// Of the configuration now; a copied folder has none, and then the record alone says which grants were used.
void Maker::add_grants(report::EvidencePack& pack) {
  if (call_.has("state") && !call_.has("config")) return;
  const auto loaded = call_.load(false);
  if (!loaded) {
    call_.terminal.err << "weir evidence: the configuration cannot be read: grants that nobody used are not in the pack\n";
    return;
  }
  for (const GrantConfig& grant : loaded->config.grants) pack.add_grant(json::parse(to_json(grant).dump()));
}

Result<void> Maker::add_sessions(report::EvidencePack& pack, const report::Scope& scope) {
  record::SessionFilter filter;
  filter.since = scope.from;
  filter.until = scope.until;
  uint64_t done = 0;
  Result<void> shut;
  const Result<void> listed = record::list_sessions(place_, filter, [&](const std::string& line) {
    const json session = json::parse(line, nullptr, false);
    if (!session.is_object()) return true;
    const uint64_t id = number_at(session, "id");
    pack.begin_session(session);
    const Result<void> replayed = record::replay(place_, id, [&](const std::string& text) {
      if (const json event = json::parse(text, nullptr, false); event.is_object()) pack.add_event(event);
      return true;
    });
    if (needs_key(replayed)) {
      shut = replayed;
      return false;
    }
    if (!replayed) pack.note_unreadable_session(replayed.error().message);
    if (pack.end_session() || call_.text("proofs") == "all") wanted_.insert(id);
    if (++done % 64 == 0) step("reading: " + counted(done, "session"));
    return true;
  });
  return shut ? listed : shut;
}

// Of any time: what was decided before the period may hold in it, and what was done in it may be answered later.
Result<void> Maker::add_acts(report::EvidencePack& pack) {
  record::ActFilter filter;
  filter.count_max = UINT64_MAX;
  return record::list_acts(place_, filter, [&](const std::string& line) {
    if (const json act = json::parse(line, nullptr, false); act.is_object()) pack.add_act(act);
    return true;
  });
}

Result<void> Maker::add_holds(report::EvidencePack& pack) {
  if (place_.log.empty()) return {};
  RetentionConfig configured;
  if (!call_.has("state") || call_.has("config")) {
    if (const auto loaded = call_.load(false)) configured = loaded->config.retention;
  }
  const auto holds = record::read_holds(std::filesystem::path(place_.log).parent_path().string(), configured);
  if (!holds) return tl::unexpected(holds.error());
  for (const record::Hold& hold : *holds) {
    pack.add_hold({{"id", hold.id}, {"what", record::words_of(hold)}, {"by", hold.by}, {"at", utc_text_if_set(hold.at)}, {"reason", hold.reason}, {"configured", hold.is_configured}});
  }
  pack.note_holds_known();
  return {};
}

Result<void> Maker::add_log(report::EvidencePack& pack) {
  const auto head = record::read_head(place_.log);
  if (!head) return tl::unexpected(head.error());
  step("reading the evidence log");
  return record::read_entries(place_.log, head->checkpoint.size, [&](uint64_t, Bytes entry) {
    if (const json object = json::parse(as_text(entry), nullptr, false); object.is_object()) pack.add_log_entry(object);
  });
}

Result<void> Maker::put(const report::EvidencePack& pack, const std::string& name, const std::string& text) {
  std::ofstream out(pack.folder() + "/" + name, std::ios::binary);
  out << text;
  out.close();
  if (!out) return fail(Error::Kind::kSystem, pack.folder() + "/" + name + ": could not be written; is the disk full?");
  extra_.push_back(name);
  return {};
}

Result<void> Maker::copy(const report::EvidencePack& pack, const std::string& from, const std::string& name) {
  DiskFiles files;
  const auto text = files.read(from, 64u << 10);
  if (!text) return fail(text.error().kind, from + " " + text.error().message);
  return put(pack, name, *text);
}

Result<void> Maker::add_proofs(report::EvidencePack& pack) {
  for (const char* name : {"checkpoint", "signing.pub"}) {
    if (auto copied = copy(pack, place_.log + "/" + name, std::string("proofs/") + name); !copied) return copied;
  }
  if (call_.text("proofs") == "none") return {};
  step("proving " + counted(wanted_.size(), "session"));
  const auto proved = record::prove_sessions(place_.log, wanted_, [&](const record::SealEntry& seal, const std::string& proof) {
    const std::string part = seal.part == 1 ? "" : "." + std::to_string(seal.part);
    const std::string file = "proofs/session-" + std::to_string(seal.session) + part + ".tlog-proof";
    pack.add_proof(seal.session, seal.part, seal.seal, record::hex(seal.digest), file);
    return put(pack, file, proof);
  });
  if (!proved) return tl::unexpected(proved.error());
  proofs_ = *proved;
  return {};
}

Result<void> Maker::fill(report::EvidencePack& pack, const report::Scope& scope) {
  add_grants(pack);
  if (auto done = told(pack, "acts", add_acts(pack)); !done) return done;
  if (auto done = told(pack, "legal holds", add_holds(pack)); !done) return done;
  if (auto done = told(pack, "sessions", add_sessions(pack, scope)); !done) return done;
  if (auto done = told(pack, "evidence log", add_log(pack)); !done) return done;
  return told(pack, "proofs", add_proofs(pack));
}

Result<report::PackSummary> Maker::make(const std::string& folder, report::Scope scope) {
  auto result = check();
  if (!result) return tl::unexpected(result.error());
  scope.gateway = gateway_;
  auto pack = report::EvidencePack::begin(folder, scope);
  if (!pack) return tl::unexpected(pack.error());
  pack->set_verifier(std::move(*result));
  if (!call_.has("no-pdf")) {
    const char* path = call_.terminal.environment("PATH");
    pack->set_printer([this, browser = find_browser(path == nullptr ? "" : path)](const std::string& html, const std::string& pdf) -> Result<void> {
      if (browser.empty()) return fail(Error::Kind::kNotFound, "no browser (chromium) is on PATH");
      step("printing");
      return print_page(browser, html, pdf, kPrintTimeout);
    });
  }
  const auto filled = fill(*pack, scope);
  auto made = filled ? pack->finish(extra_) : tl::unexpected<Error>(filled.error());
  // Half a pack is none, and would be in the way of the next attempt.
  std::error_code ignored;
  if (!made) std::filesystem::remove_all(folder, ignored);
  return made;
}

std::string shell_word(const std::string& word) { return word.find_first_of(" '\"\\$") == std::string::npos ? word : "'" + word + "'"; }

int run_evidence(VerbCall& call) {
  if (!call.words().empty()) return call.fail(kExitUsage, "no word beside the options; the folder is named by --output");
  if (call.text("framework") != "soc2") return call.fail(kExitUsage, "--framework " + call.text("framework") + ": soc2 is the only one there is");
  if (const std::string proofs = call.text("proofs"); proofs != "exceptions" && proofs != "all" && proofs != "none") return call.fail(kExitUsage, "--proofs " + proofs + ": one of exceptions, all, none");
  report::Scope scope;
  scope.until = std::chrono::ceil<std::chrono::seconds>(std::chrono::system_clock::now());
  if (!call.has("from")) return call.fail(kExitUsage, "--from is needed: when the period begins, such as 2027-01-01T00:00:00Z or 90d (ago)");
  for (const char* key : {"from", "to"}) {
    if (!call.has(key)) continue;
    const auto moment = parse_moment(call.text(key));
    if (!moment) return call.fail(kExitUsage, std::string("--") + key + " " + moment.error().message);
    (key[0] == 'f' ? scope.from : scope.until) = *moment;
  }
  if (scope.until <= scope.from) return call.fail(kExitUsage, "--to is not after --from");
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto found = record_place(call, *folder);
  if (!found) return call.fail(kExitUsage, found.error().message);
  const record::RecordPlace& place = *found;
  if (place.log.empty()) return call.fail(kExitUsage, *folder + " has no evidence log: give a state folder, or a copy of one, with --state");
  auto keys = record_keys(call);
  if (!keys) return call.fail(keys.error());
  const std::string zip = call.text("zip");
  if (!zip.empty() && call.has("output")) return call.fail(kExitUsage, "give --output for a folder or --zip for one file, not both");
  std::error_code ignored;
  if (!zip.empty() && std::filesystem::exists(zip, ignored)) return call.fail(kExitUsage, zip + " is there already: name a file that is not");
  std::string output = zip.empty() ? call.text("output") : zip + ".new";
  if (output.empty()) output = "evidence-" + utc_text(scope.from).substr(0, 10) + "-" + utc_text(scope.until).substr(0, 10);
  scope.version = kVersion;
  scope.made_at = utc_text(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  scope.made_by = "uid " + std::to_string(getuid());
  scope.command = "weir evidence --from " + utc_text(scope.from) + " --to " + utc_text(scope.until) + " --framework soc2 --proofs " + call.text("proofs") + (zip.empty() ? " --output " + shell_word(output) : " --zip " + shell_word(zip)) + (call.has("no-pdf") ? " --no-pdf" : "");
  for (const char* key : {"state", "head", "tsa-ca", "key-file"}) {
    if (call.has(key)) scope.command += std::string(" --") + key + " " + shell_word(call.text(key));
  }
  for (const std::string& path : call.texts("witness")) scope.command += " --witness " + shell_word(path);
  tell_engine(call, "evidence", "from " + utc_text(scope.from) + " until " + utc_text(scope.until));
  Maker maker(call, place, std::move(*keys));
  const auto made = maker.make(output, scope);
  if (call.terminal.err_is_terminal && !call.json) call.terminal.err << "\r\x1b[K" << std::flush;
  if (!made) return call.fail(made.error());
  if (!zip.empty()) {
    const auto zipped = zip_folder(output, std::filesystem::path(zip).stem().string(), zip);
    std::filesystem::remove_all(output, ignored);
    if (!zipped) return call.fail(zipped.error());
    output = zip;
  }
  if (call.json) {
    ordered_json rows;
    for (const auto& [name, count] : made->rows) rows[name] = count;
    call.print_json({{"folder", output}, {"verified", maker.is_verified()}, {"sessions", made->sessions}, {"commands", made->commands}, {"refused", made->refused}, {"identities", made->identities},
                     {"exceptions", made->exceptions}, {"proofs", maker.proofs()}, {"pdf", made->has_pdf}, {"pdf_problem", made->pdf_problem}, {"rows", std::move(rows)}});
  } else {
    call.terminal.out << output << (zip.empty() ? "/index.html: " : ": ") << counted(made->sessions, "session") << ", " << counted(made->commands, "command") << ", " << made->refused << " refused, " << counted(made->exceptions, "exception") << ", "
                      << counted(maker.proofs(), "proof") << "\n";
    if (!made->has_pdf && !call.has("no-pdf")) call.terminal.out << "no PDF: " << made->pdf_problem << "\n";
    if (!maker.is_verified()) call.terminal.out << paint("The record does not verify", Colour::kRed, call.colour) << ": the pack says so; `weir verify` says where\n";
  }
  return maker.is_verified() ? kExitDone : kExitFinding;
}

}  // namespace

Verb evidence_verb() {
  return {.name = "evidence",
          .group = "The record",
          .summary = "write an evidence pack: one folder for an auditor",
          .synopsis = "--from TIME [--to TIME] [--output FOLDER | --zip FILE] [--key FILE] [--head FILE] [--state FOLDER] ...",
          .description = "A report (index.html), its tables as CSV and JSON Lines with row counts and digests, proofs of sessions, the log's checkpoint and key, and SHA256SUMS. Exceptions come first; each table is a whole population with the query "
                         "that made it; laid out by criterion of the 2017 Trust Services Criteria, with what the data does not prove. It holds who did what and when, and no statement: `weir replay` shows those.\n"
                         "The whole record is verified first. Works without an engine, and on a copy. Where a browser (chromium) is on PATH, the report is there as PDF too (report.pdf); without one the pack says so. Grants that nobody used are listed where the configuration can be read.\n"
                         "JSON: {folder, verified, sessions, commands, refused, identities, exceptions, proofs, pdf, pdf_problem, rows: {TABLE: N}}",
          .exits = "0 done, and the record verifies\n1 done, and the record does not verify: the pack says so first\n2 the command line is wrong, or there is no such record\n4 the archives are encrypted, and no key was given\n5 the record cannot be read, or the pack not be written",
          .example = "weir evidence --from 2027-01-01T00:00:00Z --to 2027-07-01T00:00:00Z\nweir evidence --from 90d --state /mnt/copy/weir --key log.pub --head checkpoint.january --output pack\nweir evidence --from 90d --zip january.zip --no-pdf",
          .add_options = [](po::options_description& options) {
            options.add_options()("from", po::value<std::string>()->value_name("TIME"), "when the period begins; a time, or how long ago, such as 90d")
                ("to", po::value<std::string>()->value_name("TIME"), "when it ends, not included; now if not given")
                ("output", po::value<std::string>()->value_name("FOLDER"), "a folder that is not there yet; evidence-FROM-TO if not given")
                ("zip", po::value<std::string>()->value_name("FILE"), "one zip in place of a folder; a file that is not there yet")
                ("no-pdf", "print no PDF, also where a browser is there")
                ("framework", po::value<std::string>()->value_name("NAME")->default_value("soc2"), "soc2")
                ("proofs", po::value<std::string>()->value_name("WHICH")->default_value("exceptions"), "of which sessions: those with a refusal, a held command, an alert or an exception; all; none")
                ("key", po::value<std::vector<std::string>>()->value_name("FILE"), "public key of the seals, PEM; else the one beside record.signing.key_file")
                ("head", po::value<std::string>()->value_name("FILE"), "a checkpoint that you kept: the log must go on from it")
                ("witness", po::value<std::vector<std::string>>()->value_name("FILE"), "a witness's verifier key; may be given several times")
                ("tsa-ca", po::value<std::string>()->value_name("FILE"), "CA of the time stamps, PEM")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
            add_key_file(options);
          },
          .run = run_evidence};
}

}  // namespace weir::control
