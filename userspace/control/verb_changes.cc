// changes: what waits for a second person, and that person's word.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/logging.h"
#include "control/pending_change.h"
#include "control/verbs.h"
#include "core/json_fields.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

void print(VerbCall& call, const json& change) {
  const auto line = [&](const char* name, const std::string& text) {
    if (text.empty()) return;
    std::string padded = name;
    padded.resize(12, ' ');
    call.terminal.out << "  " << paint(padded, Colour::kDim, call.colour) << escape_bytes(text) << "\n";
  };
  const std::string state = text_at(change, "state");
  call.terminal.out << paint("change " + std::to_string(change.value("number", uint64_t{0})), Colour::kBold, call.colour) << "  "
                    << paint(escape_bytes(state), state == "pending" ? Colour::kYellow : state == "approved" ? Colour::kGreen : Colour::kRed, call.colour) << "\n";
  line("what", text_at(change, "act") + (text_at(change, "text").empty() ? "" : ": " + text_at(change, "text")));
  line("asked by", text_at(change, "by") + " at " + text_at(change, "asked"));
  line("reason", text_at(change, "reason"));
  line("gateway", text_at(change, "gateway"));
  line("digest", text_at(change, "digest"));
  const json detail = change.value("change", json::object());
  if (detail.is_object()) {
    for (const json& file : detail.value("files", json::array())) line("file", text_at(file, "file") + ": " + text_at(file, "before").substr(0, 16) + " -> " + text_at(file, "after").substr(0, 16));
  }
  line("deadline", text_at(change, "deadline"));
  if (!text_at(change, "answered_by").empty()) line("answered by", text_at(change, "answered_by") + " at " + text_at(change, "answered") + ": " + text_at(change, "answer_reason"));
  line("outcome", text_at(change, "outcome"));
}

int show(VerbCall& call, const json& arguments) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "changes", arguments, code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
  } else if (answer->is_object()) {
    print(call, *answer);
  } else {
    if (answer->empty()) call.terminal.out << (call.has("all") ? "no changes\n" : "nothing waits for a second person\n");
    for (std::size_t i = 0; i < answer->size(); ++i) {
      if (i != 0) call.terminal.out << "\n";
      print(call, (*answer)[i]);
    }
  }
  return kExitDone;
}

int answer_change(VerbCall& call, const std::string& word, uint64_t number) {
  if (call.text("reason").empty()) return call.fail(kExitUsage, "a reason is required: --reason TEXT");
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "change-" + word, {{"change", number}, {"reason", call.text("reason")}}, code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  call.terminal.out << "change " << number << ": " << escape_bytes(text_at(*answer, "act")) << (word == "approve" ? " approved and carried out: " : " denied: ")
                    << escape_bytes(text_at(*answer, "text")) << "\n";
  return kExitDone;
}

int run_changes(VerbCall& call) {
  const std::vector<std::string>& words = call.words();
  const auto number = [&](std::size_t at) { return at < words.size() ? parse_number(words[at]) : Result<uint64_t>(uint64_t{0}); };
  if (words.empty()) return show(call, {{"all", call.has("all")}});
  const bool is_answer = words[0] == "approve" || words[0] == "deny";
  const auto which = number(is_answer ? 1 : 0);
  if (words.size() != (is_answer ? 2u : 1u) || !which || *which == 0) return call.fail(kExitUsage, "write: weir changes, weir changes N, weir changes approve N, or weir changes deny N");
  return is_answer ? answer_change(call, words[0], *which) : show(call, {{"change", *which}});
}

}  // namespace

bool is_pending_change(VerbCall& call, const json& answer, int& code) {
  const auto found = answer.find("pending");
  if (found == answer.end()) return false;
  code = kExitFinding;
  if (call.json) {
    call.print_json(answer);
    return true;
  }
  const std::string number = found->dump();
  call.terminal.out << "nothing is done yet: change " << number << " waits for a second person until " << text_at(answer, "deadline") << "\n  " << escape_bytes(text_at(answer, "text"))
                    << "\nsomebody else, logged in as themselves: weir changes approve " << number << " --reason TEXT\n";
  return true;
}

Verb changes_verb() {
  return {.name = "changes",
          .group = "Reviews",
          .summary = "list the acts that wait for a second person; approve or deny one",
          .synopsis = "[N] [--all] | approve N --reason TEXT | deny N --reason TEXT",
          .description = "An act that changes.second_person names is not carried out when it is asked for: it waits until somebody else approves it, until changes.deadline at most. Who asked never "
                         "approves: on this host people are told apart by their login uid, which su and sudo do not change (without one nobody asks or approves), over the API by the subject of "
                         "their token; what was asked for one way is approved the same way. The approval is bound to the digest of what would come in force: if the files changed since, it is refused. "
                         "Who asked may deny it too. --all shows answered ones of the last 30 days. There is no way round it in an emergency but the configuration file and a restart, which "
                         "stands on the record as such.\n"
                         "JSON: [{number, state, gateway, act, text, change, digest, reason, by, asked, deadline, answered_by, answer_reason, answered, outcome}], or one of them",
          .exits = "0 done\n1 there is no such change\n2 the command line is wrong, or what was approved cannot be put in force\n3 the engine is not running\n"
                   "4 you may not approve it, it is answered or too late, or what is there now is not what was asked for",
          .example = "weir changes\nweir changes approve 7 --reason 'CHG-2041, read the diff'\nweir changes deny 7 --reason 'not before Monday'",
          .add_options = [](po::options_description& options) {
            options.add_options()("all", "answered and expired ones too")("reason", po::value<std::string>()->value_name("TEXT"), "why; required for an answer");
          },
          .run = run_changes};
}

}  // namespace weir::control
