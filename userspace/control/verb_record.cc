// sessions, verify, prove: the record, read from its files.  Works beside a running engine, without one, and on a copy.
#include <unistd.h>

#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "control/record_options.h"
#include "control/record_text.h"
#include "control/retention_text.h"
#include "control/session_filter.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "core/time_text.h"
#include "record/prove.h"
#include "record/reader.h"
#include "record/tlog_proof.h"
#include "record/verify.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using nlohmann::ordered_json;

// "2027-01-02T03:04:05.678Z" to the second: what a table has room for.
std::string short_time(const std::string& text) {
  const std::size_t dot = text.find('.');
  return dot == std::string::npos ? text : text.substr(0, dot) + "Z";
}

Result<record::SessionFilter> filter_of(VerbCall& call) {
  record::SessionFilter filter;
  if (auto words = read_session_words(filter, [&](const char* name) { return call.text(name); }); !words) return tl::unexpected<Error>(words.error());
  if (call.has("before")) filter.before = call.options["before"].as<uint64_t>();
  filter.tell = [&call](const std::string& why) { call.terminal.err << "weir " << call.verb.name << ": " << why << "\n"; };
  filter.only_blocked = call.has("blocked");
  if (call.has("live")) filter.is_live = true;
  if (auto period = read_period(call, filter); !period) return tl::unexpected<Error>(period.error());
  return filter;
}

// Sessions that a search could not look into.
void tell_locked(VerbCall& call, uint64_t count) {
  if (count == 0) return;
  call.terminal.err << "weir " << call.verb.name << ": " << counted(count, "session") << (count >= record::kLockedMax ? " or more" : "")
                    << " that may fit could not be looked into: encrypted, and no key that was given opens them, or their keys were destroyed (--key-file FILE)\n";
}

int run_sessions(VerbCall& call) {
  auto filter = filter_of(call);
  if (!filter) return call.fail(filter.error());
  uint64_t locked = 0;
  filter->tell_locked = [&](uint64_t) { ++locked; };
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  // The list alone tells of no command; narrowed by what was said it tells of that, and of a request all.
  const std::string asked = asked_of_events(*filter);
  if (!asked.empty()) tell_engine(call, "sessions", asked);
  // Manifests are in clear: only who looks into sessions needs a key.
  const auto place = record_place(call, *folder, !asked.empty());
  if (!place) return call.fail(place.error());
  if (call.json) {
    ArrayWriter array(call.terminal.out);
    const auto listed = record::list_sessions(*place, *filter, [&](const std::string& line) {
      array.add(line);
      return static_cast<bool>(call.terminal.out);
    });
    array.end();
    tell_locked(call, locked);
    return listed ? kExitDone : call.fail(listed.error());
  }
  TextTable table({{"SESSION", TextTable::Align::kRight}, {"OPENED"}, {"CLOSED"}, {"SUBJECT"}, {"TARGET"}, {"COMMANDS", TextTable::Align::kRight}, {"BLOCKED", TextTable::Align::kRight},
                   {"MASKED", TextTable::Align::kRight}, {"REASON"}});
  std::size_t in_request = 0;
  const auto listed = record::list_sessions(*place, *filter, [&](const std::string& line) {
    const json session = json::parse(line, nullptr, false);
    if (!session.is_object()) return true;
    const std::string closed = shown_at(session, "closed");
    const uint64_t blocked = number_at(session, "blocked");
    table.add({shown_at(session, "id"), short_time(shown_at(session, "opened")), closed.empty() ? TextTable::Cell("live", Colour::kGreen) : TextTable::Cell(short_time(closed)),
               shown_at(session, "subject"), shown_at(session, "target"), number_at(session, "commands"), {std::to_string(blocked), blocked != 0 ? Colour::kRed : Colour::kNone},
               number_at(session, "masked"), shown_at(session, "reason")});
    if (const auto commands = session.find("request_commands"); commands != session.end()) in_request += commands->size();
    return true;
  });
  if (!listed) return call.fail(listed.error());
  table.print(call.terminal.out, call.colour);
  tell_locked(call, locked);
  if (!filter->request.empty()) call.terminal.out << counted(in_request, "event") << " with that request; --json lists them, `weir replay` shows all of a session\n";
  return kExitDone;
}

Colour colour_of(record::Finding::Severity severity) {
  return severity == record::Finding::Severity::kBroken ? Colour::kRed : severity == record::Finding::Severity::kAttention ? Colour::kYellow : Colour::kDim;
}

