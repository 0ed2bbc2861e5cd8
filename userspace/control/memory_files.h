// A disk in memory behind ConfigFiles: for tests and the fuzzer.
#pragma once
#include <map>
#include <string>
#include <utility>

#include "control/config_files.h"

namespace weir::control {

class MemoryFiles final : public ConfigFiles {
 public:
  struct File {
    std::string text;
    uint32_t mode = 0600;
  };
  std::map<std::string, File> files;
  bool every_file_exists = false;    // Names that are not in `files` are empty secrets with the right mode.
  bool is_on_memory = false;

  Result<std::string> read(const std::string& path, std::size_t size_max) override {
    const auto found = files.find(path);
    if (found == files.end()) return fail(Error::Kind::kNotFound, "cannot be read: No such file or directory");
    if (found->second.text.size() > size_max) return fail(Error::Kind::kInvalid, "is too large");
    return found->second.text;
  }
  Facts facts(const std::string& path) override {
    const auto found = files.find(path);
    if (found != files.end()) return {true, true, false, found->second.mode, 0, 0};
    if (every_file_exists && path.find("/keys/") != std::string::npos) return {true, true, false, 0600, 0, 0};
    return {};
  }
  std::optional<uint32_t> user_id(const std::string& name) override {
    if (name == "weir") return 990;
    if (name == "weir-signer") return 991;
    if (name == "root") return 0;
    return std::nullopt;
  }
  uint32_t own_user_id() override { return 0; }
  bool zone_exists(const std::string& name) override { return name == "UTC" || name == "Europe/Berlin"; }
  bool is_volatile(const std::string&) override { return is_on_memory; }
};

}  // namespace weir::control
