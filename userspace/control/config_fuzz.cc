#include "control/config_fuzz.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.h"
#include "control/config_loader.h"
#include "control/memory_files.h"

namespace weir::control {
namespace {

// What must hold of everything that the loader calls usable.
void check_usable(const Config& config) {
  WEIR_CHECK(!config.name.empty() && !config.state.empty() && config.state.front() == '/');
  WEIR_CHECK(!config.targets.empty() && !config.steer.clients.empty() && !config.steer.targets.empty());
  const Limits& limits = config.engine.limits;
  WEIR_CHECK(limits.sessions_max >= 1 && limits.units_per_step_max >= 1);
  WEIR_CHECK((limits.receive_buffer_count & (limits.receive_buffer_count - 1)) == 0);
  WEIR_CHECK(limits.statement_inline_max <= limits.statement_size_max);
  for (const TargetConfig& target : config.targets) {
    WEIR_CHECK(!target.addresses.empty() && !target.ports.empty() && target.names.empty());
    WEIR_CHECK(target.inject == !target.logins.empty());
  }
  for (const GrantConfig& grant : config.grants) {
    WEIR_CHECK(grant.verbs != 0 && !grant.targets.empty());
    for (const HoursConfig::Span& span : grant.hours.spans) WEIR_CHECK(span.first_day <= span.last_day && span.last_day <= 6 && span.from_minute < span.to_minute && span.to_minute <= 1440);
  }
  for (const RuleConfig& rule : config.rules) WEIR_CHECK(!rule.id.empty() && (rule.then == RuleAction::kAllow) == !rule.except_rules.empty());
}

}  // namespace

// The input is up to three texts, NUL between them: weir.yaml, a rule file, one override.
int fuzz_config(const uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t first = std::min(input.find('\0'), input.size());
  const std::string_view rest = input.substr(std::min(first + 1, input.size()));
  const std::size_t second = std::min(rest.find('\0'), rest.size());
  MemoryFiles files;
  files.every_file_exists = true;
  files.files["/etc/weir/weir.yaml"].text = input.substr(0, first);
  files.files["/etc/weir/rules.yaml"].text = rest.substr(0, second);
  ConfigOptions options;
  if (second < rest.size()) options.overrides.emplace_back(rest.substr(second + 1));
  const LoadedConfig loaded = load_config("/etc/weir/weir.yaml", options, files);
  for (const ConfigProblem& problem : loaded.problems) WEIR_CHECK(!problem.message.empty() && !text_of(problem).empty());
  if (loaded.is_usable()) {
    check_usable(loaded.config);
    WEIR_CHECK(restart_needed(loaded.config, loaded.config).empty());
  }
  return 0;
}

}  // namespace weir::control
