// version: this build, and what it can read.
#include <openssl/crypto.h>
#include <sys/utsname.h>

#include "control/verbs.h"
#include "control/version.h"
#include "parse/registry.h"

namespace weir::control {
namespace {

int run_version(VerbCall& call) {
  std::vector<std::string> protocols;
  for (const ProtocolModule* module : protocol_modules()) protocols.emplace_back(module->name);
  utsname system{};
  uname(&system);
  if (call.json) {
    call.print_json({{"version", kVersion}, {"protocols", protocols}, {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)}, {"compiler", __VERSION__}, {"kernel", system.release}});
    return kExitDone;
  }
  call.terminal.out << "weir " << kVersion << "\nprotocols";
  for (const std::string& protocol : protocols) call.terminal.out << " " << protocol;
  call.terminal.out << "\nopenssl   " << OpenSSL_version(OPENSSL_VERSION_STRING) << "\ncompiler  " << __VERSION__ << "\nkernel    " << system.release << "\n";
  return kExitDone;
}

}  // namespace

Verb version_verb() {
  return {.name = "version",
          .group = "Look",
          .summary = "this build, the protocols that it reads, the libraries under it",
          .synopsis = "",
          .description = "Says what is running here.",
          .exits = "0 done",
          .example = "weir version --json | jq -r .version",
          .run = run_version};
}

}  // namespace weir::control
