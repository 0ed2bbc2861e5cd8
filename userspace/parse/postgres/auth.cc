#include "parse/postgres/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

#include "base/base64.h"
#include "parse/postgres/messages.h"

namespace weir::postgres {
namespace {

void wipe_string(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

void write_password(MessageWriter& out, std::string_view password) {
  out.begin(front::kPassword);
  out.c_string(password);
  out.end();
}

void write_sasl(MessageWriter& out, uint32_t code, std::string_view data) {
  out.begin(back::kAuthentication);
  out.u32(code);
  out.raw(data);
  out.end();
}

std::string md5_hex(std::string_view first, Bytes second) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  std::string input(first);
  input.append(as_text(second));
  const bool ok = EVP_Digest(input.data(), input.size(), digest.data(), &size, EVP_md5(), nullptr) == 1;
  wipe_string(input);
  if (!ok) return {};
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  OPENSSL_cleanse(digest.data(), digest.size());
  return hex;
}

}  // namespace

std::string md5_answer(std::string_view password, std::string_view user, Bytes salt) {
  std::string inner = md5_hex(password, as_bytes(user));
  const std::string outer = inner.empty() ? std::string() : md5_hex(inner, salt);
  wipe_string(inner);
  return outer.empty() ? outer : "md5" + outer;
}

void ClientAuth::begin(const LoginSecret* secret, Bytes leaf_hash, RandomSource& random, MessageWriter& out) {
  // Nobody's password is random, so that the work and the answer's time are those of a wrong one.
  std::array<std::byte, 18> nobody{};
  random.fill(nobody);
  std::string password = secret != nullptr ? secret->client_password : base64(nobody);
  scram_.begin(password, secret != nullptr && !password.empty(), leaf_hash, random);
  wipe_string(password);
  has_first_ = false;
  out.begin(back::kAuthentication);
  out.u32(auth_code::kSasl);
  if (!leaf_hash.empty()) out.c_string(kScramPlus);
  out.c_string(kScram);
  out.u8(0);
  out.end();
}

// SASLInitialResponse: mechanism\0 size:4 data; SASLResponse: data.
ClientAuth::Result ClientAuth::answer(Bytes body, MessageWriter& out) {
  std::string reply;
  if (!has_first_) {
    ByteReader reader(body);
    const std::string_view mechanism = reader.c_string();
    const uint32_t size = reader.u32be();
    if (reader.failed() || size != reader.remaining()) return Result::kMalformed;
    if (!scram_.first(mechanism, as_text(reader.rest()), reply)) return Result::kMalformed;
    has_first_ = true;
    write_sasl(out, auth_code::kSaslContinue, reply);
    return Result::kMore;
  }
  const ScramServer::Proof proof = scram_.final(as_text(body), reply);
  scram_.wipe();
  switch (proof) {
    case ScramServer::Proof::kProven: write_sasl(out, auth_code::kSaslFinal, reply); return Result::kProven;
    case ScramServer::Proof::kWrong: return Result::kWrong;
    case ScramServer::Proof::kMalformed: return Result::kMalformed;
  }
  return Result::kMalformed;
}

void TargetAuth::begin(const LoginSecret* secret, bool is_tls, Bytes peer_hash, RandomSource* random) {
  secret_ = secret;
  is_tls_ = is_tls;
  peer_hash_.assign(peer_hash.begin(), peer_hash.end());
  random_ = random;
  in_scram_ = false;
}

TargetAuth::Result TargetAuth::answer(Bytes body, MessageWriter& out) {
  ByteReader reader(body);
  const uint32_t code = reader.u32be();
  if (reader.failed()) return refuse("the target's authentication message is malformed");
  switch (code) {
    case auth_code::kOk:
      if (in_scram_ && !scram_.is_verified()) return refuse("the target ended the SCRAM exchange without its signature");
      wipe();
      return Result::kAccepted;
    case auth_code::kCleartext:
      if (!is_tls_) return refuse("the target asks for the password in clear on a leg without TLS");
      write_password(out, secret_->target_password);
      return Result::kAnswered;
    case auth_code::kMd5:
      return answer_md5(reader.rest(), out);
    case auth_code::kSasl:
      return begin_scram(reader, out);
    case auth_code::kSaslContinue: {
      std::string reply;
      if (!in_scram_ || !scram_.proof(as_text(reader.rest()), reply)) return refuse(in_scram_ ? scram_.why() : "SASL out of turn");
      out.begin(front::kPassword);
      out.raw(reply);
      out.end();
      return Result::kAnswered;
    }
    case auth_code::kSaslFinal:
      if (!in_scram_ || !scram_.verify(as_text(reader.rest()))) return refuse(in_scram_ ? scram_.why() : "SASL out of turn");
      return Result::kNothing;
    default:
      return refuse("the target asks for an authentication method that the gateway does not have (password, md5, SCRAM-SHA-256)");
  }
}

TargetAuth::Result TargetAuth::begin_scram(ByteReader& mechanisms, MessageWriter& out) {
  if (in_scram_) return refuse("SASL out of turn");
  bool has_plain = false;
  bool has_plus = false;
  for (std::string_view name = mechanisms.c_string(); !name.empty(); name = mechanisms.c_string()) {
    has_plain = has_plain || name == kScram;
    has_plus = has_plus || name == kScramPlus;
  }
  const bool can_bind = is_tls_ && !peer_hash_.empty();
  const bool binds = can_bind && has_plus;
  if (!binds && !has_plain) return refuse("the target offers no SASL mechanism that the gateway has (SCRAM-SHA-256)");
  using Binding = ScramClient::Binding;
  const Binding binding = binds ? Binding::kUsed : can_bind ? Binding::kNotOffered : Binding::kNone;
  const std::string first = scram_.first(secret_->target_password, binding, peer_hash_, *random_);
  in_scram_ = true;
  out.begin(front::kPassword);
  out.c_string(binds ? kScramPlus : kScram);
  out.u32(static_cast<uint32_t>(first.size()));
  out.raw(first);
  out.end();
  return Result::kAnswered;
}

TargetAuth::Result TargetAuth::answer_md5(Bytes salt, MessageWriter& out) {
  if (salt.size() != 4) return refuse("the target's authentication message is malformed");
  std::string answer = md5_answer(secret_->target_password, secret_->target_login, salt);
  if (answer.empty()) return refuse("the cryptographic library has no MD5: give the login a SCRAM secret");
  write_password(out, answer);
  wipe_string(answer);
  return Result::kAnswered;
}

void TargetAuth::wipe() {
  scram_.wipe();
  in_scram_ = false;
}

}  // namespace weir::postgres
