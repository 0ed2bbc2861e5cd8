#include "parse/postgres/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>

#include "base/base64.h"

namespace weir::postgres {
namespace {

const unsigned char* data_of(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
Bytes bytes_of(const ScramKey& key) { return std::as_bytes(std::span(key)); }
void wipe_string(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

bool hmac(Bytes key, std::string_view message, ScramKey& out) {
  unsigned int size = 0;
  return HMAC(EVP_sha256(), data_of(key), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
              message.size(), out.data(), &size) != nullptr && size == out.size();
}

struct ScramKeys {
  ScramKey client_key{}, stored_key{}, server_key{};
  ~ScramKeys() {
    OPENSSL_cleanse(client_key.data(), client_key.size());
    OPENSSL_cleanse(stored_key.data(), stored_key.size());
    OPENSSL_cleanse(server_key.data(), server_key.size());
  }
};

// RFC 5802, section 3: SaltedPassword, ClientKey, StoredKey, ServerKey.
bool derive(std::string_view password, Bytes salt, uint32_t iterations, ScramKeys& keys) {
  ScramKey salted{};
  bool ok = PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), data_of(salt), static_cast<int>(salt.size()),
                              static_cast<int>(iterations), EVP_sha256(), static_cast<int>(salted.size()), salted.data()) == 1;
  ok = ok && hmac(bytes_of(salted), "Client Key", keys.client_key) && hmac(bytes_of(salted), "Server Key", keys.server_key);
  if (ok) SHA256(keys.client_key.data(), keys.client_key.size(), keys.stored_key.data());
  OPENSSL_cleanse(salted.data(), salted.size());
  return ok;
}

// The next "x=value" of a message; false if it is another attribute or none.
bool take_attribute(std::string_view& message, char name, std::string_view& value) {
  if (message.size() < 2 || message[0] != name || message[1] != '=') return false;
  const std::size_t end = std::min(message.find(','), message.size());
  value = message.substr(2, end - 2);
  message.remove_prefix(std::min(end + 1, message.size()));
  return true;
}

bool is_printable(std::string_view nonce) {
  return !nonce.empty() && std::ranges::all_of(nonce, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

constexpr std::size_t kBase64SizeMax = 4096;

// Of a message of the peer's: bounded, and not nothing.
bool unbase64(std::string_view text, std::vector<std::byte>& bytes) {
  auto found = text.empty() || text.size() > kBase64SizeMax ? std::nullopt : from_base64(text);
  if (found) bytes = std::move(*found);
  return found.has_value();
}

}  // namespace

void ScramServer::begin(std::string_view password, bool is_known, Bytes leaf_hash, RandomSource& random) {
  wipe();
  password_ = password;
  is_known_ = is_known;
  leaf_hash_.assign(leaf_hash.begin(), leaf_hash.end());
  random.fill(salt_);
  random.fill(server_nonce_);
}

// client-first-message: gs2-cbind-flag "," [authzid] "," [mext] username "," nonce ["," extensions]
bool ScramServer::first(std::string_view mechanism, std::string_view message, std::string& reply) {
  const bool is_plus = mechanism == kScramPlus;
  if (is_plus ? leaf_hash_.empty() : mechanism != kScram) { why_ = "the client chose a mechanism that was not offered"; return false; }
  const std::size_t flag_end = message.find(',');
  const std::size_t header_end = flag_end == std::string_view::npos ? flag_end : message.find(',', flag_end + 1);
  if (header_end == std::string_view::npos) { why_ = "malformed SCRAM message"; return false; }
  const std::string_view flag = message.substr(0, flag_end);
  if (header_end != flag_end + 1) { why_ = "an authorization identity is not supported"; return false; }
  if (is_plus != (flag == "p=tls-server-end-point") || (!is_plus && flag != "n" && flag != "y")) {
    why_ = "the channel binding flag does not fit the mechanism";
    return false;
  }
  // "y": the client could bind and believes that we cannot.  If we offered it, somebody took it out of our list.
  if (flag == "y" && !leaf_hash_.empty()) { why_ = "SCRAM channel binding negotiation error"; return false; }
  uses_binding_ = is_plus;
  gs2_header_ = message.substr(0, header_end + 1);
  client_first_bare_ = message.substr(header_end + 1);
  std::string_view rest = client_first_bare_;
  std::string_view user, client_nonce;
  if (!take_attribute(rest, 'n', user) || !take_attribute(rest, 'r', client_nonce) || !is_printable(client_nonce)) {
    why_ = "malformed SCRAM message";
    return false;
  }
  nonce_ = std::string(client_nonce) + base64(server_nonce_);
  server_first_ = "r=" + nonce_ + ",s=" + base64(salt_) + ",i=" + std::to_string(kIterationsOurs);
  reply = server_first_;
  return true;
}

// client-final-message: c=base64(gs2-header [cbind-data]) "," r=nonce ["," extensions] "," p=proof
ScramServer::Proof ScramServer::final(std::string_view message, std::string& reply) {
  std::string_view rest = message;
  std::string_view binding, nonce;
  const std::size_t proof_at = message.rfind(",p=");
  std::vector<std::byte> proof;
  if (!take_attribute(rest, 'c', binding) || !take_attribute(rest, 'r', nonce) || proof_at == std::string_view::npos ||
      !unbase64(message.substr(proof_at + 3), proof) || proof.size() != SHA256_DIGEST_LENGTH) {
    why_ = "malformed SCRAM message";
    return Proof::kMalformed;
  }
  std::vector<std::byte> expected(as_bytes(gs2_header_).begin(), as_bytes(gs2_header_).end());
  if (uses_binding_) expected.insert(expected.end(), leaf_hash_.begin(), leaf_hash_.end());
  if (nonce != nonce_) { why_ = "SCRAM nonce does not match"; return Proof::kMalformed; }
  if (binding != base64(expected)) { why_ = "SCRAM channel binding check failed"; return Proof::kMalformed; }

  ScramKeys keys;
  const std::string auth_message = client_first_bare_ + "," + server_first_ + "," + std::string(message.substr(0, proof_at));
  ScramKey signature{}, candidate{}, stored{}, server_signature{};
  if (!derive(password_, salt_, kIterationsOurs, keys) || !hmac(bytes_of(keys.stored_key), auth_message, signature) ||
      !hmac(bytes_of(keys.server_key), auth_message, server_signature)) {
    why_ = "the cryptographic library failed";
    return Proof::kMalformed;
  }
  for (std::size_t i = 0; i < candidate.size(); ++i) {
    candidate[i] = static_cast<unsigned char>(std::to_integer<unsigned>(proof[i]) ^ signature[i]);
  }
  SHA256(candidate.data(), candidate.size(), stored.data());
  const bool matches = CRYPTO_memcmp(stored.data(), keys.stored_key.data(), stored.size()) == 0;
  OPENSSL_cleanse(candidate.data(), candidate.size());
  reply = "v=" + base64(bytes_of(server_signature));
  return matches && is_known_ ? Proof::kProven : Proof::kWrong;
}

void ScramServer::wipe() {
  wipe_string(password_);
  wipe_string(server_first_);
  wipe_string(client_first_bare_);
  OPENSSL_cleanse(salt_.data(), salt_.size());
  is_known_ = false;
}

std::string ScramClient::first(std::string_view password, Binding binding, Bytes peer_hash, RandomSource& random) {
  wipe();
  password_ = password;
  std::array<std::byte, 18> random_bytes{};
  random.fill(random_bytes);
  nonce_ = base64(random_bytes);
  switch (binding) {
    case Binding::kNone: gs2_header_ = "n,,"; break;
    case Binding::kNotOffered: gs2_header_ = "y,,"; break;
    case Binding::kUsed:
      gs2_header_ = "p=tls-server-end-point,,";
      peer_hash_.assign(peer_hash.begin(), peer_hash.end());
      break;
  }
  client_first_bare_ = "n=,r=" + nonce_;
  return gs2_header_ + client_first_bare_;
}

// server-first-message: r=nonce "," s=salt "," i=iterations ["," extensions]
bool ScramClient::proof(std::string_view server_first, std::string& reply) {
  std::string_view rest = server_first;
  std::string_view nonce, salt_text, iterations_text;
  std::vector<std::byte> salt;
  uint32_t iterations = 0;
  if (has_proof_ || !take_attribute(rest, 'r', nonce) || !take_attribute(rest, 's', salt_text) ||
      !take_attribute(rest, 'i', iterations_text) || !unbase64(salt_text, salt) ||
      std::from_chars(iterations_text.data(), iterations_text.data() + iterations_text.size(), iterations).ec != std::errc{}) {
    why_ = "the target's SCRAM message is malformed";
    return false;
  }
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size()) { why_ = "the target's SCRAM nonce is not ours"; return false; }
  if (iterations < kIterationsMin || iterations > kIterationsMax) {
    why_ = "the target's SCRAM iteration count is out of bounds (4096 to 100000)";
    return false;
  }
  std::vector<std::byte> binding(as_bytes(gs2_header_).begin(), as_bytes(gs2_header_).end());
  binding.insert(binding.end(), peer_hash_.begin(), peer_hash_.end());
  const std::string without_proof = "c=" + base64(binding) + ",r=" + std::string(nonce);
  const std::string auth_message = client_first_bare_ + "," + std::string(server_first) + "," + without_proof;
  ScramKeys keys;
  ScramKey signature{};
  if (!derive(password_, salt, iterations, keys) || !hmac(bytes_of(keys.stored_key), auth_message, signature) ||
      !hmac(bytes_of(keys.server_key), auth_message, server_signature_)) {
    why_ = "the cryptographic library failed";
    return false;
  }
  ScramKey proof_bytes{};
  for (std::size_t i = 0; i < proof_bytes.size(); ++i) proof_bytes[i] = keys.client_key[i] ^ signature[i];
  reply = without_proof + ",p=" + base64(bytes_of(proof_bytes));
  has_proof_ = true;
  return true;
}

bool ScramClient::verify(std::string_view server_final) {
  std::string_view rest = server_final;
  std::string_view signature_text;
  std::vector<std::byte> signature;
  is_verified_ = has_proof_ && take_attribute(rest, 'v', signature_text) && unbase64(signature_text, signature) &&
                 signature.size() == server_signature_.size() &&
                 CRYPTO_memcmp(signature.data(), server_signature_.data(), signature.size()) == 0;
  if (!is_verified_) why_ = "the target did not prove that it knows the password (server signature)";
  return is_verified_;
}

void ScramClient::wipe() {
  wipe_string(password_);
  OPENSSL_cleanse(server_signature_.data(), server_signature_.size());
  peer_hash_.clear();
  has_proof_ = is_verified_ = false;
}

}  // namespace weir::postgres
