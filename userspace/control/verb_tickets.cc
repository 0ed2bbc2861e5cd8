// tickets, approve, deny: what waits for a reviewer, and the reviewer's word.
#include <algorithm>
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "control/token_input.h"
#include "control/verbs.h"
#include "core/json_fields.h"
#include "transport/secret_file.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

std::string list_at(const json& object, const char* key) {
  std::string all;
  for (const json& each : object.value(key, json::array())) all += (all.empty() ? "" : ", ") + (each.is_string() ? each.get<std::string>() : each.dump());
  return all;
}

// "4m 10s", for people; the two largest units.
std::string span_text(seconds span) {
  const int64_t all = std::max<int64_t>(span.count(), 0);
  if (all >= 86'400) return std::to_string(all / 86'400) + "d " + std::to_string(all % 86'400 / 3'600) + "h";
  if (all >= 3'600) return std::to_string(all / 3'600) + "h " + std::to_string(all % 3'600 / 60) + "m";
  if (all >= 60) return std::to_string(all / 60) + "m " + std::to_string(all % 60) + "s";
  return std::to_string(all) + "s";
}

// One ticket, a line a fact.  Peers' bytes are escaped; a statement keeps its lines, each behind the same indent.
class TicketPrinter {
 public:
  explicit TicketPrinter(VerbCall& call) : call_(call) {}
  void print(const json& ticket) {
    const std::string state = text_at(ticket, "state");
    const bool is_open = state == "open";
    call_.terminal.out << paint("ticket " + std::to_string(ticket.value("number", uint64_t{0})), Colour::kBold, call_.colour) << "  "
                       << paint(escape_bytes(state), is_open ? Colour::kYellow : state == "approved" ? Colour::kGreen : Colour::kRed, call_.colour)
                       << (is_open ? ", " + left_of(text_at(ticket, "deadline")) : "") << "\n";
    line("who", who_of(ticket));
    line("where", text_at(ticket, "target") + (text_at(ticket, "database").empty() ? "" : ", database " + text_at(ticket, "database")) +
                      (text_at(ticket, "login").empty() ? "" : ", login " + text_at(ticket, "login")));
    line("why held", text_at(ticket, "rule") + (text_at(ticket, "reason").empty() ? "" : ": " + text_at(ticket, "reason")));
    const uint64_t needed = ticket.value("min_reviewers", uint64_t{1});
    line("approval", text_at(ticket, "approval") + ", needs " + counted(needed, "reviewer") + (ticket.value("window_possible", false) ? ", may open a window" : ""));
    line("verbs", list_at(ticket, "verbs"));
    line("objects", text_at(ticket, "objects"));
    statement(text_at(ticket, "statement"));
    line("parameters", text_at(ticket, "parameters"));
    line("digest", text_at(ticket, "digest"));
    line("opened", text_at(ticket, "opened") + ", deadline " + text_at(ticket, "deadline"));
    line("session", std::to_string(ticket.value("session", uint64_t{0})) + ", unit " + std::to_string(ticket.value("unit", uint64_t{0})) +
                        (text_at(ticket, "gateway").empty() ? "" : ", gateway " + text_at(ticket, "gateway")) + (ticket.value("kept", false) ? "; nobody waits now" : ""));
    for (const json& each : ticket.value("answers", json::array())) {
      line(text_at(each, "what").c_str(), text_at(each, "by") + (text_at(each, "issuer").empty() ? "" : " of " + text_at(each, "issuer")) + " at " + text_at(each, "at") + ": " +
                                              text_at(each, "reason") + (text_at(each, "until").empty() ? "" : " (window until " + text_at(each, "until") + ")"));
    }
    line("outcome", text_at(ticket, "text"));
  }

 private:
  static std::string who_of(const json& ticket) {
    std::string who = text_at(ticket, "subject");
    if (const std::string groups = list_at(ticket, "groups"); !groups.empty()) who += ", groups " + groups;
    if (const std::string chain = list_at(ticket, "acting_for"); !chain.empty()) who += ", acting for " + chain;
    const std::string issuer = text_at(ticket, "issuer");
    return who + ", " + (issuer.empty() ? "" : issuer + ", ") + "assurance " + text_at(ticket, "assurance");
  }
  static std::string left_of(const std::string& deadline) {
    const auto end = parse_time(deadline);
    if (!end) return "";
    return span_text(*end - std::chrono::floor<seconds>(std::chrono::system_clock::now())) + " left";
  }
  void line(const char* name, const std::string& text) {
    if (text.empty()) return;
    std::string padded = name;
    padded.resize(std::max<std::size_t>(padded.size() + 1, 12), ' ');
    call_.terminal.out << "  " << paint(escape_bytes(padded), Colour::kDim, call_.colour) << escape_bytes(text) << "\n";
  }
  void statement(const std::string& text) {
    if (text.empty()) {
      line("statement", "cannot be shown: only its digest is known");
      return;
    }
    std::size_t begin = 0;
    for (const char* name = "statement"; begin <= text.size(); name = "") {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      line(name, text.substr(begin, end - begin) + (end == begin ? " " : ""));
      begin = end + 1;
    }
  }
  VerbCall& call_;
};

// What the target's planner says, behind the ticket.
int show_estimate(VerbCall& call, const Config& config, const json& ticket) {
  const auto answer = ask_patiently(call, config.control.socket, "estimate", {{"ticket", ticket.value("number", uint64_t{0})}});
  if (!answer) return call.fail(answer.error());
  if (call.json) {
    json both = ticket;
    both["estimate"] = *answer;
    call.print_json(both);
    return kExitDone;
  }
  TicketPrinter(call).print(ticket);
  call.terminal.out << "\n  " << paint("estimate", Colour::kDim, call.colour) << "    " << escape_bytes(text_at(*answer, "note")) << "\n";
  const std::string plan = text_at(*answer, "plan");
  for (std::size_t begin = 0; begin < plan.size();) {
    const std::size_t end = std::min(plan.find('\n', begin), plan.size());
    call.terminal.out << "    " << escape_bytes(plan.substr(begin, end - begin)) << "\n";
    begin = end + 1;
  }
  return kExitDone;
}

int run_tickets(VerbCall& call) {
  if (call.has("estimate") && call.words().size() != 1) return call.fail(kExitUsage, "--estimate is of one ticket: name it by its number");
  if (call.words().size() > 1) return call.fail(kExitUsage, "one ticket, or none for all that wait");
  json arguments = {{"all", call.has("all")}};
  if (call.words().size() == 1) {
    const auto number = parse_number(call.words()[0]);
    if (!number) return call.fail(kExitUsage, "a ticket is named by its number");
    arguments = {{"ticket", *number}};
  }
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "tickets", arguments, code);
  if (!answer) return code;
  if (call.has("estimate")) return show_estimate(call, *config, *answer);
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  TicketPrinter printer(call);
  if (answer->is_object()) {
    printer.print(*answer);
    return kExitDone;
  }
  if (answer->empty()) call.terminal.out << (call.has("all") ? "no tickets\n" : "nothing waits for a reviewer\n");
  for (std::size_t i = 0; i < answer->size(); ++i) {
    if (i != 0) call.terminal.out << "\n";
    printer.print((*answer)[i]);
  }
  return kExitDone;
}

