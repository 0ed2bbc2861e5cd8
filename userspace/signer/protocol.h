// What the engine may ask of the signer, as bytes.  Pure: no sockets, no keys.
//
//   frame     u32be size of what follows (at most kFrameMax) | u8 version | message
//   request   u8 kind | fields in the order of its struct        answer   u8 status (0 done, else 1 + Error::Kind) | fields, or a message
//   fields    u32be, u64be; 32 bytes as they are; texts and lists behind a u32be with their size or count
//
// Strict both ways: a message is read whole or not at all, has nothing behind its end, and comes out the same when it is written again.
// Must never: take more than a field's own bound, whatever the size before it says.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/address.h"
#include "record/cipher.h"
#include "record/key_wrap.h"

namespace weir::signer {

inline constexpr uint8_t kVersion = 1;
inline constexpr std::size_t kManifestMax = 16u << 20;         // As archives allow.
inline constexpr std::size_t kFrameMax = kManifestMax + (64u << 10);
inline constexpr std::size_t kNoteMax = 16u << 10, kWrapMax = 4u << 10, kIdMax = 256, kPublicKeyMax = 1u << 10, kCertificateMax = 16u << 10, kMessageMax = 1u << 10;
inline constexpr std::size_t kProofMax = 128, kNamesMax = 256, kNameMax = 253;

struct SignSeal { std::string manifest; };                     // -> 64 bytes: over its digest, as archives are signed.
struct AdoptHead { std::string note; };                        // The log's checkpoint on disk, or nothing -> text: the newest that was signed.
struct SignCheckpoint { std::string text; std::vector<record::Digest> proof; };   // -> 64 bytes.  `proof`: from the newest that was signed.
struct Wrap { record::WrapContext context; record::SecretKey key; };              // -> text: for the gateway, as JSON.
struct Open { record::WrapContext context; std::string wrap; };                   // -> u8 1 | 32 bytes, or u8 0.
struct Derive { std::string id; std::vector<std::byte> salt; std::string info; }; // -> u8 1 | 32 bytes, or u8 0.
struct SignLeaf { std::vector<std::string> dns; std::vector<Address> addresses; std::vector<std::byte> public_key; };   // SubjectPublicKeyInfo -> text: DER.
struct AskCounts {};                                           // -> Counts.
using Request = std::variant<SignSeal, AdoptHead, SignCheckpoint, Wrap, Open, Derive, SignLeaf, AskCounts>;

struct Counts {
  uint64_t seals = 0, checkpoints = 0, wrapped = 0, opened = 0, derived = 0, leaves = 0, refused = 0;
  uint64_t log_size = 0;                                       // Of the newest checkpoint that was signed.
  friend bool operator==(const Counts&, const Counts&) = default;
};

// Bytes that may hold a secret: wiped when they go, never grown in place.
class Message {
 public:
  Message() = default;
  explicit Message(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  Message(Message&&) noexcept = default;
  Message& operator=(Message&& other) noexcept;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message();
  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

Message encode(const Request&);
// kInvalid says what is no request.
Result<Request> decode_request(Bytes);

Message answer_error(const Error&);
Message answer_signature(const record::Signature&);
Message answer_text(std::string_view);
Message answer_key(const record::SecretKey*);                  // nullptr: there is none.
Message answer_counts(const Counts&);
// kInvalid: no such answer.  An answer that is an error comes back as it.
Result<record::Signature> read_signature(Bytes answer);
Result<std::string> read_text_answer(Bytes answer, std::size_t size_max);
Result<std::optional<record::SecretKey>> read_key(Bytes answer);
Result<Counts> read_counts(Bytes answer);

}  // namespace weir::signer
