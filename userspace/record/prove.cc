#include "record/prove.h"

#include <map>

#include "record/archive.h"
#include "record/countersigned.h"
#include "record/evidence_log.h"
#include "record/tlog_proof.h"
#include "record/verify_log.h"

namespace weir::record {
namespace {

// Proofs out of one log, as it is now: under the checkpoint that most witnesses have signed, and of those the newest, that
// covers the entry; else under the log's own.
class Prover {
 public:
  Prover(const std::string& log, const LogHead& head) : log_(log), head_(head), witnessed_(read_witnessed(log).value_or(std::vector<KeptCheckpoint>{})) {
    std::erase_if(witnessed_, [&](const KeptCheckpoint& kept) {
      return !kept.problem.empty() || kept.checkpoint.origin != head.checkpoint.origin || kept.size > head.checkpoint.size || foreign_signatures(kept).empty();
    });
  }
  Result<std::string> proof_of(uint64_t index, std::string_view entry) {
    TlogProof proof;
    proof.index = index;
    const Bytes leaf = as_bytes(entry);
    proof.extra.emplace(leaf.begin(), leaf.end());
    uint64_t size = head_.checkpoint.size;
    proof.checkpoint = head_.note;
    std::size_t most = 0;
    for (const KeptCheckpoint& kept : witnessed_) {   // By size.
      const std::size_t count = foreign_signatures(kept).size();
      if (kept.size <= index || count < most) continue;
      most = count;
      size = kept.size;
      proof.checkpoint = kept.note;
    }
    auto [subtrees, is_new] = subtrees_.try_emplace(size);
    if (is_new) subtrees->second = hashes_of_tiles(size, tiles_on_disk(log_));
    Result<std::vector<Digest>> hashes = inclusion_proof(index, size, subtrees->second);
    if (!hashes) return tl::unexpected(hashes.error());
    proof.hashes = std::move(*hashes);
    if (Result<void> fits = check_inclusion(proof, leaf); !fits) return fail(Error::Kind::kCorrupt, log_ + ": entries and tiles do not fit the checkpoint: `weir verify` says where");
    return to_text(proof);
  }

 private:
  const std::string& log_;
  const LogHead& head_;
  std::vector<KeptCheckpoint> witnessed_;
  std::map<uint64_t, SubtreeHash> subtrees_;
};

}  // namespace

Result<std::string> prove(const std::string& log, uint64_t session, std::optional<uint32_t> part) {
  const Result<LogHead> head = read_head(log);
  if (!head) return tl::unexpected(head.error());
  const uint64_t size = head->checkpoint.size;
  struct Found { uint64_t index; uint32_t part; std::string leaf; };
  std::vector<Found> found;
  const Result<void> read = read_entries(log, size, [&](uint64_t index, Bytes entry) {
    const std::optional<SealEntry> seal = seal_from_leaf(as_text(entry));
    if (seal && seal->session == session && (!part || seal->part == *part)) found.push_back({index, seal->part, std::string(as_text(entry))});
  });
  if (!read) return tl::unexpected(read.error());
  const std::string name = "session " + std::to_string(session);
  if (found.empty()) return fail(Error::Kind::kNotFound, name + (part ? ", part " + std::to_string(*part) : "") + ": no seal of it stands in the log; a live session is sealed when it ends");
  if (found.size() > 1) return fail(Error::Kind::kInvalid, name + " is sealed in parts 1 to " + std::to_string(found.back().part) + ", each with a proof of its own: --part N");
  return Prover(log, *head).proof_of(found[0].index, found[0].leaf);
}

Result<uint64_t> prove_sessions(const std::string& log, const std::set<uint64_t>& sessions, const ProofSink& sink) {
  const Result<LogHead> head = read_head(log);
  if (!head) return tl::unexpected(head.error());
  const uint64_t size = head->checkpoint.size;
  Prover prover(log, *head);
  uint64_t count = 0;
  Result<void> done;
  const Result<void> read = read_entries(log, size, [&](uint64_t index, Bytes entry) {
    const std::optional<SealEntry> seal = done ? seal_from_leaf(as_text(entry)) : std::nullopt;
    if (!seal || !sessions.contains(seal->session)) return;
    const Result<std::string> text = prover.proof_of(index, as_text(entry));
    done = text ? sink(*seal, *text) : tl::unexpected(text.error());
    ++count;
  });
  if (!read) return tl::unexpected(read.error());
  if (!done) return tl::unexpected(done.error());
  return count;
}

Result<Proved> check_proof(std::string_view text, const std::vector<VerifyingKey>& keys, const std::vector<NoteVerifier>& witnesses) {
  const Result<TlogProof> proof = parse_proof(text);
  if (!proof) return tl::unexpected(proof.error());
  if (!proof->extra) return fail(Error::Kind::kCorrupt, "the proof does not hold the entry that it proves");
  if (Result<void> fits = check_inclusion(*proof, *proof->extra); !fits) return tl::unexpected(fits.error());
  Proved proved;
  proved.index = proof->index;
  proved.checkpoint = checkpoint_from_text(proof->checkpoint.text).value();  // check_inclusion() read it.
  if (!is_signed_by_any(proof->checkpoint, proved.checkpoint.origin, keys)) return fail(Error::Kind::kCorrupt, "its checkpoint was changed, or signed with a key that was not given");
  for (const NoteVerifier& witness : witnesses) {
    const CosignatureCheck check = check_cosignature(proof->checkpoint, witness);
    if (check.outcome != NoteCheck::kSigned) return fail(Error::Kind::kCorrupt, witness.name + " has not cosigned its checkpoint");
    proved.witnesses.push_back({.name = witness.name, .at_s = check.at_s});
  }
  const std::optional<SealEntry> seal = seal_from_leaf(as_text(*proof->extra));
  if (!seal) return fail(Error::Kind::kCorrupt, "what it proves is no seal of a session");
  proved.seal = *seal;
  return proved;
}

Result<void> check_proved_archive(const Proved& proved, const std::string& path, const std::vector<VerifyingKey>& keys) {
  const Result<ArchiveReader> reader = ArchiveReader::open(path);
  if (!reader) return tl::unexpected(reader.error());
  const std::string signed_by = signed_text(reader->digest());
  bool is_signed = false;
  for (const VerifyingKey& key : keys) is_signed = is_signed || key.verify(as_bytes(signed_by), reader->signature());
  if (!is_signed) return fail(Error::Kind::kCorrupt, path + ": its manifest was changed, or signed with a key that was not given");
  if (reader->digest() != proved.seal.digest) return fail(Error::Kind::kCorrupt, path + ": it is not the archive that the proof is of");
  return reader->manifest().is_encrypted ? reader->check() : reader->read([](const FrameView&) { return true; });
}

}  // namespace weir::record
