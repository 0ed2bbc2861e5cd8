// All TLS material of one configuration: for each target what its client leg shows and what its target leg expects.
// Immutable: a reload, or a leaf that is due, makes a new one; sessions keep what they began with.
// Must never: hold a key that it does not need, or name a secret in an error.
#pragma once
#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "transport/leaf_mint.h"
#include "transport/tls.h"

namespace weir::transport {

// The TLS of one target.
class TargetTls {
 public:
  TargetTls(std::string name, std::shared_ptr<const TlsLeg> client, std::shared_ptr<const TlsLeg> target)
      : name_(std::move(name)), client_(std::move(client)), target_(std::move(target)) {}

  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] bool has_client_leg() const { return client_ != nullptr; }  // tls.to_client is offer or require.
  [[nodiscard]] bool has_target_leg() const { return target_ != nullptr; }  // tls.to_target is not none.
  // Pre: has_client_leg(), has_target_leg().  Errors: kSystem.
  [[nodiscard]] Result<TransportPtr> client_leg() const { return TlsTransport::make(client_, {}); }
  [[nodiscard]] Result<TransportPtr> target_leg(const Address& dialled) const { return TlsTransport::make(target_, dialled); }
  // TargetFacts::client_leaf_hash and client_binding_is_own_pair.  Empty and false without a client leg.
  [[nodiscard]] Bytes client_leaf_hash() const { return client_ ? Bytes(client_->leaf_hash) : Bytes(); }
  [[nodiscard]] bool client_leg_is_own_pair() const { return client_ && client_->is_own_pair; }

 private:
  std::string name_;
  std::shared_ptr<const TlsLeg> client_, target_;
};

class TlsContexts {
 public:
  // Reads every certificate and key that the configuration names.  `mint` may be null when no target needs it; it is shared
  // by successive TlsContexts so that a reload shows clients the same leaf.
  // Errors: one message, a line for each fault found.
  [[nodiscard]] static Result<std::shared_ptr<const TlsContexts>> make(const Config&, LeafMint* mint,
                                                                       std::chrono::sys_seconds now);

  [[nodiscard]] const TargetTls* find(std::string_view target) const;  // nullptr: no such target.
  // When a minted leaf wants renewal: make a new TlsContexts then.  time_point::max(): never.
  [[nodiscard]] std::chrono::sys_seconds refresh_at() const { return refresh_at_; }
  // For `weir check` and the log: own pairs that have expired or soon will.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<TargetTls> targets_;
  std::vector<std::string> warnings_;
  std::chrono::sys_seconds refresh_at_ = std::chrono::sys_seconds::max();
};

// True when a target of this configuration shows a minted leaf, hence tls.ca must be there.
[[nodiscard]] bool needs_leaf_mint(const Config&);

}  // namespace weir::transport
