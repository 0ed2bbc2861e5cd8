#include "record/evidence_log.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/check.h"

namespace weir::record {
namespace {

constexpr std::size_t kTileBytes = kTileWidth * sizeof(Digest);

// nullopt: it is gone, since the writer beside us has made the full one.
std::optional<Result<std::string>> read_partial(const std::string& log, const TileName& name, std::size_t size_max) {
  Result<std::string> bytes = read_text(log + "/" + tile_path(name), size_max);
  const bool may_have_grown = !bytes && bytes.error().kind == Error::Kind::kNotFound && name.width != kTileWidth;
  return may_have_grown ? std::nullopt : std::optional(std::move(bytes));
}

std::string edge_bytes(const std::vector<Digest>& hashes) {
  std::string bytes;
  for (const Digest& hash : hashes) bytes += as_text(hash);
  return bytes;
}

}  // namespace

std::string checkpoint_path(const std::string& log) { return log + "/checkpoint"; }

std::string log_origin(const std::string& chosen, const std::string& gateway) {
  if (!chosen.empty()) return chosen;
  std::string origin = "weir.invalid/";
  for (const char c : gateway) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-') origin += c;
  }
  return origin;
}

Result<LogHead> read_head(const std::string& log) {
  LogHead head;
  const Result<std::string> text = read_text(checkpoint_path(log), kNoteSizeMax);
  if (!text) return tl::unexpected(text.error());
  head.text = *text;
  Result<Note> note = parse_note(head.text);
  if (!note) return fail(note.error().kind, checkpoint_path(log) + ": " + note.error().message);
  head.note = std::move(*note);
  Result<Checkpoint> checkpoint = checkpoint_from_text(head.note.text);
  if (!checkpoint) return fail(checkpoint.error().kind, checkpoint_path(log) + ": " + checkpoint.error().message);
  head.checkpoint = std::move(*checkpoint);
  return head;
}

Result<std::string> read_bundle(const std::string& log, uint64_t index, unsigned width) {
  if (auto bytes = read_partial(log, {.is_entries = true, .index = index, .width = width}, kBundleSizeMax)) return std::move(*bytes);
  Result<std::string> bytes = read_text(log + "/" + tile_path({.is_entries = true, .index = index}), kBundleSizeMax);
  if (!bytes) return bytes;
  std::size_t size = 0;  // Of its first `width` entries.
  for (unsigned left = width; left > 0 && size + 2 <= bytes->size(); --left) size += 2u + load_be<uint16_t>(as_bytes(*bytes), size);
  if (size < bytes->size()) bytes->resize(size);
  return bytes;
}

TileSource tiles_on_disk(const std::string& log) {
  return [log](const TileName& name) -> Result<std::string> {
    if (auto bytes = read_partial(log, name, kTileBytes)) return std::move(*bytes);
    Result<std::string> bytes = read_text(log + "/" + tile_path({.is_entries = name.is_entries, .level = name.level, .index = name.index}), kTileBytes);
    if (bytes) bytes->resize(std::min<std::size_t>(bytes->size(), name.width * sizeof(Digest)));
    return bytes;
  };
}

Result<void> read_entries(const std::string& log, uint64_t size, const EntryVisitor& visit) {
  return read_entries_from(log, 0, size, [&](uint64_t index, Bytes entry) {
    visit(index, entry);
    return true;
  });
}

Result<void> read_entries_from(const std::string& log, uint64_t from, uint64_t size, const std::function<bool(uint64_t index, Bytes entry)>& visit) {
  for (uint64_t index = from / kTileWidth; from < size && tile_width(size, 0, index) != 0; ++index) {
    const unsigned width = tile_width(size, 0, index);
    const std::string name = log + "/" + tile_path({.is_entries = true, .index = index, .width = width});
    const Result<std::string> bundle = read_bundle(log, index, width);
    if (!bundle) return fail(bundle.error().kind == Error::Kind::kNotFound ? Error::Kind::kCorrupt : bundle.error().kind, name + ": " + bundle.error().message);
    const Result<std::vector<Bytes>> entries = split_bundle(as_bytes(*bundle), width);
    if (!entries) return fail(entries.error().kind, name + ": " + entries.error().message);
    for (unsigned at = 0; at < width; ++at) {
      const uint64_t number = index * kTileWidth + at;
      if (number >= from && !visit(number, (*entries)[at])) return {};
    }
  }
  return {};
}

Result<Digest> entry_hash(const std::string& log, uint64_t index, uint64_t size) {
  if (index >= size) return fail(Error::Kind::kNotFound, log + " has no entry " + std::to_string(index));
  Digest hash{};
  auto done = read_entries_from(log, index, size, [&](uint64_t, Bytes entry) {
    hash = leaf_hash(entry);
    return false;
  });
  if (!done) return tl::unexpected<Error>(done.error());
  return hash;
}

