#include "control/policy_tools.h"

#include <openssl/rand.h>

#include <array>

#include "mask/masker.h"
#include "parse/postgres/facts_source.h"
#include "transport/secret_file.h"

namespace weir::control {

Result<std::shared_ptr<const decide::CompiledPolicy>> compile_for_tools(const Config& config, std::vector<ConfigProblem>& problems) {
  std::shared_ptr<const Masker> masker;
  if (!config.mask_hash_key_file.empty()) {
    if (const auto key = transport::read_secret_file(config.mask_hash_key_file)) {
      masker = mask::make_masker(key->bytes());
    } else {
      std::array<std::byte, 32> random{};
      RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(random.size()));
      masker = mask::make_masker(random);
    }
  } else {
    masker = mask::make_masker({});
  }
  std::vector<decide::CompileIssue> issues;
  auto policy = decide::compile_policy(config, std::move(masker), {}, &issues);
  for (decide::CompileIssue& issue : issues) {
    problems.push_back({ConfigProblem::Severity::kError, std::move(issue.place), std::move(issue.message), ""});
  }
  return policy;
}

std::unique_ptr<FactsSource> facts_for_tools(const Config& config) { return postgres::make_inline_facts(config.engine.limits); }

}  // namespace weir::control
