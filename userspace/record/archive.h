// One archive file: header, chunks of frames, packed (chunk.h) and chained by SHA-256 as they stand in the file, manifest, trailer with
// the signature.  FORMAT.md draws it.  Format 2 is written; format 1, whose frames stand in clear, is read.
//
// No byte of a file is outside what the signature covers or what must have one value: header -> chain start, chunk headers
// and payloads -> chain, chain head and counts -> manifest, manifest -> signature, trailer -> checked against the rest.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "record/chunk.h"
#include "record/files.h"
#include "record/journal_reader.h"
#include "record/log_signer.h"
#include "record/manifest.h"

namespace weir::record {

// Writes an archive piece by piece into a file of its own.  Holds at most one chunk in memory.
//
// One builder is one attempt: an encrypted archive has a key of its own, drawn here.  A chunk is encrypted once; what could not be
// written is kept and written as it is, so that no nonce meets two messages.
class ArchiveBuilder {
 public:
  ArchiveBuilder(Files& files, std::string path, uint64_t session, uint32_t part, bool is_encrypted = false);
  // The frame's CRC is made anew, with seed 0.
  void add(const FrameView&);
  [[nodiscard]] std::size_t gathered() const { return payload_.size() + packed_plain_; }
  // Writes what is gathered as one chunk.  After an error: again, or start over; a piece that went out half is cut off.
  Result<void> spill();
  // Null: not encrypted.
  [[nodiscard]] const SecretKey* key() const { return key_ ? &*key_ : nullptr; }
  // Pre: of an encrypted one, keys_digest is set.
  // Post: the file is complete and synced.  Fills the manifest's chunk fields; returns the digest of the manifest.
  Result<Digest> finish(Manifest&, const LogKey&);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Result<void> put(Bytes);
  // Chunk, then its link of the chain.
  std::vector<std::byte> chained(uint32_t frames, Bytes plain, bool is_last, Digest& chain) const;

  Files& files_;
  std::string path_;
  std::optional<SecretKey> key_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> packed_;      // A chunk that is not written yet.
  std::size_t packed_plain_ = 0;
  std::array<std::byte, kArchiveHeaderSize> header_{};
  uint32_t frames_ = 0;
  uint64_t written_ = 0, chunk_count_ = 0, chunk_bytes_ = 0, chunk_stored_ = 0;
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
  // kDenied: it is encrypted, and no key was given (key_store.h finds it).
  Result<void> read(const std::function<bool(const FrameView&)>&, const SecretKey* = nullptr) const;
  // The same without the frames: needs no key.
  Result<void> check() const;

 private:
  struct StoredChunk { Bytes header, stored; std::string place; };
  using ChunkSink = std::function<Result<bool>(const StoredChunk&)>;   // False: enough.
  Result<void> walk(const ChunkSink&) const;
  ArchiveReader() = default;
  FileHandle file_;
  uint64_t size_ = 0, chunks_end_ = 0;
  std::vector<std::byte> header_;
  std::string manifest_text_;
  Manifest manifest_;
  Digest digest_{};
  Signature signature_{};
};

}  // namespace weir::record
