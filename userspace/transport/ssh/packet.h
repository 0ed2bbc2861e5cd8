// The binary packet protocol (RFC 4253 section 6), one direction at a time: payloads to packets, packets to payloads.
// Must never: act on a length that it has not bounded, give out a byte of a packet whose MAC it has not checked, go on after
// a packet that was wrong, or use a key that was told to go.
//
//   PacketSealer.seal(parts) -> one packet, in the sealer's own buffer
//   PacketOpener.next(wire)  -> takes bytes off the front of `wire`; at a packet's last byte its payload, in its own buffer
//
//   | length 4 | padding 1 | payload | padding 4..255 | tag |     what is encrypted, and what the tag covers, is the cipher's
//
// | cipher, MAC              | length is         | padded to        | tag over                                   |
// | none                     | clear             | 8, with length   | -                                          |
// | chacha20-poly1305        | its own keystream | 8, without       | ciphertext, length's included               |
// | aes-gcm (RFC 5647)       | clear, associated | 16, without      | associated data and ciphertext             |
// | aes-ctr, hmac (RFC 4344) | encrypted         | 16, with length  | sequence number and plaintext              |
// | aes-ctr, hmac-etm        | clear             | 16, without      | sequence number, length and ciphertext     |
#pragma once
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/module.h"
#include "transport/openssl_ptr.h"
#include "transport/secret_file.h"
#include "transport/ssh/wire.h"

namespace weir::ssh {

using Secret = transport::SecretString;

// The length field's bound.  RFC 4253 section 6.1 asks for 35,000; OpenSSH takes and may send 256 KiB.  Hit: the leg ends.
inline constexpr uint32_t kPacketLengthMax = 256 << 10;
inline constexpr uint32_t kPayloadSizeMax = kPacketLengthMax - 512;  // Both ways: what one leg took, the other can send.

enum class Cipher : uint8_t { kNone, kChacha20Poly1305, kAes128Gcm, kAes256Gcm, kAes128Ctr, kAes192Ctr, kAes256Ctr };
enum class Mac : uint8_t { kNone, kHmacSha256Etm, kHmacSha512Etm, kHmacSha256, kHmacSha512 };

// Names as they are negotiated, the one we like best first.
std::span<const std::string_view> cipher_names();
std::span<const std::string_view> mac_names();
std::optional<Cipher> find_cipher(std::string_view name);
std::optional<Mac> find_mac(std::string_view name);
bool is_aead(Cipher);  // Brings its own tag: the MAC that was negotiated beside it is not used.

// What key exchange has to derive (RFC 4253 section 7.2), in bytes.
struct KeySizes {
  std::size_t iv = 0, key = 0, mac_key = 0;
};
KeySizes key_sizes(Cipher, Mac);

struct PacketKeys {
  Cipher cipher = Cipher::kNone;
  Mac mac = Mac::kNone;  // Not looked at beside an AEAD.
  Secret iv, key, mac_key;
};

// One direction's keys and OpenSSL contexts.  Made at a key exchange; a packet only sets its nonce.
class PacketCipher {
 public:
  enum class Use : uint8_t { kSeal, kOpen };
  // No keys at all, as before the first key exchange.
  PacketCipher() = default;
  // Pre: the sizes of key_sizes().  The keys are wiped: OpenSSL has its copies.  Empty if OpenSSL refuses.
  static std::optional<PacketCipher> make(PacketKeys keys, Use);
  PacketCipher(PacketCipher&&) = default;
  PacketCipher& operator=(PacketCipher&&) = default;

  [[nodiscard]] std::size_t block_size() const { return block_size_; }
  [[nodiscard]] std::size_t tag_size() const { return tag_size_; }
  [[nodiscard]] bool pads_length() const { return pads_length_; }  // The length field counts towards the block size.
  [[nodiscard]] std::size_t header_size() const { return header_size_; }  // What must be there to know a packet's length.

  // `header`: header_size() bytes of the wire.  False if OpenSSL fails.  Once a packet.
  bool open_length(uint32_t sequence, Bytes header, uint32_t& length);
  // `packet`: all of it, tag included; `plain`: as large without the tag.  False: forged, damaged, or OpenSSL failed; what
  // stands in `plain` then is nobody's.
  bool open(uint32_t sequence, Bytes packet, MutableBytes plain);
  // In place, `packet` with room for the tag at its end.
  bool seal(uint32_t sequence, MutableBytes packet);

