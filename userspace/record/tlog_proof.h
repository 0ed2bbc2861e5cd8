// C2SP tlog-proof (c2sp.org/tlog-proof): that an entry is in a log, for somebody who has the entry and the log's public key
// and nothing else.  Pure: no files.
//
//   c2sp.org/tlog-proof@v1
//   extra <base64>            may be left out; ours holds the entry itself, believed only once its hash is proved
//   index <decimal>
//   <base64 of a hash>        from the leaf's sibling up
//                             an empty line
//   <the checkpoint, a signed note, as it is>
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/keys.h"
#include "record/signed_note.h"

namespace weir::record {

inline constexpr std::size_t kProofSizeMax = 512u << 10;

struct TlogProof {
  std::optional<std::vector<std::byte>> extra;
  uint64_t index = 0;
  std::vector<Digest> hashes;      // At most 64.
  Note checkpoint;
};
std::string to_text(const TlogProof&);
Result<TlogProof> parse_proof(std::string_view);
// The entry is the one at the proof's index, in the tree of the proof's checkpoint.  Who signed that is the caller's to check.
Result<void> check_inclusion(const TlogProof&, Bytes entry);

}  // namespace weir::record
