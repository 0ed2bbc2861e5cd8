#include "record/chunk.h"

#include <zstd.h>

#include "base/check.h"

namespace weir::record {
namespace {

constexpr uint32_t kMagic = 0x4b4e4843;  // "CHNK"
constexpr uint32_t kFlagLast = 1;
constexpr int kLevel = 1;

// Never twice for different messages under one key: an index is packed once, and the end mark, whose index is used again if
// more came after an end that failed, has a space of its own and is always empty.
Nonce nonce_of(uint64_t index, bool is_last) {
  Nonce nonce{};
  store_le<uint32_t>(MutableBytes(nonce), 0, is_last ? 1 : 0);
  store_le<uint64_t>(MutableBytes(nonce), 4, index);
  return nonce;
}

std::vector<std::byte> associated_with(Bytes archive_header, Bytes header) {
  std::vector<std::byte> both(archive_header.begin(), archive_header.end());
  both.insert(both.end(), header.begin(), header.end());
  return both;
}

std::vector<std::byte> compressed(Bytes plain) {
  if (plain.empty()) return {};
  std::vector<std::byte> out(ZSTD_compressBound(plain.size()));
  const std::size_t size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), kLevel);
  WEIR_CHECK(ZSTD_isError(size) == 0);
  out.resize(size);
  return out;
}

tl::unexpected<Error> corrupt(const char* what) { return fail(Error::Kind::kCorrupt, what); }

}  // namespace

ChunkHeaderBytes to_bytes(const ChunkHeader& header) {
  ChunkHeaderBytes bytes{};
  const MutableBytes out(bytes);
  store_le(out, 0, kMagic);
  store_le(out, 4, header.stored);
  store_le(out, 8, header.frames);
  store_le(out, 12, header.plain);
  store_le(out, 16, header.index);
  store_le(out, 24, header.is_last ? kFlagLast : 0U);
  return bytes;
}

std::optional<ChunkHeader> chunk_header(Bytes bytes, bool is_encrypted) {
  if (bytes.size() < kChunkHeaderSize || load_le<uint32_t>(bytes, 0) != kMagic || load_le<uint32_t>(bytes, 28) != 0) return std::nullopt;
  const uint32_t flags = load_le<uint32_t>(bytes, 24);
  const ChunkHeader header{.stored = load_le<uint32_t>(bytes, 4), .frames = load_le<uint32_t>(bytes, 8), .plain = load_le<uint32_t>(bytes, 12),
                           .index = load_le<uint64_t>(bytes, 16), .is_last = flags == kFlagLast};
  if (flags > kFlagLast || header.plain > kChunkPlainMax || header.stored > ZSTD_compressBound(header.plain) + kTagSize) return std::nullopt;
  if (header.is_last != (header.frames == 0) || header.is_last != (header.plain == 0)) return std::nullopt;
  const std::size_t tag = is_encrypted ? kTagSize : 0;
  if (header.is_last ? header.stored != tag : header.stored <= tag) return std::nullopt;
  return header;
}

std::vector<std::byte> pack_chunk(Bytes archive_header, uint64_t index, uint32_t frames, Bytes plain, bool is_last, const SecretKey* key) {
  WEIR_CHECK(plain.size() <= kChunkPlainMax && is_last == plain.empty());
  const std::vector<std::byte> content = compressed(plain);
  const std::size_t stored = content.size() + (key != nullptr ? kTagSize : 0);
  const ChunkHeaderBytes header = to_bytes({.stored = static_cast<uint32_t>(stored), .frames = frames, .plain = static_cast<uint32_t>(plain.size()), .index = index, .is_last = is_last});
  std::vector<std::byte> out(header.begin(), header.end());
  out.reserve(header.size() + stored + sizeof(Digest));
  if (key != nullptr) {
    seal_bytes(*key, nonce_of(index, is_last), associated_with(archive_header, header), content, out);
  } else {
    out.insert(out.end(), content.begin(), content.end());
  }
  return out;
}

Result<void> unpack_chunk(Bytes archive_header, Bytes header_bytes, Bytes stored, const SecretKey* key, std::vector<std::byte>& plain) {
  const std::optional<ChunkHeader> header = chunk_header(header_bytes, key != nullptr);
  if (!header || header->stored != stored.size()) return corrupt("its head is impossible");
  std::vector<std::byte> opened;
  if (key != nullptr) {
    if (!open_bytes(*key, nonce_of(header->index, header->is_last), associated_with(archive_header, header_bytes.first(kChunkHeaderSize)), stored, opened)) {
      return corrupt("it does not decrypt: another key, or another place than its own");
    }
    stored = opened;
  }
  plain.clear();
  if (header->plain == 0) return {};
  // One frame, no more behind it, of exactly the size that was declared: it is written into memory of that size, whatever it says.
  if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != header->plain || ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
    return corrupt("what it unpacks to is not what it declares");
  }
  plain.resize(header->plain);
  const std::size_t size = ZSTD_decompress(plain.data(), plain.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != plain.size()) return corrupt("it does not unpack");
  return {};
}

}  // namespace weir::record
