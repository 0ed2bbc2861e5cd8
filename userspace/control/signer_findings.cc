#include "control/signer_findings.h"

#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <optional>

#include "record/files.h"
#include "signer/setup.h"

namespace weir::control {
namespace {

using Level = steer::Finding::Level;

std::optional<uid_t> user_id(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (name.empty() || getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return found->pw_uid;
}

std::optional<uid_t> owner_of(const std::string& path) {
  struct stat status {};
  return !path.empty() && stat(path.c_str(), &status) == 0 ? std::optional(status.st_uid) : std::nullopt;
}

}  // namespace

void add_signer(const Config& config, std::vector<steer::Finding>& findings) {
  const signer::Setup setup = signer::setup_of(config);
  const auto engine = user_id(setup.engine_user), own = user_id(setup.user);
  const auto add = [&](Level level, std::string found, std::string fix) { findings.push_back({"signer", level, std::move(found), std::move(fix)}); };
  if (!own) return add(Level::kFail, "engine.signer_user: there is no user " + setup.user, "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin " + setup.user);
  if (!engine || *engine == 0) return add(Level::kWarn, "the engine stays root: its signer is a process of its own, and out of its reach in name alone", "engine.user: weir");
  if (*own == *engine) return add(Level::kFail, "signer and engine are one user: what the signer holds is the engine's", "engine.signer_user: weir-signer");
  bool is_well = true;
  for (const std::string& path : {setup.log_key_file, setup.gateway_key_file, setup.ca.ca_key_file}) {
    if (owner_of(path) == engine) {
      is_well = false;
      add(Level::kWarn, path + " is the engine's user's, who can read it", "the next start makes it root's; or: chown root " + path);
    }
    if (!path.empty() && owner_of(record::folder_of(path)) == engine) {
      is_well = false;
      add(Level::kWarn, record::folder_of(path) + " is the engine's user's, who can put another file in the place of " + path, "chown root " + record::folder_of(path));
    }
  }
  if (owner_of(record::folder_of(setup.folder)) == engine) {
    is_well = false;
    add(Level::kWarn, "engine.signer_state: the folder above " + setup.folder + " is the engine's user's, who can take it away", "engine.signer_state: /var/lib/weir-signer");
  }
  if (is_well) add(Level::kOk, "keys of the log, of the archives and of certificates are held by a process of its own, as " + setup.user, "");
}

}  // namespace weir::control
