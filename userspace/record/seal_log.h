// `log/seals`: one line a seal, in order, appended.  `log/seals.head`: how many there are, the digest of the newest, the
// highest session number, signed.  The list finds what is missing by name; the head finds a list cut short.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/keys.h"
#include "record/manifest.h"

namespace weir::record {

struct SealEntry {
  uint64_t seal = 0;
  Digest digest{};                  // Of the manifest.
  uint64_t session = 0;
  uint32_t part = 1;
  uint64_t first_sequence = 0, last_sequence = 0;
  bool is_last = true;
  std::string path;                 // Below archive/.
};
SealEntry entry_of(const Manifest&, const Digest&, const std::string& path);
// "17 <64 hex> 12 1 1 40 end 2027/03/09/12.weir": seal, digest, session, part, first and last sequence, end or more, path.
std::string to_line(const SealEntry&);                        // With its newline.
std::optional<SealEntry> entry_from_line(std::string_view);   // Without it.  nullopt: not exactly what to_line() writes.

std::string seals_path(const std::string& log);
std::string head_path(const std::string& log);

struct SealList {
  uint64_t sound_size = 0;          // Bytes of whole lines.  What stands behind them was cut off by a crash.
  uint64_t torn_size = 0;
  std::optional<SealEntry> last;
};
// Streams the list.  kCorrupt names the line that is none.
Result<SealList> read_seals(const std::string& log, const std::function<void(const SealEntry&)>&);

// What the list says of sessions, as far as recovery and live reading need it.
struct ListedSessions {
  std::vector<bool> ended;                         // By session number.
  std::map<uint64_t, SealEntry> open_parts;        // Sealed in part only: the newest part.
  std::optional<SealEntry> last;
  uint64_t session_max = 0;
  void add(const SealEntry&);
  [[nodiscard]] bool has_ended(uint64_t session) const { return session < ended.size() && ended[session]; }
  // The event stands in a listed seal.
  [[nodiscard]] bool has(uint64_t session, uint64_t sequence) const;
};

struct SealHead {
  std::string gateway;
  uint64_t seals = 0;
  Digest digest{};                  // Zeros if there are none.
  uint64_t sessions = 0;            // Highest session number that was seen opened.
  int64_t at_ns = 0;
  std::string key;
};
Result<std::string> to_text(const SealHead&, const SigningKey&);
// Pre: any of `keys` may have signed.  kCorrupt: not a head, or the signature does not fit.
Result<SealHead> head_from_text(std::string_view text, const std::vector<VerifyingKey>& keys);

}  // namespace weir::record
