// What the engine tells the signer before anything else, and what the signer says of itself then: one frame each, JSON, while both are
// what root started.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "signer/protocol.h"
#include "transport/leaf_signer.h"

namespace weir::signer {

struct Setup {
  std::string gateway, origin;
  std::string state;                               // Where wrapped keys stand: a new wrapping key is not made beside old wraps.
  std::string folder;                              // The signer's own.
  std::string log_key_file, gateway_key_file;      // The second may be empty.
  TlsConfig ca;                                    // Files empty: no target shows a minted leaf.
  bool needs_ca = false;                           // A target shows one.
  transport::LeafNames names;
  std::string user, engine_user;                   // What each drops to; "root" and "" keep the user.
  int64_t parent = 0;                              // The engine's pid.
};

struct Hello {
  int64_t pid = 0;
  uint32_t uid = 0;
  std::string user;
  std::string public_pem;                          // Of the log's key.
  std::string key_names, first_key;                // Of the gateway's wrapping keys; empty: the record is in clear.
  bool has_ca = false;
  std::string head_file;
  std::vector<std::string> notes;                  // What an operator should see.
};

[[nodiscard]] Setup setup_of(const Config&);

[[nodiscard]] std::string to_json(const Setup&);
[[nodiscard]] Result<Setup> setup_from_json(std::string_view);
[[nodiscard]] std::string to_json(const Result<Hello>&);
// An error that the signer met while it started comes back as it.
[[nodiscard]] Result<Hello> hello_from_json(std::string_view);

}  // namespace weir::signer
