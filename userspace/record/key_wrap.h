// Who can open a session: its key, wrapped for the gateway and for each auditor.  FORMAT.md says how, so that it can be done by hand.
//
// The seam for other key stores: a KeyWrapper wraps when a session is sealed, a KeyOpener opens when one is read.  What a
// wrap is bound to (session, part, key commitment) is authenticated with it, so that one cannot stand in for another.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "record/cipher.h"

namespace weir::record {

struct WrapContext {
  uint64_t session = 0;
  uint32_t part = 1;
  Digest commitment{};       // Of the session key.
};

class KeyWrapper {
 public:
  virtual ~KeyWrapper() = default;
  // An object of a keys file.  It is for ever: destroying it must be enough to forget the key.
  [[nodiscard]] virtual Result<nlohmann::json> wrap(const SecretKey&, const WrapContext&) const = 0;
};

class KeyOpener {
 public:
  virtual ~KeyOpener() = default;
  // nullopt: it was not wrapped for a key that is held here, or was changed.
  [[nodiscard]] virtual std::optional<SecretKey> open(const nlohmann::json& wrap, const WrapContext&) const = 0;
  // Who holds the keys cannot be asked: what open() said means nothing.
  [[nodiscard]] virtual bool is_away() const { return false; }
  [[nodiscard]] virtual std::string names() const = 0;     // Ids of what is held here, for messages.
  [[nodiscard]] virtual std::string first_id() const = 0;  // Of the key that new things are made with.
  // A key for something else than wraps (HKDF-SHA256 over the secret that is called `id`), as often as it is asked for.  nullopt: it is not held here.
  [[nodiscard]] virtual std::optional<SecretKey> derive(std::string_view id, Bytes salt, std::string_view info) const = 0;
};

// The gateway's own keys, of a file: lines "weir-key-1 <64 hex digits>", '#' begins a comment.  The first wraps, all open.
class GatewayKeys final : public KeyWrapper, public KeyOpener {
 public:
  static constexpr std::size_t kKeysMax = 64;
  // A new file (0600; an error if it exists) with one key.
  static Result<void> generate(const std::string& path);
  // An error if others than its owner can read the file.
  static Result<std::shared_ptr<const GatewayKeys>> read(const std::string& path);

  Result<nlohmann::json> wrap(const SecretKey&, const WrapContext&) const override;
  std::optional<SecretKey> open(const nlohmann::json& wrap, const WrapContext&) const override;
  std::string names() const override;
  std::string first_id() const override { return keys_.front().id; }
  std::optional<SecretKey> derive(std::string_view id, Bytes salt, std::string_view info) const override;

 private:
  struct Key { std::string id; SecretKey secret; };
  std::vector<Key> keys_;
};

// An auditor's public key, X25519 in PEM form: wraps, and cannot open.
class AuditorKey final : public KeyWrapper {
 public:
  static Result<std::shared_ptr<const AuditorKey>> read(const std::string& path);
  Result<nlohmann::json> wrap(const SecretKey&, const WrapContext&) const override;
  [[nodiscard]] const std::string& id() const { return id_; }

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

// Its private half: what an auditor reads with.
class AuditorSecret final : public KeyOpener {
 public:
  // An error if others than its owner can read the file.
  static Result<std::shared_ptr<const AuditorSecret>> read(const std::string& path);
  std::optional<SecretKey> open(const nlohmann::json& wrap, const WrapContext&) const override;
  std::string names() const override { return id_; }
  std::string first_id() const override { return id_; }
  std::optional<SecretKey> derive(std::string_view id, Bytes salt, std::string_view info) const override;

 private:
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
};

// Either of the two that open, by what stands in the file.
Result<std::shared_ptr<const KeyOpener>> read_opener(const std::string& path);

// What a gateway seals with: nobody to wrap for is a record in clear.  `openers` read its own archives.
struct KeyRing {
  std::vector<std::shared_ptr<const KeyWrapper>> wrappers{};
  std::vector<std::shared_ptr<const KeyOpener>> openers{};
  [[nodiscard]] bool encrypts() const { return !wrappers.empty(); }
};

// A keys file: one JSON object and a newline.
Result<std::string> wrap_for_all(const KeyRing&, const SecretKey&, const WrapContext&);
// kDenied: none of the openers has a key for it; the message says what it was wrapped for.  kUnavailable: one of them is away.  kCorrupt: no such file, or of another session.
Result<SecretKey> unwrap(std::string_view keys_text, const std::vector<std::shared_ptr<const KeyOpener>>&, const WrapContext&);

}  // namespace weir::record
