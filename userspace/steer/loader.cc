#include "steer/loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "kernel/fd.h"
#include "kernel/tcx.h"
#include "steer/skeletons.h"

namespace weir::steer {
namespace {

namespace fs = std::filesystem;

struct Destroy {
  void operator()(steer_bpf* object) const { steer_bpf__destroy(object); }
  void operator()(dispatch_bpf* object) const { dispatch_bpf__destroy(object); }
  void operator()(guard_bpf* object) const { guard_bpf__destroy(object); }
};
template <class Object>
using Owned = std::unique_ptr<Object, Destroy>;

struct Objects {
  Owned<steer_bpf> steer;
  Owned<dispatch_bpf> dispatch;
  Owned<guard_bpf> guard;
};

// libbpf tells its reasons only through one print function for the whole process; loading is done by one thread, at start-up.
thread_local std::string* last_words = nullptr;

[[gnu::format(printf, 2, 0)]] int keep_last_words(libbpf_print_level level, const char* format, va_list arguments) {
  if (last_words == nullptr || level != LIBBPF_WARN) return 0;
  char line[1024];
  const int size = std::vsnprintf(line, sizeof line, format, arguments);
  // A verifier's log is long; its end is what tells.
  if (size > 0 && std::strstr(line, "BEGIN PROG LOAD LOG") == nullptr) *last_words = line;
  while (!last_words->empty() && last_words->back() == '\n') last_words->pop_back();
  return size;
}

class LastWords {
 public:
  LastWords() {
    last_words = &text_;
    before_ = libbpf_set_print(keep_last_words);
  }
  ~LastWords() {
    libbpf_set_print(before_);
    last_words = nullptr;
  }
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  [[nodiscard]] tl::unexpected<Error> error(const std::string& what, int code) const {
    const std::string why = what + ": " + std::strerror(code) + (text_.empty() ? "" : " (" + text_ + ")");
    if (code == EPERM || code == EACCES) return fail(Error::Kind::kDenied, why + "; root or CAP_BPF and CAP_NET_ADMIN are needed", code);
    if (code == EINVAL || code == EOPNOTSUPP || code == ENOTSUP) return fail(Error::Kind::kUnavailable, why, code);
    return fail(Error::Kind::kSystem, why, code);
  }

