// OIDC tokens: is this one genuine, for us, in time, and whom does it name?  Signatures by OpenSSL, keys from a JWKS file or
// from the provider.
// Must never: put a token, or a part of one that is not a checked claim, into an error or a log; accept `none`, an HMAC, or
// a key that the token itself brings.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/config.h"
#include "core/identity.h"
#include "identify/jwks.h"
#include "identify/provider_keys.h"

namespace weir::identify {

inline constexpr std::size_t kTokenSizeMax = 16 << 10;

// A token whose every check passed.
struct VerifiedToken {
  std::string issuer;  // The configured name, "lab-idp".
  std::string subject;
  std::vector<std::string> groups;
  std::string email;                    // Empty when the issuer says that it is not verified.
  std::vector<std::string> acting_for;  // `act`, outermost first.
  std::string token_id;                 // jti; empty if it has none.
  std::string key;                      // Unique for this token: issuer and jti, or its SHA-256.
  std::chrono::sys_seconds expires{};
  std::string algorithm, key_id;
  Assurance assurance = Assurance::kNetwork;  // Of a binding by it: kWorkload where the configuration says so.
};

// How one issuer's tokens are checked; pure.  Errors: kDenied, with a reason that holds no part of the token but checked
// names.  Post: the signature was verified before any claim but `iss` was used.
[[nodiscard]] Result<VerifiedToken> verify_token(std::string_view token, const IssuerConfig&, const KeySet&,
                                                 std::chrono::sys_seconds now);

// Whether a token that nobody has verified claims to be meant for `audience`: which of several tokens to try, no more.
[[nodiscard]] bool claims_audience(std::string_view token, const std::string& audience);

// All issuers of a configuration.  Keys are read from jwks_file, again when that changes, or else they are the provider's own.
// Any thread.
class TokenVerifier {
 public:
  // The keys of an issuer without a jwks_file.
  using KeysOf = std::function<std::shared_ptr<ProviderKeys>(const IssuerConfig&)>;
  // Errors: kInvalid (no audience, an algorithm that is not allowed), and those of KeySet::parse and the file.
  [[nodiscard]] static Result<std::unique_ptr<TokenVerifier>> make(const std::vector<IssuerConfig>&,
                                                                   const KeysOf& keys_of = {});

  // Looks at the files first; a file that has become wrong leaves its old keys in force (see warnings()).
  // Errors: kDenied: the token does not hold.  kUnavailable: it cannot be checked now: there are no keys, or they are being
  // fetched again since it names one that is not there.  Never waits for a provider.
  [[nodiscard]] Result<VerifiedToken> verify(std::string_view token, std::chrono::sys_seconds now);
  // The same for the ID token of a sign-in that we began; see identify/id_token.h.
  [[nodiscard]] Result<VerifiedToken> verify_id_token(std::string_view token, std::string_view client_id, std::string_view nonce,
                                                      std::chrono::sys_seconds now);
  struct IssuerStatus {
    std::string name, url, source;  // "file" or "provider".
    ProviderKeys::Status keys;      // Of a file: count, error.
  };
  [[nodiscard]] std::vector<IssuerStatus> status() const;
  // What is wrong with the key files now; empty: nothing.
  [[nodiscard]] std::vector<std::string> warnings() const;
  [[nodiscard]] uint64_t reloads() const;

 private:
  struct Issuer {
    IssuerConfig config;
    std::shared_ptr<ProviderKeys> provider;  // Null: the keys are those of a file, below.
    std::shared_ptr<const KeySet> keys;
    FileStamp stamp;
    std::string warning;
    bool is_refused = false;  // The file as `stamp` has it does not parse.
  };
  using Check = std::function<Result<VerifiedToken>(const IssuerConfig&, const KeySet&)>;
  TokenVerifier() = default;
  void refresh(Issuer&);
  [[nodiscard]] Result<VerifiedToken> verify_by(const Check&, std::string_view token, std::chrono::sys_seconds now);

  mutable std::mutex mutex_;
  std::vector<Issuer> issuers_;
  uint64_t reloads_ = 0;
};

}  // namespace weir::identify
