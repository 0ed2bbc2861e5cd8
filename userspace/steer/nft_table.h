// The table "weir" in nftables: packets with our marks stay out of conntrack, and those that steering wants answered with a
// RST are rejected.  Both legs of a flow have one tuple, and conntrack would take the second for a broken first (`ct state
// invalid drop` then kills it).  The RST is netfilter's, since TCP's own input sends none from an IPv4 address that is not
// this host's while no transparent socket stands behind it (tried: with the engine dead, IPv4 clients waited).
// Written as netlink messages: no nft program or library is needed at run time.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace weir::steer {

struct NftTable {
  static constexpr const char* kName = "weir";
  uint32_t mark_mask = 0;
  uint32_t steered = 0, upstream = 0, client_leg = 0, reset = 0;

  // In nft's own words, one line.
  [[nodiscard]] std::string text() const;
  // One transaction: replaces a table of that name.  Errors: kUnavailable (no nftables in this kernel), kDenied, kSystem.
  [[nodiscard]] Result<void> create() const;
  // Removing what is not there succeeds.
  [[nodiscard]] static Result<void> remove();
  // nullopt: it is as create() makes it.  Else what is wrong.
  [[nodiscard]] Result<std::optional<std::string>> check() const;
};

}  // namespace weir::steer
