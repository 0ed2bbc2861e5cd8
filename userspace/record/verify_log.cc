#include "record/verify_log.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

namespace weir::record {
namespace {

using Severity = Finding::Severity;

std::string entries_text(uint64_t first, uint64_t count) { return "entries " + std::to_string(first) + " to " + std::to_string(first + count - 1); }

// What stands in one bundle.
struct Bundle {
  std::vector<Digest> leaves;
  std::vector<std::optional<SealEntry>> seals;      // By entry.
  std::vector<std::optional<OtherLeaf>> others;
  std::string problem;                               // Empty: it could be read.
};

class LogChecker {
 public:
  explicit LogChecker(const VerifyOptions& options) : options_(options), log_(options.place.log) {}
  Result<CheckedLog> run();

 private:
  void add(Severity severity, const char* code, std::string where, std::string message) { log_check_.findings.push_back({severity, code, std::move(where), std::move(message)}); }
  void read_checkpoint();
  void read_bundles();
  Bundle read_one(uint64_t index) const;
  void check_tiles();
  void check_tile(const TileName&, const std::vector<Digest>& hashes);
  void check_root(bool tiles_fit);
  void check_names();
  void look_at(uint64_t index, const OtherLeaf&);
  void look_at_heartbeat(const OtherLeaf&);
  void look_at_silence(int64_t until_ns);

