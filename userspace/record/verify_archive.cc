#include "record/verify_archive.h"

#include "record/archive.h"
#include "record/event_codec.h"
#include "record/key_store.h"

namespace weir::record {
namespace {

using Severity = Finding::Severity;

bool is_signed_by_any(const std::vector<VerifyingKey>& keys, const ArchiveReader& reader) {
  const std::string text = signed_text(reader.digest());
  for (const VerifyingKey& key : keys) {
    if (key.id() == reader.manifest().key && key.verify(as_bytes(text), reader.signature())) return true;
  }
  return false;
}

bool same_accounts(const SessionSummary& a, const SessionSummary& b) {
  if (a.accounts.has_value() != b.accounts.has_value()) return false;
  for (std::size_t d = 0; a.accounts && d < 2; ++d) {
    const ByteAccount &x = (*a.accounts)[d], &y = (*b.accounts)[d];
    if (x.kernel != y.kernel || x.handshake != y.handshake || x.parsed != y.parsed || x.opaque != y.opaque || x.refused != y.refused ||
        x.injected != y.injected) {
      return false;
    }
  }
  return true;
}

// The manifest says what the events say.
bool agrees(const SessionSummary& counted, const SessionSummary& stated) {
  return counted.first_sequence == stated.first_sequence && counted.last_sequence == stated.last_sequence && counted.events == stated.events &&
         counted.commands == stated.commands && counted.blocked == stated.blocked && counted.masked == stated.masked &&
         counted.alerts == stated.alerts && counted.stand_ins == stated.stand_ins && counted.responses == stated.responses &&
         counted.errors == stated.errors && counted.rows == stated.rows && counted.gaps == stated.gaps &&
         counted.undecodable == stated.undecodable && counted.clock_steps == stated.clock_steps && counted.is_closed == stated.is_closed &&
         counted.closed_ns == stated.closed_ns && counted.reason == stated.reason && counted.first_at_ns == stated.first_at_ns &&
         counted.last_at_ns == stated.last_at_ns && same_accounts(counted, stated) &&
         (stated.requests.is_cut() || counted.requests == stated.requests) &&
         (stated.has_more_rules || (!counted.has_more_rules && counted.rules == stated.rules));
}

// What is sealed as it should be, and still needs a look.
void look_at_content(CheckedArchive& checked, uint64_t incomplete) {
  const SessionSummary& s = checked.manifest.summary;
  const std::string where = "session " + std::to_string(checked.manifest.session);
  const auto add = [&](Severity severity, const char* code, std::string message) {
    checked.findings.push_back({severity, code, where, std::move(message)});
  };
  if (s.reason == kReasonNeverOpened) {
    add(Severity::kNote, "session-never-opened", "its number was given out, and the gateway ended before its opening was on disk");
  } else if (s.is_interrupted()) {
    add(Severity::kNote, "session-interrupted", "the gateway ended before the session did; its byte account is not known");
  } else if (s.accounts && !((*s.accounts)[0].balances() && (*s.accounts)[1].balances())) {
    add(Severity::kAttention, "bytes-unaccounted", "bytes that the kernel counted are not all accounted for (I11); the manifest states the difference");
  }
  if (s.gaps != 0) add(Severity::kAttention, "sequence-gap", "events are missing in " + std::to_string(s.gaps) + " places (I5)");
  if (s.clock_steps != 0) add(Severity::kAttention, "clock-back", "the clock was set back " + std::to_string(s.clock_steps) + " times while it lived");
  if (s.undecodable != 0) add(Severity::kNote, "event-unreadable", std::to_string(s.undecodable) + " events are of a newer version");
  if (incomplete != 0) add(Severity::kNote, "event-incomplete", std::to_string(incomplete) + " large events were cut off by the gateway's end");
}

// The keys that the manifest names are there, as they were.  Without them the proof stands, and nobody reads what it is of.
bool check_keys_of(CheckedArchive& checked, const RecordPlace& place) {
  if (place.keys.empty()) return false;
  const Result<KeysState> keys = check_keys(place.keys, checked.file.name, checked.manifest);
  const std::string where = "keys/" + keys_name(checked.file.name);
  if (!keys || *keys == KeysState::kChanged) {
    checked.findings.push_back({Severity::kBroken, "keys-changed", where, keys ? "these are not the keys that the session was sealed with" : keys.error().message});
  } else if (*keys == KeysState::kMissing) {
    checked.findings.push_back({Severity::kAttention, "keys-missing", where, "the session's keys are not there: destroyed, or not copied; its proof holds, its content cannot be read"});
  }
  return keys && *keys == KeysState::kFit;
}

}  // namespace

CheckedArchive check_archive(const RecordPlace& place, const ArchiveFile& file, const std::vector<VerifyingKey>& keys) {
  CheckedArchive checked;
  checked.file = file;
  const auto broken = [&](const char* code, const std::string& message) {
    checked.findings.push_back({Severity::kBroken, code, file.name, message});
  };
  const Result<ArchiveReader> reader = ArchiveReader::open(place.archive + "/" + file.name);
  checked.is_gone = !reader && reader.error().kind == Error::Kind::kNotFound;
  if (checked.is_gone) return checked;
  if (!reader) {
    broken("archive-changed", reader.error().message);
    return checked;
  }
  checked.size = reader->size();
  if (!is_signed_by_any(keys, *reader)) {
    broken("signature-wrong", "the manifest was changed, or signed with a key (" + reader->manifest().key + ") that was not given");
    return checked;
  }
  checked.is_readable = true;
  checked.manifest = reader->manifest();
  checked.digest = reader->digest();
  const std::string name = archive_name(checked.manifest.opened_ns, checked.manifest.session, checked.manifest.part);
  if (name != file.name) broken("archive-moved", "it belongs at " + name);
  if (checked.manifest.is_encrypted) checked.is_shut = !check_keys_of(checked, place) || place.openers.empty();
  SessionSummary counted;
  EventAssembler assembler;
  ActChain acts;
  bool is_foreign = false;
  const Result<void> read = checked.is_shut ? reader->check() : read_archive(place, file.name, *reader, [&](const FrameView& frame) {
    is_foreign = is_foreign || frame.header.session != checked.manifest.session;
    const std::optional<EventAssembler::Event> whole = assembler.add(frame);
    if (!whole) return true;
    RecordEvent event;
    Accounts accounts;
    if (decode_event(whole->header, whole->payload, event, accounts)) {
      counted.add(event);
      if (event.kind == RecordEvent::Kind::kAct) {
        checked.acts.push_back(act_entry(whole->header.session, whole->header.sequence, whole->header.at_ns, event.verb, whole->payload));
        acts.add(to_leaf(checked.acts.back()));
      }
    } else {
      counted.add_undecodable(whole->header);
    }
    return true;
  });
  if (!read && read.error().kind == Error::Kind::kDenied) {
    checked.is_shut = true;  // Another's key was given.
    if (const Result<void> shut = reader->check(); !shut) broken("chunk-changed", shut.error().message);
  } else if (!read) {
    broken("chunk-changed", read.error().message);
  } else if (is_foreign) {
    broken("manifest-wrong", "it holds events of another session");
  } else if (!checked.is_shut && (!agrees(counted, checked.manifest.summary) || (checked.manifest.format > 1 && acts != checked.manifest.acts))) {
    broken("manifest-wrong", "the signed manifest does not say what the events say");
  }
  look_at_content(checked, assembler.broken() + (assembler.is_inside() ? 1 : 0));
  checked.manifest.summary.opened_json.clear();
  checked.manifest.summary.login_json.clear();
  checked.manifest.summary.awaiting.clear();
  return checked;
}

}  // namespace weir::record
