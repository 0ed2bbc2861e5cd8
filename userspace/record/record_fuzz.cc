#include "record/record_fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "record/archive.h"
#include "record/chunk.h"
#include "record/event_codec.h"
#include "record/journal_reader.h"
#include "record/key_wrap.h"
#include "record/seal_log.h"
#include "record/session_summary.h"
#include "record/signed_note.h"
#include "record/tlog_proof.h"
#include "record/tlog_tiles.h"

namespace weir::record {
namespace {

class BytesSource final : public SegmentSource {
 public:
  explicit BytesSource(Bytes bytes) : bytes_(bytes) {}
  Result<std::size_t> read(uint64_t offset, MutableBytes out) override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t size = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, size);
    return size;
  }

 private:
  Bytes bytes_;
};

// The fuzzer cannot guess a CRC: headers are taken as they are, and frames are read with the CRC that they should have.
void decode_frames(Bytes bytes, SessionSummary& summary) {
  EventAssembler assembler;
  while (const std::optional<FrameHeader> header = load_frame_header(bytes)) {
    if (header->size > bytes.size()) return;
    const FrameView frame{*header, bytes.first(header->size)};
    bytes = bytes.subspan(header->size);
    const std::optional<EventAssembler::Event> whole = assembler.add(frame);
    if (!whole) continue;
    RecordEvent event;
    Accounts accounts;
    if (decode_event(whole->header, whole->payload, event, accounts)) {
      summary.add(event);
    } else {
      summary.add_undecodable(whole->header);
    }
  }
}

}  // namespace
}  // namespace weir::record

int fuzz_journal(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::record;
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  SessionSummary summary;
  decode_frames(bytes, summary);
  const SegmentHeader header = load_segment_header(bytes).value_or(SegmentHeader{});
  GroupCursor cursor(std::make_unique<BytesSource>(bytes), header);
  for (uint64_t group = header.first_group;; ++group) {
    const Result<GroupCursor::Step> step = cursor.next(group);
    if (!step || *step != GroupCursor::Step::kGroup) break;
  }
  (void)cursor.has_later_group(header.first_group);
  // Pending memory is aligned in life; here too, since its words are read atomically.
  AlignedBuffer memory(size + 1);
  std::memcpy(memory.bytes().data(), data, size);
  (void)read_pending(Bytes(memory.bytes()).first(size), 1, [](const JournalFrame&) { return true; });
  return 0;
}

int fuzz_archive(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::record;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ListedSessions().add_leaf(text.substr(0, 4096));
  if (const Result<Manifest> manifest = manifest_from_json(text)) (void)to_json(*manifest);
  (void)unwrap(text, {}, {});
  // A chunk by itself, since the fuzzer cannot guess a chain: what unpacks is as long as it declares.
  const std::array<std::byte, kArchiveHeaderSize> archive_header{};
  std::vector<std::byte> plain;
  if (size > kChunkHeaderSize && unpack_chunk(archive_header, as_bytes(text).first(kChunkHeaderSize), as_bytes(text).subspan(kChunkHeaderSize), nullptr, plain)) {
    WEIR_CHECK(plain.size() == chunk_header(as_bytes(text), false)->plain);
  }
  FileHandle file(::memfd_create("archive", MFD_CLOEXEC));
  if (!file || !write_at(file.get(), 0, as_bytes(text))) return 0;
  const Result<ArchiveReader> reader = ArchiveReader::open("/proc/self/fd/" + std::to_string(file.get()));
  if (!reader) return 0;
  EventAssembler assembler;
  (void)reader->read([&](const FrameView& frame) {
    (void)assembler.add(frame);
    return true;
  });
  return 0;
}

int fuzz_tlog(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::record;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const Result<Note> note = parse_note(text)) WEIR_CHECK(to_text(*note) == text);
  if (const Result<Checkpoint> checkpoint = checkpoint_from_text(text)) WEIR_CHECK(to_text(*checkpoint) == text);
  if (const Result<NoteVerifier> verifier = note_verifier_from_vkey(text)) WEIR_CHECK(to_vkey(*verifier) == text);
  if (const auto name = parse_tile_path(text)) WEIR_CHECK(tile_path(*name) == text);
  const unsigned width = size == 0 ? 0 : data[0];
  if (const Result<std::vector<Bytes>> entries = split_bundle(as_bytes(text), width)) {
    std::string again;
    for (const Bytes entry : *entries) append_entry(again, entry);
    WEIR_CHECK(again == text);
  }
  const Result<TlogProof> proof = parse_proof(text);
  if (!proof) return 0;
  WEIR_CHECK(to_text(*proof) == text);
  (void)check_inclusion(*proof, proof->extra.value_or(std::vector<std::byte>{}));
  return 0;
}