 private:
  std::string text_;
  libbpf_print_fn_t before_ = nullptr;
};

uint64_t own_netns_cookie() {
  const kernel::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) return 0;
  return cookie;
}

template <class Rodata>
void set_marks(Rodata* rodata, const Options& options) {
  rodata->mark_mask = options.mark_mask;
  rodata->mark_steered = options.steered_mark();
  rodata->mark_upstream = options.upstream_mark();
  rodata->mark_reset = options.reset_mark();
}

// The maps of `from` serve `to` as well.  Post: 0 or -errno.
int share_maps(bpf_object* from, bpf_object* to) {
  for (const char* name : kMapNames) {
    bpf_map* own = bpf_object__find_map_by_name(to, name);
    const bpf_map* made = bpf_object__find_map_by_name(from, name);
    if (own == nullptr || made == nullptr) return -ENOENT;
    if (const int error = bpf_map__reuse_fd(own, bpf_map__fd(made)); error != 0) return error;
  }
  return 0;
}

Result<Objects> load(const Options& options) {
  const LastWords words;
  Objects objects;
  objects.steer.reset(steer_bpf__open());
  objects.dispatch.reset(dispatch_bpf__open());
  objects.guard.reset(guard_bpf__open());
  if (!objects.steer || !objects.dispatch || !objects.guard) return words.error("open the programs", errno);
  set_marks(objects.steer->rodata, options);
  set_marks(objects.dispatch->rodata, options);
  set_marks(objects.guard->rodata, options);
  objects.guard->rodata->netns_cookie = own_netns_cookie();
  bpf_map__set_max_entries(objects.steer->maps.addresses, options.bindings_max);
  bpf_map__set_max_entries(objects.steer->maps.flows, options.flows_max);
  if (const int error = steer_bpf__load(objects.steer.get()); error != 0) return words.error("load steer", -error);
  if (int error = share_maps(objects.steer->obj, objects.dispatch->obj); error != 0) return words.error("share the maps", -error);
  if (int error = share_maps(objects.steer->obj, objects.guard->obj); error != 0) return words.error("share the maps", -error);
  if (const int error = dispatch_bpf__load(objects.dispatch.get()); error != 0) return words.error("load dispatch", -error);
  if (const int error = guard_bpf__load(objects.guard.get()); error != 0) return words.error("load guard", -error);
  return objects;
}

const bpf_program* find_program(const Objects& objects, const char* name) {
  for (bpf_object* object : {objects.steer->obj, objects.dispatch->obj, objects.guard->obj}) {
    if (const bpf_program* program = bpf_object__find_program_by_name(object, name); program != nullptr) return program;
  }
  return nullptr;
}

Result<void> pin(const Objects& objects, const std::string& folder) {
  for (const char* name : {"", "/maps", "/programs", "/links"}) {
    if (::mkdir((folder + name).c_str(), 0700) != 0) return fail(Error::Kind::kSystem, folder + name + ": " + std::strerror(errno), errno);
  }
  for (const char* name : kMapNames) {
    const std::string path = folder + "/maps/" + name;
    const int error = bpf_obj_pin(bpf_map__fd(bpf_object__find_map_by_name(objects.steer->obj, name)), path.c_str());
    if (error != 0) return fail(Error::Kind::kSystem, "pin " + path + ": " + std::strerror(-error), -error);
  }
  for (const char* name : kProgramNames) {
    const std::string path = folder + "/programs/" + name;
    const int error = bpf_obj_pin(bpf_program__fd(find_program(objects, name)), path.c_str());
    if (error != 0) return fail(Error::Kind::kSystem, "pin " + path + ": " + std::strerror(-error), -error);
  }
  return {};
}

std::string tag_line(const char* name, int program) {
  const auto info = kernel::program_info(program);
  return std::string(name) + " " + (info ? info->tag : "-");
}

}  // namespace

Result<void> load_and_pin(const Options& options, const std::string& folder) {
  const auto objects = load(options);
  if (!objects) return tl::unexpected<Error>(objects.error());
  auto pinned = pin(*objects, folder);
  if (!pinned) remove_pins(folder);
  return pinned;
}

Result<std::vector<std::string>> own_program_tags(const Options& options) {
  const auto objects = load(options);
  if (!objects) return tl::unexpected<Error>(objects.error());
  std::vector<std::string> tags;
  for (const char* name : kProgramNames) tags.push_back(tag_line(name, bpf_program__fd(find_program(*objects, name))));
  return tags;
}

std::vector<std::string> pinned_program_tags(const std::string& folder) {
  std::vector<std::string> tags;
  for (const char* name : kProgramNames) {
    const auto program = kernel::open_pinned(folder + "/programs/" + name);
    tags.push_back(program ? tag_line(name, program->get()) : std::string(name) + " -");
  }
  return tags;
}

void remove_pins(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> links;
  for (const auto& entry : fs::directory_iterator(folder + "/links", error)) links.push_back(entry.path());
  const auto is_guard = [](const fs::path& path) { return path.filename().string().starts_with("guard"); };
  std::stable_partition(links.begin(), links.end(), [&](const fs::path& path) { return !is_guard(path); });
  for (const fs::path& link : links) {
    if (const auto fd = kernel::open_pinned(link.string())) bpf_link_detach(fd->get());
    ::unlink(link.c_str());
  }
  fs::remove_all(folder, error);
}

Result<void> give_pins_to(const std::string& folder, const std::string& user) {
  if (user.empty()) return {};
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return {};  // `run` says so when it cannot drop to that user.
  std::vector<std::string> paths = {folder};
  std::error_code error;
  for (const auto& found : fs::recursive_directory_iterator(folder, error)) paths.push_back(found.path().string());
  for (const std::string& path : paths) {
    if (::chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0) {
      return fail(Error::Kind::kSystem, "give " + path + " to " + user + ": " + std::strerror(errno), errno);
    }
  }
  return {};
}

}  // namespace weir::steer
