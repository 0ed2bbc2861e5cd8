// One configuration in force: immutable, shared by all cores, swapped whole by a reload.  A session pins the runtime it was
// opened with (its target, keys and TLS contexts) and follows newer ones for policy only.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/module.h"
#include "core/policy.h"
#include "core/transport.h"

namespace weir::session {

// Catalogue snapshots of one target; null: none configured.
using CatalogueLookup = std::function<std::shared_ptr<const Catalogue>(std::string_view database)>;

struct TargetRuntime {
  TargetConfig config;
  const ProtocolModule* module = nullptr;
  TargetFacts facts;                               // Logins' secrets are in here; wiped with it.
  std::function<TransportPtr()> client_leg;        // A new TLS server leg; empty: the target offers none to clients.
  std::function<TransportPtr(const Address& dialled)> target_leg;  // A new TLS client leg; empty: plain.
  std::string capability;                          // "full", ... with its reason; sealed into every archive.
  bool is_admitting = true;                        // False: its capability verdict is "refused"; clients are told it.
  CatalogueLookup catalogue;                       // Takes a lock: asked when the version differs.
  std::function<uint64_t()> catalogue_version;     // Differs after any snapshot was replaced.  No lock.
  // Which of a core's facts sources reads this target's statements: one number for a target and its catalogue, kept over
  // reloads, never given to another.
  uint32_t facts_index = 0;
  std::function<std::unique_ptr<FactsSource>(std::function<void()> wake)> make_facts;

  TargetRuntime() = default;
  TargetRuntime(TargetRuntime&&) = default;
  TargetRuntime& operator=(TargetRuntime&&) = default;
  ~TargetRuntime();                                // Wipes the secrets.
};

struct Runtime {
  uint64_t generation = 0;
  Config config;
  std::vector<TargetRuntime> targets;            // One for each of config.targets, in its order.
  std::shared_ptr<const Policy> policy;

  // The target that this address and port belong to; nullptr: none.
  [[nodiscard]] const TargetRuntime* find(const Endpoint& local) const;
};
using RuntimePtr = std::shared_ptr<const Runtime>;

}  // namespace weir::session
