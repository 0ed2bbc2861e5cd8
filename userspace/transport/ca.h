// `weir ca init | show`: the gateway's own certificate authority.
// Must never: overwrite a file, or show a key.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/address.h"

namespace weir::transport {

struct CaRequest {
  std::string certificate_file = {}, key_file = {};
  std::string common_name = "Weir CA";
  std::chrono::days validity{3650};
  // Name constraints: what the CA may sign for.  Both empty: anything.
  std::vector<std::string> permitted_names = {};  // "lab.example": itself and what is below it.
  std::vector<Prefix> permitted_addresses = {};
};
struct CaDescription {
  std::string certificate_file;
  std::string subject;      // "CN=Weir CA"
  std::string fingerprint;  // SHA-256, hex with colons.
  std::chrono::sys_seconds not_before{}, not_after{};
  std::vector<std::string> permitted;  // "DNS:lab.example"
  std::string pem;
};

// EC P-256, pathlen 0.  Key 0600, certificate 0644, both synced.  Errors: kInvalid when either file is there already.
[[nodiscard]] Result<CaDescription> init_ca(const CaRequest&, std::chrono::sys_seconds now);
[[nodiscard]] Result<CaDescription> show_ca(const std::string& certificate_file);
// For a terminal: what it is, how long it lasts, and how clients come to trust it.
[[nodiscard]] std::string text_of(const CaDescription&, std::chrono::sys_seconds now);

}  // namespace weir::transport
