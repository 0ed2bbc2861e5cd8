#include "record/sealed_parts.h"

#include "record/archive.h"
#include "record/archive_tree.h"
#include "record/keys.h"

namespace weir::record {

Result<std::vector<SealedPart>> sealed_parts(const RecordPlace& place, uint64_t session, std::optional<std::chrono::sys_seconds> opened) {
  const Result<std::vector<ArchiveFile>> files = archives_of(place.archive, session, opened);
  if (!files) return tl::unexpected<Error>(files.error());
  std::vector<SealedPart> parts;
  for (const ArchiveFile& file : *files) {
    const std::string path = place.archive + "/" + file.name;
    const Result<ArchiveReader> reader = ArchiveReader::open(path);
    if (!reader) return fail(reader.error().kind, path + ": " + reader.error().message);
    const Manifest& manifest = reader->manifest();
    parts.push_back({.name = file.name, .part = file.part, .seal = manifest.seal, .digest = hex(reader->digest()), .first_sequence = manifest.summary.first_sequence,
                     .last_sequence = manifest.summary.last_sequence, .sealed_ns = manifest.sealed_ns, .gateway = manifest.gateway});
  }
  return parts;
}

}  // namespace weir::record