Result<void> EvidenceLog::open(const EntryVisitor& visit) {
  WEIR_CHECK(tree_.size() == 0 && pending_.empty());
  if (Result<void> done = files_.make_folder(folder_); !done) return done;
  if (exists(folder_ + "/seals")) {
    return fail(Error::Kind::kCorrupt, folder_ + "/seals: this record is of an earlier format (a list of seals in place of a tree); keep the folder as it is for its own `weir verify`, and begin with a new one");
  }
  const Result<LogHead> head = read_head(folder_);
  if (!head && head.error().kind != Error::Kind::kNotFound) return tl::unexpected(head.error());
  if (!head) return {};  // A first commit that did not come to its end may have left tiles.
  const NoteVerifier verifier = note_verifier(head->checkpoint.origin, NoteAlgorithm::kEd25519, key_.verifying());
  if (head->checkpoint.origin != origin_) {
    return fail(Error::Kind::kCorrupt, checkpoint_path(folder_) + ": the log of " + head->checkpoint.origin + ", not of " + origin_ + "; a log keeps its origin (record.log.origin, or the gateway's name) and its key");
  }
  if (check_signature(head->note, verifier) != NoteCheck::kSigned) {
    return fail(Error::Kind::kCorrupt, checkpoint_path(folder_) + ": it was changed, or signed with another key than record.signing.key_file; a new key needs a new state folder");
  }
  Growth growth;
  const Result<void> read = read_entries(folder_, head->checkpoint.size, [&](uint64_t index, Bytes entry) {
    if (index % kTileWidth == 0) growth.bundle.clear();
    append_entry(growth.bundle, entry);
    Digest hash = leaf_hash(entry);
    growth.tree.add(hash);
    for (std::size_t level = 0;; ++level) {
      if (growth.levels.size() <= level) growth.levels.emplace_back();
      Level& at = growth.levels[level];
      at.edge.push_back(hash);
      ++at.size;
      if (at.edge.size() < kTileWidth) break;
      hash = subtree_root(at.edge, 0, kTileHeight);
      at.edge.clear();
    }
    visit(index, entry);
  });
  if (!read) return read;
  if (growth.tree.root() != head->checkpoint.root) {
    return fail(Error::Kind::kCorrupt, folder_ + ": the entries are not those that the checkpoint was signed over: the log was changed; `weir verify` says where, and nothing is added to it");
  }
  tree_ = std::move(growth.tree);
  levels_ = std::move(growth.levels);
  if (tree_.size() % kTileWidth != 0) bundle_ = std::move(growth.bundle);
  if (Result<void> done = clear_edges(); !done) return done;
  // The entries tell the edge of the tiles anew, if it was lost.
  for (unsigned level = 0; level < levels_.size(); ++level) {
    const TileName name{.level = level, .index = levels_[level].size / kTileWidth, .width = static_cast<unsigned>(levels_[level].edge.size())};
    if (name.width == 0 || exists(folder_ + "/" + tile_path(name))) continue;
    if (Result<void> done = write_tile(name, as_bytes(edge_bytes(levels_[level].edge))); !done) return done;
  }
  return {};
}

// What a crash or a failed attempt left behind the edge.
Result<void> EvidenceLog::clear_edges() {
  for (unsigned level = 0; level < levels_.size(); ++level) {
    const Level& at = levels_[level];
    if (Result<void> done = clear_edge(tile_path({.level = level, .index = at.size / kTileWidth}), static_cast<unsigned>(at.edge.size())); !done) return done;
  }
  return clear_edge(tile_path({.is_entries = true, .index = tree_.size() / kTileWidth}), static_cast<unsigned>(tree_.size() % kTileWidth));
}

void EvidenceLog::add(std::string leaf) {
  WEIR_CHECK(leaf.size() <= kEntrySizeMax);
  pending_.push_back(std::move(leaf));
}

// Takes away what stands where the tree has not been: partial tiles wider than what is covered, and the full one.
Result<void> EvidenceLog::clear_edge(const std::string& full, unsigned covered) {
  const std::string folder = folder_ + "/" + full + ".p";
  const Result<std::vector<std::string>> names = list_folder(folder);
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    const auto width = parse_tile_path(full + ".p/" + name);
    if (width && width->width <= covered) continue;
    if (Result<void> done = files_.remove(folder + "/" + name); !done) return done;
  }
  return files_.remove(folder_ + "/" + full);
}

Result<void> EvidenceLog::write_tile(const TileName& name, Bytes bytes) {
  const std::string path = folder_ + "/" + tile_path(name);
  if (Result<void> done = files_.make_folder(folder_of(path)); !done) return done;
  if (Result<void> done = files_.remove(path); !done) return done;   // Of an attempt that failed.
  if (Result<void> done = files_.append(path, bytes); !done) return done;
  if (Result<void> done = files_.sync(path); !done) return done;
  for (std::string at = folder_of(path); at.size() >= folder_.size(); at = folder_of(at)) folders_.push_back(at);
  return {};
}

