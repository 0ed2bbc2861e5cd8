#include "record/archive.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/check.h"

namespace weir::record {
namespace {

constexpr uint64_t kHeaderMagic = 0x3143524152494557;   // "WEIRARC1"
constexpr uint64_t kTrailerMagic = 0x31444e4552494557;  // "WEIREND1"
constexpr uint16_t kFormat = 2;
constexpr std::size_t kDigestSize = 32, kTrailerSize = 80;
constexpr std::byte kZstd{1}, kAes256Gcm{1};
// Format 1: frames in clear.
constexpr uint32_t kPlainMagic = 0x4b4e4843;            // "CHNK"
constexpr std::size_t kPlainArchiveHeaderSize = 32, kPlainChunkHeaderSize = 16;
constexpr uint32_t kPlainChunkMax = 64u << 20;
constexpr std::size_t kManifestMax = 16u << 20;

tl::unexpected<Error> corrupt(const std::string& what) { return fail(Error::Kind::kCorrupt, what); }

Result<void> read_exactly(int file, uint64_t offset, MutableBytes out) {
  std::size_t total = 0;
  while (total < out.size()) {
    const Result<std::size_t> size = read_at(file, offset + total, out.subspan(total));
    if (!size) return tl::unexpected(size.error());
    if (*size == 0) return corrupt("the file ends too early");
    total += *size;
  }
  return {};
}

}  // namespace

std::string archive_name(int64_t opened_ns, uint64_t session, uint32_t part) {
  const auto seconds = static_cast<time_t>(opened_ns / 1'000'000'000);
  std::tm day{};
  gmtime_r(&seconds, &day);
  std::array<char, 96> name{};
  const int size = std::snprintf(name.data(), name.size(), "%04d/%02d/%02d/%llu", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday,
                                 static_cast<unsigned long long>(session));
  std::string path(name.data(), static_cast<std::size_t>(size));
  if (part > 1) path += "." + std::to_string(part);
  return path + ".weir";
}

ArchiveBuilder::ArchiveBuilder(Files& files, std::string path, uint64_t session, uint32_t part, bool is_encrypted) : files_(files), path_(std::move(path)) {
  if (is_encrypted) key_.emplace(SecretKey::random());
  const MutableBytes header(header_);
  store_le(header, 0, kHeaderMagic);
  store_le<uint16_t>(header, 8, kFormat);
  header_[10] = kZstd;
  if (key_) header_[11] = kAes256Gcm;
  store_le(header, 16, session);
  store_le(header, 24, part);
  if (key_) {
    const Digest commitment = commitment_of(*key_);
    std::copy(commitment.begin(), commitment.end(), header_.begin() + 32);
  }
  chain_ = sha256(header);
}

void ArchiveBuilder::add(const FrameView& frame) {
  const std::size_t begin = payload_.size();
  payload_.insert(payload_.end(), frame.whole.begin(), frame.whole.end());
  const MutableBytes copy = MutableBytes(payload_).subspan(begin);
  store_le(copy, 4, frame_crc(0, copy));
  ++frames_;
}

Result<void> ArchiveBuilder::put(Bytes bytes) {
  if (written_ == 0) {
    if (Result<void> done = files_.remove(path_); !done) return done;
    std::vector<std::byte> first(header_.begin(), header_.end());
    first.insert(first.end(), bytes.begin(), bytes.end());
    if (Result<void> done = files_.append(path_, first); !done) return done;
    written_ = first.size();
    return {};
  }
  const Result<uint64_t> size = file_size(path_);
  if (!size || *size < written_) return corrupt(path_ + ": was changed while it was written");
  if (*size != written_) {
    if (Result<void> done = files_.truncate(path_, written_); !done) return done;  // An attempt that failed half-way.
  }
  if (Result<void> done = files_.append(path_, bytes); !done) return done;
  written_ += bytes.size();
  return {};
}

std::vector<std::byte> ArchiveBuilder::chained(uint32_t frames, Bytes plain, bool is_last, Digest& chain) const {
  std::vector<std::byte> bytes = pack_chunk(header_, chunk_count_, frames, plain, is_last, key());
  chain = sha256({Bytes(chain), Bytes(bytes)});
  bytes.insert(bytes.end(), chain.begin(), chain.end());
  return bytes;
}

Result<void> ArchiveBuilder::spill() {
  if (!packed_.empty()) {  // Could not be written before.
    if (Result<void> done = put(packed_); !done) return done;
    std::vector<std::byte>().swap(packed_);
    packed_plain_ = 0;
  }
  if (frames_ == 0) return {};
  packed_ = chained(frames_, payload_, false, chain_);
  packed_plain_ = payload_.size();
  ++chunk_count_;
  chunk_bytes_ += payload_.size();
  chunk_stored_ += packed_.size() - kChunkHeaderSize - kDigestSize;
  frames_ = 0;
  std::vector<std::byte>().swap(payload_);
  return spill();
}

Result<Digest> ArchiveBuilder::finish(Manifest& manifest, const LogKey& key) {
  if (Result<void> done = spill(); !done) return tl::unexpected(done.error());
  // End mark, manifest and trailer in one piece: after a failure all three are made anew.
  Digest head = chain_;
  std::vector<std::byte> end = chained(0, {}, true, head);
  manifest.format = kFormat;
  manifest.chunk_count = chunk_count_ + 1;
  manifest.chunk_bytes = chunk_bytes_;
  manifest.chunk_stored = chunk_stored_ + end.size() - kChunkHeaderSize - kDigestSize;
  manifest.chain_head = head;
  manifest.is_encrypted = key_.has_value();
  manifest.key_commitment = key_ ? commitment_of(*key_) : Digest{};
  const std::string text = to_json(manifest);
  const Digest digest = sha256(as_bytes(text));
  const Result<Signature> signature = key.sign_seal(text);
  if (!signature) return tl::unexpected(signature.error());
  std::array<std::byte, kTrailerSize> trailer{};
  std::memcpy(trailer.data(), signature->data(), signature->size());
  store_le(MutableBytes(trailer), 64, static_cast<uint32_t>(text.size()));
  store_le(MutableBytes(trailer), 72, kTrailerMagic);
  const uint64_t before = written_;
  const Bytes manifest_bytes = as_bytes(text);
  end.insert(end.end(), manifest_bytes.begin(), manifest_bytes.end());
  end.insert(end.end(), trailer.begin(), trailer.end());
  Result<void> done = put(end);
  if (done) done = files_.sync(path_);
  if (!done) {
    written_ = before;  // The manifest is written anew at the next attempt: its seal number may be another.
    return tl::unexpected(done.error());
  }
  return digest;
}

Result<ArchiveReader> ArchiveReader::open(const std::string& path) {
  Result<FileHandle> file = open_file(path, O_RDONLY);
  const Result<uint64_t> size = file_size(path);
  if (!file || !size) return tl::unexpected(file ? size.error() : file.error());
  ArchiveReader reader;
  reader.file_ = std::move(*file);
  reader.size_ = *size;
  std::vector<std::byte> header(kPlainArchiveHeaderSize);
  std::array<std::byte, kTrailerSize> trailer{};
  if (*size < kPlainArchiveHeaderSize + kTrailerSize) return corrupt("too short for an archive");
  Result<void> done = read_exactly(reader.file_.get(), 0, header);
  if (done) done = read_exactly(reader.file_.get(), *size - kTrailerSize, trailer);
  if (!done) return tl::unexpected(done.error());
  if (load_le<uint64_t>(header, 0) != kHeaderMagic || load_le<uint64_t>(trailer, 72) != kTrailerMagic) return corrupt("not an archive, or its ends are damaged");
  const uint16_t format = load_le<uint16_t>(header, 8);
  if (format != kFormat && format != 1) return corrupt("of another format version");
  if (format == kFormat) {
    header.resize(kArchiveHeaderSize);
    if (done = read_exactly(reader.file_.get(), 0, header); !done) return tl::unexpected(done.error());
    if (header[10] != kZstd || header[11] > kAes256Gcm) return corrupt("compressed or encrypted in another way than is known here");
  }
  const uint64_t text_size = load_le<uint32_t>(trailer, 64);
  if (text_size > kManifestMax || header.size() + text_size + kTrailerSize > *size || load_le<uint32_t>(trailer, 68) != 0) {
    return corrupt("the trailer does not fit the file");
  }
  reader.chunks_end_ = *size - kTrailerSize - text_size;
  reader.manifest_text_.resize(text_size);
  done = read_exactly(reader.file_.get(), reader.chunks_end_, {reinterpret_cast<std::byte*>(reader.manifest_text_.data()), text_size});
  if (!done) return tl::unexpected(done.error());
  Result<Manifest> manifest = manifest_from_json(reader.manifest_text_);
  if (!manifest) return tl::unexpected(manifest.error());
  reader.manifest_ = std::move(*manifest);
  reader.digest_ = sha256(as_bytes(reader.manifest_text_));
  std::memcpy(reader.signature_.data(), trailer.data(), reader.signature_.size());
  const Manifest& said = reader.manifest_;
  if (load_le<uint64_t>(header, 16) != said.session || load_le<uint32_t>(header, 24) != said.part) {
    return corrupt("header and manifest name different sessions");
  }
  const bool is_encrypted = format == kFormat && header[11] == kAes256Gcm;
  if (said.format != format || said.is_encrypted != is_encrypted) return corrupt("header and manifest differ in how the chunks are packed");
  if (is_encrypted && std::memcmp(header.data() + kPlainArchiveHeaderSize, said.key_commitment.data(), kDigestSize) != 0) return corrupt("header and manifest name different keys");
  reader.header_ = std::move(header);
  return reader;
}

Result<void> ArchiveReader::walk(const ChunkSink& sink) const {
  Digest chain = sha256(Bytes(header_));
  const bool is_plain = manifest_.format == 1;
  const std::size_t header_size = is_plain ? kPlainChunkHeaderSize : kChunkHeaderSize;
  uint64_t offset = header_.size(), chunks = 0, bytes = 0, stored = 0;
  bool has_ended = is_plain;
  std::vector<std::byte> chunk;
  while (offset < chunks_end_) {
    std::array<std::byte, kChunkHeaderSize> bytes_of_header{};
    const MutableBytes header = MutableBytes(bytes_of_header).first(header_size);
    if (chunks_end_ - offset < header_size + kDigestSize) return corrupt("a chunk is cut off at byte " + std::to_string(offset));
    if (Result<void> done = read_exactly(file_.get(), offset, header); !done) return done;
    const std::string place = "chunk " + std::to_string(chunks + 1) + " at byte " + std::to_string(offset);
    const std::optional<ChunkHeader> head = is_plain ? std::nullopt : chunk_header(header, manifest_.is_encrypted);
    const uint32_t size = load_le<uint32_t>(header, 4);
    const bool is_possible = is_plain ? load_le<uint32_t>(header, 0) == kPlainMagic && load_le<uint32_t>(header, 12) == 0 && size <= kPlainChunkMax : head && head->index == chunks && (chunks == 0 || !has_ended);
    if (!is_possible || size > chunks_end_ - offset - header_size - kDigestSize) return corrupt(place + " was changed: its head is impossible");
    chunk.resize(size + kDigestSize);
    if (Result<void> done = read_exactly(file_.get(), offset + header_size, chunk); !done) return done;
    const Bytes payload = Bytes(chunk).first(size);
    chain = sha256({Bytes(chain), Bytes(header), payload});
    if (std::memcmp(chain.data(), chunk.data() + size, kDigestSize) != 0) return corrupt(place + " was changed: the chain breaks here");
    const Result<bool> go_on = sink({header, payload, place});
    if (!go_on) return tl::unexpected(go_on.error());
    if (!*go_on) return {};
    offset += header_size + size + kDigestSize;
    ++chunks;
    stored += size;
    bytes += is_plain ? size : head->plain;
    has_ended = is_plain || head->is_last;
  }
  if (!has_ended) return corrupt("the chunk that marks the end is not there");
  if (chain != manifest_.chain_head || chunks != manifest_.chunk_count || bytes != manifest_.chunk_bytes || (!is_plain && stored != manifest_.chunk_stored)) {
    return corrupt("the chunks are not those that the manifest names");
  }
  return {};
}

Result<void> ArchiveReader::check() const {
  return walk([](const StoredChunk&) { return Result<bool>(true); });
}

Result<void> ArchiveReader::read(const std::function<bool(const FrameView&)>& sink, const SecretKey* key) const {
  if (manifest_.is_encrypted && key == nullptr) return fail(Error::Kind::kDenied, "it is encrypted, and no key was given");
  if (!manifest_.is_encrypted) key = nullptr;
  std::vector<std::byte> plain;
  return walk([&](const StoredChunk& chunk) -> Result<bool> {
    Bytes rest = chunk.stored;
    if (manifest_.format != 1) {
      if (Result<void> done = unpack_chunk(header_, chunk.header, chunk.stored, key, plain); !done) return fail(done.error().kind, chunk.place + ": " + done.error().message);
      rest = plain;
    }
    uint32_t count = 0;
    for (; !rest.empty(); ++count) {
      const std::optional<FrameView> frame = take_frame(rest, 0);
      if (!frame) return corrupt(chunk.place + ": a frame is damaged");
      if (!sink(*frame)) return false;
    }
    if (count != load_le<uint32_t>(chunk.header, 8)) return corrupt(chunk.place + ": holds another number of events than it says");
    return true;
  });
}

}  // namespace weir::record
