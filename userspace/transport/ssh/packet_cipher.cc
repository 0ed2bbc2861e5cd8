// The ciphers of packet.h on OpenSSL's EVP.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>

#include "base/check.h"
#include "transport/ssh/packet.h"

namespace weir::ssh {
namespace {

constexpr std::size_t kLengthSize = 4, kTagSize = 16, kTagSizeMax = 64, kHalfKey = 32, kCtrBlock = 16;
constexpr int kPolyKeySize = 32;

struct CipherRow {
  std::string_view name;
  Cipher cipher;
  std::size_t key_size, iv_size;
  const EVP_CIPHER* (*evp)();
};
// chacha first: a packet of a keystroke costs the same everywhere, and its length is not in the clear.
constexpr CipherRow kCiphers[] = {
    {"chacha20-poly1305@openssh.com", Cipher::kChacha20Poly1305, 64, 0, EVP_chacha20},
    {"aes128-gcm@openssh.com", Cipher::kAes128Gcm, 16, 12, EVP_aes_128_gcm},
    {"aes256-gcm@openssh.com", Cipher::kAes256Gcm, 32, 12, EVP_aes_256_gcm},
    {"aes128-ctr", Cipher::kAes128Ctr, 16, 16, EVP_aes_128_ctr},
    {"aes192-ctr", Cipher::kAes192Ctr, 24, 16, EVP_aes_192_ctr},
    {"aes256-ctr", Cipher::kAes256Ctr, 32, 16, EVP_aes_256_ctr},
};
struct MacRow {
  std::string_view name;
  Mac mac;
  std::size_t size;  // Of key and tag.
  const char* digest;
  bool is_etm;
};
constexpr MacRow kMacs[] = {
    {"hmac-sha2-256-etm@openssh.com", Mac::kHmacSha256Etm, 32, "SHA2-256", true},
    {"hmac-sha2-512-etm@openssh.com", Mac::kHmacSha512Etm, 64, "SHA2-512", true},
    {"hmac-sha2-256", Mac::kHmacSha256, 32, "SHA2-256", false},
    {"hmac-sha2-512", Mac::kHmacSha512, 64, "SHA2-512", false},
};
template <class Row, std::size_t N>
constexpr std::array<std::string_view, N> names_of(const Row (&rows)[N]) {
  std::array<std::string_view, N> names{};
  for (std::size_t i = 0; i < N; ++i) names[i] = rows[i].name;
  return names;
}
constexpr auto kCipherNames = names_of(kCiphers);
constexpr auto kMacNames = names_of(kMacs);

const CipherRow* row_of(Cipher cipher) {
  const auto* const row = std::find_if(std::begin(kCiphers), std::end(kCiphers), [&](const CipherRow& r) { return r.cipher == cipher; });
  return row == std::end(kCiphers) ? nullptr : row;
}
const MacRow* row_of(Mac mac) {
  const auto* const row = std::find_if(std::begin(kMacs), std::end(kMacs), [&](const MacRow& r) { return r.mac == mac; });
  return row == std::end(kMacs) ? nullptr : row;
}

const unsigned char* raw(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

using MacAlgorithmPtr = std::unique_ptr<EVP_MAC, transport::FreeWith<EVP_MAC_free>>;

}  // namespace

std::span<const std::string_view> cipher_names() { return kCipherNames; }
std::span<const std::string_view> mac_names() { return kMacNames; }

std::optional<Cipher> find_cipher(std::string_view name) {
  for (const CipherRow& row : kCiphers) {
    if (row.name == name) return row.cipher;
  }
  return std::nullopt;
}
std::optional<Mac> find_mac(std::string_view name) {
  for (const MacRow& row : kMacs) {
    if (row.name == name) return row.mac;
  }
  return std::nullopt;
}

bool is_aead(Cipher cipher) { return cipher == Cipher::kChacha20Poly1305 || cipher == Cipher::kAes128Gcm || cipher == Cipher::kAes256Gcm; }

KeySizes key_sizes(Cipher cipher, Mac mac) {
  KeySizes sizes;
  if (const CipherRow* const row = row_of(cipher)) {
    sizes.key = row->key_size;
    sizes.iv = row->iv_size;
  }
  const MacRow* const row = row_of(mac);
  if (row != nullptr && !is_aead(cipher)) sizes.mac_key = row->size;
  return sizes;
}

std::optional<PacketCipher> PacketCipher::make(PacketKeys keys, Use use) {
  const KeySizes sizes = key_sizes(keys.cipher, keys.mac);
  WEIR_CHECK(keys.key.size() == sizes.key && keys.iv.size() == sizes.iv && keys.mac_key.size() == sizes.mac_key);
  PacketCipher made;
  if (!made.set_keys(keys, use)) return std::nullopt;
  return made;
}

bool PacketCipher::set_keys(const PacketKeys& keys, Use use) {
  switch (keys.cipher) {
    case Cipher::kNone: return true;
    case Cipher::kChacha20Poly1305: return set_chacha(keys, use);
    case Cipher::kAes128Gcm:
    case Cipher::kAes256Gcm: return set_gcm(keys, use);
    case Cipher::kAes128Ctr:
    case Cipher::kAes192Ctr:
    case Cipher::kAes256Ctr: return keys.mac != Mac::kNone && set_ctr(keys, use);
  }
  return false;
}

// OpenSSH's PROTOCOL.chacha20poly1305: two ChaCha20 of the original layout (64-bit counter, 64-bit nonce), not the IETF's AEAD.
// The first half of the key is the payload's, the second the length's.
bool PacketCipher::set_chacha(const PacketKeys& keys, Use use) {
  kind_ = Kind::kChacha;
  pads_length_ = false;
  tag_size_ = kTagSize;
  const int encrypts = use == Use::kSeal ? 1 : 0;
  main_.reset(EVP_CIPHER_CTX_new());
  length_.reset(EVP_CIPHER_CTX_new());
  const MacAlgorithmPtr poly(EVP_MAC_fetch(nullptr, "POLY1305", nullptr));
  if (!main_ || !length_ || !poly) return false;
  mac_.reset(EVP_MAC_CTX_new(poly.get()));
  return mac_ && EVP_CipherInit_ex(main_.get(), EVP_chacha20(), nullptr, raw(keys.key.bytes()), nullptr, encrypts) == 1 &&
         EVP_CipherInit_ex(length_.get(), EVP_chacha20(), nullptr, raw(keys.key.bytes().subspan(kHalfKey)), nullptr, encrypts) == 1;
}

bool PacketCipher::set_gcm(const PacketKeys& keys, Use use) {
  kind_ = Kind::kGcm;
  pads_length_ = false;
  block_size_ = kCtrBlock;
  tag_size_ = kTagSize;
  std::memcpy(gcm_iv_.data(), keys.iv.bytes().data(), gcm_iv_.size());
  main_.reset(EVP_CIPHER_CTX_new());
  return main_ && EVP_CipherInit_ex(main_.get(), row_of(keys.cipher)->evp(), nullptr, raw(keys.key.bytes()), nullptr, use == Use::kSeal ? 1 : 0) == 1;
}

bool PacketCipher::set_ctr(const PacketKeys& keys, Use use) {
  const MacRow& mac = *row_of(keys.mac);
  kind_ = Kind::kCtr;
  is_etm_ = mac.is_etm;
  pads_length_ = !mac.is_etm;
  block_size_ = kCtrBlock;
  tag_size_ = static_cast<uint8_t>(mac.size);
  header_size_ = mac.is_etm ? kLengthSize : kCtrBlock;
  main_.reset(EVP_CIPHER_CTX_new());
  const MacAlgorithmPtr hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  if (!main_ || !hmac) return false;
  mac_.reset(EVP_MAC_CTX_new(hmac.get()));
  if (!mac_) return false;
  // Ours to keep: OSSL_PARAM has no const form.
  std::string digest(mac.digest);
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_init(mac_.get(), raw(keys.mac_key.bytes()), keys.mac_key.size(), parameters) == 1 &&
         EVP_CipherInit_ex(main_.get(), row_of(keys.cipher)->evp(), nullptr, raw(keys.key.bytes()), raw(keys.iv.bytes()), use == Use::kSeal ? 1 : 0) == 1;
}

// All of `in`, and not a byte less: a stream cipher that keeps some back is not one that we know.
bool PacketCipher::update(EVP_CIPHER_CTX* context, Bytes in, std::byte* out) {
  int size = 0;
  return EVP_CipherUpdate(context, raw(out), &size, raw(in), static_cast<int>(in.size())) == 1 && static_cast<std::size_t>(size) == in.size();
}

bool PacketCipher::chacha_nonce(EVP_CIPHER_CTX* context, uint32_t sequence, uint8_t counter) {
  std::array<std::byte, 16> iv{};  // Counter, little-endian; sequence number, big-endian.
  iv[0] = std::byte{counter};
  store_be<uint64_t>(iv, 8, sequence);
  return EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, raw(iv.data()), -1) == 1;
}

bool PacketCipher::poly1305(uint32_t sequence, Bytes ciphertext, std::byte* tag) {
  std::array<std::byte, kPolyKeySize> key{};  // Block 0 of the payload's keystream.
  std::size_t size = 0;
  const bool ok = chacha_nonce(main_.get(), sequence, 0) && update(main_.get(), key, key.data()) &&
                  EVP_MAC_init(mac_.get(), raw(key.data()), key.size(), nullptr) == 1 &&
                  EVP_MAC_update(mac_.get(), raw(ciphertext), ciphertext.size()) == 1 &&
                  EVP_MAC_final(mac_.get(), raw(tag), &size, kTagSize) == 1 && size == kTagSize;
  OPENSSL_cleanse(key.data(), key.size());
  return ok;
}

bool PacketCipher::hmac(uint32_t sequence, Bytes bytes, std::byte* tag) {
  std::array<std::byte, 4> number{};
  store_be<uint32_t>(number, 0, sequence);
  std::size_t size = 0;
  return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 && EVP_MAC_update(mac_.get(), raw(number), number.size()) == 1 &&
         EVP_MAC_update(mac_.get(), raw(bytes), bytes.size()) == 1 && EVP_MAC_final(mac_.get(), raw(tag), &size, tag_size_) == 1 &&
         size == tag_size_;
}

// Sets this packet's nonce and counts on (RFC 5647 section 7.1): the counter alone, never into the fixed bytes.
bool PacketCipher::gcm_begin() {
  const bool ok = EVP_CipherInit_ex(main_.get(), nullptr, nullptr, nullptr, raw(gcm_iv_.data()), -1) == 1;
  store_be<uint64_t>(gcm_iv_, 4, load_be<uint64_t>(gcm_iv_, 4) + 1);
  return ok;
}

bool PacketCipher::open_length(uint32_t sequence, Bytes header, uint32_t& length) {
  std::array<std::byte, kLengthSize> clear{};
  if (kind_ == Kind::kChacha) {
    if (!chacha_nonce(length_.get(), sequence, 0) || !update(length_.get(), header.first(kLengthSize), clear.data())) return false;
    length = load_be<uint32_t>(clear);
    return true;
  }
  if (kind_ == Kind::kCtr && !is_etm_) {
    if (!update(main_.get(), header.first(kCtrBlock), first_block_.data())) return false;
    length = load_be<uint32_t>(first_block_);
    return true;
  }
  length = load_be<uint32_t>(header);
  return true;
}

bool PacketCipher::open(uint32_t sequence, Bytes packet, MutableBytes plain) {
  WEIR_CHECK(packet.size() == plain.size() + tag_size_ && plain.size() >= header_size_);
  const Bytes body = packet.first(plain.size());
  const Bytes given = packet.subspan(plain.size());
  std::array<std::byte, kTagSizeMax> tag{};
  // The length is known to who called: what stands in front of the plaintext is not looked at again.
  const Bytes inner = body.subspan(kLengthSize);
  std::byte* const out = plain.data() + kLengthSize;
  switch (kind_) {
    case Kind::kNone: std::memcpy(plain.data(), body.data(), body.size()); return true;
    case Kind::kChacha:
      return poly1305(sequence, body, tag.data()) && transport::equal_in_constant_time(Bytes(tag).first(kTagSize), given) &&
             chacha_nonce(main_.get(), sequence, 1) && update(main_.get(), inner, out);
    case Kind::kGcm: {
      std::memcpy(tag.data(), given.data(), kTagSize);
      int size = 0;
      return gcm_begin() && EVP_CIPHER_CTX_ctrl(main_.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) == 1 &&
             EVP_CipherUpdate(main_.get(), nullptr, &size, raw(body), kLengthSize) == 1 && update(main_.get(), inner, out) &&
             EVP_CipherFinal_ex(main_.get(), raw(tag.data()), &size) == 1;
    }
    case Kind::kCtr:
      if (is_etm_) {
        return hmac(sequence, body, tag.data()) && transport::equal_in_constant_time(Bytes(tag).first(tag_size_), given) &&
               update(main_.get(), inner, out);
      }
      std::memcpy(plain.data(), first_block_.data(), kCtrBlock);
      return (body.size() == kCtrBlock || update(main_.get(), body.subspan(kCtrBlock), plain.data() + kCtrBlock)) &&
             hmac(sequence, plain, tag.data()) && transport::equal_in_constant_time(Bytes(tag).first(tag_size_), given);
  }
  return false;
}

bool PacketCipher::seal(uint32_t sequence, MutableBytes packet) {
  WEIR_CHECK(packet.size() > kLengthSize + tag_size_);
  const MutableBytes body = packet.first(packet.size() - tag_size_);
  const MutableBytes inner = body.subspan(kLengthSize);
  std::byte* const tag = packet.data() + body.size();
  switch (kind_) {
    case Kind::kNone: return true;
    case Kind::kChacha: {
      // The tag's key is block 0, so the payload is encrypted after it was asked for and before the tag is made.
      return chacha_nonce(length_.get(), sequence, 0) && update(length_.get(), body.first(kLengthSize), body.data()) &&
             chacha_nonce(main_.get(), sequence, 1) && update(main_.get(), inner, inner.data()) && poly1305(sequence, body, tag);
    }
    case Kind::kGcm: {
      int size = 0;
      return gcm_begin() && EVP_CipherUpdate(main_.get(), nullptr, &size, raw(body), kLengthSize) == 1 &&
             update(main_.get(), inner, inner.data()) && EVP_CipherFinal_ex(main_.get(), raw(tag), &size) == 1 &&
             EVP_CIPHER_CTX_ctrl(main_.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, tag) == 1;
    }
    case Kind::kCtr:
      if (is_etm_) return update(main_.get(), inner, inner.data()) && hmac(sequence, body, tag);
      return hmac(sequence, body, tag) && update(main_.get(), body, body.data());
  }
  return false;
}

}  // namespace weir::ssh
