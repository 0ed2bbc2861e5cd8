// The tree as files: C2SP tlog-tiles (c2sp.org/tlog-tiles).  Names, widths and the bytes of entry bundles.  Pure: no files.
//
//   tile/<L>/<N>[.p/<W>]         hashes of level L, 32 bytes each, 256 in a full tile; level L + 1 holds a hash for each full one
//   tile/entries/<N>[.p/<W>]     the entries under the level 0 tile of that number: u16be size, bytes, u16be size, bytes, ...
//
// N is written in groups of three digits, all but the last with an x before them: 1234067 is x001/x234/067.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "record/keys.h"
#include "record/merkle.h"

namespace weir::record {

inline constexpr unsigned kTileHeight = 8;
inline constexpr unsigned kTileWidth = 1u << kTileHeight;
inline constexpr unsigned kTileLevelMax = 63;
inline constexpr std::size_t kEntrySizeMax = 65'535;
// What a bundle of full-sized entries takes: more than that is none.
inline constexpr std::size_t kBundleSizeMax = kTileWidth * (kEntrySizeMax + 2);

struct TileName {
  bool is_entries = false;    // An entry bundle; its level is 0.
  unsigned level = 0;
  uint64_t index = 0;
  unsigned width = kTileWidth;
  friend bool operator==(const TileName&, const TileName&) = default;
};
std::string tile_path(const TileName&);                      // Pre: 1 <= width <= kTileWidth, level <= kTileLevelMax.
std::optional<TileName> parse_tile_path(std::string_view);   // nullopt: not exactly what tile_path() writes.

// Hashes of level L in a tree of that size, full and partial tiles taken together.
uint64_t level_size(uint64_t tree_size, unsigned level);
// Of tile `index` of `level` in a tree of that size: 0 if there is none.
unsigned tile_width(uint64_t tree_size, unsigned level, uint64_t index);

// Pre: the entry is at most kEntrySizeMax long.
void append_entry(std::string& bundle, Bytes entry);
// Exactly `width` entries, and nothing behind them.  Borrowed from `bundle`.  kCorrupt: it is no such bundle.
Result<std::vector<Bytes>> split_bundle(Bytes bundle, unsigned width);
// The hashes of a tile.  kCorrupt: not `width` of them.
Result<std::vector<Digest>> split_tile(Bytes tile, unsigned width);
// The root of the subtree of 2^height hashes that begins at `first`.  Pre: they are there.
Digest subtree_root(const std::vector<Digest>& hashes, std::size_t first, unsigned height);

// Reads tiles: its name (with the width that the tree size asks for) to its bytes.
using TileSource = std::function<Result<std::string>(const TileName&)>;
// Hashes of full subtrees out of the tiles of a tree of `tree_size`; keeps the newest tiles that it read.
SubtreeHash hashes_of_tiles(uint64_t tree_size, TileSource);

}  // namespace weir::record
