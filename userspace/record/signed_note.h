// Signed notes (c2sp.org/signed-note), checkpoints (c2sp.org/tlog-checkpoint) and cosignatures (c2sp.org/tlog-cosignature):
// reading strictly, writing, checking.  Pure: no files.
//
//   <text, any lines, ends with a newline>
//                                                           an empty line
//   — <key name> <base64 of: u32be key id | signature>      one line a signature
//
// Must never: say of a text that somebody signed it who did not, or take a line that it cannot read for none.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/keys.h"

namespace weir::record {

inline constexpr std::size_t kNoteSizeMax = 256u << 10;
inline constexpr std::size_t kNoteSignaturesMax = 64;   // The specification asks for at least 16.

// Signature type identifier bytes.
enum class NoteAlgorithm : uint8_t {
  kEd25519 = 0x01,          // By a log, over the note's text.
  kCosignature = 0x04,      // Ed25519 by a witness, with a time, over a text of its own.
  kMlDsa44 = 0x06,          // By a witness.  Its keys can be read and its lines are kept; checking waits for OpenSSL 3.5.
};

struct NoteSignature {
  std::string name;
  uint32_t key_id = 0;
  std::vector<std::byte> bytes;       // Behind the key id.
};
std::string to_line(const NoteSignature&);                              // With its newline.
std::optional<NoteSignature> note_signature_from_line(std::string_view);  // Without it.

struct Note {
  std::string text;                   // With its final newline.
  std::vector<NoteSignature> signatures;
};
// kCorrupt says what is no note.
Result<Note> parse_note(std::string_view);
std::string to_text(const Note&);

// A name and a public key that may sign notes.
struct NoteVerifier {
  std::string name;
  NoteAlgorithm algorithm = NoteAlgorithm::kEd25519;
  uint32_t key_id = 0;
  std::vector<std::byte> public_key;  // 32 bytes; of ML-DSA-44 1312.
};
bool is_key_name(std::string_view);   // Not empty, no spaces of Unicode, no plus, no control characters, UTF-8.
// SHA-256(name | 0x0A | algorithm | key)[:4]
uint32_t note_key_id(std::string_view name, NoteAlgorithm, Bytes public_key);
NoteVerifier note_verifier(std::string_view name, NoteAlgorithm, const VerifyingKey&);
std::string to_vkey(const NoteVerifier&);                               // "<name>+<8 hex>+<base64>"
Result<NoteVerifier> note_verifier_from_vkey(std::string_view);

struct Checkpoint {
  std::string origin;
  uint64_t size = 0;
  Digest root{};
  std::vector<std::string> extensions;  // Lines, none empty.
};
std::string to_text(const Checkpoint&);                                 // The note's text.
Result<Checkpoint> checkpoint_from_text(std::string_view note_text);

Result<NoteSignature> sign_note(std::string_view text, std::string_view name, const SigningKey&);
enum class NoteCheck : uint8_t {
  kSigned,
  kNotSigned,     // No line of this key.
  kWrong,         // A line with its name and id that does not fit: the note is not to be believed at all.
  kUnsupported,   // A line of an algorithm that this build cannot check.
};
NoteCheck check_signature(const Note&, const NoteVerifier&);            // Of a log.
struct CosignatureCheck { NoteCheck outcome = NoteCheck::kNotSigned; uint64_t at_s = 0; };
CosignatureCheck check_cosignature(const Note&, const NoteVerifier&);   // Of a witness; the time is what it stated.

}  // namespace weir::record
