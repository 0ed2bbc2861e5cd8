// Sections that a later version carries out: archive.  They are read
// for their form, so that a file written for later is checked now, and each says that it has no effect.
#include "control/config_sections.h"

namespace weir::control {
void read_archive(MapReader archive) {
  LoadContext& context = archive.context();
  std::string url;
  archive.text("url", url);
  if (!url.empty() && !url.starts_with("file:") && !url.starts_with("s3://")) {
    context.error(archive.place_of("url"), archive.path_of("url") + ": " + in_quotes(url) + " does not begin with file: or s3://");
  } else if (!url.empty() && url != "file:archive") {
    context.warn(archive.place_of("url"), archive.path_of("url") + " has no effect in this version", "archives stay in archive/ under `state`");
  }
  archive.choice_of("object_lock", {"compliance", "governance", "none"});
  archive.has_no_effect("object_lock");
  uint64_t spool = 0;
  archive.size("spool", spool, 1u << 20, 1ull << 50);
  archive.has_no_effect("spool");
  archive.finish();
}

}  // namespace weir::control
