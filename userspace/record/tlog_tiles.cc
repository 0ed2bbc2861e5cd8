#include "record/tlog_tiles.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/check.h"
#include "record/note_values.h"

namespace weir::record {
namespace {

constexpr std::size_t kTilesKept = 64;

std::string index_path(uint64_t index) {
  std::string digits = std::to_string(index);
  digits.insert(0, (3 - digits.size() % 3) % 3, '0');
  std::string path;
  for (std::size_t at = 0; at < digits.size(); at += 3) {
    const bool is_last = at + 3 == digits.size();
    path += (is_last ? "" : "x") + digits.substr(at, 3) + (is_last ? "" : "/");
  }
  return path;
}

// Up to the next slash; takes the slash, too.
std::string_view take_element(std::string_view& path) {
  const std::size_t slash = path.find('/');
  const std::string_view element = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  return element;
}

}  // namespace

std::string tile_path(const TileName& name) {
  WEIR_CHECK(name.width >= 1 && name.width <= kTileWidth && name.level <= kTileLevelMax);
  std::string path = "tile/" + (name.is_entries ? "entries" : std::to_string(name.level)) + "/" + index_path(name.index);
  if (name.width != kTileWidth) path += ".p/" + std::to_string(name.width);
  return path;
}

std::optional<TileName> parse_tile_path(std::string_view path) {
  const std::string_view whole = path;
  if (take_element(path) != "tile") return std::nullopt;
  TileName name;
  const std::string_view level = take_element(path);
  name.is_entries = level == "entries";
  if (!name.is_entries) {
    const auto number = plain_decimal(level);
    if (!number || *number > kTileLevelMax) return std::nullopt;
    name.level = static_cast<unsigned>(*number);
  }
  constexpr std::size_t kGroupsMax = 7;  // 2^64 has 20 digits.
  std::string digits;
  for (std::size_t groups = 0; !path.empty(); ++groups) {
    std::string_view element = take_element(path);
    if (element.starts_with('x')) {
      element.remove_prefix(1);
    } else if (element.ends_with(".p")) {
      element.remove_suffix(2);
      const auto width = plain_decimal(path);
      if (!width || *width == 0 || *width >= kTileWidth) return std::nullopt;
      name.width = static_cast<unsigned>(*width);
      path = {};
    }
    digits += element;
    if (groups >= kGroupsMax) return std::nullopt;
  }
  const std::size_t first = digits.find_first_not_of('0');
  const auto index = plain_decimal(first == std::string::npos ? std::string_view("0") : std::string_view(digits).substr(first));
  if (!index) return std::nullopt;
  name.index = *index;
  return tile_path(name) == whole ? std::optional(name) : std::nullopt;
}

uint64_t level_size(uint64_t tree_size, unsigned level) {
  return level * kTileHeight >= 64 ? 0 : tree_size >> (level * kTileHeight);
}

unsigned tile_width(uint64_t tree_size, unsigned level, uint64_t index) {
  const uint64_t size = level_size(tree_size, level);
  if (index > size / kTileWidth) return 0;
  return static_cast<unsigned>(std::min<uint64_t>(kTileWidth, size - index * kTileWidth));
}

void append_entry(std::string& bundle, Bytes entry) {
  WEIR_CHECK(entry.size() <= kEntrySizeMax);
  std::array<std::byte, 2> size{};
  store_be(size, 0, static_cast<uint16_t>(entry.size()));
  bundle += as_text(size);
  bundle += as_text(entry);
}

Result<std::vector<Bytes>> split_bundle(Bytes bundle, unsigned width) {
  std::vector<Bytes> entries;
  ByteReader reader(bundle);
  while (!reader.at_end() && entries.size() < width) entries.push_back(reader.take(reader.u16be()));
  if (reader.failed()) return fail(Error::Kind::kCorrupt, "the bundle ends within an entry");
  if (entries.size() != width || !reader.at_end()) return fail(Error::Kind::kCorrupt, "the bundle does not hold " + std::to_string(width) + " entries");
  return entries;
}

Result<std::vector<Digest>> split_tile(Bytes tile, unsigned width) {
  constexpr std::size_t kHash = std::tuple_size_v<Digest>;
  if (tile.size() != width * kHash) return fail(Error::Kind::kCorrupt, "the tile does not hold " + std::to_string(width) + " hashes");
  std::vector<Digest> hashes(width);
  for (std::size_t at = 0; at < width; ++at) std::copy_n(tile.begin() + static_cast<std::ptrdiff_t>(at * kHash), kHash, hashes[at].begin());
  return hashes;
}

Digest subtree_root(const std::vector<Digest>& hashes, std::size_t first, unsigned height) {
  WEIR_CHECK(first + (std::size_t{1} << height) <= hashes.size());
  std::vector<Digest> row(hashes.begin() + static_cast<std::ptrdiff_t>(first), hashes.begin() + static_cast<std::ptrdiff_t>(first + (std::size_t{1} << height)));
  for (; row.size() > 1; row.resize(row.size() / 2)) {
    for (std::size_t at = 0; at < row.size() / 2; ++at) row[at] = node_hash(row[2 * at], row[2 * at + 1]);
  }
  return row.front();
}

SubtreeHash hashes_of_tiles(uint64_t tree_size, TileSource source) {
  using Kept = std::map<std::pair<unsigned, uint64_t>, std::vector<Digest>>;
  return [tree_size, source = std::move(source), kept = std::make_shared<Kept>()](unsigned height, uint64_t index) -> Result<Digest> {
    const unsigned level = height / kTileHeight, within = height % kTileHeight;
    const uint64_t first = index << within;   // Among the hashes of the level.
    const uint64_t tile = first / kTileWidth;
    const unsigned width = tile_width(tree_size, level, tile);
    const std::size_t offset = first % kTileWidth;
    if (offset + (std::size_t{1} << within) > width) return fail(Error::Kind::kInvalid, "the tree is too small for what a proof asks of it");
    auto found = kept->find({level, tile});
    if (found == kept->end()) {
      const Result<std::string> bytes = source({.is_entries = false, .level = level, .index = tile, .width = width});
      if (!bytes) return tl::unexpected(bytes.error());
      Result<std::vector<Digest>> hashes = split_tile(as_bytes(*bytes), width);
      if (!hashes) return tl::unexpected(hashes.error());
      if (kept->size() >= kTilesKept) kept->erase(kept->begin());
      found = kept->emplace(std::pair(level, tile), std::move(*hashes)).first;
    }
    return subtree_root(found->second, offset, within);
  };
}

}  // namespace weir::record