 private:
  using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, transport::FreeWith<EVP_CIPHER_CTX_free>>;
  using MacPtr = std::unique_ptr<EVP_MAC_CTX, transport::FreeWith<EVP_MAC_CTX_free>>;
  enum class Kind : uint8_t { kNone, kChacha, kGcm, kCtr };

  bool set_keys(const PacketKeys&, Use);
  bool set_chacha(const PacketKeys&, Use);
  bool set_gcm(const PacketKeys&, Use);
  bool set_ctr(const PacketKeys&, Use);
  bool chacha_nonce(EVP_CIPHER_CTX*, uint32_t sequence, uint8_t counter);
  bool poly1305(uint32_t sequence, Bytes ciphertext, std::byte* tag);
  bool hmac(uint32_t sequence, Bytes bytes, std::byte* tag);
  bool gcm_begin();
  bool update(EVP_CIPHER_CTX*, Bytes in, std::byte* out);

  Kind kind_ = Kind::kNone;
  bool is_etm_ = false, pads_length_ = true;
  uint8_t block_size_ = 8, tag_size_ = 0, header_size_ = 4;
  std::array<std::byte, 12> gcm_iv_{};      // 4 fixed bytes, 8 of the invocation counter.
  std::array<std::byte, 16> first_block_{};  // ctr without etm: decrypted to learn the length.
  CipherPtr main_, length_;
  MacPtr mac_;
};

// Random bytes in small pieces out of large draws: a draw of OpenSSL's costs as much as a small packet.
class PaddingSource {
 public:
  explicit PaddingSource(RandomSource& random) : random_(random) {}
  void fill(MutableBytes);

 private:
  RandomSource& random_;
  std::array<std::byte, 512> block_{};
  std::size_t used_ = sizeof(block_);
};

struct PacketCounts {
  uint64_t packets = 0, bytes = 0;  // Since the keys were set; bytes of the wire.
};

class PacketSealer {
 public:
  explicit PacketSealer(RandomSource& random) : padding_(random) {}
  PacketSealer(const PacketSealer&) = delete;
  PacketSealer& operator=(const PacketSealer&) = delete;
  ~PacketSealer();

  // From here on.  `resets_sequence`: strict key exchange.
  void set_cipher(PacketCipher, bool resets_sequence);
  // One payload, given in parts.  The packet stands until the next call.  Empty: OpenSSL failed; nothing may be sent after it.
  // Pre: 1 to kPayloadSizeMax bytes together.
  [[nodiscard]] Bytes seal(std::span<const Bytes> parts);
  [[nodiscard]] uint32_t sequence() const { return sequence_; }  // Of the next packet.
  [[nodiscard]] const PacketCounts& counts() const { return counts_; }

 private:
  PacketCipher cipher_;
  PaddingSource padding_;
  uint32_t sequence_ = 0;
  PacketCounts counts_;
  Buffer out_;
};

class PacketOpener {
 public:
  enum class Status : uint8_t { kMore, kPacket, kLength /* out of bounds */, kForged, kPadding };
  PacketOpener() = default;
  PacketOpener(const PacketOpener&) = delete;
  PacketOpener& operator=(const PacketOpener&) = delete;
  ~PacketOpener();

  // Pre: between packets.
  void set_cipher(PacketCipher, bool resets_sequence);
  // Takes bytes off the front of `wire`, at most one packet's.  kPacket: `payload` (1 byte or more) stands until the next
  // call.  kMore: all of `wire` was taken.  Anything else is for ever.
  [[nodiscard]] Status next(Bytes& wire, Bytes& payload);
  [[nodiscard]] uint32_t sequence() const { return sequence_; }  // Of the next packet.
  [[nodiscard]] const PacketCounts& counts() const { return counts_; }
  // What was decrypted is overwritten before the next packet (logins carry passwords), or not.
  void set_wiping(bool on);

 private:
  Bytes gather(Bytes& wire, std::size_t size);
  Status open(Bytes packet, Bytes& payload);
  Status fault(Status);

  PacketCipher cipher_;
  uint32_t sequence_ = 0;
  PacketCounts counts_;
  std::optional<uint32_t> length_;
  Status status_ = Status::kMore;
  bool is_wiping_ = true;
  std::size_t plain_size_ = 0;
  Buffer pending_;  // A packet that came in pieces; empty otherwise.
  Buffer plain_;
};

}  // namespace weir::ssh
