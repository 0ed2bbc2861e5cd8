#include "record/merkle.h"

#include <bit>

namespace weir::record {
namespace {

constexpr std::byte kLeaf{0}, kNode{1};

// The largest power of two below `size`: where RFC 6962 splits a tree.  Pre: size >= 2.
uint64_t split_of(uint64_t size) { return std::bit_floor(size - 1); }

// MTH of the leaves [begin, begin + size).  Pre: size >= 1, and begin is where a subtree of that size may stand.
Result<Digest> range_root(uint64_t begin, uint64_t size, const SubtreeHash& hashes) {
  std::vector<Digest> parts;  // Full subtrees, from the largest.
  while (size != 0) {
    const uint64_t part = std::bit_floor(size);
    const auto height = static_cast<unsigned>(std::countr_zero(part));
    Result<Digest> hash = hashes(height, begin >> height);
    if (!hash) return hash;
    parts.push_back(*hash);
    begin += part;
    size -= part;
  }
  Digest root = parts.back();
  for (std::size_t at = parts.size() - 1; at-- > 0;) root = node_hash(parts[at], root);
  return root;
}

}  // namespace

Digest empty_root() { return sha256(Bytes{}); }
Digest leaf_hash(Bytes entry) { return sha256({Bytes(&kLeaf, 1), entry}); }
Digest node_hash(const Digest& left, const Digest& right) { return sha256({Bytes(&kNode, 1), Bytes(left), Bytes(right)}); }

void MerkleFrontier::add(const Digest& leaf) {
  Digest hash = leaf;
  for (uint64_t full = size_; (full & 1) != 0; full >>= 1) {
    hash = node_hash(edge_.back(), hash);
    edge_.pop_back();
  }
  edge_.push_back(hash);
  ++size_;
}

Digest MerkleFrontier::root() const {
  if (edge_.empty()) return empty_root();
  Digest root = edge_.back();
  for (std::size_t at = edge_.size() - 1; at-- > 0;) root = node_hash(edge_[at], root);
  return root;
}

Result<Digest> tree_root(uint64_t size, const SubtreeHash& hashes) {
  return size == 0 ? empty_root() : range_root(0, size, hashes);
}

// Section 2.1.1: from the root down, each time the half in which the leaf is not; then turned round.
Result<std::vector<Digest>> inclusion_proof(uint64_t index, uint64_t size, const SubtreeHash& hashes) {
  if (index >= size) return fail(Error::Kind::kInvalid, "entry " + std::to_string(index) + " is not in a tree of " + std::to_string(size));
  std::vector<Digest> proof;
  uint64_t begin = 0;
  while (size > 1) {
    const uint64_t left = split_of(size);
    const bool goes_left = index < left;
    const Result<Digest> other = goes_left ? range_root(begin + left, size - left, hashes) : range_root(begin, left, hashes);
    if (!other) return tl::unexpected(other.error());
    proof.push_back(*other);
    if (!goes_left) {
      begin += left;
      index -= left;
    }
    size = goes_left ? left : size - left;
  }
  return std::vector<Digest>(proof.rbegin(), proof.rend());
}

// Section 2.1.2, SUBPROOF without recursion.
Result<std::vector<Digest>> consistency_proof(uint64_t old_size, uint64_t new_size, const SubtreeHash& hashes) {
  if (old_size > new_size) return fail(Error::Kind::kInvalid, "a tree of " + std::to_string(new_size) + " does not go on from one of " + std::to_string(old_size));
  std::vector<Digest> proof;
  if (old_size == 0 || old_size == new_size) return proof;
  uint64_t begin = 0, m = old_size, n = new_size;
  bool is_old_tree = true;  // The subtree at hand is the whole old tree so far: its root is known to who verifies.
  const auto push = [&](uint64_t from, uint64_t size) -> Result<void> {
    const Result<Digest> hash = range_root(from, size, hashes);
    if (!hash) return tl::unexpected(hash.error());
    proof.push_back(*hash);
    return {};
  };
  while (m != n) {
    const uint64_t left = split_of(n);
    if (m <= left) {
      if (Result<void> done = push(begin + left, n - left); !done) return tl::unexpected(done.error());
      n = left;
    } else {
      if (Result<void> done = push(begin, left); !done) return tl::unexpected(done.error());
      begin += left;
      m -= left;
      n -= left;
      is_old_tree = false;
    }
  }
  if (!is_old_tree) {
    if (Result<void> done = push(begin, m); !done) return tl::unexpected(done.error());
  }
  return std::vector<Digest>(proof.rbegin(), proof.rend());
}

bool is_included(const Digest& leaf, uint64_t index, uint64_t size, const std::vector<Digest>& proof, const Digest& root) {
  if (index >= size) return false;
  uint64_t fn = index, sn = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : proof) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      hash = node_hash(sibling, hash);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      hash = node_hash(hash, sibling);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && hash == root;
}

bool is_consistent(uint64_t old_size, const Digest& old_root, uint64_t new_size, const Digest& new_root, const std::vector<Digest>& proof) {
  if (old_size > new_size) return false;
  if (old_size == 0) return proof.empty() && old_root == empty_root();
  if (old_size == new_size) return proof.empty() && old_root == new_root;
  // A full old tree is the first subtree of the new one: its root is the first hash, and left out of the proof.
  std::vector<Digest> path;
  if (std::has_single_bit(old_size)) path.push_back(old_root);
  path.insert(path.end(), proof.begin(), proof.end());
  if (path.empty()) return false;
  uint64_t fn = old_size - 1, sn = new_size - 1;
  while ((fn & 1) != 0) {
    fn >>= 1;
    sn >>= 1;
  }
  Digest fr = path.front(), sr = path.front();
  for (std::size_t at = 1; at < path.size(); ++at) {
    if (sn == 0) return false;
    if ((fn & 1) != 0 || fn == sn) {
      fr = node_hash(path[at], fr);
      sr = node_hash(path[at], sr);
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      sr = node_hash(sr, path[at]);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && fr == old_root && sr == new_root;
}

}  // namespace weir::record
