#include "record/live.h"

#include <algorithm>

#include "record/journal_cipher.h"
#include "record/segment_store.h"

namespace weir::record {
namespace {

constexpr std::size_t kPendingMax = std::size_t{4} << 30;

Result<bool> read_core(const std::string& journal, FileJournalFolder& folder, const JournalKeys& keys, uint32_t core, const std::function<bool(const EventAssembler::Event&)>& visit) {
  // Pending memory first: what leaves it meanwhile is in a segment, and is not taken twice since groups have numbers.
  const Result<std::string> memory = read_text(pending_path(journal, core), kPendingMax);
  EventAssembler assembler;
  std::vector<std::byte> clear;
  bool go_on = true;
  const auto take = [&](const JournalFrame& frame) {
    const Result<FrameView> opened = keys.open(frame.frame, clear);
    const std::optional<EventAssembler::Event> whole = assembler.add(opened ? *opened : frame.frame);
    if (go_on && whole) go_on = visit(*whole);
    return go_on;
  };
  CoreReader reader(folder, core);
  if (Result<void> done = reader.refresh(); !done) return tl::unexpected(done.error());
  if (Result<void> done = reader.read(UINT64_MAX, take); !done) return tl::unexpected(done.error());
  if (!go_on || !memory) return go_on;
  const Bytes pending = as_bytes(*memory);
  if (!load_pending_header(pending)) return true;
  const uint64_t expected = reader.next_group() != 0 ? reader.next_group() : load_progress(pending).durable_group + 1;
  read_pending(pending, expected, take);
  return go_on;
}

}  // namespace

Result<void> read_live(const std::string& journal, const std::vector<std::shared_ptr<const KeyOpener>>& openers, const std::function<bool(const EventAssembler::Event&)>& visit) {
  FileJournalFolder folder(journal);
  const Result<std::vector<uint32_t>> cores = cores_of(journal, folder);
  if (!cores) return tl::unexpected(cores.error());
  const Result<JournalKeys> keys = JournalKeys::read(journal, openers);
  if (!keys) return tl::unexpected(keys.error());
  for (const uint32_t core : *cores) {
    const Result<bool> go_on = read_core(journal, folder, *keys, core, visit);
    if (!go_on) return tl::unexpected(go_on.error());
    if (!*go_on) break;
  }
  return {};
}

}  // namespace weir::record
