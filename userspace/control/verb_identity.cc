// bind, revoke, cut, bindings: who is behind an address, and the end of it.
#include <boost/program_options/value_semantic.hpp>

#include "control/bind_token.h"
#include "control/cli_text.h"
#include "control/config_values.h"
#include "control/pending_change.h"
#include "control/token_input.h"
#include "control/verbs.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

int run_bind(VerbCall& call) {
  if (!call.words().empty()) return call.fail(kExitUsage, "a token does not belong on the command line, where every process can read it: use standard input or --token-file");
  const auto address = Address::parse(call.text("address"));
  if (!address) return call.fail(kExitUsage, "--address: " + address.error().message);
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  auto token = read_token(call);
  if (!token) return call.fail(token.error());
  return bind_token(call, *config, *address, *token);
}

// The reason of a revoke or cut: needed where changes are.
bool has_reason(VerbCall& call, const Config& config, int& code) {
  if (!config.changes_require_reason || !call.text("reason").empty()) return true;
  code = call.fail(kExitUsage, "a reason is required: --reason TEXT (a ticket number)");
  return false;
}

int run_revoke(VerbCall& call) {
  if (call.words().size() != 1) return call.fail(kExitUsage, "say which: a binding's id, an address or a subject; `weir bindings` lists them");
  const auto config = call.load_state();
  int code = kExitUsage;
  if (!config || !has_reason(call, *config, code)) return code;
  const auto answer = call.ask(*config, "revoke", {{"which", call.words()[0]}, {"reason", call.text("reason")}}, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  for (const json& binding : answer->value("revoked", json::array())) {
    call.terminal.out << "revoked " << binding.value("id", uint64_t{0}) << "  " << binding.value("subject", std::string()) << "  " << binding.value("address", std::string()) << "\n";
  }
  call.terminal.out << counted(answer->value("cut", uint64_t{0}), "flow") << " cut\n";
  return kExitDone;
}

int run_cut(VerbCall& call) {
  const bool by_session = call.words().size() == 1;
  if (by_session == call.has("binding")) return call.fail(kExitUsage, "say which: weir cut SESSION, or weir cut --binding ID; `weir sessions --live` lists them");
  const auto number = parse_number(by_session ? call.words()[0] : call.text("binding"));
  if (!number || *number == 0) return call.fail(kExitUsage, "a session and a binding are named by their number");
  const auto config = call.load_state();
  int code = kExitUsage;
  if (!config || !has_reason(call, *config, code)) return code;
  const auto answer = call.ask(*config, "cut", {{by_session ? "session" : "binding", *number}, {"reason", call.text("reason")}}, code);
  if (!answer || is_pending_change(call, *answer, code)) return code;
  if (call.json) call.print_json(*answer);
  else call.terminal.out << counted(answer->value("cut", uint64_t{0}), "flow") << " cut\n";
  return kExitDone;
}

std::string link_text(const json& binding) {
  std::string text;
  const json link = binding.value("link", json::object());
  for (const char* name : {"interface", "vlan", "mac"}) {
    const auto found = link.find(name);
    if (found == link.end() || (found->is_number() && found->get<int64_t>() == 0)) continue;
    text += (text.empty() ? "" : " ") + (found->is_string() ? found->get<std::string>() : "vlan " + found->dump());
  }
  return text;
}

int run_bindings(VerbCall& call) {
  const auto config = call.load_state();
  if (!config) return kExitUsage;
  int code = kExitDone;
  const auto answer = call.ask(*config, "bindings", json::object(), code);
  if (!answer) return code;
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  TextTable table({{"ID", TextTable::Align::kRight}, {"ADDRESS"}, {"LINK"}, {"SUBJECT"}, {"GROUPS"}, {"ASSURANCE"}, {"ISSUER"}, {"UNTIL"}, {"REFUSED", TextTable::Align::kRight}});
  for (const json& binding : *answer) {
    std::string groups;
    for (const json& group : binding.value("groups", json::array())) groups += (groups.empty() ? "" : " ") + group.get<std::string>();
    const uint64_t refused = binding.value("refused", uint64_t{0});
    const std::string until = binding.value("until", std::string());
    table.add({binding.value("id", uint64_t{0}), binding.value("address", std::string()), link_text(binding), binding.value("subject", std::string()), groups, binding.value("assurance", std::string()),
               binding.value("issuer", std::string()), until.empty() ? TextTable::Cell("no end", Colour::kYellow) : TextTable::Cell(until),
               refused == 0 ? TextTable::Cell("") : TextTable::Cell(std::to_string(refused), Colour::kRed)});
  }
  table.print(call.terminal.out, call.colour);
  return kExitDone;
}

void add_reason(po::options_description& options) {
  options.add_options()("reason", po::value<std::string>()->value_name("TEXT"), "why; a ticket number; required unless changes.require_reason is false");
}

}  // namespace

