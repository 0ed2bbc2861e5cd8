// One archive file: header, chunks of frames chained by SHA-256, manifest, trailer with the signature.  FORMAT.md draws it.
//
// No byte of a file is outside what the signature covers or what must have one value: header -> chain start, chunk headers
// and payloads -> chain, chain head and counts -> manifest, manifest -> signature, trailer -> checked against the rest.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "record/files.h"
#include "record/journal_reader.h"
#include "record/manifest.h"

namespace weir::record {

inline constexpr uint32_t kChunkSizeMax = 64u << 20;

// Writes an archive piece by piece into a file of its own.  Holds at most one chunk in memory.
class ArchiveBuilder {
 public:
  ArchiveBuilder(Files& files, std::string path, uint64_t session, uint32_t part);
  // The frame's CRC is made anew, with seed 0.
  void add(const FrameView&);
  [[nodiscard]] std::size_t gathered() const { return payload_.size(); }
  // Writes what is gathered as one chunk.  After an error: again, or start over; a piece that went out half is cut off.
  Result<void> spill();
  // Post: the file is complete and synced.  Fills the manifest's chunk fields; returns the digest of the manifest.
  Result<Digest> finish(Manifest&, const SigningKey&);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Result<void> put(Bytes);

  Files& files_;
  std::string path_;
  std::vector<std::byte> payload_, pieces_;
  std::array<std::byte, 32> header_{};
  uint32_t frames_ = 0;
  uint64_t written_ = 0, chunk_count_ = 0, chunk_bytes_ = 0;
  Digest chain_{};
};

// Where an archive stands below archive/: "2027/03/09/17.weir", "2027/03/09/17.2.weir" for part 2.
std::string archive_name(int64_t opened_ns, uint64_t session, uint32_t part);

class ArchiveReader {
 public:
  // Reads header, trailer and manifest; what is impossible is an error, nothing else is checked yet.
  static Result<ArchiveReader> open(const std::string& path);
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const std::string& manifest_text() const { return manifest_text_; }
  [[nodiscard]] const Digest& digest() const { return digest_; }       // Of the manifest: the seal's.
  [[nodiscard]] const Signature& signature() const { return signature_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  // All chunks in order, each checked against the chain before its frames are given; then counts and head against the
  // manifest.  kCorrupt says what does not fit.  The sink's false ends the reading early, without the last checks.
  Result<void> read(const std::function<bool(const FrameView&)>&) const;

 private:
  ArchiveReader() = default;
  FileHandle file_;
  uint64_t size_ = 0, chunks_end_ = 0;
  Digest header_digest_{};
  std::string manifest_text_;
  Manifest manifest_;
  Digest digest_{};
  Signature signature_{};
};

}  // namespace weir::record
