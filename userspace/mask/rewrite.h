// Rewrites the meaning of one value: what stands after unescaping and before the wire form.  Each function fills `out`,
// which has the size it asks for, or says that there is no safe form.  Pure but for the key.
#pragma once
#include <cstddef>
#include <optional>

#include "base/bytes.h"
#include "core/policy.h"
#include "mask/keyed_hash.h"

namespace weir::mask {

// Purposes of the key.
constexpr uint8_t kPurposeValue = 1;   // Hash masks.
constexpr uint8_t kPurposeCheck = 2;   // The digits by which a hash mask is known again.
constexpr uint8_t kPurposeDigest = 3;  // Digests on the record.

// Text masks of this size and above carry kCheckSize hex digits of kPurposeCheck at their end: ours are known anywhere.
constexpr std::size_t kCheckedSizeMin = 12;
constexpr std::size_t kCheckSize = 6;
constexpr std::size_t kFreeHashSize = 32;  // `length: free`.
constexpr std::size_t kFreeFillSize = 4;

// How many bytes at the end of `text` stay under `partial`: keep_last characters (UTF-8), at most half of them.
std::size_t kept_size(Bytes text, uint8_t keep_last);
// Post: out is hex digits; the last kCheckSize prove it ours if out.size() >= kCheckedSizeMin.
void hash_text(const KeyedHash& key, Bytes value, MutableBytes out);
bool is_hash_text(const KeyedHash& key, std::string_view text);
// Digits of a number: point, sign and length stay.  `max_digits`: above so many digits the first is 1, so that it fits its
// type.  Pre: out.size() == text.size().  False: not a plain decimal number (NaN, 1e10).
bool rewrite_digits(const MaskSpec& spec, const KeyedHash* key, Bytes text, std::size_t max_digits, MutableBytes out);
// Hex digits of a uuid or bytea; other characters stay.  Pre: out.size() == text.size().
void rewrite_hex(const MaskSpec& spec, const KeyedHash* key, Bytes text, MutableBytes out);
// A big-endian integer of 2, 4 or 8 bytes.  Pre: out.size() == value.size().
bool rewrite_integer(const MaskSpec& spec, const KeyedHash* key, Bytes value, MutableBytes out);

}  // namespace weir::mask
