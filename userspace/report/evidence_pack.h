// The evidence pack: a folder that somebody who has neither the gateway nor its makers can read and check.  Fed with what the
// record's readers say, in their JSON; holds sums by identity, grant, login, rule and day, and no list of sessions or events.
//
//   index.html       (and report.pdf, where a browser printed it) the report: scope, exceptions first, completeness, one section a criterion, limits, how to check by hand
//   pack.json        the same for machines
//   tables/*.csv     whole populations; *.jsonl the same rows as JSON Lines
//   proofs/          proofs of sessions (C2SP tlog-proof), public keys, the checkpoint: put there by the caller
//   SHA256SUMS       of every file but itself
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "report/access_list.h"
#include "report/pack_ledger.h"
#include "report/pack_table.h"

namespace weir::report {

// What the report says about itself.
struct Scope {
  std::string gateway, version;
  std::chrono::sys_seconds from{}, until{};     // [from, until)
  std::string made_at, made_by, command;        // The exact command line.
  std::string framework = "soc2";
};

// What `weir verify` found, over the whole record and not the period alone.
struct VerifierResult {
  bool is_verified = false;
  uint64_t archives = 0, sessions = 0, events = 0, live_sessions = 0;
  std::string origin, root, vkey;
  uint64_t log_entries = 0, heartbeats = 0;
  struct Finding { std::string severity, code, where, message; };
  std::vector<Finding> findings;
  std::vector<std::string> protections;         // What would show a rewrite by the key's holder: "earlier checkpoint", ...; empty: nothing.
};

struct PackSummary {
  uint64_t sessions = 0, commands = 0, refused = 0, identities = 0, exceptions = 0;
  std::map<std::string, uint64_t> rows;         // By table.
  bool has_pdf = false;
  std::string pdf_problem;                      // Why there is none.
};

struct PageData;

class EvidencePack {
 public:
  // Makes `folder`, which must not be there yet.
  static Result<EvidencePack> begin(const std::string& folder, Scope);

  // A grant of the configuration, as `weir grants --json` has it: what counts where the record does not hold the access list.
  void add_grant(const nlohmann::json& grant);
  // A legal hold that is in force now: {id, what, by, at, reason, configured}.
  void add_hold(const nlohmann::json& hold) { ledger_.add_hold(hold); }
  // A proof that the caller has put there.
  void add_proof(uint64_t session, uint32_t part, uint64_t seal, const std::string& digest, const std::string& file);
  void note_holds_known() { ledger_.note_holds_known(); }
  // As `weir events --json` has it.  Of any time, the newest first, and all before the sessions.
  void add_act(const nlohmann::json& act);
  // A session as `weir sessions --json` has it; then its events as `weir replay --json` has them; then its end.
  void begin_session(const nlohmann::json& session);
  void add_event(const nlohmann::json& event);
  // Some of the open session's events cannot be read.
  void note_unreadable_session(const std::string& why);
  // True: somebody will want a proof of it (refusals, held commands, alerts, exceptions).
  bool end_session();
  // An entry of the evidence log, in order from the first: what lies before the period sets where counters begin.
  void add_log_entry(const nlohmann::json& entry);
  void set_verifier(VerifierResult);
  // Writes the page as PDF to `path`.  An Error is no error of the pack: it says why there is none.
  using Printer = std::function<Result<void>(const std::string& html, const std::string& path)>;
  void set_printer(Printer printer) { printer_ = std::move(printer); }
  // A part of the record, such as the acts, of which some cannot be read.
  void note_unreadable(const std::string& where, const std::string& why);

  // Writes what is left.  `extra`: files below the folder that the caller has put there, for SHA256SUMS.
  Result<PackSummary> finish(const std::vector<std::string>& extra);

  [[nodiscard]] const std::string& folder() const { return folder_; }

  struct Subject {
    uint64_t sessions = 0, commands = 0, passed = 0, refused = 0, held = 0, masked = 0, alerts = 0, impersonation = 0, rows = 0;
    std::string first, last;
    std::set<std::string> groups, assurances, issuers, targets, logins, grants;
  };
  struct Grant {
    nlohmann::json held;                        // null: no grant of that name in the configuration.
    uint64_t commands = 0;
    std::string last;
    std::set<std::string> subjects;
  };
  struct Day {
    uint64_t sessions = 0, interrupted = 0, live = 0, commands = 0, passed_commands = 0, refused = 0, held = 0, masked = 0, alerts = 0, heartbeats = 0;
    uint64_t steered = 0, passed = 0, dropped = 0;
    std::map<std::string, uint64_t> reasons;
    bool is_clock_unsure = false;
    int64_t clock_offset_worst_us = 0;
    uint64_t clock_error_max_us = 0, unsure = 0;
  };
  struct Rule { uint64_t refused = 0, held = 0, alerts = 0, masked = 0; std::set<std::string> subjects; };

 private:
  struct Open;                                  // The session that events come in for.
  struct Ticket;
  EvidencePack(std::string folder, Scope scope);
  PackTable& table(const std::string& name);
  Result<void> make_tables();
  void add_exception(std::string at, std::string kind, std::string where, std::string what);
  void add_note(const std::string& at, const std::string& text);
  void add_command(const nlohmann::json& event);
  void add_alert(const nlohmann::json& event);
  void add_heartbeat(const nlohmann::json& entry, const std::string& at);
  void add_policies(const nlohmann::json& entry);
  [[nodiscard]] bool is_in_period(const std::string& at) const;
  void write_sums();
  void settle_access();
  [[nodiscard]] std::set<std::string> grants_of(const std::string& subject, const std::set<std::string>& groups) const;
  void look_for_exceptions();
  [[nodiscard]] nlohmann::ordered_json described() const;
  Result<void> write_page(PageData& page);
  Result<void> write_file(const std::string& name, std::string_view text);

  std::string folder_;
  Scope scope_;
  std::string from_text_, until_text_;          // RFC 3339; times of the record are of one form, so texts stand in order.
  std::map<std::string, PackTable> tables_;
  std::vector<std::string> order_;
  std::shared_ptr<Open> open_;
  PackLedger ledger_;
  AccessAt access_begin_, access_end_;          // Who could do what when the period began, and at its end.
  uint64_t log_index_ = 0;
  std::vector<nlohmann::json> config_grants_;
  std::string grants_from_;                     // What the grants of the pack are those of.
  Printer printer_;
  uint64_t alerts_judged_ = 0, alerts_ = 0;
  std::map<std::string, Subject> subjects_;
  std::map<std::string, Grant> grants_;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> logins_;   // Target, login: subjects.
  std::map<std::string, Day> days_;
  std::map<std::string, Rule> rules_;
  VerifierResult verifier_;
  PackSummary summary_;
  nlohmann::json last_beat_, last_start_;
  nlohmann::json policies_before_;              // The newest entry `retention` from before the period; null: none, or told.
  uint64_t seal_first_ = 0;                     // The first that was sealed since the period began; 0: none so far.
  std::vector<std::pair<std::string, std::string>> sums_;   // File, digest.
};

}  // namespace weir::report
