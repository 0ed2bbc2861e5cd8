#include "record/log_signer.h"

#include "record/evidence_log.h"
#include "record/manifest.h"
#include "record/merkle.h"

namespace weir::record {
namespace {

// The key is at hand: what is asked for is signed.
class KeyAtHand final : public LogSigner {
 public:
  explicit KeyAtHand(SigningKey key) : key_(std::move(key)) {}
  const VerifyingKey& verifying() const override { return key_.verifying(); }
  Result<Signature> sign_seal(std::string_view manifest) override { return key_.sign(as_bytes(signed_text(sha256(as_bytes(manifest))))); }
  Result<Signature> sign_checkpoint(const Checkpoint& checkpoint, const Consistency&) override { return key_.sign(as_bytes(to_text(checkpoint))); }

 private:
  const SigningKey key_;
};

}  // namespace

LogKey::LogKey(SigningKey key) : signer_(std::make_shared<KeyAtHand>(std::move(key))) {}

std::string signed_checkpoint(const Checkpoint& checkpoint, const VerifyingKey& key, const Signature& signature) {
  Note note;
  note.text = to_text(checkpoint);
  note.signatures.push_back({.name = checkpoint.origin, .key_id = note_verifier(checkpoint.origin, NoteAlgorithm::kEd25519, key).key_id, .bytes = {signature.begin(), signature.end()}});
  return to_text(note);
}

Result<bool> restore_head(Files& files, const std::string& log, std::string_view text) {
  const Result<Note> note = parse_note(text);
  const Result<Checkpoint> wanted = note ? checkpoint_from_text(note->text) : tl::unexpected(note.error());
  if (!wanted) return tl::unexpected(wanted.error());
  const Result<LogHead> head = read_head(log);
  if (!head && head.error().kind != Error::Kind::kNotFound) return tl::unexpected(head.error());
  if (head && head->checkpoint.size > wanted->size) return false;
  const std::string signed_one = "a checkpoint of " + std::to_string(wanted->size) + " entries was signed";
  if (head && head->checkpoint.size == wanted->size) {
    if (head->checkpoint.root == wanted->root) return false;
    return fail(Error::Kind::kCorrupt, checkpoint_path(log) + ": " + signed_one + ", and this is another tree of that size");
  }
  MerkleFrontier tree;
  const Result<void> read = read_entries(log, wanted->size, [&](uint64_t, Bytes entry) { tree.add(leaf_hash(entry)); });
  if (!read || tree.root() != wanted->root) {
    return fail(Error::Kind::kCorrupt, log + ": " + signed_one + ", and the log here " + (head ? "ends at " + std::to_string(head->checkpoint.size) : "is empty") +
                                           ", without them: it was put back as it was earlier, or begun anew");
  }
  if (Result<void> done = replace_file(files, checkpoint_path(log), as_bytes(text)); !done) return tl::unexpected(done.error());
  return true;
}

}  // namespace weir::record