// One leaf more, in memory; what becomes full is written.
Result<void> EvidenceLog::add_leaf(Growth& growth, const std::string& leaf) {
  const uint64_t index = growth.tree.size();
  append_entry(growth.bundle, as_bytes(leaf));
  Digest hash = leaf_hash(as_bytes(leaf));
  growth.tree.add(hash);
  if ((index + 1) % kTileWidth == 0) {
    const TileName name{.is_entries = true, .index = index / kTileWidth};
    if (Result<void> done = write_tile(name, as_bytes(growth.bundle)); !done) return done;
    growth.outgrown.push_back(tile_path(name));
    growth.bundle.clear();
  }
  for (unsigned level = 0;; ++level) {
    if (growth.levels.size() <= level) growth.levels.emplace_back();
    Level& at = growth.levels[level];
    at.edge.push_back(hash);
    ++at.size;
    if (at.edge.size() < kTileWidth) return {};
    const TileName name{.level = level, .index = at.size / kTileWidth - 1};
    if (Result<void> done = write_tile(name, as_bytes(edge_bytes(at.edge))); !done) return done;
    growth.outgrown.push_back(tile_path(name));
    hash = subtree_root(at.edge, 0, kTileHeight);
    at.edge.clear();
  }
}

// The right edge, as far as it has moved.
Result<void> EvidenceLog::write_edge(const Growth& growth) {
  const uint64_t size = growth.tree.size();
  const auto write = [&](const TileName& name, Bytes bytes, bool is_new) -> Result<void> {
    // What an attempt left in a tile that the tree had not reached yet.
    if (is_new) {
      if (Result<void> done = clear_edge(tile_path({.is_entries = name.is_entries, .level = name.level, .index = name.index}), 0); !done) return done;
    }
    return write_tile(name, bytes);
  };
  if (!growth.bundle.empty()) {
    const bool is_new = tree_.size() <= size / kTileWidth * kTileWidth;
    if (Result<void> done = write({.is_entries = true, .index = size / kTileWidth, .width = static_cast<unsigned>(size % kTileWidth)}, as_bytes(growth.bundle), is_new); !done) return done;
  }
  for (unsigned level = 0; level < growth.levels.size(); ++level) {
    const Level& at = growth.levels[level];
    const uint64_t before = level < levels_.size() ? levels_[level].size : 0;
    if (at.edge.empty() || at.size == before) continue;
    const TileName name{.level = level, .index = at.size / kTileWidth, .width = static_cast<unsigned>(at.edge.size())};
    if (Result<void> done = write(name, as_bytes(edge_bytes(at.edge)), before <= name.index * kTileWidth); !done) return done;
  }
  return {};
}

Result<void> EvidenceLog::sign(const MerkleFrontier& tree) {
  const Checkpoint checkpoint{.origin = origin_, .size = tree.size(), .root = tree.root(), .extensions = {}};
  // The tiles are on disk already.
  const Result<Signature> signature = key_.sign_checkpoint(checkpoint, [&](uint64_t old_size) { return consistency_proof(old_size, tree.size(), hashes_of_tiles(tree.size(), tiles_on_disk(folder_))); });
  if (!signature) return tl::unexpected(signature.error());
  return replace_file(files_, checkpoint_path(folder_), as_bytes(signed_checkpoint(checkpoint, key_.verifying(), *signature)));
}

Result<void> EvidenceLog::commit() {
  if (pending_.empty()) return {};
  Growth growth{.bundle = bundle_, .levels = levels_, .tree = tree_, .outgrown = {}};
  folders_.clear();
  if (is_dirty_) {
    if (Result<void> done = clear_edges(); !done) return done;
  }
  is_dirty_ = true;
  for (const std::string& leaf : pending_) {
    if (Result<void> done = add_leaf(growth, leaf); !done) return done;
  }
  if (Result<void> done = write_edge(growth); !done) return done;
  // Deepest first: a folder's own name is in the one above it.
  const std::set<std::string> folders(folders_.begin(), folders_.end());
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (Result<void> done = files_.sync_folder(*folder); !done) return done;
  }
  if (Result<void> done = sign(growth.tree); !done) return done;
  tree_ = std::move(growth.tree);
  bundle_ = std::move(growth.bundle);
  levels_ = std::move(growth.levels);
  pending_.clear();
  is_dirty_ = false;
  remove_outgrown(growth.outgrown);
  return {};
}

// Nobody needs them once the full ones are covered; one that stays is no harm.
void EvidenceLog::remove_outgrown(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const std::string folder = folder_ + "/" + path + ".p";
    for (const std::string& name : list_folder(folder).value_or(std::vector<std::string>{})) (void)files_.remove(folder + "/" + name);
    (void)files_.remove_folder(folder);
  }
}

}  // namespace weir::record
