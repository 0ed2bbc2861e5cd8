// The journal under encryption: each frame's payload under the key of the run of the gateway that wrote it (AES-256-GCM).  Session,
// sequence, kind and time stay in clear, and are authenticated: order, gaps and ends are checked without a key.
//
//   payload of a frame whose key_id is not 0: [nonce 12: core u32, count u64][ciphertext][tag 16]; associated data: the header from
//   its byte 8 on (version to time)
//
// A key is drawn at each start and stands beside the segments, wrapped (journal/<key id>.keys, FORMAT.md "Keys", part 0); it goes when
// no segment needs it.  The writer has it in memory, the sealer too: archives have keys of their own.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "record/files.h"
#include "record/key_wrap.h"
#include "record/layout.h"

struct evp_cipher_ctx_st;

namespace weir::record {

struct JournalKey {
  uint32_t id = 0;   // Not 0.
  SecretKey secret;
};

// What the payload of an encrypted frame has besides the ciphertext.
inline constexpr std::size_t kFrameNonceSize = std::tuple_size_v<Nonce>;
inline constexpr std::size_t kFrameSealSize = kFrameNonceSize + kTagSize;

// The writer's side: one for each core.  No allocation after construction.
class FrameSealer {
 public:
  FrameSealer(std::shared_ptr<const JournalKey> key, uint32_t core);
  [[nodiscard]] uint32_t key_id() const { return key_->id; }
  // Pre: the frame's header is in its place; frame.size() is FrameHeader::kSize + kFrameSealSize + plain.size(); they do not overlap.
  // Post: nonce, ciphertext and tag stand behind the header.  The frame's CRC is not made.
  void seal(MutableBytes frame, Bytes plain);

 private:
  std::shared_ptr<const JournalKey> key_;
  uint32_t core_;
  uint64_t count_ = 0;
  std::unique_ptr<evp_cipher_ctx_st, void (*)(evp_cipher_ctx_st*)> context_;
};

// The readers' side of one key: its context is made once, not for every frame.
class FrameOpener {
 public:
  explicit FrameOpener(std::shared_ptr<const JournalKey> key);
  // Pre: `payload` is as seal() left it, of at least kFrameSealSize bytes; `out` has what it had before.  False: it is not what was sealed.
  [[nodiscard]] bool open(Bytes associated, Bytes payload, MutableBytes out);

 private:
  std::shared_ptr<const JournalKey> key_;
  std::unique_ptr<evp_cipher_ctx_st, void (*)(evp_cipher_ctx_st*)> context_;
};

// The keys of a journal folder, as far as they could be opened.  Used by one thread at a time.
class JournalKeys {
 public:
  // A key that none of the openers opens is no error before a frame needs it.
  static Result<JournalKeys> read(const std::string& journal, const std::vector<std::shared_ptr<const KeyOpener>>& openers);
  // A key for a new run, wrapped for all of the ring and durable in the folder.  Pre: the ring encrypts.
  Result<std::shared_ptr<const JournalKey>> draw(Files&, const KeyRing&);
  // Destroys the keys that no segment of the folder names, but for `kept`.
  Result<void> forget(Files&, uint32_t kept);

  // The frame in clear, its key_id 0 and its CRC not made; `plain` holds its bytes.  A frame that is not encrypted comes back as it is.
  // kDenied: no key that was given opens its run's.  kNotFound: its run's key is not there.  kCorrupt: it is not what was written.
  Result<FrameView> open(const FrameView&, std::vector<std::byte>& plain) const;

 private:
  std::string folder_;
  std::map<uint32_t, std::shared_ptr<FrameOpener>> keys_;
  std::map<uint32_t, Error> shut_;    // Why a key is not among them.
};

}  // namespace weir::record
