// Which sessions have ended and are kept, as the evidence log says: what expiry walks through.  24 bytes a session.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "record/tombstone.h"

namespace weir::record {

class Lifetimes {
 public:
  struct Ended {
    uint64_t session = 0;
    uint64_t index = 0;        // In the log, of the seal of its last part.
    int64_t sealed_ns = 0;
  };
  void add(const SealEntry&, uint64_t index);
  void add(const OtherLeaf&);

  // In the order of the log; some may be gone (is_gone).
  [[nodiscard]] const std::vector<Ended>& ended() const { return ended_; }
  [[nodiscard]] bool is_gone(uint64_t session) const { return session < gone_.size() && gone_[session]; }
  // Of an ended session: the log's indexes of its seals, part by part.
  [[nodiscard]] std::vector<uint64_t> seals_of(const Ended&) const;
  // Announced, and without a tombstone.
  struct Announced { std::string policy; uint64_t keep_s = 0; };
  [[nodiscard]] const std::map<uint64_t, Announced>& expiring() const { return expiring_; }
  // The newest leaf about policies; empty: there is none yet.
  [[nodiscard]] const nlohmann::json& policies() const { return policies_; }
  [[nodiscard]] std::size_t gone_count() const { return gone_count_; }   // Of ended().
  [[nodiscard]] uint64_t kept() const { return ended_.size() - gone_count_; }
  // Forgets those that are gone.
  void compact();

 private:
  std::vector<Ended> ended_;
  std::map<uint64_t, std::vector<uint64_t>> earlier_;   // Parts before the last one.
  std::vector<bool> gone_;
  std::size_t gone_count_ = 0;                          // Of ended_.
  std::map<uint64_t, Announced> expiring_;
  nlohmann::json policies_;
};

}  // namespace weir::record
