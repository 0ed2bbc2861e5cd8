// For tests: a folder of their own that goes with them.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

namespace weir::store {

struct Folder {
  Folder() {
    std::string text = (std::filesystem::temp_directory_path() / "weir-store-XXXXXX").string();
    path = mkdtemp(text.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path / name).string(); }
  std::filesystem::path path;
};

}  // namespace weir::store
