#include "report/pack_tables.h"

namespace weir::report {

const std::vector<TableInfo>& pack_tables() {
  static const std::vector<TableInfo> kTables = {
      {"exceptions", "Exceptions", "every session, act and log entry of the period, and every grant: what needs an explanation. A row is no verdict.", {"at", "kind", "where", "what"}},
      {"findings", "What the verifier found", "weir verify over the whole record, not the period alone", {"severity", "code", "where", "message"}},
      {"gaps", "Times without a gateway", "entries `gap` of the evidence log that end in the period, and silences between heartbeats that the verifier names", {"from", "until", "why"}},
      {"coverage", "Each day", "sessions opened that day; heartbeats of the kernel side, and by how much its counters rose between them: packets steered to the engine, passed (not for a target), dropped by reason",
       {"day", "sessions", "interrupted", "live", "commands", "refused", "alerts", "heartbeats", "steered", "passed", "dropped", "reasons", "clock_worst_offset_us", "clock_error_max_us", "clock_synchronised"}},
      {"identities", "Identities", "every subject with a session in the period; without one: who never proved an identity; grants held: those of the table Grants held against used that name it, or a group that it had",
       {"subject", "groups", "assurance", "issuers", "targets", "logins", "grants_held", "grants_used", "sessions", "commands", "passed", "refused", "held", "masked", "rows", "alerts", "impersonation", "first", "last"}},
      {"grants", "Grants held against used", "every grant of the access list at the end of the period (of the configuration, where the record holds none), and every grant that sessions of the period name; commands that each admitted in the period and that the target got; the newest sign-off before the end of the period",
       {"grant", "state", "who", "targets", "logins", "verbs", "objects", "until", "approval", "commands", "last_used", "used_by", "reviewed", "decision", "reviewed_by"}},
      {"access", "Who could do what", "every entry of the access lists that were in force when the period began and at its end, as acts `access-list` hold them (grants, approvals, roles, reviewers, static identities, mode of targets), with the entry of the evidence log of each list",
       {"when", "kind", "name", "who", "detail", "digest", "since", "list", "session", "seq", "log_entry"}},
      {"reviews", "Reviews of grants", "every grant of every act `sign-off` of the period, and of the 90 days before its end", {"at", "grant", "decision", "by", "reason", "grant_digest", "access_list"}},
      {"revocations", "From revocation to silence", "every binding of every act `revoke` of the period; of each, the sessions of the period by its subject that were looked at: those of the binding that were open, its last command that the target got, the last end of a session, and what came after",
       {"at", "by", "reason", "binding", "subject", "flows_cut", "sessions_open", "last_command", "last_session_end", "seconds_to_silence", "commands_after", "sessions_after", "sessions_under_later_bindings", "sessions_looked_at"}},
      {"logins", "Logins at targets", "every login of the period by target, and how many subjects used it", {"target", "login", "subjects", "who"}},
      {"sessions", "Sessions", "every session opened in the period, live ones too",
       {"session", "opened", "closed", "end", "subject", "groups", "assurance", "issuer", "token_id", "client", "target", "login", "grants", "mode", "commands", "refused", "held", "masked", "alerts", "rows",
        "bytes_to_client", "client_leg", "target_leg", "account"}},
      {"refusals", "Refused logins and commands", "every login and command of those sessions that was blocked, or whose session was ended for it; held ones stand under approvals",
       {"session", "seq", "at", "subject", "target", "login", "verb", "rule", "reason"}},
      {"approvals", "Held commands and their answers", "every ticket of those sessions", {"ticket", "session", "subject", "target", "approval", "asked", "answer", "by", "reason", "answered"}},
      {"answers", "Answers of reviewers", "every act approve and deny of the period, also those that were refused", {"at", "act", "by", "object", "reason", "outcome"}},
      {"impersonation", "Attempts to be somebody else", "every alert `impersonation` of those sessions: roles, logins and tokens that were not theirs", {"session", "seq", "at", "subject", "target", "what", "verdict", "reason"}},
      {"alerts", "Alerts", "every alert of those sessions; the judgement is of the alert of the same rule, subject and target that was raised at that time (10 s)", {"session", "seq", "at", "subject", "target", "rule", "verdict", "alert", "judged_as", "judged_by", "judged", "seconds_to_judge"}},
      {"dispositions", "Alerts that were judged", "every act `close-alert` that was done in the period, or of an alert that was first raised in it", {"alert", "judged", "as", "by", "reason", "event", "rule", "subject", "target", "session", "count", "first", "last", "seconds_to_judge"}},
      {"masking", "Rules at work", "every rule that refused, held, told of or masked something in those sessions", {"rule", "refused", "held", "alerts", "masked_values", "subjects"}},
      {"plaintext", "Sessions with a leg in clear", "every session with a login whose client leg or target leg had no TLS", {"session", "opened", "subject", "target", "leg"}},
      {"weak-identity", "Identities known by address alone", "every subject with sessions under assurance `static`: whoever holds the address is taken for it", {"subject", "sessions"}},
      {"bindings", "Identities bound, revoked and cut", "every act bind, revoke and cut of the period", {"at", "act", "by", "object", "reason", "outcome"}},
      {"changes", "Changes", "every act of the period that changed what the gateway does: reloads, files that changed before a start, second persons, bypasses, legal holds, expiry by hand",
       {"at", "act", "by", "object", "reason", "outcome", "digest_before", "digest_after", "parts"}},
      {"views", "Who looked", "every other act of the period: looks at sessions, replays, tickets, rules, grants, and requests that were refused", {"at", "act", "by", "object", "outcome"}},
      {"proofs", "Proofs in this pack", "every sealed part of the sessions whose proof was asked for (scope, command); `weir prove` makes one of any other", {"session", "part", "seal", "digest", "file"}},
      {"expired", "Sessions destroyed by policy", "every entry `tombstone` of the evidence log that was written in the period, or is of a session that was sealed since the period began: these are in no other table, and only the log still says that they were",
       {"at", "session", "part", "seal", "digest", "policy", "kept_seconds"}},
      {"retention", "How long the record is kept", "entries `retention` of the evidence log: the policies in force when the period began, and each change of them in it", {"since", "policy", "keep_seconds"}},
      {"holds", "Legal holds", "every legal hold that was in force in the period: acts `hold-add` and `hold-remove`, and what is in force now", {"hold", "what", "set", "set_by", "reason", "lifted", "lifted_by", "lifted_reason", "state"}},
      {"runs", "Runs of the gateway", "entries `start` and `stop` of the evidence log in the period, with the programs that the kernel side had", {"at", "what", "version", "config", "programs", "recovered"}},
  };
  return kTables;
}

}  // namespace weir::report