// --until or --for, as the engine takes it; empty: no window.
Result<std::string> window_end(const VerbCall& call) {
  if (call.has("until") && call.has("for")) return fail(Error::Kind::kInvalid, "give --until or --for, not both");
  if (call.has("until")) {
    const auto time = parse_time(call.text("until"));
    if (!time) return fail(Error::Kind::kInvalid, "--until " + time.error().message);
    return text_of(*time);
  }
  if (!call.has("for")) return std::string();
  const auto span = parse_duration(call.text("for"));
  if (!span) return fail(Error::Kind::kInvalid, "--for " + span.error().message);
  return text_of(sys_seconds(std::chrono::floor<seconds>(std::chrono::system_clock::now() + *span)));
}

int run_answer(VerbCall& call, const std::string& verb) {
  // Said again without what was given: it may be a token.
  if (call.words().size() != 1) return call.fail(kExitUsage, "name one ticket by its number; `weir tickets` lists them; a token is given with --token-file alone");
  const auto number = parse_number(call.words()[0]);
  if (!number || *number == 0) return call.fail(kExitUsage, "a ticket is named by its number; `weir tickets` lists them");
  if (call.text("reason").empty()) return call.fail(kExitUsage, "a reason is required: --reason TEXT");
  json arguments = {{"ticket", *number}, {"reason", call.text("reason")}};
  if (verb == "approve") {
    const auto until = window_end(call);
    if (!until) return call.fail(until.error());
    if (!until->empty()) arguments["until"] = *until;
  }
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  if (call.has("token-file")) {
    auto token = read_token(call);
    if (!token) return call.fail(token.error());
    arguments["token"] = *token;
    transport::wipe(*token);
  }
  const auto answer = ask_patiently(call, config->control.socket, verb, arguments);
  if (arguments.contains("token")) transport::wipe(arguments["token"].get_ref<std::string&>());
  if (!answer) return call.fail(answer.error());
  if (call.json) call.print_json(*answer);
  else call.terminal.out << "ticket " << *number << ": " << escape_bytes(text_at(*answer, "what")) << ", as " << escape_bytes(text_at(*answer, "by")) << "\n";
  return answer->value("changed", true) ? kExitDone : kExitFinding;
}

