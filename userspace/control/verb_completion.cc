// completion: what a shell needs to complete the command line.
#include <algorithm>

#include "control/completion.h"

namespace weir::control {
namespace {

int run_completion(VerbCall& call) {
  const std::string shell = call.words().size() == 1 ? call.words()[0] : "";
  if (std::find(std::begin(kShells), std::end(kShells), shell) == std::end(kShells)) return call.fail(kExitUsage, "say for which shell: weir completion bash, zsh or fish");
  const std::string script = completion_script(shell, all_verbs({}));
  if (call.json) call.print_json({{"shell", shell}, {"script", script}});
  else call.terminal.out << script;
  return kExitDone;
}

}  // namespace

Verb completion_verb() {
  return {.name = "completion",
          .group = "Look",
          .summary = "print a script that completes weir's command line in a shell",
          .synopsis = "bash | zsh | fish",
          .description = "Verbs, their words and their options, made from the same table as this text; neither a configuration nor an engine is needed. Where it is installed for everybody:\n"
                         "  bash  /usr/share/bash-completion/completions/weir\n"
                         "  zsh   /usr/share/zsh/vendor-completions/_weir\n"
                         "  fish  /usr/share/fish/vendor_completions.d/weir.fish\n"
                         "Make it anew after an upgrade.\nJSON: {shell, script}",
          .exits = "0 done\n2 there is no script for that shell",
          .example = "weir completion bash > /usr/share/bash-completion/completions/weir\nsource <(weir completion bash)",
          .run = run_completion};
}

}  // namespace weir::control
