// What the configuration loader asks of the machine, so that tests and the fuzzer need no disk.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace weir::control {

class ConfigFiles {
 public:
  struct Facts {
    bool exists = false, is_regular = false, is_folder = false;
    uint32_t mode = 0, uid = 0, gid = 0;
  };
  virtual ~ConfigFiles() = default;
  virtual Result<std::string> read(const std::string& path, std::size_t size_max) = 0;
  virtual Facts facts(const std::string& path) = 0;
  virtual std::optional<uint32_t> user_id(const std::string& name) = 0;
  virtual uint32_t own_user_id() = 0;
  virtual bool zone_exists(const std::string& name) = 0;   // IANA time zone.
  virtual bool is_volatile(const std::string& folder) = 0; // tmpfs or kin: gone after a power loss.
};

class DiskFiles final : public ConfigFiles {
 public:
  Result<std::string> read(const std::string& path, std::size_t size_max) override;
  Facts facts(const std::string& path) override;
  std::optional<uint32_t> user_id(const std::string& name) override;
  uint32_t own_user_id() override;
  bool zone_exists(const std::string& name) override;
  bool is_volatile(const std::string& folder) override;
};

}  // namespace weir::control
