#include "record/verify_journal.h"

#include <fcntl.h>
#include <sys/file.h>

#include "core/event.h"
#include "record/files.h"
#include "record/journal_reader.h"
#include "record/segment_store.h"

namespace weir::record {
namespace {

constexpr std::size_t kPendingMax = std::size_t{4} << 30;
constexpr int kAttempts = 3;

Result<void> check_core(const std::string& journal, FileJournalFolder& folder, uint32_t core, JournalSessions& found) {
  const Result<std::string> memory = read_text(pending_path(journal, core), kPendingMax);
  const Bytes pending = memory ? as_bytes(*memory) : Bytes{};
  const auto see = [&](const JournalFrame& frame) {
    const FrameHeader& header = frame.frame.header;
    found.seen.insert(header.session);
    if (header.kind == static_cast<uint8_t>(RecordEvent::Kind::kClosed)) {
      found.open.erase(header.session);
    } else {
      found.open.insert(header.session);
    }
    return true;
  };
  CoreReader reader(folder, core);
  if (Result<void> done = reader.refresh(); !done) return done;
  if (Result<void> done = reader.read(UINT64_MAX, see); !done) return done;
  for (const std::string& damage : reader.damage()) found.damage.push_back(damage);
  const Result<bool> is_damaged = reader.is_damaged_at_end();
  if (!is_damaged) return tl::unexpected(is_damaged.error());
  const std::string name = "journal of core " + std::to_string(core);
  if (*is_damaged) found.damage.push_back(name + ": group " + std::to_string(reader.next_group()) + " is damaged, and later ones follow it");
  if (!load_pending_header(pending)) return {};
  const uint64_t durable = load_progress(pending).durable_group;
  if (reader.next_group() != 0 && durable >= reader.next_group()) {
    found.damage.push_back(name + ": groups " + std::to_string(reader.next_group()) + " to " + std::to_string(durable) + " were durable and cannot be read");
  }
  read_pending(pending, reader.next_group() != 0 ? reader.next_group() : durable + 1, see);
  return {};
}

bool has_no_holder(const std::string& path) {
  const Result<FileHandle> file = open_file(path, O_RDONLY);
  return !file || ::flock(file->get(), LOCK_SH | LOCK_NB) == 0;
}

}  // namespace

Result<JournalSessions> check_journals(const std::string& journal) {
  FileJournalFolder folder(journal);
  for (int attempt = 1;; ++attempt) {
    JournalSessions found;
    found.is_at_rest = has_no_holder(journal + "/lock");
    const Result<std::vector<uint32_t>> cores = cores_of(journal, folder);
    if (!cores) return tl::unexpected(cores.error());
    for (const uint32_t core : *cores) {
      if (Result<void> done = check_core(journal, folder, core, found); !done) return tl::unexpected(done.error());
    }
    if (found.damage.empty() || attempt == kAttempts || (found.is_at_rest && attempt > 1)) return found;
  }
}

}  // namespace weir::record
