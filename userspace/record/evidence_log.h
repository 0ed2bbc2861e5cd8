// The evidence log on disk, in `log/`: `checkpoint` (a signed note) and `tile/...` as C2SP tlog-tiles lays them out.
//
//   add() leaves -> commit(): bundles and tiles, new files, whole and synced -> their folders synced -> checkpoint replaced
//
// So a checkpoint never covers what is not on disk, and what no checkpoint covers is nobody's: a start takes it away.  A file
// that a checkpoint covers is never written again; the right edge of the tree stands in files named by their width, and those
// go once the full ones are there.
// Must never: sign a tree that does not go on from the one that was signed before, or one that was changed on disk since.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/files.h"
#include "record/keys.h"
#include "record/log_signer.h"
#include "record/merkle.h"
#include "record/signed_note.h"
#include "record/tlog_tiles.h"

namespace weir::record {

std::string checkpoint_path(const std::string& log);
// "weir.invalid/<gateway>" if no origin was chosen; what a key name may not hold is left out.
std::string log_origin(const std::string& chosen, const std::string& gateway);

struct LogHead {
  std::string text;                 // As it stands on disk.
  Note note;
  Checkpoint checkpoint;
};
// kNotFound: no checkpoint there.  kCorrupt: it is none.  Who signed it is not looked at.
Result<LogHead> read_head(const std::string& log);

using EntryVisitor = std::function<void(uint64_t index, Bytes entry)>;
// The bundle that holds the entries [index * 256, index * 256 + width): the full one if the partial one has gone meanwhile.
Result<std::string> read_bundle(const std::string& log, uint64_t index, unsigned width);
// Hash tiles by name, the full one in place of a partial one that has gone.
TileSource tiles_on_disk(const std::string& log);
// All entries of a tree of `size`, in order; hashes nothing.  kCorrupt names the bundle that is none.
Result<void> read_entries(const std::string& log, uint64_t size, const EntryVisitor&);
// Those from `from` on, for who has read the rest already; `visit`'s false ends it.
Result<void> read_entries_from(const std::string& log, uint64_t from, uint64_t size, const std::function<bool(uint64_t index, Bytes entry)>& visit);
// What entry `index` of a log of `size` hashes to (RFC 6962).  kNotFound: it has none so far.
Result<Digest> entry_hash(const std::string& log, uint64_t index, uint64_t size);

class EvidenceLog {
 public:
  EvidenceLog(std::string folder, std::string origin, LogKey key, Files& files)
      : folder_(std::move(folder)), origin_(std::move(origin)), key_(std::move(key)), files_(files) {}

  // Reads and checks what is there.  kCorrupt: it was changed since it was signed, signed with another key, or is of an
  // earlier format; nothing is written then.  Post: `visit` saw every entry.
  Result<void> open(const EntryVisitor& visit);
  // Pre: open; the leaf is at most kEntrySizeMax long.
  void add(std::string leaf);
  // Makes what was added durable and signs it.  After an error: call again, now or later; the leaves stay in their order.
  Result<void> commit();
  [[nodiscard]] uint64_t size() const { return tree_.size(); }        // Under the checkpoint.
  [[nodiscard]] uint64_t next_index() const { return tree_.size() + pending_.size(); }   // Of the leaf that is added next.
  [[nodiscard]] bool has_pending() const { return !pending_.empty(); }

 private:
  struct Level { std::vector<Digest> edge; uint64_t size = 0; };      // Hashes of its last, partial tile.
  struct Growth { std::string bundle; std::vector<Level> levels; MerkleFrontier tree; std::vector<std::string> outgrown; };
  Result<void> write_tile(const TileName&, Bytes);
  Result<void> clear_edges();
  Result<void> clear_edge(const std::string& tile_path, unsigned covered);
  Result<void> add_leaf(Growth&, const std::string& leaf);
  Result<void> write_edge(const Growth&);
  Result<void> sign(const MerkleFrontier&);
  void remove_outgrown(const std::vector<std::string>& paths);

  const std::string folder_, origin_;
  const LogKey key_;
  Files& files_;
  MerkleFrontier tree_;
  std::string bundle_;                 // The last, partial bundle.
  std::vector<Level> levels_;
  std::vector<std::string> pending_;
  bool is_dirty_ = false;              // An attempt to commit has not come to its end.
  std::vector<std::string> folders_;   // To be synced before the checkpoint.
};

}  // namespace weir::record
