#include "record/tlog_proof.h"

#include "record/note_values.h"
#include "record/merkle.h"

namespace weir::record {
namespace {

constexpr std::string_view kFirstLine = "c2sp.org/tlog-proof@v1";
constexpr std::size_t kHashesMax = 64;

// nullopt: there is no whole line.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::string to_text(const TlogProof& proof) {
  std::string text = std::string(kFirstLine) + "\n";
  if (proof.extra) text += "extra " + base64(*proof.extra) + "\n";
  text += "index " + std::to_string(proof.index) + "\n";
  for (const Digest& hash : proof.hashes) text += base64(hash) + "\n";
  return text + "\n" + to_text(proof.checkpoint);
}

Result<TlogProof> parse_proof(std::string_view text) {
  const auto refuse = [](const std::string& why) { return fail(Error::Kind::kCorrupt, "not a proof (c2sp.org/tlog-proof@v1): " + why); };
  if (text.size() > kProofSizeMax) return refuse("it is too large");
  TlogProof proof;
  if (take_line(text) != kFirstLine) return refuse("its first line is another");
  std::optional<std::string_view> line = take_line(text);
  if (line && line->starts_with("extra ")) {
    proof.extra = from_base64(line->substr(6));
    if (!proof.extra) return refuse("its extra data is no base 64");
    line = take_line(text);
  }
  const auto index = line && line->starts_with("index ") ? plain_decimal(line->substr(6)) : std::nullopt;
  if (!index) return refuse("it lacks the entry's index");
  proof.index = *index;
  for (line = take_line(text); line && !line->empty(); line = take_line(text)) {
    const auto hash = digest_from_base64(*line);
    if (!hash || proof.hashes.size() == kHashesMax) return refuse(hash ? "it has too many hashes" : "a line of it is no hash");
    proof.hashes.push_back(*hash);
  }
  if (!line) return refuse("it lacks the checkpoint");
  Result<Note> checkpoint = parse_note(text);
  if (!checkpoint) return refuse(checkpoint.error().message);
  proof.checkpoint = std::move(*checkpoint);
  return proof;
}

Result<void> check_inclusion(const TlogProof& proof, Bytes entry) {
  const Result<Checkpoint> checkpoint = checkpoint_from_text(proof.checkpoint.text);
  if (!checkpoint) return tl::unexpected(checkpoint.error());
  if (!is_included(leaf_hash(entry), proof.index, checkpoint->size, proof.hashes, checkpoint->root)) {
    return fail(Error::Kind::kCorrupt, "the entry is not number " + std::to_string(proof.index) + " of the tree that the checkpoint states");
  }
  return {};
}

}  // namespace weir::record
