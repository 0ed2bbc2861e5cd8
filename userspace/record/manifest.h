// The end of an archive: a JSON object that says what the archive holds, signed.  FORMAT.md lists the keys.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/json_fields.h"
#include "record/keys.h"
#include "record/session_summary.h"

namespace weir::record {

// Acts in order, as the evidence log names them: d = SHA-256(d of before | leaf), from zeros.
struct ActChain {
  uint64_t count = 0;
  Digest digest{};
  void add(std::string_view leaf);
  bool operator==(const ActChain&) const = default;
};

struct Manifest {
  std::string gateway;
  uint64_t session = 0;
  uint32_t part = 1;
  bool is_last = true;
  uint64_t seal = 0;                  // Number in the gateway's chain, from 1.
  Digest previous{};                  // Of the seal before it; zeros for the first.
  int64_t sealed_ns = 0;
  std::string key;                    // Id of the signing key.
  int64_t opened_ns = 0;              // Of the session, also in later parts.
  SessionSummary summary;             // Of this part; opened_json and login_json also in later parts.
  uint64_t chunk_count = 0, chunk_bytes = 0;   // Bytes of frames, before they are packed.
  Digest chain_head{};
  // Of format 2:
  uint32_t format = 2;
  uint64_t chunk_stored = 0;          // Bytes in the file.
  ActChain acts;                      // In this part: so that who has no key can hold them against the log.
  bool is_encrypted = false;
  Digest key_commitment{};            // Of the session key.
  Digest keys_digest{};               // Of the keys file.
  std::vector<std::string> tags;      // Of summary.rules, as the configuration had them when it was sealed.
};

std::string to_json(const Manifest&);                  // What is signed, byte for byte.
Result<Manifest> manifest_from_json(std::string_view text);
std::string signed_text(const Digest& manifest_digest);  // "weir seal 1\n<hex>\n": what the signature covers.

// Shared by manifests and listings.
nlohmann::json account_json(const ByteAccount&);
std::string time_text(int64_t ns);                     // RFC 3339, UTC, nanoseconds.
std::string dump(const nlohmann::json&);               // One line; bytes that are not UTF-8 become U+FFFD.
// Stored bytes may be anybody's: discarded() if they are no JSON; values nested deeper than kJsonDepthMax are left out,
// since writing them again would recurse.
inline constexpr int kJsonDepthMax = 64;
nlohmann::json parse_json(std::string_view text);
nlohmann::json parse_object(std::string_view text);    // An empty object if it is none.
// What an opening says, for manifests and listings.  Without the e-mail address: a manifest outlives what can be erased.
nlohmann::json opening_facts(std::string_view opened_json);

}  // namespace weir::record
