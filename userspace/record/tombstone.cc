#include "record/tombstone.h"

namespace weir::record {

using nlohmann::json;

json to_object(const Tombstone& t) {
  return {{"seal", t.seal}, {"session", t.session}, {"part", t.part}, {"digest", hex(t.digest)}, {"policy", t.policy}, {"keep_s", t.keep_s}};
}

std::optional<Tombstone> tombstone_from(const OtherLeaf& leaf) {
  if (leaf.kind != kTombstoneKind) return std::nullopt;
  const Result<Digest> digest = digest_from_hex(text_at(leaf.object, "digest"));
  Tombstone t{.seal = number_at(leaf.object, "seal"), .session = number_at(leaf.object, "session"), .part = static_cast<uint32_t>(number_at(leaf.object, "part")),
              .policy = text_at(leaf.object, "policy"), .keep_s = number_at(leaf.object, "keep_s")};
  if (digest) t.digest = *digest;
  return t;
}

json to_object(const Expiring& e) { return {{"policy", e.policy}, {"keep_s", e.keep_s}, {"sessions", e.sessions}}; }

std::optional<Expiring> expiring_from(const OtherLeaf& leaf) {
  if (leaf.kind != kExpiringKind) return std::nullopt;
  Expiring e{.policy = text_at(leaf.object, "policy"), .keep_s = number_at(leaf.object, "keep_s"), .sessions = {}};
  if (const auto found = leaf.object.find("sessions"); found != leaf.object.end() && found->is_array()) {
    for (const json& each : *found) {
      if (each.is_number_unsigned()) e.sessions.push_back(each.get<uint64_t>());
    }
  }
  return e;
}

}  // namespace weir::record
