// Who is sure of a candidate.  Boundaries and charset are decided here and not in the patterns: a pattern sees raw protocol
// bytes, where the length before a value may look like a letter or a digit (DESIGN 7, the `\bAKIA` trap).
#pragma once
#include <string_view>

#include "core/mask.h"

namespace weir::mask {

// none      the pattern's own match
// boundary  no letter, digit or _ on either side
// luhn      13 to 19 digits, single spaces or hyphens between them, a card issuer's first digit, check digit right
// iban      ISO 13616: country's length, mod-97 = 1   (also named mod97)
// email     local@domain with a top-level domain of letters; grows in both directions from the candidate
// entropy   boundary, and at least 3.5 bits a character, letters and digits both
// pem       the header of a private key; grows to the key's end
// jwt       the start of a JSON Web Token; grows to its end
// ssn       US social security numbers: groups that are never given out are refused
const DataValidator* find_validator(std::string_view name);

}  // namespace weir::mask
