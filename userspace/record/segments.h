// Where the journal's segment files come from.  The writer never opens, fills or closes a file: a helper thread does.
#pragma once
#include <cstdint>
#include <optional>

namespace weir::record {

// A file of `size` bytes, written with zeros beforehand, open for writing (O_DIRECT where the file system has it).
struct SegmentFile {
  int file = -1;
  uint64_t id = 0;      // Names the file in the journal folder; not its place in the order.
  uint64_t size = 0;    // Multiple of kBlockSize.
};

// One per core.  All functions are for that core's thread, do not block and do not allocate.
class SegmentSupply {
 public:
  virtual ~SegmentSupply() = default;
  virtual std::optional<SegmentFile> take() = 0;        // nullopt: none is ready; ask again.
  virtual void give_up(const SegmentFile&) = 0;         // Full, or failed: the writer does not touch it again.
  // Space runs out: only what ends sessions goes on the record, from the reserve.
  [[nodiscard]] virtual bool is_full() const = 0;
};

}  // namespace weir::record
