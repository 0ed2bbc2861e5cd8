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
  bool is_readable = false;      // A manifest was there and its signature fits; what follows is then meant.
  Digest digest{};
  Manifest manifest;             // Without opened_json and login_json.
  uint64_t size = 0;
  std::vector<ActEntry> acts;    // In it, as the evidence log should name them.
  std::vector<Finding> findings;
};

CheckedArchive check_archive(const std::string& archive, const ArchiveFile&, const std::vector<VerifyingKey>& keys);

}  // namespace weir::record
