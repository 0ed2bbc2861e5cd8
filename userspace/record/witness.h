// What is said to a witness, and what its answer means (c2sp.org/tlog-witness, add-checkpoint).  Pure: no files, no network.
//
//   old <size>                    of the last checkpoint that it cosigned
//   <base64 of a hash>            consistency proof from there, RFC 6962 section 2.1.2; at most 63
//                                 an empty line
//   <the checkpoint, a signed note>
//
// A witness signs only a tree that goes on from the last one that it signed, and it is not us: so who holds the log's key can
// show nobody a second tree, nor an earlier one, that has its signature.
// Must never: take for a cosignature what its key does not say is one, or a contradiction for a witness that is merely away.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "record/http_post.h"
#include "record/signed_note.h"

namespace weir::record {

inline constexpr std::string_view kSizeType = "text/x.tlog.size";   // Of an answer 409.
inline constexpr std::size_t kProofLinesMax = 63;

std::string add_checkpoint_url(const std::string& prefix);          // With or without a slash at its end.
std::string add_checkpoint_body(uint64_t old_size, const std::vector<Digest>& proof, const Note& checkpoint);

enum class WitnessSays : uint8_t {
  kCosigned,      // 200, with a cosignature that holds.
  kOtherSize,     // 409: it stands at `size`, which our log has reached; ask again from there.
  kAway,          // No answer, 429, 5xx: later.
  kRefused,       // 400, 403, 404, and what the protocol does not know: nothing will change by itself.
  kWrong,         // 200 without a cosignature of its key that holds, or 409 without sense.
  kContradicts,   // 409 at a size that our log has not reached, or has with another root; 422: our log is not the one that it signed.
};
struct WitnessAnswer {
  WitnessSays says = WitnessSays::kAway;
  std::string reason;               // For people; empty if it cosigned.
  NoteSignature cosignature;        // kCosigned
  uint64_t at_s = 0;                // kCosigned: the time that it stated.
  uint64_t size = 0;                // kOtherSize, kContradicts by 409: where it stands.
};
// `sent`: the note that was sent, of a tree of `size`, as going on from `old_size`.
WitnessAnswer judge_answer(const Result<PostAnswer>& answer, uint64_t old_size, uint64_t size, const Note& sent, const NoteVerifier& witness);

// A verifier key's file: one line, in the form of c2sp.org/signed-note.  kInvalid: it is none, or none that may cosign here.
Result<NoteVerifier> witness_from_text(std::string_view text);

}  // namespace weir::record
