#include "record/index_key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "base/check.h"

namespace weir::record {
namespace {

constexpr std::string_view kPlainWords = "weir index words in clear 1\n", kWordsInfo = "weir index words 1", kRowsInfo = "weir index rows 1";

std::string bound_to(uint64_t session) { return "weir index row 1\n" + std::to_string(session) + "\n"; }

}  // namespace

void IndexKey::FreeMac::operator()(evp_mac_ctx_st* context) const { EVP_MAC_CTX_free(context); }

IndexKey::IndexKey(Bytes words, std::optional<SecretKey> rows) : rows_(std::move(rows)) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), &EVP_MAC_free);
  WEIR_CHECK(mac != nullptr);
  words_.reset(EVP_MAC_CTX_new(mac.get()));
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  WEIR_CHECK(words_ != nullptr && EVP_MAC_init(words_.get(), reinterpret_cast<const unsigned char*>(words.data()), words.size(), parameters.data()) == 1);
}
IndexKey::IndexKey(IndexKey&&) noexcept = default;
IndexKey& IndexKey::operator=(IndexKey&&) noexcept = default;
IndexKey::~IndexKey() = default;

IndexKey IndexKey::plain(std::string_view salt) {
  const std::string key = std::string(kPlainWords) + std::string(salt);
  return {as_bytes(key), std::nullopt};
}

std::optional<IndexKey> IndexKey::of(const KeyOpeners& openers, const std::string& id, std::string_view salt) {
  for (const auto& opener : openers) {
    const std::optional<SecretKey> words = opener->derive(id, as_bytes(salt), kWordsInfo);
    if (words) return IndexKey(words->bytes(), opener->derive(id, as_bytes(salt), kRowsInfo));
  }
  return std::nullopt;
}

uint64_t IndexKey::hash(char kind, std::string_view value) const {
  const std::unique_ptr<EVP_MAC_CTX, FreeMac> context(EVP_MAC_CTX_dup(words_.get()));
  std::array<unsigned char, 32> digest{};
  std::size_t size = 0;
  WEIR_CHECK(context != nullptr && EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(&kind), 1) == 1);
  if (!value.empty()) WEIR_CHECK(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(value.data()), value.size()) == 1);
  WEIR_CHECK(EVP_MAC_final(context.get(), digest.data(), &size, digest.size()) == 1 && size == digest.size());
  uint64_t word = 0;
  for (std::size_t at = 0; at < sizeof word; ++at) word = word << 8 | digest[at];
  return word;
}

std::string IndexKey::seal_row(uint64_t session, std::string_view row) const {
  if (!rows_) return std::string(row);
  // Random: a row is written again, and nothing says how often.  Far below 2^32 rows are sealed under the key of one file.
  Nonce nonce{};
  WEIR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()), static_cast<int>(nonce.size())) == 1);
  std::vector<std::byte> stored(nonce.begin(), nonce.end());
  seal_bytes(*rows_, nonce, as_bytes(bound_to(session)), as_bytes(row), stored);
  return std::string(as_text(stored));
}

std::optional<std::string> IndexKey::open_row(uint64_t session, std::string_view stored) const {
  if (!rows_) return std::string(stored);
  Nonce nonce{};
  if (stored.size() < nonce.size() + kTagSize) return std::nullopt;
  std::memcpy(nonce.data(), stored.data(), nonce.size());
  std::vector<std::byte> row;
  if (!open_bytes(*rows_, nonce, as_bytes(bound_to(session)), as_bytes(stored.substr(nonce.size())), row)) return std::nullopt;
  return std::string(as_text(row));
}

std::string key_names(const KeyOpeners& openers) {
  std::string names;
  for (const auto& opener : openers) names += (names.empty() ? "" : ", ") + opener->names();
  return names;
}

}  // namespace weir::record
