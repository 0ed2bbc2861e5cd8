// Checks one archive by itself, for verify().
#pragma once
#include <string>
#include <vector>

#include "record/archive_tree.h"
#include "record/log_leaf.h"
#include "record/manifest.h"
#include "record/verify.h"

namespace weir::record {

struct CheckedArchive {
  ArchiveFile file;
  bool is_gone = false;          // Listed, and away when it was to be read.
  bool is_readable = false;      // A manifest was there and its signature fits; what follows is then meant.
  Digest digest{};
  Manifest manifest;             // Without opened_json and login_json.
  uint64_t size = 0;
  bool is_shut = false;          // Encrypted, and no key was given: its content was not looked at, nor counted again.
  std::vector<ActEntry> acts;    // In it, as the evidence log should name them; of a shut one the manifest's chain says so.
  std::vector<Finding> findings;
};

// The place's openers, if it has any, are for looking inside; none is needed to verify.
CheckedArchive check_archive(const RecordPlace&, const ArchiveFile&, const std::vector<VerifyingKey>& keys);

}  // namespace weir::record
