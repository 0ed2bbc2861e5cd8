// What the leaves of the evidence log say: one JSON object each, keys sorted, no white space, whole numbers and texts alone,
// so that it has one form.  FORMAT.md lists the kinds.
//
// Leaves are for ever: no statement, value, name or address of anybody stands in one; what is about people stands as a
// salted digest of an event in an archive, which can be erased.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "record/keys.h"
#include "record/manifest.h"

namespace weir::record {

inline constexpr std::string_view kLogFormat = "weir log 1";   // In each `start`.

struct SealEntry {
  uint64_t seal = 0;
  Digest digest{};                  // Of the manifest.
  uint64_t session = 0;
  uint32_t part = 1;
  uint64_t first_sequence = 0, last_sequence = 0;
  bool is_last = true;
  std::string path;                 // Below archive/.
  int64_t sealed_ns = 0;
  std::string key;
  uint64_t events = 0, commands = 0, blocked = 0, masked = 0;
};
SealEntry entry_of(const Manifest&, const Digest&, const std::string& path);
std::string to_leaf(const SealEntry&);
std::optional<SealEntry> seal_from_leaf(std::string_view leaf);   // nullopt: not exactly what to_leaf() writes.

// An act, by the event that holds it.  The digest covers its payload, in which a salt stands.
struct ActEntry {
  uint64_t session = 0, sequence = 0;
  int64_t at_ns = 0;
  std::string act;                  // "revoke"; what is no plain name is "other".
  Digest digest{};
};
ActEntry act_entry(uint64_t session, uint64_t sequence, int64_t at_ns, std::string_view verb, Bytes payload);
std::string to_leaf(const ActEntry&);

struct OtherLeaf { std::string kind; int64_t at_ns = 0; nlohmann::json object; };
// Any leaf but a seal.  Adds kind and at.
std::string to_leaf(std::string_view kind, int64_t at_ns, nlohmann::json object);
std::optional<OtherLeaf> other_from_leaf(std::string_view leaf);  // nullopt: no object with kind and at.
std::optional<ActEntry> act_from(const OtherLeaf&);

// "2027-03-09T01:02:03.000000004Z", as time_text() writes it.
std::optional<int64_t> ns_from_text(std::string_view);

}  // namespace weir::record
