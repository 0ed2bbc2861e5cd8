// The two logins of `login: inject`, message by message: the client proves itself to us, we prove ourselves to the target.
// Knows PostgreSQL's framing of them (AuthenticationXxx, SASLInitialResponse, PasswordMessage); scram.h knows the exchange.
// Must never: send a password in clear over a leg without TLS, or take a target's word without its signature.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/module.h"
#include "parse/postgres/render.h"
#include "parse/postgres/scram.h"

namespace weir::postgres {

class ClientAuth {
 public:
  enum class Result : uint8_t { kMore, kProven, kWrong, kMalformed };
  // AuthenticationSASL into `out`.  `secret` null: nobody of that name; the exchange is the same and fails at its end.
  void begin(const LoginSecret* secret, Bytes leaf_hash, RandomSource&, MessageWriter& out);
  Result answer(Bytes body, MessageWriter& out);
  [[nodiscard]] const char* why() const { return scram_.why() != nullptr ? scram_.why() : "malformed SASL message"; }
  void wipe() { scram_.wipe(); }

 private:
  ScramServer scram_;
  bool has_first_ = false;
};

class TargetAuth {
 public:
  enum class Result : uint8_t { kAnswered, kNothing, kAccepted, kRefused };
  // The secret is borrowed: it outlives the session (TargetFacts).
  void begin(const LoginSecret* secret, bool is_tls, Bytes peer_hash, RandomSource*);
  // `body` of an Authentication message of the target.  kAnswered: what to send stands in `out`.
  Result answer(Bytes body, MessageWriter& out);
  [[nodiscard]] const char* why() const { return why_; }
  void wipe();

 private:
  Result refuse(const char* why) { why_ = why; return Result::kRefused; }
  Result begin_scram(ByteReader& mechanisms, MessageWriter& out);
  Result answer_md5(Bytes salt, MessageWriter& out);

  const LoginSecret* secret_ = nullptr;
  RandomSource* random_ = nullptr;
  bool is_tls_ = false;
  bool in_scram_ = false;
  std::vector<std::byte> peer_hash_;
  ScramClient scram_;
  const char* why_ = nullptr;
};

// "md5" and the hex digest that the server compares; empty if the library has no MD5.
std::string md5_answer(std::string_view password, std::string_view user, Bytes salt);

}  // namespace weir::postgres