  const VerifyOptions& options_;
  const std::string& log_;
  CheckedLog log_check_;
  std::vector<std::string> missing_tiles_, changed_tiles_;
  // Of the leaves, as they are gone through.
  int64_t last_at_ns_ = 0, beat_at_ns_ = 0, beat_every_ns_ = 0;
  uint64_t beat_number_ = 0;
  bool has_beats_ = false;
};

Result<CheckedLog> LogChecker::run() {
  if (exists(log_ + "/seals") || exists(log_ + "/seals.head")) {
    return fail(Error::Kind::kInvalid, log_ + "/seals: this record is of an earlier format (a list of seals in place of a tree); the version that wrote it verifies it");
  }
  read_checkpoint();
  read_bundles();
  check_tiles();
  check_names();
  return std::move(log_check_);
}

void LogChecker::read_checkpoint() {
  const Result<LogHead> head = read_head(log_);
  if (!head) {
    log_check_.is_missing = head.error().kind == Error::Kind::kNotFound;
    if (!log_check_.is_missing) add(Severity::kBroken, "head-changed", checkpoint_path(log_), head.error().message);
    return;
  }
  log_check_.checkpoint = head->checkpoint;
  for (const VerifyingKey& key : options_.keys) {
    const NoteVerifier verifier = note_verifier(head->checkpoint.origin, NoteAlgorithm::kEd25519, key);
    if (check_signature(head->note, verifier) == NoteCheck::kSigned) log_check_.vkey = to_vkey(verifier);
  }
  log_check_.has_checkpoint = !log_check_.vkey.empty();
  if (!log_check_.has_checkpoint) {
    add(Severity::kBroken, "head-changed", checkpoint_path(log_), "the checkpoint was changed, or signed with a key that was not given");
  }
}

Bundle LogChecker::read_one(uint64_t index) const {
  Bundle bundle;
  const unsigned width = tile_width(log_check_.checkpoint.size, 0, index);
  const Result<std::string> bytes = read_bundle(log_, index, width);
  const Result<std::vector<Bytes>> entries = bytes ? split_bundle(as_bytes(*bytes), width) : tl::unexpected(bytes.error());
  if (!entries) {
    bundle.problem = entries.error().message;
    return bundle;
  }
  for (const Bytes entry : *entries) {
    bundle.leaves.push_back(leaf_hash(entry));
    bundle.seals.push_back(seal_from_leaf(as_text(entry)));
    bundle.others.push_back(bundle.seals.back() ? std::nullopt : other_from_leaf(as_text(entry)));
  }
  return bundle;
}

// Each in its place; what is in them is looked at in order.
void LogChecker::read_bundles() {
  const uint64_t size = log_check_.checkpoint.size;
  constexpr uint64_t kEntriesMax = uint64_t{1} << 40;
  if (size > kEntriesMax) return;  // Nobody signed that.
  // Some at a time: what is read of them need not be held for all.
  constexpr uint64_t kAtOnce = 1024;
  const uint64_t count = (size + kTileWidth - 1) / kTileWidth;
  for (uint64_t first = 0; first < count; first += kAtOnce) {
    std::vector<Bundle> bundles(std::min(kAtOnce, count - first));
    in_parallel(bundles.size(), options_.threads, [&](std::size_t at) { bundles[at] = read_one(first + at); });
    for (std::size_t at = 0; at < bundles.size(); ++at) {
      const uint64_t begin = (first + at) * kTileWidth;
      if (!bundles[at].problem.empty()) {
        add(Severity::kBroken, "list-changed", log_ + "/" + tile_path({.is_entries = true, .index = first + at, .width = tile_width(size, 0, first + at)}),
            entries_text(begin, tile_width(size, 0, first + at)) + " cannot be read: " + bundles[at].problem);
        return;
      }
      log_check_.leaves.insert(log_check_.leaves.end(), bundles[at].leaves.begin(), bundles[at].leaves.end());
      for (std::size_t entry = 0; entry < bundles[at].leaves.size(); ++entry) {
        const int64_t said = bundles[at].seals[entry] ? bundles[at].seals[entry]->sealed_ns : bundles[at].others[entry] ? bundles[at].others[entry]->at_ns : 0;
        log_check_.newest_ns.push_back(log_check_.newest_ns.empty() ? said : std::max(said, log_check_.newest_ns.back()));
        if (auto& seal = bundles[at].seals[entry]) {
          look_at_silence(seal->sealed_ns);
          log_check_.session_max = std::max(log_check_.session_max, seal->session);
          log_check_.seals.push_back({.entry = std::move(*seal), .index = begin + entry});
        } else if (bundles[at].others[entry]) {
          look_at(begin + entry, *bundles[at].others[entry]);
        } else {
          add(Severity::kNote, "leaf-unreadable", "log entry " + std::to_string(begin + entry), "it is no leaf that this version knows");
        }
      }
    }
  }
  log_check_.has_all_entries = true;
}

void LogChecker::look_at(uint64_t index, const OtherLeaf& leaf) {
  const std::string where = "log entry " + std::to_string(index);
  if (const std::optional<ActEntry> act = act_from(leaf)) {
    log_check_.acts.push_back(*act);  // Its time is the act's own.
    return;
  }
  if (leaf.at_ns < last_at_ns_) add(Severity::kAttention, "clock-back", where, "written at " + time_text(leaf.at_ns) + ", after one of " + time_text(last_at_ns_));
  if (auto expiring = expiring_from(leaf)) {
    log_check_.expiring.push_back({std::move(*expiring), index, leaf.at_ns});
  } else if (auto tombstone = tombstone_from(leaf)) {
    log_check_.tombstones.push_back({std::move(*tombstone), index, leaf.at_ns});
  } else if (leaf.kind == kRetentionKind) {
    log_check_.policies.push_back({leaf.object.value("policies", nlohmann::json::object()), index});
  } else if (leaf.kind == "gap") {
    log_check_.gaps.push_back({.from = text_at(leaf.object, "from"), .until = time_text(leaf.at_ns), .why = text_at(leaf.object, "why")});
    beat_every_ns_ = 0;
  } else if (leaf.kind == "start") {
    if (text_at(leaf.object, "format") != kLogFormat) add(Severity::kNote, "leaf-unreadable", where, "it begins a log of another format than \"" + std::string(kLogFormat) + "\"");
    log_check_.gateway = text_at(leaf.object, "gateway");
    log_check_.witnesses.clear();
    if (const auto named = leaf.object.find("witnesses"); named != leaf.object.end() && named->is_array()) {
      for (const auto& each : *named) {
        if (each.is_string()) log_check_.witnesses.push_back(each.get<std::string>());
      }
    }
    beat_every_ns_ = static_cast<int64_t>(std::min<uint64_t>(number_at(leaf.object, "heartbeat_s"), 1'000'000)) * 1'000'000'000;
    beat_at_ns_ = leaf.at_ns;
  } else if (leaf.kind == "sessions") {
    log_check_.session_max = std::max(log_check_.session_max, number_at(leaf.object, "highest"));
    look_at_silence(leaf.at_ns);
  } else if (leaf.kind == "heartbeat") {
    look_at_silence(leaf.at_ns);
    look_at_heartbeat(leaf);
  } else if (leaf.kind == "stop") {
    look_at_silence(leaf.at_ns);
    beat_every_ns_ = 0;
  }
  last_at_ns_ = leaf.at_ns;
}

void LogChecker::look_at_heartbeat(const OtherLeaf& leaf) {
  const uint64_t number = number_at(leaf.object, "number");
  if (number != beat_number_ + 1) {
    add(Severity::kAttention, "heartbeat-gap", "heartbeat " + std::to_string(number), "the one before it is " + std::to_string(beat_number_) + ": what the kernel counted between them is not stated");
  }
  beat_number_ = number;
  beat_at_ns_ = leaf.at_ns;
  ++log_check_.heartbeats;
}

// While a gateway runs it says so at its interval; twice that is silence.
void LogChecker::look_at_silence(int64_t until_ns) {
  constexpr int64_t kGrace = 5'000'000'000;
  if (beat_every_ns_ == 0 || until_ns - beat_at_ns_ <= 2 * beat_every_ns_ + kGrace) return;
  add(Severity::kAttention, "heartbeat-gap", "heartbeat " + std::to_string(beat_number_ + 1),
      "none between " + time_text(beat_at_ns_) + " and " + time_text(until_ns) + ", though the gateway ran: its clock was set, it was held up, or heartbeats were withheld");
  beat_at_ns_ = until_ns;
}

// Level by level, each made of the one below it.
void LogChecker::check_tiles() {
  if (!log_check_.has_all_entries) return;
  std::vector<Digest> row = log_check_.leaves;
  for (unsigned level = 0; !row.empty(); ++level) {
    std::mutex mutex;
    std::vector<Digest> above(row.size() / kTileWidth);
    const std::size_t count = (row.size() + kTileWidth - 1) / kTileWidth;
    in_parallel(count, options_.threads, [&](std::size_t index) {
      const std::size_t width = std::min<std::size_t>(kTileWidth, row.size() - index * kTileWidth);
      const auto first = row.begin() + static_cast<std::ptrdiff_t>(index * kTileWidth);
      const std::vector<Digest> hashes(first, first + static_cast<std::ptrdiff_t>(width));
      if (width == kTileWidth) above[index] = subtree_root(hashes, 0, kTileHeight);
      const TileName name{.level = level, .index = index, .width = static_cast<unsigned>(width)};
      const Result<std::string> bytes = tiles_on_disk(log_)(name);
      const bool fits = bytes && split_tile(as_bytes(*bytes), name.width) == hashes;
      if (fits) return;
      const std::lock_guard lock(mutex);
      (bytes || bytes.error().kind != Error::Kind::kNotFound ? changed_tiles_ : missing_tiles_).push_back(tile_path(name));
    });
    row = std::move(above);
  }
  MerkleFrontier tree;
  for (const Digest& leaf : log_check_.leaves) tree.add(leaf);
  const bool has_root = tree.root() == log_check_.checkpoint.root;
  for (const std::string& path : missing_tiles_) add(Severity::kBroken, "tile-missing", log_ + "/" + path, "the checkpoint's tree has this tile");
  if (has_root) {
    for (const std::string& path : changed_tiles_) add(Severity::kBroken, "tile-changed", log_ + "/" + path, "it does not hold the hashes of the entries, which are those of the checkpoint");
    return;
  }
  if (log_check_.is_missing) return;
  // Whose tiles differ is where something was changed; without any, all of it was made anew.
  std::sort(changed_tiles_.begin(), changed_tiles_.end());
  add(Severity::kBroken, "list-changed", log_, changed_tiles_.empty() ? "the entries and their tiles fit each other, and are another tree than the one that the checkpoint was signed over"
                                                                      : "the entries are not those that the checkpoint was signed over; the first tile that differs is " + changed_tiles_.front());
}

// Nothing else stands among the tiles; what is narrower than it is now was the edge once, and is checked, too.
void LogChecker::check_names() {
  namespace fs = std::filesystem;
  std::error_code error;
  bool goes_on = false;
  for (fs::recursive_directory_iterator at(log_ + "/tile", error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (at->is_directory(gone) || gone) continue;
    const std::string path = fs::path(at->path()).lexically_relative(log_).string();
    const std::optional<TileName> name = parse_tile_path(path);
    if (!name) {
      add(Severity::kBroken, "file-strange", log_ + "/" + path, "no tile has this name");
      continue;
    }
    const uint64_t size = log_check_.checkpoint.size;
    const unsigned width = tile_width(size, name->level, name->index);
    if (name->width > width) {
      goes_on = true;
    } else if (name->width < width && log_check_.has_all_entries) {
      const Result<std::string> narrow = read_text(at->path().string(), kBundleSizeMax);
      if (!narrow && narrow.error().kind == Error::Kind::kNotFound) continue;
      TileName now = *name;
      now.width = width;
      const Result<std::string> wide = name->is_entries ? read_bundle(log_, name->index, width) : tiles_on_disk(log_)(now);
      if (!narrow || !wide || !std::string_view(*wide).starts_with(*narrow)) add(Severity::kBroken, "tile-changed", log_ + "/" + path, "an earlier edge of the tree, and not the beginning of what stands there now");
    }
  }
  if (goes_on) add(Severity::kNote, "list-torn", log_, "it goes on behind the checkpoint: the gateway was writing, or ended while it wrote");
}

}  // namespace

Result<CheckedLog> check_log(const VerifyOptions& options) { return LogChecker(options).run(); }

std::optional<Digest> root_at(const CheckedLog& log, uint64_t size) {
  const std::map<uint64_t, Digest> roots = roots_at(log, {size});
  const auto found = roots.find(size);
  return found == roots.end() ? std::nullopt : std::optional(found->second);
}

std::map<uint64_t, Digest> roots_at(const CheckedLog& log, const std::set<uint64_t>& sizes) {
  std::map<uint64_t, Digest> roots;
  MerkleFrontier tree;
  for (const uint64_t size : sizes) {
    if (size > log.leaves.size()) break;
    while (tree.size() < size) tree.add(log.leaves[tree.size()]);
    roots.emplace(size, tree.root());
  }
  return roots;
}

bool is_signed_by_any(const Note& note, const std::string& origin, const std::vector<VerifyingKey>& keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const VerifyingKey& key) { return check_signature(note, note_verifier(origin, NoteAlgorithm::kEd25519, key)) == NoteCheck::kSigned; });
}

void in_parallel(std::size_t count, uint32_t threads, const std::function<void(std::size_t)>& work, const std::function<void(uint64_t, uint64_t)>& done) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t finished = 0;
  const auto go = [&] {
    for (std::size_t index = next++; index < count; index = next++) {
      work(index);
      const std::lock_guard lock(mutex);
      ++finished;
      if (done) done(finished, count);
    }
  };
  const std::size_t wanted = threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> others;
  for (std::size_t index = 1; index < std::min(wanted, count); ++index) others.emplace_back(go);
  go();
  for (std::thread& other : others) other.join();
}

}  // namespace weir::record
