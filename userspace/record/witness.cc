#include "record/witness.h"

#include <algorithm>

#include "record/note_values.h"

namespace weir::record {
namespace {

// A media type without its parameters.
std::string_view media_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return type;
}

WitnessAnswer judge_cosignature(const std::string& body, const Note& sent, const NoteVerifier& witness) {
  const auto wrong = [](const char* why) { return WitnessAnswer{.says = WitnessSays::kWrong, .reason = why, .cosignature = {}}; };
  Note with{.text = sent.text, .signatures = {}};
  std::string_view rest = body;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return wrong("its answer does not end with a newline");
    auto line = note_signature_from_line(rest.substr(0, end));
    if (!line) return wrong("a line of its answer is no signature");
    rest.remove_prefix(end + 1);
    // Cosignatures of keys that we do not know are nothing to us.
    if (line->name == witness.name && line->key_id == witness.key_id) with.signatures.push_back(std::move(*line));
    if (with.signatures.size() > kNoteSignaturesMax) return wrong("its answer has too many signatures");
  }
  const CosignatureCheck check = check_cosignature(with, witness);
  switch (check.outcome) {
    case NoteCheck::kNotSigned: return wrong("it answered without a cosignature of its key");
    case NoteCheck::kWrong: return wrong("its cosignature is not over our checkpoint");
    case NoteCheck::kUnsupported: return wrong("this build cannot check its algorithm");
    case NoteCheck::kSigned: break;
  }
  return {.says = WitnessSays::kCosigned, .reason = {}, .cosignature = with.signatures.back(), .at_s = check.at_s};
}

WitnessAnswer judge_conflict(const PostAnswer& answer, uint64_t old_size, uint64_t size) {
  std::string_view text = answer.body;
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto theirs = media_type(answer.content_type) == kSizeType ? plain_decimal(text) : std::nullopt;
  if (theirs && *theirs > size) {
    return {.says = WitnessSays::kContradicts,
            .reason = "it has cosigned " + std::to_string(*theirs) + " entries of this log, which has " + std::to_string(size) + ": the log was put back, or is another one",
            .cosignature = {}, .size = *theirs};
  }
  // Of this answer the protocol does not ask for a size.
  if (old_size == size && (!theirs || *theirs == size)) {
    return {.says = WitnessSays::kContradicts, .reason = "it has cosigned another tree of " + std::to_string(size) + " entries: the log was rewritten or forked", .cosignature = {}, .size = size};
  }
  if (!theirs) return {.says = WitnessSays::kWrong, .reason = "it refused the old size (409) and did not say where it stands", .cosignature = {}};
  if (*theirs == old_size) return {.says = WitnessSays::kWrong, .reason = "it refused the old size (409) and named the same one", .cosignature = {}};
  return {.says = WitnessSays::kOtherSize, .reason = "it stands at " + std::to_string(*theirs) + " entries", .cosignature = {}, .size = *theirs};
}

}  // namespace

std::string add_checkpoint_url(const std::string& prefix) { return prefix + (prefix.ends_with('/') ? "" : "/") + "add-checkpoint"; }

std::string add_checkpoint_body(uint64_t old_size, const std::vector<Digest>& proof, const Note& checkpoint) {
  std::string body = "old " + std::to_string(old_size) + "\n";
  for (const Digest& hash : proof) body += base64(hash) + "\n";
  return body + "\n" + to_text(checkpoint);
}

WitnessAnswer judge_answer(const Result<PostAnswer>& answer, uint64_t old_size, uint64_t size, const Note& sent, const NoteVerifier& witness) {
  const auto says = [](WitnessSays what, std::string reason) { return WitnessAnswer{.says = what, .reason = std::move(reason), .cosignature = {}}; };
  if (!answer) return says(WitnessSays::kAway, answer.error().message);
  switch (answer->status) {
    case 200: return judge_cosignature(answer->body, sent, witness);
    case 400: return says(WitnessSays::kRefused, "it cannot read what we send (400)");
    case 403: return says(WitnessSays::kRefused, "it does not know the log's key (403): give it the verifier key that `weir verify --json` shows");
    case 404: return says(WitnessSays::kRefused, "it does not know this log (404): give it the log's origin and verifier key");
    case 409: return judge_conflict(*answer, old_size, size);
    case 422: return says(WitnessSays::kContradicts, "our tree does not go on from the one of " + std::to_string(old_size) + " entries that it has cosigned (422): the log was rewritten or forked");
    case 429: return says(WitnessSays::kAway, "it is asked too often (429)");
    default: break;
  }
  const std::string status = std::to_string(answer->status);
  return answer->status >= 500 ? says(WitnessSays::kAway, "it cannot answer now (" + status + ")") : says(WitnessSays::kRefused, "it answered " + status);
}

Result<NoteVerifier> witness_from_text(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  Result<NoteVerifier> verifier = note_verifier_from_vkey(text);
  if (!verifier) return verifier;
  switch (verifier->algorithm) {
    case NoteAlgorithm::kCosignature: return verifier;
    case NoteAlgorithm::kEd25519: return fail(Error::Kind::kInvalid, "it is the key of a log; a witness's has the type 04");
    case NoteAlgorithm::kMlDsa44: break;
  }
  return fail(Error::Kind::kInvalid, "this build cannot check ML-DSA-44; take the witness's Ed25519 key");
}

}  // namespace weir::record
