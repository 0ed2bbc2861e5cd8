#include "record/archive.h"

#include <fcntl.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace weir::record {
namespace {

constexpr uint64_t kHeaderMagic = 0x3143524152494557;   // "WEIRARC1"
constexpr uint64_t kTrailerMagic = 0x31444e4552494557;  // "WEIREND1"
constexpr uint32_t kChunkMagic = 0x4b4e4843;            // "CHNK"
constexpr std::size_t kHeaderSize = 32, kChunkHeaderSize = 16, kDigestSize = 32, kTrailerSize = 80;
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

ArchiveBuilder::ArchiveBuilder(Files& files, std::string path, uint64_t session, uint32_t part) : files_(files), path_(std::move(path)) {
  const MutableBytes header(header_);
  store_le(header, 0, kHeaderMagic);
  store_le<uint16_t>(header, 8, kFormatVersion);
  store_le<uint32_t>(header, 12, 0);  // Key id.
  store_le(header, 16, session);
  store_le(header, 24, part);
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
    pieces_.insert(pieces_.begin(), header_.begin(), header_.end());
    bytes = pieces_;
  } else if (const Result<uint64_t> size = file_size(path_); !size || *size != written_) {
    if (!size || *size < written_) return corrupt(path_ + ": was changed while it was written");
    if (Result<void> done = files_.truncate(path_, written_); !done) return done;  // An attempt that failed half-way.
  }
  if (Result<void> done = files_.append(path_, bytes); !done) {
    if (written_ == 0) pieces_.erase(pieces_.begin(), pieces_.begin() + kHeaderSize);
    return done;
  }
  written_ += bytes.size();
  return {};
}

Result<void> ArchiveBuilder::spill() {
  if (frames_ == 0) return {};
  std::array<std::byte, kChunkHeaderSize> header{};
  store_le(MutableBytes(header), 0, kChunkMagic);
  store_le(MutableBytes(header), 4, static_cast<uint32_t>(payload_.size()));
  store_le(MutableBytes(header), 8, frames_);
  const Digest next = sha256({Bytes(chain_), Bytes(header), Bytes(payload_)});
  pieces_.assign(header.begin(), header.end());
  pieces_.insert(pieces_.end(), payload_.begin(), payload_.end());
  pieces_.insert(pieces_.end(), next.begin(), next.end());
  if (Result<void> done = put(pieces_); !done) return done;
  chain_ = next;
  ++chunk_count_;
  chunk_bytes_ += payload_.size();
  frames_ = 0;
  std::vector<std::byte>().swap(payload_);
  std::vector<std::byte>().swap(pieces_);
  return {};
}

