#include "record/countersigned.h"

#include <algorithm>
#include <set>

#include "record/note_values.h"
#include "record/files.h"
#include "record/time_stamp.h"

namespace weir::record {
namespace {

constexpr std::string_view kAside = ".new";   // Of replace_file(), which a crash may have cut short.

KeptCheckpoint read_one(const std::string& log, const std::string& name, uint64_t size) {
  KeptCheckpoint kept{.name = name, .size = size, .problem = {}, .note = {}, .checkpoint = {}};
  const Result<std::string> text = read_text(log + "/" + name, kNoteSizeMax);
  Result<Note> note = text ? parse_note(*text) : tl::unexpected(text.error());
  Result<Checkpoint> checkpoint = note ? checkpoint_from_text(note->text) : tl::unexpected(note.error());
  if (!checkpoint) {
    kept.problem = checkpoint.error().message;
    return kept;
  }
  if (checkpoint->size != size) kept.problem = "it is the checkpoint of " + std::to_string(checkpoint->size) + " entries";
  kept.note = std::move(*note);
  kept.checkpoint = std::move(*checkpoint);
  return kept;
}

void sort_by_size(auto& all, auto size) {
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return size(a) < size(b); });
}

}  // namespace

std::string witnessed_folder(const std::string& log) { return log + "/witnessed"; }
std::string stamps_folder(const std::string& log) { return log + "/timestamps"; }

Result<std::vector<KeptCheckpoint>> read_witnessed(const std::string& log, std::vector<std::string>* strange) {
  const Result<std::vector<std::string>> names = list_folder(witnessed_folder(log));
  if (!names) return tl::unexpected(names.error());
  std::vector<KeptCheckpoint> all;
  for (const std::string& name : *names) {
    if (const auto size = plain_decimal(name)) {
      all.push_back(read_one(log, "witnessed/" + name, *size));
    } else if (strange != nullptr && !name.ends_with(kAside)) {
      strange->push_back("witnessed/" + name);
    }
  }
  sort_by_size(all, [](const KeptCheckpoint& kept) { return kept.size; });
  return all;
}

Result<std::vector<KeptStamp>> read_stamps(const std::string& log, std::vector<std::string>* strange) {
  constexpr std::string_view kStamp = ".tsr", kCheckpoint = ".checkpoint";
  const Result<std::vector<std::string>> names = list_folder(stamps_folder(log));
  if (!names) return tl::unexpected(names.error());
  std::vector<KeptStamp> all;
  std::set<uint64_t> sizes;
  std::vector<std::pair<uint64_t, std::string>> checkpoints;
  for (const std::string& name : *names) {
    const bool is_stamp = name.ends_with(kStamp), is_checkpoint = name.ends_with(kCheckpoint);
    const auto size = is_stamp || is_checkpoint ? plain_decimal(std::string_view(name).substr(0, name.size() - (is_stamp ? kStamp : kCheckpoint).size())) : std::nullopt;
    if (!size) {
      if (strange != nullptr && !name.ends_with(kAside)) strange->push_back("timestamps/" + name);
    } else if (is_checkpoint) {
      checkpoints.emplace_back(*size, name);
    } else {
      KeptStamp stamp{.name = "timestamps/" + name, .over = read_one(log, "timestamps/" + std::to_string(*size) + std::string(kCheckpoint), *size), .answer = {}};
      const Result<std::string> answer = read_text(log + "/" + stamp.name, kStampSizeMax);
      if (answer) stamp.answer = *answer;
      sizes.insert(*size);
      all.push_back(std::move(stamp));
    }
  }
  // Of a stamp that was taken away, or that a crash kept from coming: the checkpoint is still one of this log.
  for (const auto& [size, name] : checkpoints) {
    if (!sizes.contains(size)) all.push_back({.name = {}, .over = read_one(log, "timestamps/" + name, size), .answer = {}});
  }
  sort_by_size(all, [](const KeptStamp& stamp) { return stamp.over.size; });
  return all;
}

Result<Countersigned> read_countersigned(const std::string& log) {
  Countersigned all;
  Result<std::vector<KeptCheckpoint>> witnessed = read_witnessed(log, &all.strange);
  if (!witnessed) return tl::unexpected(witnessed.error());
  Result<std::vector<KeptStamp>> stamps = read_stamps(log, &all.strange);
  if (!stamps) return tl::unexpected(stamps.error());
  all.witnessed = std::move(*witnessed);
  all.stamps = std::move(*stamps);
  return all;
}

std::vector<NoteSignature> foreign_signatures(const KeptCheckpoint& kept) {
  std::vector<NoteSignature> lines;
  for (const NoteSignature& line : kept.note.signatures) {
    if (line.name != kept.checkpoint.origin) lines.push_back(line);
  }
  return lines;
}

}  // namespace weir::record
