// From a checked configuration to a Runtime: reads the secrets, makes TLS contexts and the policy snapshot, starts the
// catalogue readers.  Off the data path; at start-up and at each reload.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "decide/policy_compiler.h"
#include "parse/postgres/catalogue_reader.h"
#include "parse/postgres/facts_pool.h"
#include "session/runtime.h"
#include "transport/leaf_mint.h"
#include "transport/tls_contexts.h"

namespace weir::session {

class RuntimeBuilder {
 public:
  // Dials a target with the gateway's own marked socket, for the catalogue's login.  Blocking; any thread.
  using Dial = std::function<Result<int>(const Endpoint& target)>;
  // Something an operator should see.
  using Notice = std::function<void(std::string_view)>;

  // `leaves` signs certificates; null: with the CA's key, which is read then.
  RuntimeBuilder(postgres::SqlParserPool& parsers, Dial dial, Notice notice, std::shared_ptr<transport::LeafSigner> leaves = nullptr)
      : parsers_(parsers), dial_(std::move(dial)), notice_(std::move(notice)), leaves_(std::move(leaves)) {}

  // Errors: one message, a line for each fault found.  After an error nothing has changed.
  [[nodiscard]] Result<RuntimePtr> build(const Config& config, std::chrono::sys_seconds now);
  // The policy of the last build, for `weir rules`.
  [[nodiscard]] std::shared_ptr<const decide::CompiledPolicy> policy() const { return policy_; }
  // When TLS material wants renewal: build again then.
  [[nodiscard]] std::chrono::sys_seconds refresh_at() const { return refresh_at_; }
  // How the catalogue's own login reaches a target.  Pre: it has one, with an address and a port.  Errors: of the password file.
  [[nodiscard]] Result<postgres::CatalogueReaderOptions> catalogue_options(const TargetConfig& target) const;
  // Of one target; null: it has no catalogue.
  [[nodiscard]] std::shared_ptr<postgres::CatalogueReader> catalogue(const std::string& target) const;

 private:
  struct Catalogue;
  [[nodiscard]] Result<void> add_target(Runtime& runtime, const TargetConfig& target, std::shared_ptr<const transport::TlsContexts> tls);
  [[nodiscard]] Result<const Catalogue*> catalogue_of(const TargetConfig& target);

  postgres::SqlParserPool& parsers_;
  Dial dial_;
  Notice notice_;
  std::shared_ptr<transport::LeafSigner> leaves_;
  uint64_t generation_ = 0;
  std::unique_ptr<transport::LeafMint> mint_;
  std::string mint_files_;                   // What mint_ was loaded from.
  std::shared_ptr<const decide::CompiledPolicy> policy_;
  std::chrono::sys_seconds refresh_at_ = std::chrono::sys_seconds::max();
  struct Catalogue {
    std::string settings;                    // What it was started with: another one is started when that changes.
    std::shared_ptr<postgres::CatalogueReader> reader;
    uint32_t facts_index = 0;
  };
  std::map<std::string, Catalogue> catalogues_;   // By target, also for those without a reader.
  uint32_t facts_count_ = 0;
};

}  // namespace weir::session
