#include "record/seal_writer.h"

#include <algorithm>
#include <set>

#include "record/event_codec.h"
#include "record/journal_reader.h"
#include "record/key_store.h"

namespace weir::record {

SealWriter::SealWriter(std::string state, std::string gateway, std::string origin, LogKey key, KeyRing keys, Files& files)
    : state_(state), archive_(state + "/archive"), log_folder_(state + "/log"), gateway_(std::move(gateway)), key_(std::move(key)), ring_(std::move(keys)), files_(files), log_(log_folder_, log_origin(origin, gateway_), key_, files) {}

Result<void> SealWriter::start(const std::vector<std::string>& unlisted) {
  listed_.lifetimes = &lifetimes_;
  if (Result<void> done = files_.make_folder(archive_ + "/.open"); !done) return done;
  for (const std::string& open : {archive_ + "/.open", state_ + "/keys/.open"}) {
    const Result<std::vector<std::string>> left = list_folder(open);
    if (!left) return tl::unexpected(left.error());
    for (const std::string& name : *left) {
      if (Result<void> done = files_.remove(open + "/" + name); !done) return done;
    }
  }
  if (ring_.encrypts()) {
    if (Result<void> done = files_.make_folder(state_ + "/keys/.open"); !done) return done;
  }
  if (Result<void> there = check_log_is_there(archive_, log_folder_); !there) return there;
  if (Result<void> done = log_.open([&](uint64_t index, Bytes entry) { listed_.add_leaf(as_text(entry), index); }); !done) return done;
  if (listed_.last) {
    seals_ = listed_.last->seal;
    newest_ = listed_.last->digest;
  }
  for (const std::string& name : unlisted) {
    if (Result<void> done = adopt(name); !done) return done;
  }
  sessions_seen_ = listed_.session_max;
  return {};
}

// What does not fit is left where it is: its session is sealed again, over it.
Result<void> SealWriter::adopt(const std::string& name) {
  const Result<ArchiveReader> reader = ArchiveReader::open(archive_ + "/" + name);
  if (!reader || !key_.verifying().verify(as_bytes(signed_text(reader->digest())), reader->signature())) return {};
  if (reader->manifest().seal != seals_ + made_.size() + 1 || reader->manifest().previous != newest_) return {};
  // The acts in it were to be named with it, or before.
  EventAssembler assembler;
  const RecordPlace place{.archive = archive_, .keys = state_ + "/keys", .openers = ring_.openers};
  const bool has_acts = reader->manifest().format == 1 || reader->manifest().acts.count != 0;
  const Result<void> read = !has_acts ? Result<void>{} : read_archive(place, name, *reader, [&](const FrameView& frame) {
    const std::optional<EventAssembler::Event> whole = assembler.add(frame);
    RecordEvent event;
    Accounts accounts;
    if (!whole || !decode_event(whole->header, whole->payload, event, accounts) || event.kind != RecordEvent::Kind::kAct) return true;
    saw_act(act_entry(whole->header.session, whole->header.sequence, whole->header.at_ns, event.verb, whole->payload));
    return true;
  });
  if (!read) return fail(read.error().kind, archive_ + "/" + name + ": " + read.error().message);
  made_.push_back({.entry = entry_of(reader->manifest(), reader->digest(), name), .open_path = {}, .path = archive_ + "/" + name, .is_renamed = true, .is_adopted = true});
  newest_ = reader->digest();
  listed_.add(made_.back().entry);  // Nobody may seal them again meanwhile.
  return {};
}

std::string SealWriter::open_path(uint64_t session, uint32_t part) const {
  return archive_ + "/.open/" + std::to_string(session) + "." + std::to_string(part);
}

void SealWriter::saw_session(uint64_t session) {
  if (session <= sessions_seen_) return;
  sessions_seen_ = session;
  has_news_ = true;
}

void SealWriter::saw_act(const ActEntry& act) {
  const auto known = listed_.acts.find(act.session);
  if (known != listed_.acts.end() && act.sequence <= known->second) return;
  listed_.add(act);
  log_.add(to_leaf(act));
}

void SealWriter::add(std::string_view kind, Time now, nlohmann::json object) {
  lifetimes_.add(OtherLeaf{.kind = std::string(kind), .at_ns = now.time_since_epoch().count(), .object = object});
  log_.add(to_leaf(kind, now.time_since_epoch().count(), std::move(object)));
}

Result<void> SealWriter::make(ArchiveBuilder& builder, Manifest& manifest, Time now) {
  manifest.gateway = gateway_;
  manifest.seal = seals_ + made_.size() + 1;
  manifest.previous = newest_;
  manifest.sealed_ns = now.time_since_epoch().count();
  manifest.key = key_.id();
  std::string keys;
  if (builder.key() != nullptr) {
    Result<std::string> wrapped = wrap_for_all(ring_, *builder.key(), {.session = manifest.session, .part = manifest.part, .commitment = commitment_of(*builder.key())});
    if (!wrapped) return tl::unexpected(wrapped.error());
    keys = std::move(*wrapped);
    manifest.keys_digest = sha256(as_bytes(keys));
  }
  const Result<Digest> digest = builder.finish(manifest, key_);
  if (!digest) return tl::unexpected(digest.error());
  const std::string name = archive_name(manifest.opened_ns, manifest.session, manifest.part);
  made_.push_back({.entry = entry_of(manifest, *digest, name), .open_path = builder.path(), .path = archive_ + "/" + name, .keys = std::move(keys)});
  newest_ = *digest;
  return {};
}

Result<std::vector<SealEntry>> SealWriter::commit(Time now) {
  std::vector<SealEntry> entries;
  if (Result<void> done = place_keys(); !done) return tl::unexpected(done.error());
  if (Result<void> done = place_files(); !done) return tl::unexpected(done.error());
  if (has_news_) {
    add("sessions", now, {{"highest", sessions_seen_}});
    has_news_ = false;
  }
  for (Made& made : made_) {
    if (std::exchange(made.is_added, true)) continue;
    made.index = log_.next_index();
    log_.add(to_leaf(made.entry));
  }
  if (Result<void> done = log_.commit(); !done) return tl::unexpected(done.error());
  seals_ += made_.size();
  for (Made& made : made_) {
    listed_.add(made.entry);
    lifetimes_.add(made.entry, made.index);
    if (!made.is_adopted) entries.push_back(std::move(made.entry));
  }
  made_.clear();
  return entries;
}

// An archive in its place whose keys a crash took would be unreadable for ever: they are on disk before it is there.
Result<void> SealWriter::place_keys() {
  std::set<std::string> folders;
  const std::string top = state_ + "/keys";
  for (const Made& made : made_) {
    if (made.keys.empty()) continue;
    const std::string name = keys_name(made.entry.path), path = top + "/" + name, folder = folder_of(path);
    const std::string aside = top + "/.open/" + name.substr(name.rfind('/') + 1);
    Result<void> done = files_.make_folder(folder);
    if (done) done = files_.remove(aside);
    if (done) done = files_.append(aside, as_bytes(made.keys));
    if (done) done = files_.sync(aside);
    if (done) done = files_.rename(aside, path);
    if (!done) return done;
    for (std::string at = folder; at.size() >= top.size(); at = folder_of(at)) folders.insert(at);
  }
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (Result<void> done = files_.sync_folder(*folder); !done) return done;
  }
  for (Made& made : made_) made.keys.clear();
  return {};
}

Result<void> SealWriter::place_files() {
  std::set<std::string> folders;
  for (Made& made : made_) {
    const std::string folder = folder_of(made.path);
    if (!made.is_renamed) {
      if (Result<void> done = files_.make_folder(folder); !done) return done;
      if (Result<void> done = files_.rename(made.open_path, made.path); !done) return done;
      made.is_renamed = true;
    }
    // The day may be new, and the month, and the year.
    for (std::string at = folder; at.size() >= archive_.size(); at = folder_of(at)) folders.insert(at);
  }
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (Result<void> done = files_.sync_folder(*folder); !done) return done;
  }
  return {};
}

}  // namespace weir::record
