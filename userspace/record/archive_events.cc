#include "record/archive_events.h"

#include "record/archive.h"
#include "record/key_store.h"

namespace weir::record {

Result<void> read_archive_events(const RecordPlace& place, const std::string& name, const std::function<bool(const RecordEvent&)>& visit) {
  using Kind = Error::Kind;
  const std::string path = place.archive + "/" + name;
  const Result<ArchiveReader> reader = ArchiveReader::open(path);
  if (!reader) return fail(reader.error().kind, path + ": " + reader.error().message);
  std::optional<SecretKey> key;
  if (reader->manifest().is_encrypted) {
    Result<SecretKey> opened = session_key(place, name, reader->manifest());
    if (!opened) return fail(opened.error().kind == Kind::kNotFound ? Kind::kDenied : opened.error().kind, path + ": " + opened.error().message);
    key = std::move(*opened);
  }
  EventAssembler assembler;
  const Result<void> done = reader->read([&](const FrameView& frame) {
    const std::optional<EventAssembler::Event> whole = assembler.add(frame);
    RecordEvent event;
    Accounts accounts;
    return !whole || !decode_event(whole->header, whole->payload, event, accounts) || visit(event);
  }, key ? &*key : nullptr);
  if (!done) return fail(done.error().kind, path + ": " + done.error().message);
  return {};
}

bool is_locked(const RecordPlace& place, const std::string& name) {
  const Result<ArchiveReader> reader = ArchiveReader::open(place.archive + "/" + name);
  if (!reader || !reader->manifest().is_encrypted) return false;
  const Result<SecretKey> key = session_key(place, name, reader->manifest());
  return !key && (key.error().kind == Error::Kind::kDenied || key.error().kind == Error::Kind::kNotFound);
}

}  // namespace weir::record