void add_answer_options(po::options_description& options) {
  options.add_options()("reason", po::value<std::string>()->value_name("TEXT"), "why; required")
      ("token-file", po::value<std::string>()->value_name("FILE"), "who you are: a file with your token; - : standard input; without it: your login on this host");
}

}  // namespace

Verb tickets_verb() {
  return {.name = "tickets",
          .group = "Reviews",
          .summary = "list the commands that wait for a reviewer",
          .synopsis = "[TICKET [--estimate]] [--all]",
          .description = "What is asked, by whom, why it is held, and how long it still waits; the newest first. Statements are shown as the record has them: masked. "
                         "The digest is of the exact bytes: an approval is for them and no others. --all shows answered ones of the last 30 days too. --estimate asks the target's planner: EXPLAIN (never ANALYZE) of the statement's general form, its constants taken out, "
                         "by the gateway's catalogue login in a read-only transaction; not where planning could call a function that is not known to only read, nor for views.\n"
                         "JSON: [{number, state, subject, groups, acting_for, issuer, assurance, target, login, database, rule, approval, reason, statement, parameters, objects, verbs, digest, opened, "
                         "deadline, closed, min_reviewers, session, unit, answers: [{by, issuer, at, what, reason, until}]}], or one of them",
          .exits = "0 done\n1 there is no such ticket\n2 the command line is wrong, or its general form cannot be planned\n3 the engine is not running, the target does not answer, or the record cannot take that this was looked at\n"
                   "4 not root, nor the engine's user; or there can be no estimate, and why",
          .example = "weir tickets\nweir tickets 1767225600001 --estimate\nweir tickets 1767225600001\nweir tickets --all --json | jq '.[] | select(.state == \"denied\")'",
          .add_options = [](po::options_description& options) {
            options.add_options()("all", "answered, expired and withdrawn ones too")("estimate", "with what the target's planner thinks of it");
          },
          .run = run_tickets};
}

Verb approve_verb() {
  return {.name = "approve",
          .group = "Reviews",
          .summary = "let a held command run",
          .synopsis = "TICKET --reason TEXT [--until TIME | --for SPAN] [--token-file FILE]",
          .description = "Says yes as a reviewer of the ticket's approval: by your token, or without one as local:NAME, the name that you logged in to this host with. "
                         "Nobody approves what they asked for themselves, or what is asked in their name. --until and --for open a window where the approval is bound to a class: what the same subject "
                         "asks for on the same target with no other verbs is approved at once until then; `weir deny` with the same ticket ends it.",
          .exits = "0 noted: approved, or another reviewer is needed too\n1 there is no such ticket, or you have approved it already\n2 the command line is wrong, or the window is too long\n"
                   "3 the engine is not running, or has no keys of that issuer\n4 you may not review it, or it is answered, expired or withdrawn\n5 it could not be written down: nothing has changed",
          .example = "weir approve 1767225600001 --reason 'CHG-17, checked the WHERE'\nweir approve 1767225600001 --reason CHG-18 --for 30m --token-file token",
          .add_options = [](po::options_description& options) {
            add_answer_options(options);
            options.add_options()("until", po::value<std::string>()->value_name("TIME"), "open a window that ends then, such as 2027-12-31T08:00:00Z")
                ("for", po::value<std::string>()->value_name("SPAN"), "open a window that ends in so long, such as 30m");
          },
          .run = [](VerbCall& call) { return run_answer(call, "approve"); }};
}

Verb deny_verb() {
  return {.name = "deny",
          .group = "Reviews",
          .summary = "refuse a held command, or end a window",
          .synopsis = "TICKET --reason TEXT [--token-file FILE]",
          .description = "Says no as a reviewer of the ticket's approval, by your token or as local:NAME. One denial is final; its reason is told to the client. "
                         "It ends the windows of that subject, target and approval; with a ticket that opened a window it ends that one.",
          .exits = "0 denied, or the window has ended\n1 there is no such ticket\n2 the command line is wrong\n3 the engine is not running, or has no keys of that issuer\n"
                   "4 you may not review it, or it is answered, expired or withdrawn\n5 it could not be written down: nothing has changed",
          .example = "weir deny 1767225600001 --reason 'no change is planned'",
          .add_options = add_answer_options,
          .run = [](VerbCall& call) { return run_answer(call, "deny"); }};
}

}  // namespace weir::control
