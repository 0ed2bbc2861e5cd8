#include "control/bind_token.h"

#include "control/cli_text.h"
#include "control/token_input.h"
#include "transport/secret_file.h"

namespace weir::control {

using nlohmann::json;

int bind_token(VerbCall& call, const Config& config, const Address& address, std::string& token) {
  json arguments{{"address", address.text()}, {"token", token}};
  if (call.has("reason")) arguments["reason"] = call.text("reason");
  const auto answer = ask_patiently(call, config.control.socket, "bind", arguments);
  transport::wipe(token);
  transport::wipe(arguments["token"].get_ref<std::string&>());
  if (!answer) return call.fail(answer.error());
  if (call.json) {
    call.print_json(*answer);
    return kExitDone;
  }
  const std::string until = answer->value("until", std::string());
  call.terminal.out << answer->value("address", address.text()) << " is " << paint(answer->value("subject", std::string("?")), Colour::kBold, call.colour) << ", binding "
                    << answer->value("id", uint64_t{0}) << (until.empty() ? "" : ", until " + until) << "\n";
  if (const std::string text = answer->value("text", std::string()); !text.empty()) call.terminal.out << text << "\n";
  return kExitDone;
}

}  // namespace weir::control
