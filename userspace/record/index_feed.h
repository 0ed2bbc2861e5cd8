// Keeps the index of state/index/ up with the evidence log: reads the seals that came since, and the archives that they name.
//
//   log/ (seals) -> archive -> words and line -> sessions.db, batch by batch, each with how far it goes
//
// Beside the sealer, not in it: a sealer knows of no index.  Two may feed one file, an engine and `weir index --rebuild`: a batch
// is written only if nobody wrote one meanwhile.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "record/reader.h"
#include "record/session_index.h"

namespace weir::record {

struct SealEntry;

// What one more part adds to a session's row.  `before`: what the index says of it so far; nullopt: nothing.
// Its archive is not there any more: it is_erased, or if that was not its end, as it was.
Result<std::optional<IndexedSession>> index_part(const RecordPlace&, const SealEntry&, const std::optional<IndexedSession>& before, const IndexKey&);

struct FeedCounts {
  uint64_t sessions = 0;      // Seals put into the index by this feeder.
  uint64_t behind = 0;        // Entries of the log that it has not seen.
  uint64_t errors = 0, rebuilds = 0;
  std::string error{};        // The last step's; empty: it went well.
};

class IndexFeeder {
 public:
  static constexpr std::size_t kSealsMax = 256;       // A batch, and so what is held in memory.
  static constexpr std::size_t kEntriesMax = 16'384;
  explicit IndexFeeder(RecordPlace place) : place_(std::move(place)) {}
  // One batch.  Post: how many entries of the log are left; a damaged file, one of another version, of other keys or of another log was begun
  // anew.  An error leaves all as it was: call again later.
  Result<uint64_t> step();
  // As new: what follows reads every archive.
  Result<void> restart();
  [[nodiscard]] const FeedCounts& counts() const { return counts_; }

 private:
  Result<uint64_t> feed();
  Result<bool> look_again(const IndexPosition& at);
  Result<void> open();

  const RecordPlace place_;
  std::unique_ptr<SessionIndex> index_;
  FeedCounts counts_;
};

// A thread of its own, behind all others; errors are counted, told to `on_error` when they change, and tried again.
class IndexThread {
 public:
  IndexThread(RecordPlace place, std::chrono::milliseconds poll, std::function<void(const Error&)> on_error);
  ~IndexThread();
  [[nodiscard]] FeedCounts counts() const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

// Whether an index may be believed for the log as it is now: it goes no further, and comes from it.
Result<void> check_position(const std::string& log, const IndexPosition& at, uint64_t size);

}  // namespace weir::record
