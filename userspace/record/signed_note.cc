#include "record/signed_note.h"

#include <algorithm>
#include <charconv>

#include "record/note_values.h"

namespace weir::record {
namespace {

constexpr std::string_view kDash = "\xe2\x80\x94 ";   // U+2014 and a space.
constexpr std::size_t kEd25519Key = 32, kMlDsa44Key = 1312;

// One code point, strictly (RFC 3629: shortest form, no surrogates).  nullopt: not UTF-8.
std::optional<uint32_t> take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t first = byte(0);
  const std::size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (size == 0 || size > text.size()) return std::nullopt;
  uint32_t value = size == 1 ? first : first & (0xffu >> (size + 1));
  for (std::size_t at = 1; at < size; ++at) {
    if ((byte(at) & 0xc0) != 0x80) return std::nullopt;
    value = value << 6 | (byte(at) & 0x3fu);
  }
  if ((size == 3 && value < 0x800) || (size == 4 && (value < 0x10000 || value > 0x10ffff)) || (value >= 0xd800 && value < 0xe000)) return std::nullopt;
  text.remove_prefix(size);
  return value;
}

// White_Space of Unicode.
bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_note_text(std::string_view text) {
  while (!text.empty()) {
    const auto c = take_code_point(text);
    if (!c || (*c < 0x20 && *c != '\n')) return false;
  }
  return true;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

std::string key_id_text(uint32_t id) {
  std::array<std::byte, 4> bytes{};
  store_be(bytes, 0, id);
  return hex(bytes);
}

std::optional<Signature> ed25519_signature(Bytes bytes) {
  Signature signature{};
  if (bytes.size() != signature.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  return signature;
}

}  // namespace

bool is_key_name(std::string_view name) {
  if (name.empty()) return false;
  while (!name.empty()) {
    const auto c = take_code_point(name);
    if (!c || *c < 0x20 || is_space(*c) || *c == '+') return false;
  }
  return true;
}

std::string to_line(const NoteSignature& signature) {
  std::vector<std::byte> bytes(4);
  store_be(MutableBytes(bytes), 0, signature.key_id);
  bytes.insert(bytes.end(), signature.bytes.begin(), signature.bytes.end());
  return std::string(kDash) + signature.name + " " + base64(bytes) + "\n";
}

std::optional<NoteSignature> note_signature_from_line(std::string_view line) {
  if (!line.starts_with(kDash)) return std::nullopt;
  line.remove_prefix(kDash.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || !is_key_name(line.substr(0, space))) return std::nullopt;
  const auto bytes = from_base64(line.substr(space + 1));
  if (!bytes || bytes->size() < 5) return std::nullopt;
  return NoteSignature{.name = std::string(line.substr(0, space)), .key_id = load_be<uint32_t>(*bytes), .bytes = {bytes->begin() + 4, bytes->end()}};
}

Result<Note> parse_note(std::string_view whole) {
  const auto refuse = [](const char* why) { return fail(Error::Kind::kCorrupt, std::string("not a signed note: ") + why); };
  if (whole.size() > kNoteSizeMax) return refuse("it is too large");
  if (!is_note_text(whole)) return refuse("it is not UTF-8, or holds control characters");
  const std::size_t gap = whole.rfind("\n\n");
  if (gap == std::string_view::npos || !whole.ends_with('\n')) return refuse("an empty line stands before the signatures, a newline behind each");
  Note note;
  note.text = whole.substr(0, gap + 1);
  std::string_view rest = whole.substr(gap + 2);
  if (rest.empty()) return refuse("it has no signature");
  while (!rest.empty()) {
    std::optional<NoteSignature> signature = note_signature_from_line(take_line(rest));
    if (!signature) return refuse("a line of its signatures cannot be read");
    note.signatures.push_back(std::move(*signature));
    if (note.signatures.size() > kNoteSignaturesMax) return refuse("it has too many signatures");
  }
  return note;
}

std::string to_text(const Note& note) {
  std::string text = note.text + "\n";
  for (const NoteSignature& signature : note.signatures) text += to_line(signature);
  return text;
}

uint32_t note_key_id(std::string_view name, NoteAlgorithm algorithm, Bytes public_key) {
  const std::array<std::byte, 2> between{std::byte{0x0a}, static_cast<std::byte>(algorithm)};
  const Digest digest = sha256({as_bytes(name), Bytes(between), public_key});
  return load_be<uint32_t>(digest);
}

NoteVerifier note_verifier(std::string_view name, NoteAlgorithm algorithm, const VerifyingKey& key) {
  const std::array<std::byte, 32> raw = key.bytes();
  return {.name = std::string(name), .algorithm = algorithm, .key_id = note_key_id(name, algorithm, raw), .public_key = {raw.begin(), raw.end()}};
}

std::string to_vkey(const NoteVerifier& verifier) {
  std::vector<std::byte> key{static_cast<std::byte>(verifier.algorithm)};
  key.insert(key.end(), verifier.public_key.begin(), verifier.public_key.end());
  return verifier.name + "+" + key_id_text(verifier.key_id) + "+" + base64(key);
}

Result<NoteVerifier> note_verifier_from_vkey(std::string_view text) {
  const auto refuse = [](const char* why) { return fail(Error::Kind::kInvalid, std::string("not a verifier key (NAME+ID+KEY): ") + why); };
  const std::size_t first = text.find('+'), second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (second == std::string_view::npos) return refuse("it has three parts with + between them");
  NoteVerifier verifier;
  verifier.name = text.substr(0, first);
  const auto key = from_base64(text.substr(second + 1));
  if (!is_key_name(verifier.name) || !key || key->empty()) return refuse("its name or its key cannot be read");
  verifier.algorithm = static_cast<NoteAlgorithm>((*key)[0]);
  verifier.public_key.assign(key->begin() + 1, key->end());
  const std::size_t size = verifier.public_key.size();
  switch (verifier.algorithm) {
    case NoteAlgorithm::kEd25519:
    case NoteAlgorithm::kCosignature:
      if (size != kEd25519Key || !VerifyingKey::from_raw(verifier.public_key)) return refuse("no Ed25519 key is in it");
      break;
    case NoteAlgorithm::kMlDsa44:
      if (size != kMlDsa44Key) return refuse("no ML-DSA-44 key is in it");
      break;
    default: return refuse("its algorithm is not known");
  }
  verifier.key_id = note_key_id(verifier.name, verifier.algorithm, verifier.public_key);
  if (text.substr(first + 1, second - first - 1) != key_id_text(verifier.key_id)) return refuse("its id is not that of its name and key");
  return verifier;
}

std::string to_text(const Checkpoint& checkpoint) {
  std::string text = checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" + base64(checkpoint.root) + "\n";
  for (const std::string& line : checkpoint.extensions) text += line + "\n";
  return text;
}

Result<Checkpoint> checkpoint_from_text(std::string_view text) {
  const auto refuse = [](const char* why) { return fail(Error::Kind::kCorrupt, std::string("not a checkpoint: ") + why); };
  if (!text.ends_with('\n') || std::count(text.begin(), text.end(), '\n') < 3) return refuse("three lines are expected");
  Checkpoint checkpoint;
  checkpoint.origin = take_line(text);
  if (checkpoint.origin.empty()) return refuse("it has no origin");
  const auto size = plain_decimal(take_line(text));
  if (!size) return refuse("its size is no plain number");
  checkpoint.size = *size;
  const auto root = digest_from_base64(take_line(text));
  if (!root) return refuse("its root is no SHA-256 digest");
  checkpoint.root = *root;
  while (!text.empty()) {
    checkpoint.extensions.emplace_back(take_line(text));
    if (checkpoint.extensions.back().empty()) return refuse("an extension line is empty");
  }
  return checkpoint;
}

Result<NoteSignature> sign_note(std::string_view text, std::string_view name, const SigningKey& key) {
  const Result<Signature> signature = key.sign(as_bytes(text));
  if (!signature) return tl::unexpected(signature.error());
  return NoteSignature{.name = std::string(name), .key_id = note_verifier(name, NoteAlgorithm::kEd25519, key.verifying()).key_id, .bytes = {signature->begin(), signature->end()}};
}

NoteCheck check_signature(const Note& note, const NoteVerifier& verifier) {
  NoteCheck outcome = NoteCheck::kNotSigned;
  for (const NoteSignature& line : note.signatures) {
    if (line.name != verifier.name || line.key_id != verifier.key_id) continue;
    if (verifier.algorithm != NoteAlgorithm::kEd25519) return NoteCheck::kUnsupported;
    const auto signature = ed25519_signature(line.bytes);
    const Result<VerifyingKey> key = VerifyingKey::from_raw(verifier.public_key);
    if (!signature || !key || !key->verify(as_bytes(note.text), *signature)) return NoteCheck::kWrong;
    outcome = NoteCheck::kSigned;
  }
  return outcome;
}

CosignatureCheck check_cosignature(const Note& note, const NoteVerifier& verifier) {
  CosignatureCheck check;
  for (const NoteSignature& line : note.signatures) {
    if (line.name != verifier.name || line.key_id != verifier.key_id) continue;
    if (verifier.algorithm != NoteAlgorithm::kCosignature) return {.outcome = NoteCheck::kUnsupported};
    // u64be seconds | signature over "cosignature/v1\ntime <seconds>\n<note text>"
    if (line.bytes.size() != 8 + std::tuple_size_v<Signature>) return {.outcome = NoteCheck::kWrong};
    const uint64_t at = load_be<uint64_t>(line.bytes);
    const std::string message = "cosignature/v1\ntime " + std::to_string(at) + "\n" + note.text;
    const auto signature = ed25519_signature(Bytes(line.bytes).subspan(8));
    const Result<VerifyingKey> key = VerifyingKey::from_raw(verifier.public_key);
    if (!key || !key->verify(as_bytes(message), *signature)) return {.outcome = NoteCheck::kWrong};
    check = {.outcome = NoteCheck::kSigned, .at_s = std::max(check.at_s, at)};
  }
  return check;
}

}  // namespace weir::record
