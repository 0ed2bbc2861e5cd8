// What is sealed, for who lists sessions: by the evidence log alone, or by the index and the entries that came since.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "record/seal_log.h"
#include "record/session_index.h"

namespace weir::record {

struct RecordPlace;

class SealedView {
 public:
  struct OpenPart { uint32_t part = 0; uint64_t last_sequence = 0; std::string day; };
  virtual ~SealedView() = default;
  [[nodiscard]] virtual Result<bool> has_ended(uint64_t session) = 0;
  // Sealed in part only.  nullopt: not at all, or to its end.
  [[nodiscard]] virtual Result<std::optional<OpenPart>> open_part(uint64_t session) = 0;
  [[nodiscard]] virtual Result<std::map<uint64_t, OpenPart>> open_parts() = 0;
  // Ended, and not to be told by the index: their archives are to be read.
  [[nodiscard]] virtual Result<std::map<uint64_t, OpenPart>> untold() = 0;
  [[nodiscard]] virtual SessionIndex* index() { return nullptr; }
};

// Reads all of the log.  None if there is no log.
Result<std::unique_ptr<SealedView>> view_by_log(const std::string& log);
// kCorrupt, kUnavailable, kNotFound: it cannot be used, and why.
Result<std::unique_ptr<SealedView>> view_by_index(const RecordPlace&);

}  // namespace weir::record
