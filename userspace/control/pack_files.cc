#include "control/pack_files.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

namespace weir::control {
namespace {

constexpr uid_t kNobody = 65'534;
constexpr std::uintmax_t kPdfMax = 256u << 20;
constexpr const char* kBrowsers[] = {"chromium", "chromium-browser", "chrome-headless-shell", "google-chrome-stable", "google-chrome"};

// A folder of a browser's own, gone with it.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/weir-pdf-XXXXXX";
    if (mkdtemp(name) != nullptr) path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// In the child, between fork and exec: system calls alone.
[[noreturn]] void become(const char* browser, const char* folder, char* const* arguments, char* const* environment, bool is_root) {
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) dup2(null, fd);
  close_range(3, ~0u, 0);
  const bool is_dropped = !is_root || (setgroups(0, nullptr) == 0 && setgid(kNobody) == 0 && setuid(kNobody) == 0 && setuid(0) != 0);
  const rlimit size{kPdfMax, kPdfMax};
  if (is_dropped && chdir(folder) == 0 && setrlimit(RLIMIT_FSIZE, &size) == 0) execve(browser, arguments, environment);
  _exit(127);
}

// Post: the process and its group are gone.  False: it did not end in time.
bool wait_for(pid_t child, int& status, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    const bool has_ended = ended == child || (ended < 0 && errno != EINTR);
    if (!has_ended && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      continue;
    }
    kill(-child, SIGKILL);  // Also what it left behind.
    if (!has_ended) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
    return has_ended;
  }
}

Result<void> take_pdf(const std::string& from, const std::string& to) {
  const int fd = open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  struct stat about {};
  const bool is_file = fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 && static_cast<std::uintmax_t>(about.st_size) <= kPdfMax;
  std::ofstream out;
  if (is_file) out.open(to, std::ios::binary);
  std::array<char, 64u << 10> buffer;
  bool is_first = true, is_pdf = is_file;
  for (ssize_t size = 0; is_pdf && (size = read(fd, buffer.data(), buffer.size())) != 0;) {
    if (size < 0) is_pdf = false;
    else if (std::exchange(is_first, false)) is_pdf = std::string_view(buffer.data(), static_cast<std::size_t>(size)).starts_with("%PDF-");
    if (is_pdf) out.write(buffer.data(), size);
  }
  if (fd >= 0) close(fd);
  out.close();
  if (is_pdf && out) return {};
  std::error_code ignored;
  if (is_file) std::filesystem::remove(to, ignored);
  return is_pdf ? fail(Error::Kind::kSystem, to + ": could not be written") : fail(Error::Kind::kUnavailable, "the browser wrote no PDF");
}

}  // namespace

std::string find_browser(const std::string& path) {
  for (const char* name : kBrowsers) {
    for (std::size_t at = 0; at < path.size();) {
      const std::size_t end = std::min(path.find(':', at), path.size());
      const std::string file = path.substr(at, end - at) + "/" + name;
      if (file.starts_with('/') && access(file.c_str(), X_OK) == 0) return file;
      at = end + 1;
    }
  }
  return "";
}

Result<void> print_page(const std::string& browser, const std::string& html, const std::string& pdf, std::chrono::milliseconds timeout) {
  const Scratch scratch;
  const std::string& folder = scratch.path();
  if (folder.empty()) return fail(Error::Kind::kSystem, std::string("a folder for the browser: ") + std::strerror(errno));
  std::ofstream page(folder + "/index.html", std::ios::binary);
  page << html;
  page.close();
  const bool is_root = geteuid() == 0;
  if (!page || (is_root && (chown(folder.c_str(), kNobody, kNobody) != 0 || chown((folder + "/index.html").c_str(), kNobody, kNobody) != 0))) {
    return fail(Error::Kind::kSystem, "the page could not be written for the browser");
  }
  // Its sandbox stays on: where it cannot have one, there is no PDF.
  std::vector<std::string> words = {browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--no-pdf-header-footer",
                                    "--user-data-dir=" + folder + "/profile", "--print-to-pdf=" + folder + "/report.pdf", "file://" + folder + "/index.html"};
  std::vector<std::string> names = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + folder, "TMPDIR=" + folder, "LANG=C.UTF-8"};
  std::vector<char*> arguments, environment;
  for (std::string& word : words) arguments.push_back(word.data());
  for (std::string& name : names) environment.push_back(name.data());
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return fail(Error::Kind::kSystem, std::string("fork: ") + std::strerror(errno));
  if (child == 0) become(browser.c_str(), folder.c_str(), arguments.data(), environment.data(), is_root);
  setpgid(child, child);  // Whoever of the two is first.
  int status = 0;
  if (!wait_for(child, status, timeout)) return fail(Error::Kind::kUnavailable, browser + " did not end within " + std::to_string(timeout.count() / 1000) + " s and was killed");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(Error::Kind::kUnavailable, browser + " failed" + (WIFEXITED(status) ? " with " + std::to_string(WEXITSTATUS(status)) : "") + " (it needs its sandbox, and is not run without)");
  }
  return take_pdf(folder + "/report.pdf", pdf);
}

Result<void> zip_folder(const std::string& folder, const std::string& name, const std::string& path) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(std::filesystem::relative(entry.path(), folder).string());
  }
  if (error) return fail(Error::Kind::kSystem, folder + ": " + error.message());
  std::sort(files.begin(), files.end());
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_EXCL, &code);
  if (zip == nullptr) {
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    std::string text = path + ": " + zip_error_strerror(&why);
    zip_error_fini(&why);
    return fail(code == ZIP_ER_EXISTS ? Error::Kind::kInvalid : Error::Kind::kSystem, std::move(text));
  }
  for (const std::string& file : files) {
    zip_source_t* source = zip_source_file(zip, (folder + "/" + file).c_str(), 0, -1);
    const zip_int64_t index = source == nullptr ? -1 : zip_file_add(zip, (name + "/" + file).c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index >= 0) {
      zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), ZIP_CM_DEFLATE, 6);
      continue;
    }
    if (source != nullptr) zip_source_free(source);
    std::string text = path + ": " + file + ": " + zip_strerror(zip);
    zip_discard(zip);
    return fail(Error::Kind::kSystem, std::move(text));
  }
  // All of it is read and written here, beside its place, and renamed.
  if (zip_close(zip) == 0) return {};
  std::string text = path + ": " + zip_strerror(zip);
  zip_discard(zip);
  return fail(Error::Kind::kSystem, std::move(text));
}

}  // namespace weir::control
