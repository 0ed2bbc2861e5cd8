// Which request each command of one session belongs to, as its client says (identify/request_id.h).  A statement without a
// comment at its end costs a look at its last bytes; one that is prepared is looked at once.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/module.h"
#include "core/policy.h"

namespace weir::session {

class RequestIds {
 public:
  // Sets Unit::request_id of logins and commands.  `order` is Config::identity.request_id of that generation.
  // Post: what it set is valid until the next call, and as long as the unit's text and the codec's statements are.
  void name(std::span<Unit> units, const Codec& codec, std::span<const std::string> order, uint64_t generation);
  // What of a unit's id may stand on the record (I4): views into itself, the unit, or the context's arena.
  std::string_view for_record(const Unit& unit, const Policy& policy, DecideContext& context, const Codec& codec);

 private:
  // Of a statement that the codec keeps by id.
  struct Kept {
    uint64_t statement = 0;
    uint64_t round = 0;         // As round_ was; else it is looked for again.
    bool is_in_text = false;    // False: the session's own.
    uint32_t offset = 0, size = 0;
  };
  static constexpr std::size_t kKept = 32;  // A power of two.

  void follow(const Codec& codec, std::span<const std::string> order, uint64_t generation);
  [[nodiscard]] std::string_view find(std::string_view statement) const;
  [[nodiscard]] std::string_view find_kept(uint64_t id, std::string_view statement);

  std::span<const std::string> order_;
  std::string application_name_, of_session_;  // The name as it was looked at last, and the id that is in it alone.
  uint64_t generation_ = 0;                    // Whose order_ is: a new one may lie where an old one lay.
  uint64_t round_ = 0;                         // One more whenever order or name changed.
  std::string safe_of_session_;                // of_session_ as it may be recorded, by safe_policy_.
  uint64_t safe_round_ = 0, safe_policy_ = 0;
  std::unique_ptr<std::array<Kept, kKept>> kept_;
};

}  // namespace weir::session
