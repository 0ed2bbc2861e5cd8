// What decide/ asks of mask/: how one value is rewritten, and whether a candidate is what its kind says.  Mechanism only:
// which value, and why, is decide/'s.  Joined by session/ or main.cc, since the two stages do not know one another.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "core/policy.h"
#include "core/unit.h"

namespace weir {

// Sure of one candidate that a data pattern found.  Immutable, shared by all cores.
class DataValidator {
 public:
  virtual ~DataValidator() = default;
  // `field` is the whole (unescaped) value; [begin, end) is the candidate, `begin` the leftmost start that the pattern allows.
  // Post: true: it is what the kind says, and [begin, end) are its true bounds inside `field`.
  virtual bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const = 0;
};

// One value as it stands on the wire.
struct MaskSubject {
  Bytes value;                                // The field's own bytes; COPY text and csv still escaped.
  ValueFormat format = ValueFormat::kText;
  uint32_t type_id = 0;                       // PostgreSQL type OID; 0: not told, taken as text.
  bool is_whole = true;
  bool is_resizable = true;
};
// What stands in for value[begin, end).
struct MaskResult {
  enum class Kind : uint8_t {
    kReplace,  // By `with`, already in the wire form of the subject's format.
    kNull,     // The whole value becomes NULL: its type has no other safe form.
    kRefuse,   // Cannot be masked safely: it must not be sent (I4).
  };
  Kind kind = Kind::kRefuse;
  std::size_t begin = 0;
  std::size_t end = 0;
  Bytes with;  // Arena or static memory.
};

class Masker {
 public:
  virtual ~Masker() = default;
  // The whole value.
  virtual MaskResult mask(const MaskSpec&, const MaskSubject&, Arena&) const = 0;
  // Only value[begin, end), a run that a validator confirmed.  Post: the result covers at least that run.
  virtual MaskResult mask_part(const MaskSpec&, const MaskSubject&, std::size_t begin, std::size_t end, Arena&) const = 0;
  // True if the bytes of a value of that format may differ from what they mean (COPY text with \, csv with quotes).
  virtual bool is_escaped(Bytes value, ValueFormat) const = 0;
  // Post: what the value means, in `arena`; empty with !value.empty(): it does not fit, or means the empty string.
  virtual Bytes unescape(Bytes value, ValueFormat, Arena&) const = 0;
  // The other way; quoted for csv.  Post: empty: it does not fit.
  virtual Bytes escape(Bytes meaning, ValueFormat, Arena&) const = 0;
  // True if `literal` is what one of our masks made, so that writing it would destroy the original.
  virtual bool is_masked(std::string_view literal) const = 0;
  // "hmac-sha256:<32 hex digits>": the same value gives the same text while the key lives (I4: never a plain hash).
  virtual std::string_view digest(Bytes value, Arena&) const = 0;
  // False: no key was configured; `as: hash` and `parameters: digest` are refused when rules are compiled.
  virtual bool has_key() const = 0;
  // nullptr: no validator of that name.
  virtual const DataValidator* validator(std::string_view name) const = 0;
};

}  // namespace weir
