#include "steer/saved_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "kernel/fd.h"

namespace weir::steer {
namespace {

constexpr std::string_view kHeading = "weir steer 1";
constexpr std::size_t kSizeMax = 1u << 20;

tl::unexpected<Error> file_error(const std::string& file, const char* what) {
  const int code = errno;
  return fail(code == EACCES || code == EPERM ? Error::Kind::kDenied : Error::Kind::kSystem, file + ": " + what + ": " + std::strerror(code), code);
}

// One line: a key, then values apart by tabs.
struct Line {
  std::string_view key;
  std::array<std::string_view, 3> values;
};

Line split(std::string_view line) {
  Line result;
  std::size_t field = 0;
  while (field < 4) {
    const std::size_t tab = line.find('\t');
    const std::string_view part = line.substr(0, tab);
    if (field == 0) result.key = part;
    else result.values[field - 1] = part;
    if (tab == std::string_view::npos) break;
    line.remove_prefix(tab + 1);
    ++field;
  }
  return result;
}

bool read_number(std::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

bool take(SavedState& state, const Line& line) {
  Options& options = state.options;
  uint32_t flag = 0;
  if (line.key == "pin") options.pin_folder = line.values[0];
  else if (line.key == "client") options.clients.emplace_back(line.values[0]);
  else if (line.key == "target") options.targets.emplace_back(line.values[0]);
  else if (line.key == "mark") return read_number(line.values[0], options.mark);
  else if (line.key == "mask") return read_number(line.values[0], options.mark_mask);
  else if (line.key == "table") return read_number(line.values[0], options.table);
  else if (line.key == "priority") return read_number(line.values[0], options.priority);
  else if (line.key == "bindings_max") return read_number(line.values[0], options.bindings_max);
  else if (line.key == "flows_max") return read_number(line.values[0], options.flows_max);
  else if (line.key == "boot") state.boot = line.values[0];
  else if (line.key == "user") options.user = line.values[0];
  else if (line.key == "guarded") return read_number(line.values[0], flag) && (options.is_guarded = flag != 0, true);
  else if (line.key == "mounted") return read_number(line.values[0], flag) && (state.is_bpffs_mounted = flag != 0, true);
  else if (line.key == "sysctl") state.sysctls.push_back({std::string(line.values[0]), std::string(line.values[1]), std::string(line.values[2])});
  else return false;
  return true;
}

}  // namespace

std::string SavedState::text() const {
  std::string out(kHeading);
  const auto line = [&out](std::string_view key, const std::string& value) { out.append("\n").append(key).append("\t").append(value); };
  line("pin", options.pin_folder);
  for (const std::string& name : options.clients) line("client", name);
  for (const std::string& name : options.targets) line("target", name);
  line("mark", std::to_string(options.mark));
  line("mask", std::to_string(options.mark_mask));
  line("table", std::to_string(options.table));
  line("priority", std::to_string(options.priority));
  line("guarded", options.is_guarded ? "1" : "0");
  line("bindings_max", std::to_string(options.bindings_max));
  line("flows_max", std::to_string(options.flows_max));
  line("user", options.user);
  line("mounted", is_bpffs_mounted ? "1" : "0");
  line("boot", boot);
  for (const SysctlBefore& sysctl : sysctls) line("sysctl", sysctl.name + "\t" + sysctl.before + "\t" + sysctl.ours);
  return out + "\nend\n";
}

Result<SavedState> SavedState::parse(std::string_view text) {
  SavedState state;
  uint32_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (number == 1 && line != kHeading) break;
    if (number == 1) continue;
    if (line == "end" && text.empty()) return state;
    if (!take(state, split(line))) break;
  }
  return fail(Error::Kind::kCorrupt, "line " + std::to_string(number) + " is not one of ours");
}

std::string boot_id() { return read_sysctl("kernel/random/boot_id").value_or(""); }

std::string saved_state_file(const std::string& state_folder) { return state_folder + "/steer.saved"; }

Result<void> write_saved_state(const std::string& file, const SavedState& state) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    ::chmod(folder.c_str(), 0700);
  }
  const std::string aside = file + ".new";
  const std::string text = state.text();
  {
    const kernel::Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd) return file_error(aside, "open");
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return file_error(aside, "write");
    if (::fsync(fd.get()) != 0) return file_error(aside, "sync");
  }
  if (::rename(aside.c_str(), file.c_str()) != 0) return file_error(file, "rename");
  const kernel::Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return file_error(folder.string(), "sync");
  return {};
}

Result<std::optional<SavedState>> read_saved_state(const std::string& file) {
  const kernel::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return std::optional<SavedState>{};
    return file_error(file, "open");
  }
  std::string text(kSizeMax, '\0');
  std::size_t used = 0;
  while (used < text.size()) {
    const ssize_t size = ::read(fd.get(), text.data() + used, text.size() - used);
    if (size < 0) return file_error(file, "read");
    if (size == 0) break;
    used += static_cast<std::size_t>(size);
  }
  text.resize(used);
  auto state = SavedState::parse(text);
  if (!state) return fail(Error::Kind::kCorrupt, file + ": " + state.error().message);
  return std::optional<SavedState>(std::move(*state));
}

void remove_saved_state(const std::string& file) { ::unlink(file.c_str()); }

}  // namespace weir::steer