// What shows a rewrite, a second log, or one that was put back, also by who holds the log's key.
void print_protections(std::ostream& out, const record::VerifyReport& report) {
  for (const record::Vouched& witness : report.witnesses) {
    out << "Witness " << escape_bytes(witness.name) << ": ";
    if (witness.size == 0) out << "no cosignature that holds\n";
    else out << "has cosigned " << witness.size << " of " << report.log_entries << " entries, the last at " << witness.at << "\n";
  }
  if (report.stamps.size != 0) out << "Time stamps: " << report.stamps.count << " hold, the last over " << report.stamps.size << " of " << report.log_entries << " entries, of " << report.stamps.at << "\n";
  if (report.has_known_head) out << "Goes on from the checkpoint that you kept.\n";
  if (!report.has_known_head && !report.has_witness() && !report.has_stamp()) {
    out << "Protections: none checked. A whole folder put back as it was earlier, or rewritten with the signing key, would look the same: give a witness's key (--witness), the time stamps' CA (--tsa-ca), "
           "or a log/checkpoint that you kept elsewhere (--head).\n";
    return;
  }
  const auto word = [](bool has) { return has ? "yes" : "no"; };
  out << "Protections: witness " << word(report.has_witness()) << ", time stamp " << word(report.has_stamp()) << ", earlier checkpoint " << word(report.has_known_head) << "\n";
}

void print_report(VerbCall& call, const record::VerifyReport& report) {
  std::ostream& out = call.terminal.out;
  if (call.json) {
    ordered_json findings = ordered_json::array();
    for (const record::Finding& finding : report.findings) {
      findings.push_back({{"severity", record::name_of(finding.severity)}, {"code", finding.code}, {"where", finding.where}, {"message", finding.message}});
    }
    ordered_json gaps = ordered_json::array();
    for (const record::LogGap& gap : report.gaps) gaps.push_back({{"from", gap.from}, {"until", gap.until}, {"why", gap.why}});
    ordered_json witnesses = ordered_json::array();
    for (const record::Vouched& witness : report.witnesses) witnesses.push_back({{"name", witness.name}, {"entries", witness.size}, {"at", witness.at}, {"cosignatures", witness.count}});
    call.print_json({{"verified", report.exit_code() != kExitFinding},
                     {"archives", report.archives},
                     {"sessions", report.sessions},
                     {"events", report.events},
                     {"bytes", report.bytes},
                     {"live_sessions", report.live_sessions},
                     {"not_opened", report.shut},
                     {"first_seal", report.first_seal},
                     {"last_seal", report.last_seal},
                     {"has_head", report.has_head},
                     {"has_known_head", report.has_known_head},
                     {"log", {{"origin", report.origin}, {"entries", report.log_entries}, {"root", report.root}, {"vkey", report.vkey}, {"heartbeats", report.heartbeats}}},
                     {"protections", {{"witness", report.has_witness()}, {"time_stamp", report.has_stamp()}, {"earlier_checkpoint", report.has_known_head}}},
                     {"witnesses", std::move(witnesses)},
                     {"time_stamps", {{"count", report.stamps.count}, {"entries", report.stamps.size}, {"at", report.stamps.at}}},
                     {"expired", expired_json(report.expired)},
                     {"gaps", std::move(gaps)},
                     {"findings", std::move(findings)}});
    return;
  }
  TextTable table({{""}, {""}, {""}, {""}});
  for (const record::Finding& finding : report.findings) {
    table.add({{std::string(record::name_of(finding.severity)), colour_of(finding.severity)}, finding.code, finding.where, finding.message});
  }
  table.print(out, call.colour);
  const bool is_broken = report.exit_code() == kExitFinding;
  out << paint(is_broken ? "BROKEN" : "verified", is_broken ? Colour::kRed : Colour::kGreen, call.colour) << ": " << counted(report.archives, "archive") << ", " << counted(report.sessions, "session")
      << ", " << counted(report.events, "event") << ", " << human_size(report.bytes) << ", seals " << report.first_seal << " to " << report.last_seal;
  if (report.live_sessions != 0) out << "; " << counted(report.live_sessions, "live session") << " not sealed yet";
  out << "\n";
  if (report.shut != 0) out << counted(report.shut, "archive") << " encrypted and not opened: proved to be what was sealed; --key-file looks into them as well\n";
  if (!report.origin.empty()) {
    out << "Log " << escape_bytes(report.origin) << ": " << std::to_string(report.log_entries) << " entries" << ", " << counted(report.heartbeats, "heartbeat") << ", root " << report.root << "\n";
  }
  print_expired(out, report.expired);
  if (!report.gaps.empty()) {
    out << counted(report.gaps.size(), "time") << " no gateway ran; the last from " << escape_bytes(report.gaps.back().from) << " to " << escape_bytes(report.gaps.back().until) << ", " << escape_bytes(report.gaps.back().why) << "\n";
  }
  if (is_broken) return;
  print_protections(out, report);
}

