// The keys of the session archives: the gateway's own, made at the first start, and the auditors' public ones.
#include <unistd.h>

#include "record/key_store.h"
#include "session/engine_state.h"

namespace weir::session {

Result<void> Engine::open_keys() {
  const Config& wanted = options_.config;
  const std::string& file = wanted.record.encryption_key_file;
  if (!file.empty() && access(file.c_str(), F_OK) != 0) {
    if (auto made = record::make_gateway_keys(file, wanted.state + "/keys"); !made) return made;
    logging_->log().info("made a new key for the session archives, {} (keep a copy elsewhere: without it they cannot be read)", file);
  }
  auto ring = record::open_ring(file, wanted.record.encryption_auditors);
  if (!ring) return tl::unexpected<Error>(ring.error());
  keys_ = std::move(*ring);
  if (!keys_.encrypts()) logging_->log().warn("record.encryption is not set: session archives are compressed, and not encrypted");
  return {};
}

}  // namespace weir::session
