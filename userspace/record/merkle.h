// The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1 is the same with SHA-256): hashes, roots, proofs.  Pure: no files.
//
// A subtree is named by its height and its place: (h, i) spans the leaves [i * 2^h, (i + 1) * 2^h), all of them there.  Its
// hash never changes once its last leaf is in; a proof is made of such hashes and of what is hashed from them.
// Must never: take a proof of the wrong length for one that fits.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "record/keys.h"

namespace weir::record {

Digest empty_root();                                         // SHA-256 of nothing.
Digest leaf_hash(Bytes entry);                               // SHA-256(0x00 | entry)
Digest node_hash(const Digest& left, const Digest& right);   // SHA-256(0x01 | left | right)

// A tree as it grows: the hashes of its right edge, at most 64 of them.
class MerkleFrontier {
 public:
  void add(const Digest& leaf);
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] Digest root() const;

 private:
  uint64_t size_ = 0;
  std::vector<Digest> edge_;   // Of the full subtrees, from the largest: one for each bit that is set in size_.
};

// The hash of a full subtree, from wherever the caller keeps it.
using SubtreeHash = std::function<Result<Digest>(unsigned height, uint64_t index)>;

// Errors of these: those of `hashes`; kInvalid if the numbers make no proof.
Result<Digest> tree_root(uint64_t size, const SubtreeHash& hashes);
Result<std::vector<Digest>> inclusion_proof(uint64_t index, uint64_t size, const SubtreeHash& hashes);         // index < size
Result<std::vector<Digest>> consistency_proof(uint64_t old_size, uint64_t new_size, const SubtreeHash& hashes);  // old <= new

// RFC 9162 sections 2.1.3.2 and 2.1.4.2.  An old size of 0 fits every tree, with an empty proof and the empty root.
bool is_included(const Digest& leaf, uint64_t index, uint64_t size, const std::vector<Digest>& proof, const Digest& root);
bool is_consistent(uint64_t old_size, const Digest& old_root, uint64_t new_size, const Digest& new_root, const std::vector<Digest>& proof);

}  // namespace weir::record