// verify --proof FILE [ARCHIVE]: one session, from a file that stands on its own.
int run_verify_proof(VerbCall& call) {
  if (call.words().size() > 1) return call.fail(kExitUsage, "at most one archive beside a proof");
  const auto keys = record_keys(call);
  if (!keys) return call.fail(keys.error());
  DiskFiles files;
  const auto text = files.read(call.text("proof"), record::kProofSizeMax);
  if (!text) return call.fail(kExitUsage, call.text("proof") + " " + text.error().message);
  const auto witnesses = record_witnesses(call);
  if (!witnesses) return call.fail(kExitUsage, witnesses.error().message);
  const auto proved = record::check_proof(*text, *keys, *witnesses);
  const auto archive = proved && !call.words().empty() ? record::check_proved_archive(*proved, call.words()[0], *keys) : Result<void>{};
  const std::string problem = !proved ? proved.error().message : !archive ? archive.error().message : "";
  std::ostream& out = call.terminal.out;
  if (call.json) {
    ordered_json said = {{"verified", problem.empty()}, {"problem", problem}};
    if (proved) {
      said["log"] = {{"origin", proved->checkpoint.origin}, {"entries", proved->checkpoint.size}, {"index", proved->index}};
      said["session"] = proved->seal.session;
      said["part"] = proved->seal.part;
      said["digest"] = record::hex(proved->seal.digest);
      said["witnesses"] = ordered_json::array();
      for (const record::ProvedBy& by : proved->witnesses) said["witnesses"].push_back({{"name", by.name}, {"at", utc_text(std::chrono::sys_seconds(std::chrono::seconds(by.at_s)))}});
      said["archive_checked"] = !call.words().empty() && archive.has_value();
    }
    call.print_json(said);
  } else if (!problem.empty()) {
    out << paint("BROKEN", Colour::kRed, call.colour) << ": " << escape_bytes(problem) << "\n";
  } else {
    const record::SealEntry& seal = proved->seal;
    out << paint("verified", Colour::kGreen, call.colour) << ": session " << seal.session << ", part " << seal.part << (seal.is_last ? ", its last" : "") << ", is entry " << proved->index << " of the log "
        << escape_bytes(proved->checkpoint.origin) << " at " << proved->checkpoint.size << " entries\n"
        << counted(seal.commands, "command") << ", " << seal.blocked << " blocked, " << seal.masked << " masked; manifest " << record::hex(seal.digest) << "\n"
        << [&] {
             std::string lines;
             for (const record::ProvedBy& by : proved->witnesses) lines += "Cosigned by " + escape_bytes(by.name) + " at " + utc_text(std::chrono::sys_seconds(std::chrono::seconds(by.at_s))) + "\n";
             return lines;
           }()
        << (call.words().empty() ? "The archive was not given: what was said in the session is not looked at.\n" : "The archive is the one that was sealed.\n");
  }
  return problem.empty() ? kExitDone : kExitFinding;
}

int run_prove(VerbCall& call) {
  const auto session = call.words().size() == 1 ? parse_number(call.words()[0]) : Result<uint64_t>(fail(Error::Kind::kInvalid, ""));
  if (!session) return call.fail(kExitUsage, "name one session by its number; `weir sessions` lists them");
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const std::optional<uint32_t> part = call.has("part") ? std::optional(call.options["part"].as<uint32_t>()) : std::nullopt;
  const std::string log = record::RecordPlace::of(*folder).log;
  const auto proof = record::prove(log, *session, part);
  if (!proof) return call.fail(proof.error());
  const auto gone = record::gone_by_policy(log, *session);
  const std::string expired = gone && *gone ? "session " + std::to_string(*session) + " " + gone_text(**gone) : "";
  if (!expired.empty() && !call.json) call.terminal.err << "weir: " << expired << "; what it proves is that the session was sealed, and how\n";
  if (call.json) {
    ordered_json said = {{"session", *session}, {"proof", *proof}};
    if (!expired.empty()) said["expired"] = {{"policy", (*gone)->policy}, {"at", (*gone)->at}, {"keep_s", (*gone)->keep_s}};
    call.print_json(said);
  } else {
    call.terminal.out << *proof;
  }
  return kExitDone;
}