Result<Digest> ArchiveBuilder::finish(Manifest& manifest, const SigningKey& key) {
  if (Result<void> done = spill(); !done) return tl::unexpected(done.error());
  manifest.chunk_count = chunk_count_;
  manifest.chunk_bytes = chunk_bytes_;
  manifest.chain_head = chain_;
  const std::string text = to_json(manifest);
  const Digest digest = sha256(as_bytes(text));
  const Result<Signature> signature = key.sign(as_bytes(signed_text(digest)));
  if (!signature) return tl::unexpected(signature.error());
  std::array<std::byte, kTrailerSize> trailer{};
  std::memcpy(trailer.data(), signature->data(), signature->size());
  store_le(MutableBytes(trailer), 64, static_cast<uint32_t>(text.size()));
  store_le(MutableBytes(trailer), 72, kTrailerMagic);
  const uint64_t before = written_;
  pieces_.assign(as_bytes(text).begin(), as_bytes(text).end());
  pieces_.insert(pieces_.end(), trailer.begin(), trailer.end());
  Result<void> done = put(pieces_);
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
  std::array<std::byte, kHeaderSize> header{};
  std::array<std::byte, kTrailerSize> trailer{};
  if (*size < kHeaderSize + kTrailerSize) return corrupt("too short for an archive");
  Result<void> done = read_exactly(reader.file_.get(), 0, header);
  if (done) done = read_exactly(reader.file_.get(), *size - kTrailerSize, trailer);
  if (!done) return tl::unexpected(done.error());
  if (load_le<uint64_t>(header, 0) != kHeaderMagic || load_le<uint64_t>(trailer, 72) != kTrailerMagic) return corrupt("not an archive, or its ends are damaged");
  if (load_le<uint16_t>(header, 8) != kFormatVersion) return corrupt("of another format version");
  const uint64_t text_size = load_le<uint32_t>(trailer, 64);
  if (text_size > kManifestMax || text_size > *size - kHeaderSize - kTrailerSize || load_le<uint32_t>(trailer, 68) != 0) {
    return corrupt("the trailer does not fit the file");
  }
  reader.header_digest_ = sha256(Bytes(header));
  reader.chunks_end_ = *size - kTrailerSize - text_size;
  reader.manifest_text_.resize(text_size);
  done = read_exactly(reader.file_.get(), reader.chunks_end_, {reinterpret_cast<std::byte*>(reader.manifest_text_.data()), text_size});
  if (!done) return tl::unexpected(done.error());
  Result<Manifest> manifest = manifest_from_json(reader.manifest_text_);
  if (!manifest) return tl::unexpected(manifest.error());
  reader.manifest_ = std::move(*manifest);
  reader.digest_ = sha256(as_bytes(reader.manifest_text_));
  std::memcpy(reader.signature_.data(), trailer.data(), reader.signature_.size());
  if (load_le<uint64_t>(header, 16) != reader.manifest_.session || load_le<uint32_t>(header, 24) != reader.manifest_.part) {
    return corrupt("header and manifest name different sessions");
  }
  return reader;
}

Result<void> ArchiveReader::read(const std::function<bool(const FrameView&)>& sink) const {
  Digest chain = header_digest_;
  uint64_t offset = kHeaderSize, chunks = 0, bytes = 0;
  std::vector<std::byte> chunk;
  while (offset < chunks_end_) {
    std::array<std::byte, kChunkHeaderSize> header{};
    if (chunks_end_ - offset < kChunkHeaderSize + kDigestSize) return corrupt("a chunk is cut off at byte " + std::to_string(offset));
    if (Result<void> done = read_exactly(file_.get(), offset, header); !done) return done;
    const uint32_t size = load_le<uint32_t>(header, 4), frames = load_le<uint32_t>(header, 8);
    const std::string place = "chunk " + std::to_string(chunks + 1) + " at byte " + std::to_string(offset);
    if (load_le<uint32_t>(header, 0) != kChunkMagic || load_le<uint32_t>(header, 12) != 0 || size > kChunkSizeMax ||
        size > chunks_end_ - offset - kChunkHeaderSize - kDigestSize) {
      return corrupt(place + " was changed: its head is impossible");
    }
    chunk.resize(size + kDigestSize);
    if (Result<void> done = read_exactly(file_.get(), offset + kChunkHeaderSize, chunk); !done) return done;
    const Bytes payload = Bytes(chunk).first(size);
    chain = sha256({Bytes(chain), Bytes(header), payload});
    if (std::memcmp(chain.data(), chunk.data() + size, kDigestSize) != 0) return corrupt(place + " was changed: the chain breaks here");
    Bytes rest = payload;
    uint32_t count = 0;
    for (; !rest.empty(); ++count) {
      const std::optional<FrameView> frame = take_frame(rest, 0);
      if (!frame) return corrupt(place + ": a frame is damaged");
      if (!sink(*frame)) return {};
    }
    if (count != frames) return corrupt(place + ": holds another number of events than it says");
    offset += kChunkHeaderSize + size + kDigestSize;
    ++chunks;
    bytes += size;
  }
  if (chain != manifest_.chain_head || chunks != manifest_.chunk_count || bytes != manifest_.chunk_bytes) {
    return corrupt("the chunks are not those that the manifest names");
  }
  return {};
}

}  // namespace weir::record
