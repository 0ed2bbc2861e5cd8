// The keys of the record: the gateway's own, which the signer holds, the auditors' public ones, and those of the journals.
#include "session/engine_state.h"

namespace weir::session {

Result<void> Engine::open_keys() {
  const Config& wanted = options_.config;
  auto ring = signer_->client().ring(wanted.record.encryption_auditors);
  if (!ring) return tl::unexpected<Error>(ring.error());
  keys_ = std::move(*ring);
  if (!keys_.encrypts()) logging_->log().warn("record.encryption is not set: the journal stands in clear, and session archives are compressed, not encrypted");
  auto journal = record::JournalKeys::read(wanted.state + "/journal", keys_.openers);
  if (!journal) return tl::unexpected<Error>(journal.error());
  journal_keys_ = std::make_shared<record::JournalKeys>(std::move(*journal));
  return {};
}

// A key for this run; those of earlier ones go once their journals are sealed.  Pre: recover() has run.
Result<void> Engine::draw_journal_key() {
  if (keys_.encrypts()) {
    auto drawn = journal_keys_->draw(files_, keys_);
    if (!drawn) return tl::unexpected<Error>(drawn.error());
    journal_key_ = std::move(*drawn);
  }
  return journal_keys_->forget(files_, journal_key_ ? journal_key_->id : 0);
}

}  // namespace weir::session
