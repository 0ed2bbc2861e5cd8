// What keeps the index from telling who has the disk more than manifests in clear do.
//
//   a record in clear       words: HMAC-SHA-256 under the salt that stands in the file; rows as they are
//   an encrypted record     words: HMAC-SHA-256, rows: AES-256-GCM, each under a key that HKDF-SHA256 makes of what opens the archives
//                           (the gateway's key file) and of that salt
//
// Must never: let a derived key be written, or a word be hashed without one where the record is encrypted.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/cipher.h"
#include "record/key_wrap.h"

struct evp_mac_ctx_st;

namespace weir::record {

using KeyOpeners = std::vector<std::shared_ptr<const KeyOpener>>;

class IndexKey {
 public:
  static IndexKey plain(std::string_view salt);
  // With the key that an opener calls `id`.  nullopt: none of them has it.
  static std::optional<IndexKey> of(const KeyOpeners&, const std::string& id, std::string_view salt);
  IndexKey(IndexKey&&) noexcept;
  IndexKey& operator=(IndexKey&&) noexcept;
  ~IndexKey();

  [[nodiscard]] bool is_secret() const { return rows_.has_value(); }
  // The first 64 bits of the HMAC over kind and value.  Any thread.
  [[nodiscard]] uint64_t hash(char kind, std::string_view value) const;
  // What a row says, bound to its session: nonce (12, random) | ciphertext | tag (16).  Of a plain key: as it is.
  [[nodiscard]] std::string seal_row(uint64_t session, std::string_view row) const;
  // nullopt: it was not sealed under this key for this session.
  [[nodiscard]] std::optional<std::string> open_row(uint64_t session, std::string_view stored) const;

 private:
  struct FreeMac { void operator()(evp_mac_ctx_st*) const; };
  IndexKey(Bytes words, std::optional<SecretKey> rows);
  std::unique_ptr<evp_mac_ctx_st, FreeMac> words_;   // Keyed: each hash begins with a copy.
  std::optional<SecretKey> rows_;
};

// Of all that opens, in order: an index is of one such set, so that nothing that a key which is gone had opened stays in it.
// Empty: nothing does, the record is in clear.
std::string key_names(const KeyOpeners&);

}  // namespace weir::record
