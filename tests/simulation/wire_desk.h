// People who prove themselves on the wire, and the desk that looks at what they show, in its own time.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/credential.h"
#include "simulation/world.h"

namespace weir::simulation {

// Every token of a simulation holds these words: they may stand nowhere but in the client's own stream.
inline constexpr std::string_view kTokenMark = "plainly-fake-token";

class WireDesk final : public CredentialDesk {
 public:
  using Wake = std::function<void(uint64_t session)>;
  WireDesk(World& world, Wake wake) : world_(world), wake_(std::move(wake)) {}
  bool ask_token(uint64_t session, const Address& from, std::string token) override;
  bool ask_certificate(uint64_t, const Address&, const PeerCertificate&) override { return false; }
  bool take(uint64_t session, CredentialAnswer& answer) override;
  void forget(uint64_t session) override;
  bool is_in_force(const Identity&) override { return true; }

  [[nodiscard]] std::size_t open_count() const { return answers_.size(); }  // Asked, neither taken nor forgotten.

 private:
  struct Asked { CredentialAnswer answer; bool is_there = false; };
  World& world_;
  const Wake wake_;
  std::map<uint64_t, Asked> answers_;
  uint64_t next_id_ = 100;
};

}  // namespace weir::simulation
