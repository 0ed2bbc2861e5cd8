#include "record/seal_writer.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace weir::record {
namespace {

constexpr std::size_t kHeadMax = 64u << 10;

}  // namespace

SealWriter::SealWriter(std::string state, std::string gateway, SigningKey key, Files& files)
    : archive_(state + "/archive"), log_(state + "/log"), gateway_(std::move(gateway)), key_(std::move(key)), files_(files) {}

Result<void> SealWriter::start() {
  for (const std::string& folder : {archive_ + "/.open", log_}) {
    if (Result<void> done = files_.make_folder(folder); !done) return done;
  }
  const Result<std::vector<std::string>> left = list_folder(archive_ + "/.open");
  if (!left) return tl::unexpected(left.error());
  for (const std::string& name : *left) {
    if (Result<void> done = files_.remove(archive_ + "/.open/" + name); !done) return done;
  }
  const Result<SealList> list = read_seals(log_, [&](const SealEntry& entry) { listed_.add(entry); });
  if (!list) return tl::unexpected(list.error());
  if (list->torn_size != 0) return fail(Error::Kind::kCorrupt, seals_path(log_) + ": its last line is cut; recovery must run first");
  list_size_ = list->sound_size;
  if (list->last) {
    seals_ = list->last->seal;
    newest_ = list->last->digest;
  }
  sessions_seen_ = listed_.session_max;
  if (const Result<std::string> text = read_text(head_path(log_), kHeadMax)) {
    const Result<SealHead> head = head_from_text(*text, {key_.verifying()});  // One that does not fit is verify's to find.
    if (head) sessions_seen_ = std::max(sessions_seen_, head->sessions);
  }
  return {};
}

std::string SealWriter::open_path(uint64_t session, uint32_t part) const {
  return archive_ + "/.open/" + std::to_string(session) + "." + std::to_string(part);
}

void SealWriter::saw_session(uint64_t session) {
  if (session <= sessions_seen_) return;
  sessions_seen_ = session;
  is_head_due_ = true;
}

Result<void> SealWriter::make(ArchiveBuilder& builder, Manifest& manifest, Time now) {
  manifest.gateway = gateway_;
  manifest.seal = seals_ + made_.size() + 1;
  manifest.previous = newest_;
  manifest.sealed_ns = now.time_since_epoch().count();
  manifest.key = key_.id();
  const Result<Digest> digest = builder.finish(manifest, key_);
  if (!digest) return tl::unexpected(digest.error());
  const std::string name = archive_name(manifest.opened_ns, manifest.session, manifest.part);
  made_.push_back({.entry = entry_of(manifest, *digest, name), .open_path = builder.path(), .path = archive_ + "/" + name});
  newest_ = *digest;
  return {};
}

Result<std::vector<SealEntry>> SealWriter::commit() {
  std::vector<SealEntry> entries;
  if (made_.empty()) return entries;
  if (Result<void> done = place_files(); !done) return tl::unexpected(done.error());
  if (Result<void> done = append_lines(); !done) return tl::unexpected(done.error());
  for (Made& made : made_) {
    listed_.add(made.entry);
    entries.push_back(std::move(made.entry));
  }
  made_.clear();
  return entries;
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

Result<void> SealWriter::append_lines() {
  std::string lines;
  for (const Made& made : made_) lines += to_line(made.entry);
  const std::string path = seals_path(log_);
  if (const Result<uint64_t> size = file_size(path); size && *size > list_size_) {
    if (Result<void> done = files_.truncate(path, list_size_); !done) return done;  // An attempt that failed half-way.
  }
  if (Result<void> done = files_.append(path, as_bytes(lines)); !done) return done;
  if (Result<void> done = files_.sync(path); !done) return done;
  if (list_size_ == 0) {
    if (Result<void> done = files_.sync_folder(log_); !done) return done;
  }
  list_size_ += lines.size();
  seals_ += made_.size();
  is_head_due_ = true;
  return {};
}

Result<void> SealWriter::write_head(Time now) {
  WEIR_CHECK(made_.empty());  // newest_ is listed.
  const SealHead head{.gateway = gateway_, .seals = seals_, .digest = newest_, .sessions = sessions_seen_, .at_ns = now.time_since_epoch().count(), .key = key_.id()};
  const Result<std::string> text = to_text(head, key_);
  if (!text) return tl::unexpected(text.error());
  if (Result<void> done = replace_file(files_, head_path(log_), as_bytes(*text)); !done) return done;
  is_head_due_ = false;
  return {};
}

}  // namespace weir::record
