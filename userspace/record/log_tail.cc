#include "record/log_tail.h"

#include "record/merkle.h"
#include "record/tlog_tiles.h"

namespace weir::record {

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

}  // namespace weir::record
