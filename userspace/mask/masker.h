// The way into mask/: makes the one Masker of a snapshot.
#pragma once
#include <memory>

#include "base/bytes.h"
#include "core/mask.h"

namespace weir::mask {

// `key`: content of `masks.hash_key_file`; copied and wiped with the masker.  Empty: no keyed masks (Masker::has_key()).
std::shared_ptr<const Masker> make_masker(Bytes key);

}  // namespace weir::mask