int run_verify(VerbCall& call) {
  if (call.has("proof")) return run_verify_proof(call);
  record::VerifyOptions options;
  if (call.words().size() > 1) return call.fail(kExitUsage, "at most one folder");
  const auto folder = call.words().empty() ? record_folder(call) : std::optional(call.words()[0]);
  if (!folder) return kExitUsage;
  options.place = record::RecordPlace::of(*folder);
  if (call.has("key-file")) {
    auto opener = record::read_opener(call.text("key-file"));
    if (!opener) return call.fail(kExitUsage, opener.error().message);
    options.place.openers.push_back(std::move(*opener));
  }
  auto keys = record_keys(call);
  if (!keys) return call.fail(keys.error());
  options.keys = std::move(*keys);
  auto witnesses = record_witnesses(call);
  if (!witnesses) return call.fail(kExitUsage, witnesses.error().message);
  options.witnesses = std::move(*witnesses);
  options.stamp_ca = call.text("tsa-ca");
  if (call.has("threads")) options.threads = call.options["threads"].as<uint32_t>();
  if (call.has("head")) {
    DiskFiles files;
    auto head = files.read(call.text("head"), 64u << 10);
    if (!head) return call.fail(kExitUsage, call.text("head") + " " + head.error().message);
    options.known_head = std::move(*head);
  }
  const bool shows_progress = call.terminal.err_is_terminal && !call.json;
  if (shows_progress) {
    options.progress = [&](uint64_t done, uint64_t total) { call.terminal.err << "\r" << done << " of " << counted(total, "archive") << "\x1b[K" << std::flush; };
  }
  const auto report = record::verify(options);
  if (shows_progress) call.terminal.err << "\r\x1b[K" << std::flush;
  if (!report) return call.fail(kExitUsage, report.error().message);
  print_report(call, *report);
  return report->exit_code();
}

void add_state(po::options_description& options) {
  options.add_options()("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
}

}  // namespace

Verb sessions_verb() {
  return {.name = "sessions",
          .group = "The record",
          .summary = "list sessions, live and sealed",
          .synopsis = "[--who NAME] [--target NAME] [--object NAME] [--text WORDS] [--since TIME] [--limit N] [FILTER...]",
          .description = "The highest number first, live and sealed; works without an engine, and on a copy. All that is given must hold. What a command is looked for by (--verb, --object, --rule, --verdict, --text) may each be of another command.\n"
                         "Sealed sessions come from the index (`weir index`), a cache; where it cannot be used, from the archives, which takes longer. --text finds whole words, ASCII letters in either case, all of which must stand in statements of the session.\n"
                         "Page by page: --limit, then --before with the last number shown.\n"
                         "--request finds what carried that request id: a traceparent or its trace id, a sqlcommenter comment or one key='value' of it, an application_name. All of each archive that may have it is read, "
                         "and always of a session with more than 1000 different ids. Bound it with --since.\n"
                         "JSON: [{id, target, subject, opened, closed, reason, commands, blocked, masked, bytes: {to_target: {kernel, handshake, parsed, opaque, refused, injected}, to_client: {...}}}]; "
                         "closed is null while a session is live; with --request also request_commands: the lines of its replay that carried it.",
          .exits = "0 done\n2 the command line is wrong, or the configuration does not say where the state is\n5 the record cannot be read",
          .example = "weir sessions --since 8h --blocked\nweir sessions --who user:ann --object public.customers --verb write\nweir sessions --text 'drop staff' --limit 20\nweir sessions --json | jq '.[] | select(.masked > 0) | .id'\nweir sessions --request 4bf92f3577b34da6a3ce929d0e0e4736 --since 1d --json",
          .add_options = [](po::options_description& options) {
            options.add_options()("live", "only sessions that are open now")
                ("blocked", "only sessions with at least one blocked command")
                ("subject", po::value<std::string>()->value_name("NAME"), "the same as --who")
                ("since", po::value<std::string>()->value_name("TIME"), "opened at or after; a time, or how long ago, such as 8h")
                ("until", po::value<std::string>()->value_name("TIME"), "opened before")
                ("limit", po::value<uint64_t>()->value_name("N"), "at most so many")
                ("before", po::value<uint64_t>()->value_name("ID"), "with a lower number than this: the next page");
            for (const SessionFilterOption& option : kSessionFilterOptions) options.add_options()(option.name, po::value<std::string>()->value_name(option.value_name), option.help);
            add_key_file(options);
            add_state(options);
          },
          .run = run_sessions};
}