Verb bind_verb() {
  return {.name = "bind",
          .group = "People and sessions",
          .summary = "say who is behind an address, by a token",
          .synopsis = "--address ADDRESS [--token-file FILE | -] [--reason TEXT]",
          .description = "Shows an OIDC token to the engine, which checks it against identity.issuers and binds the address to who it names, until the token ends or identity.address_bindings.ttl_max is over. "
                         "The token is read from a file that its owner alone can read, or from standard input, never from the command line. One token binds one address; a bound address stays who it is.",
          .exits = "0 bound\n2 the token or the address cannot be read\n3 the engine is not running, or has no keys of that issuer\n4 the token does not hold, the address is somebody else's, or the caller may not ask",
          .example = "get-token | weir bind --address 198.18.1.7\nweir bind --address 198.18.1.7 --token-file token",
          .add_options = [](po::options_description& options) {
            options.add_options()("address", po::value<std::string>()->value_name("ADDRESS"), "the client's address")
                ("token-file", po::value<std::string>()->value_name("FILE"), "where the token is; - or nothing: standard input")
                ("reason", po::value<std::string>()->value_name("TEXT"), "why, for the record; not required, as the token is its subject's own");
          },
          .run = run_bind};
}

Verb revoke_verb() {
  return {.name = "revoke",
          .group = "People and sessions",
          .summary = "take a binding back and cut its sessions",
          .synopsis = "ID | ADDRESS | SUBJECT | TOKEN-ID --reason TEXT",
          .description = "Ends every binding that fits, in the kernel first, so that no packet of it passes any more; then its sessions, with the statement that runs at the target. "
                         "Of credentials that sessions showed on the wire (a token as password, a client certificate) only those that fit are ended: by id, subject, jti, serial or fingerprint, or the address of their first use. "
                         "The tokens and certificates behind them are taken nowhere again. A static binding comes back with the next reload that has it.",
          .exits = "0 revoked\n1 no binding fits\n2 the reason is missing\n3 the engine is not running\n4 not root, nor the engine's user",
          .example = "weir revoke user:mallory --reason 'case 17'\nweir revoke 3f2a9c --reason 'that token leaked'\nweir revoke 198.18.1.7 --reason 'host is gone'",
          .add_options = add_reason,
          .run = run_revoke};
}

Verb cut_verb() {
  return {.name = "cut",
          .group = "People and sessions",
          .summary = "end a live session at once",
          .synopsis = "SESSION | --binding ID --reason TEXT",
          .description = "Cuts both directions on both sides in the kernel, destroys the sockets and cancels the statement that runs at the target. The binding stays: its owner may connect again.",
          .exits = "0 cut\n1 there is no such live session\n2 the command line is wrong, or the reason is missing\n3 the engine is not running\n4 not root, nor the engine's user",
          .example = "weir sessions --live\nweir cut 4711 --reason 'runs away with the disk'",
          .add_options = [](po::options_description& options) {
            options.add_options()("binding", po::value<std::string>()->value_name("ID"), "every session of this binding");
            add_reason(options);
          },
          .run = run_cut};
}

Verb bindings_verb() {
  return {.name = "bindings",
          .group = "People and sessions",
          .summary = "list who is bound to which address",
          .synopsis = "",
          .description = "Bindings that have not ended, static ones too, and credentials that sessions showed on the wire (ADDRESS: of their first use; several may share it). "
                         "LINK is what else must fit of each packet: interface, VLAN and, on link, MAC. REFUSED counts others who tried to bind an address that is taken.\n"
                         "JSON: [{id, address, subject, groups, static, assurance, issuer, until, reason, refused, on_wire, link: {interface?, vlan?, mac?}}]",
          .exits = "0 done\n3 the engine is not running\n4 not root, nor the engine's user",
          .example = "weir bindings\nweir bindings --json | jq '.[] | select(.until == \"\")'",
          .run = run_bindings};
}

}  // namespace weir::control
