// A chunk of an archive of format 2: frames, compressed (zstd, RFC 8878) and, with a key, encrypted.  FORMAT.md draws it.
//
// Nothing that a file says of sizes is believed: what a chunk unpacks to is declared, capped, and must be exactly that much.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "record/cipher.h"
#include "record/layout.h"

namespace weir::record {

// A chunk is spilled when it is full: it may hold one frame more.
inline constexpr uint32_t kChunkPlainMax = (64u << 20) + kFramePartMax;
inline constexpr std::size_t kArchiveHeaderSize = 64, kChunkHeaderSize = 32;

struct ChunkHeader {
  uint32_t stored = 0;          // Bytes behind the header; the chain's digest follows them.
  uint32_t frames = 0;
  uint32_t plain = 0;           // What it unpacks to.  0: nothing is compressed.
  uint64_t index = 0;           // From 0.
  bool is_last = false;         // The end mark: the last chunk holds no frames, and no other is so.
};
using ChunkHeaderBytes = std::array<std::byte, kChunkHeaderSize>;
ChunkHeaderBytes to_bytes(const ChunkHeader&);
// nullopt: impossible (magic, sizes, reserved fields).
std::optional<ChunkHeader> chunk_header(Bytes, bool is_encrypted);

// Header, then what is stored.  `archive_header` (kArchiveHeaderSize bytes) and the chunk's own header are authenticated with it.
// Pre: with a key, each index is packed once for the life of the key, but for the last, which is always the same.
std::vector<std::byte> pack_chunk(Bytes archive_header, uint64_t index, uint32_t frames, Bytes plain, bool is_last, const SecretKey*);
// Post: `plain` is exactly as long as the header says.  kCorrupt: another key, a change, a move, or no such content.
Result<void> unpack_chunk(Bytes archive_header, Bytes chunk_header, Bytes stored, const SecretKey*, std::vector<std::byte>& plain);

}  // namespace weir::record
