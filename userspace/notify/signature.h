// Signatures over what goes out to a webhook and what comes back from it: HMAC-SHA256 with a secret that both sides have.
//
//   Weir-Signature: t=1767225600,v1=<hex>[,v1=<hex>]        HMAC over "1767225600" "." body; one v1 a secret
//   X-Slack-Signature: v0=<hex>                              HMAC over "v0:" timestamp ":" body, as Slack documents it
//   X-Slack-Request-Timestamp: 1767225600
//
// Must never: compare in a time that depends on the bytes, take an old signature for a fresh one, or put a secret into an error.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::notify {

// The first signs; any of them is taken, so that a secret can be changed on one side after the other.  Wiped at the end.
class Secrets {
 public:
  Secrets() = default;
  // A line a secret; empty lines are not.  Pre: what `text` points to is wiped by its owner.
  static Secrets of_lines(std::string_view text);
  Secrets(Secrets&&) noexcept = default;
  Secrets& operator=(Secrets&&) noexcept;
  Secrets(const Secrets&) = default;
  Secrets& operator=(const Secrets&) = delete;
  ~Secrets();
  [[nodiscard]] const std::vector<std::string>& all() const { return all_; }
  [[nodiscard]] bool empty() const { return all_.empty(); }

 private:
  void wipe() noexcept;
  std::vector<std::string> all_;
};

inline constexpr std::chrono::seconds kSignatureAge{300};  // Before or after now: an older one is stale.
inline constexpr std::size_t kSecretSizeMin = 16, kSecretsMax = 4;

// Lower-case hex of HMAC-SHA256.
[[nodiscard]] std::string hmac_hex(std::string_view secret, std::string_view text);

// The value of Weir-Signature.  Pre: secrets are there.
[[nodiscard]] std::string weir_signature(const Secrets& secrets, int64_t unix_seconds, std::string_view body);

struct Proof {
  int64_t at = 0;            // When it was signed.
  std::string mac;           // Hex: the same again is a replay.
};
// Errors, all kDenied: no secret, malformed, wrong, stale; the words are the same for a wrong and for a missing one.
[[nodiscard]] Result<Proof> check_weir_signature(const Secrets& secrets, std::string_view header, std::string_view body, int64_t now);
[[nodiscard]] Result<Proof> check_slack_signature(const Secrets& secrets, std::string_view header, std::string_view timestamp,
                                                  std::string_view body, int64_t now);

}  // namespace weir::notify