Verb verify_verb() {
  return {.name = "verify",
          .group = "The record",
          .summary = "check the record with its files and a public key alone",
          .synopsis = "[FOLDER] [--key FILE] [--witness FILE] [--tsa-ca FILE] [--head FILE] | --proof FILE [ARCHIVE] [--key FILE] ...",
          .description = "Finds a change, swap, cut, removal or addition inside what the evidence log covers. Needs no engine, no configuration (with FOLDER and --key) and no secret: of encrypted archives it checks that they are what was sealed; with --key-file also that they say what their manifests say.\n"
                         "--head takes a checkpoint that you kept earlier (log/checkpoint): the log must go on from it, so that a folder put back as it was earlier is found too.\n"
                         "--witness takes a witness's verifier key (C2SP signed-note, NAME+ID+KEY) and asks for its cosignatures in log/witnessed; --tsa-ca takes the CA of the time stamps in log/timestamps. "
                         "Those two and --head find what the holder of the log's own key did: a log made anew, a second one, one put back.\n"
                         "--proof takes what `weir prove` wrote and nothing else, or that and the session's archive.\n"
                         "JSON: {verified, archives, sessions, events, log: {origin, entries, root, vkey, heartbeats}, protections: {witness, time_stamp, earlier_checkpoint}, witnesses: [{name, entries, at, cosignatures}], time_stamps: {count, entries, at}, gaps: [{from, until, why}], findings: [{severity, code, where, message}], ...}; "
                         "with --proof: {verified, problem, log: {origin, entries, index}, session, part, digest, witnesses: [{name, at}], archive_checked}",
          .exits = "0 verified\n1 broken\n2 could not be checked: no such folder, no key\n3 verified, with findings that need an explanation",
          .example = "weir verify\nweir verify /mnt/copy/weir --key log.pub --head checkpoint.monday\nweir verify --witness witness.pub --tsa-ca tsa.crt\nweir verify --proof session-4711.tlog-proof 4711.weir --key log.pub",
          .add_options = [](po::options_description& options) {
            add_key_file(options);
            options.add_options()("key", po::value<std::vector<std::string>>()->value_name("FILE"), "public key of the seals, PEM; may be given several times; else the one beside record.signing.key_file")
                ("witness", po::value<std::vector<std::string>>()->value_name("FILE"), "a witness's verifier key; may be given several times")
                ("tsa-ca", po::value<std::string>()->value_name("FILE"), "CA of the time stamps, PEM")
                ("head", po::value<std::string>()->value_name("FILE"), "a checkpoint that you kept")
                ("proof", po::value<std::string>()->value_name("FILE"), "a proof of one session (C2SP tlog-proof), to be checked instead of a folder")
                ("threads", po::value<uint32_t>()->value_name("N"), "default: as many as there are processors");
            add_state(options);
          },
          .run = run_verify};
}

Verb prove_verb() {
  return {.name = "prove",
          .group = "The record",
          .summary = "write a file that proves one session, with the public key alone",
          .synopsis = "SESSION [--part N] [--state FOLDER]",
          .description = "A proof (C2SP tlog-proof, usually named *.tlog-proof) that the session's seal stands in the evidence log, and where. It holds the seal's counts and digest and nothing that was said, and the cosignatures of witnesses where there are any. "
                         "Who has it, the public key and the archive needs nothing else: `weir verify --proof`, or any tool that reads such proofs.\n"
                         "JSON: {session, proof}",
          .exits = "0 done\n1 the session has no seal, or the log is damaged\n2 the command line is wrong, or the session has several parts and none was named\n5 the record cannot be read",
          .example = "weir prove 4711 > session-4711.tlog-proof\nweir verify --proof session-4711.tlog-proof --key log.pub",
          .add_options = [](po::options_description& options) {
            options.add_options()("part", po::value<uint32_t>()->value_name("N"), "of a session that was sealed in parts");
            add_state(options);
          },
          .run = run_prove};
}

}  // namespace weir::control
