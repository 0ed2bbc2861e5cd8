// Who signs the record: manifests of archives and checkpoints of the log, and nothing else.
//
// The seam between the process that records and whoever holds the key: here it is the key itself (tests, offline work), in a
// running gateway a process of its own (signer/), which looks at what it signs.
#pragma once
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/files.h"
#include "record/keys.h"
#include "record/signed_note.h"

namespace weir::record {

class LogSigner {
 public:
  // That the tree which is to be signed goes on from the one of that size (RFC 9162 section 2.1.4).
  using Consistency = std::function<Result<std::vector<Digest>>(uint64_t old_size)>;
  virtual ~LogSigner() = default;
  [[nodiscard]] virtual const VerifyingKey& verifying() const = 0;
  // Over signed_text() of the manifest's digest.  kUnavailable: nobody is there to sign; kDenied: it is no manifest of this gateway.
  [[nodiscard]] virtual Result<Signature> sign_seal(std::string_view manifest) = 0;
  // Over to_text() of the checkpoint.  kDenied: the signer has signed a tree that this one does not go on from.
  [[nodiscard]] virtual Result<Signature> sign_checkpoint(const Checkpoint&, const Consistency&) = 0;
};

// A value that is whoever signs.
class LogKey {
 public:
  LogKey(SigningKey key);                        // NOLINT(google-explicit-constructor): a key signs for itself.
  explicit LogKey(std::shared_ptr<LogSigner> signer) : signer_(std::move(signer)) {}
  [[nodiscard]] const VerifyingKey& verifying() const { return signer_->verifying(); }
  [[nodiscard]] const std::string& id() const { return verifying().id(); }
  [[nodiscard]] Result<Signature> sign_seal(std::string_view manifest) const { return signer_->sign_seal(manifest); }
  [[nodiscard]] Result<Signature> sign_checkpoint(const Checkpoint& checkpoint, const LogSigner::Consistency& consistency) const { return signer_->sign_checkpoint(checkpoint, consistency); }

 private:
  std::shared_ptr<LogSigner> signer_;
};

// The note of a log with one signature of its key.
std::string signed_checkpoint(const Checkpoint&, const VerifyingKey&, const Signature&);

// Puts the newest checkpoint that was signed in its place, where a crash came between the signature and the file: all that it covers was
// synced before it was signed.  Pre: who signs vouches for `note`; nobody writes the log.  Post: true, it was put.
// kCorrupt: the entries that it covers are not there: the log was put back as it was earlier, or is another.
Result<bool> restore_head(Files&, const std::string& log, std::string_view note);

}  // namespace weir::record
