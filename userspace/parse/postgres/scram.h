// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929 tls-server-end-point), both ends, as PostgreSQL speaks
// them: the user name of the exchange is empty, the startup packet names who logs in.
// Passwords are used as given: SASLprep (RFC 4013) changes no printable ASCII; of other passwords only those that are in
// NFKC already agree with a server that prepares them.
// Must never: keep a key after the exchange, or compare one in data-dependent time.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/module.h"

namespace weir::postgres {

constexpr std::string_view kScram = "SCRAM-SHA-256";
constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";
// What a server may ask of us.  Below RFC 7677's least a stolen exchange is cheap to search; above, the core would stand still
// (100,000 rounds take some 40 ms here).
constexpr uint32_t kIterationsMin = 4096;
constexpr uint32_t kIterationsMax = 100'000;
constexpr uint32_t kIterationsOurs = 4096;

using ScramKey = std::array<unsigned char, 32>;

// The server's end: we prove to the client that we know its password, and have it prove the same.
class ScramServer {
 public:
  ScramServer() = default;
  ScramServer(const ScramServer&) = delete;
  ScramServer& operator=(const ScramServer&) = delete;
  ~ScramServer() { wipe(); }

  // `leaf_hash` empty: no channel binding is offered.  An unknown login begins with any password: it cannot be proven.
  void begin(std::string_view password, bool is_known, Bytes leaf_hash, RandomSource&);
  // client-first-message.  Post: server-first-message in `reply`; false: not one (why()).
  bool first(std::string_view mechanism, std::string_view message, std::string& reply);
  // client-final-message.  kProven: server-final-message in `reply`.
  enum class Proof : uint8_t { kProven, kWrong, kMalformed };
  Proof final(std::string_view message, std::string& reply);
  [[nodiscard]] const char* why() const { return why_; }
  void wipe();

 private:
  std::string password_;
  std::vector<std::byte> leaf_hash_;
  std::string gs2_header_, client_first_bare_, server_first_, nonce_;
  std::array<std::byte, 16> salt_{};
  std::array<std::byte, 18> server_nonce_{};
  bool is_known_ = false;
  bool uses_binding_ = false;
  const char* why_ = nullptr;
};

// The client's end: we log in at the target.
class ScramClient {
 public:
  ScramClient() = default;
  ScramClient(const ScramClient&) = delete;
  ScramClient& operator=(const ScramClient&) = delete;
  ~ScramClient() { wipe(); }

  enum class Binding : uint8_t { kNone /* no TLS */, kNotOffered /* could, the server does not */, kUsed };
  // Post: client-first-message.
  std::string first(std::string_view password, Binding, Bytes peer_hash, RandomSource&);
  // server-first-message -> client-final-message in `reply`; false: refuse it (why()).
  bool proof(std::string_view server_first, std::string& reply);
  // server-final-message: true only if the server has proven that it knows the password.
  bool verify(std::string_view server_final);
  [[nodiscard]] bool is_verified() const { return is_verified_; }
  [[nodiscard]] const char* why() const { return why_; }
  void wipe();

 private:
  std::string password_, gs2_header_, client_first_bare_, nonce_;
  std::vector<std::byte> peer_hash_;
  ScramKey server_signature_{};
  bool has_proof_ = false;
  bool is_verified_ = false;
  const char* why_ = nullptr;
};

}  // namespace weir::postgres
