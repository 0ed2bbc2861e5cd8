#include "steer/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::steer {
namespace {

constexpr uint32_t kLoopback = 1;
constexpr uint32_t kHandle = 1;

// libbpf prints the kernel's refusals of questions that are asked here in good faith (is there a filter?).
class QuietLibbpf {
 public:
  QuietLibbpf() : before_(libbpf_set_print(nullptr)) {}
  ~QuietLibbpf() { libbpf_set_print(before_); }
  QuietLibbpf(const QuietLibbpf&) = delete;
  QuietLibbpf& operator=(const QuietLibbpf&) = delete;

 private:
  libbpf_print_fn_t before_;
};

bpf_tc_attach_point tc_point(kernel::TcSide side) { return side == kernel::TcSide::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS; }
const char* name_of(kernel::TcSide side) { return side == kernel::TcSide::kIngress ? "ingress" : "egress"; }

tl::unexpected<Error> attach_error(const std::string& what, int code) {
  return fail(code == EPERM || code == EACCES ? Error::Kind::kDenied : Error::Kind::kSystem, what + ": " + std::strerror(code), code);
}

Result<kernel::Fd> program_of(const std::string& folder, const std::string& name) { return kernel::open_pinned(folder + "/programs/" + name); }

// Pins `link` under its name, in place of an older one: bpffs can rename over it.
Result<void> pin_link(const std::string& folder, const std::string& name, int link) {
  const std::string path = folder + "/links/" + name, aside = path + "_new";
  ::unlink(aside.c_str());
  if (const int error = bpf_obj_pin(link, aside.c_str()); error != 0) return attach_error("pin " + aside, -error);
  if (::rename(aside.c_str(), path.c_str()) == 0) return {};
  const int code = errno;
  ::unlink(aside.c_str());
  return attach_error("pin " + path, code);
}

void unpin_link(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/links/" + name;
  if (const auto link = kernel::open_pinned(path)) bpf_link_detach(link->get());
  ::unlink(path.c_str());
}

// nullopt: the pinned link is attached and runs the pinned program.
std::optional<std::string> link_problem(const std::string& folder, const std::string& link_name, const std::string& program_name) {
  const auto link = kernel::open_pinned(folder + "/links/" + link_name);
  if (!link) return "no pinned link";
  const auto info = kernel::link_info(link->get());
  if (!info) return info.error().message;
  if (info->object == 0) return "the link is detached";
  const auto program = program_of(folder, program_name);
  if (!program) return "no pinned program";
  const auto program_info = kernel::program_info(program->get());
  if (!program_info || program_info->id != info->program) return "another program runs there";
  return std::nullopt;
}

bpf_tc_hook make_hook(const TcAttachment& what, bpf_tc_attach_point point) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(what.interface);
  hook.attach_point = point;
  return hook;
}

bpf_tc_opts make_filter(const TcAttachment& what) {
  bpf_tc_opts filter{};
  filter.sz = sizeof filter;
  filter.handle = kHandle;
  filter.priority = what.priority;
  return filter;
}

// A folder under links/ remembers that the qdisc is ours: a bpffs holds nothing else.
std::string qdisc_mark(const std::string& folder, uint32_t interface) { return folder + "/links/clsact_" + std::to_string(interface); }

Result<void> attach_filter(const std::string& folder, const TcAttachment& what, int program) {
  const QuietLibbpf quiet;
  bpf_tc_hook hook = make_hook(what, tc_point(what.side));
  const int made = bpf_tc_hook_create(&hook);
  if (made == 0) ::mkdir(qdisc_mark(folder, what.interface).c_str(), 0700);
  else if (made != -EEXIST) return attach_error("clsact qdisc of " + what.interface_name, -made);
  bpf_tc_opts filter = make_filter(what);
  filter.prog_fd = program;
  filter.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&hook, &filter); error != 0) return attach_error("tc filter on " + what.interface_name, -error);
  return {};
}

Result<void> detach_filter(const std::string& folder, const TcAttachment& what) {
  const QuietLibbpf quiet;
  const bpf_tc_hook hook = make_hook(what, tc_point(what.side));
  bpf_tc_opts filter = make_filter(what);
  if (const int error = bpf_tc_detach(&hook, &filter); error != 0 && error != -ENOENT && error != -EINVAL && error != -ENODEV) {
    return attach_error("tc filter on " + what.interface_name, -error);
  }
  // The guard is the last of ours on an interface.
  const std::string mark = qdisc_mark(folder, what.interface);
  if (what.side == kernel::TcSide::kEgress && ::rmdir(mark.c_str()) == 0) {
    bpf_tc_hook both = make_hook(what, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    bpf_tc_hook_destroy(&both);
  }
  return {};
}

std::optional<std::string> filter_problem(const std::string& folder, const TcAttachment& what) {
  const QuietLibbpf quiet;
  const bpf_tc_hook hook = make_hook(what, tc_point(what.side));
  bpf_tc_opts filter = make_filter(what);
  if (bpf_tc_query(&hook, &filter) != 0) return "no filter";
  const auto program = program_of(folder, what.program);
  const auto info = program ? kernel::program_info(program->get()) : tl::unexpected<Error>(program.error());
  if (!info || info->id != filter.prog_id) return "another program runs there";
  return std::nullopt;
}

}  // namespace

TcKind tc_kind() { return kernel::tcx_programs(kLoopback, kernel::TcSide::kEgress) ? TcKind::kTcx : TcKind::kClsact; }

std::string TcAttachment::text(TcKind kind) const {
  return "attach " + program + " to " + name_of(side) + " of " + interface_name +
         (kind == TcKind::kTcx ? " (tcx, head)" : " (clsact, priority " + std::to_string(priority) + ")");
}

Result<void> attach(const std::string& folder, const TcAttachment& what, TcKind kind) {
  const auto program = program_of(folder, what.program);
  if (!program) return tl::unexpected<Error>(program.error());
  if (kind == TcKind::kClsact) return attach_filter(folder, what, program->get());
  // The kernel refuses a program twice on one hook: a link that lives goes on, a dead one makes way.
  if (!link_problem(folder, what.link_name(), what.program)) return {};
  ::unlink((folder + "/links/" + what.link_name()).c_str());
  const auto link = kernel::tcx_attach(program->get(), what.interface, what.side);
  if (!link) return tl::unexpected<Error>(link.error());
  return pin_link(folder, what.link_name(), link->get());
}

Result<void> detach(const std::string& folder, const TcAttachment& what, TcKind kind) {
  if (kind == TcKind::kClsact) return detach_filter(folder, what);
  unpin_link(folder, what.link_name());
  return {};
}

std::optional<std::string> attachment_problem(const std::string& folder, const TcAttachment& what, TcKind kind) {
  return kind == TcKind::kTcx ? link_problem(folder, what.link_name(), what.program) : filter_problem(folder, what);
}

std::string ScopeAttachment::text() const {
  return "attach " + program + " to " + (is_cgroup ? "sock_ops of cgroup " + path : std::string("sk_lookup of this network namespace"));
}

Result<void> attach(const std::string& folder, const ScopeAttachment& what) {
  const auto program = program_of(folder, what.program);
  if (!program) return tl::unexpected<Error>(program.error());
  const kernel::Fd scope(::open(what.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!scope) return attach_error(what.path, errno);
  if (!link_problem(folder, what.program, what.program)) return {};
  ::unlink((folder + "/links/" + what.program).c_str());
  const int link = bpf_link_create(program->get(), scope.get(), what.is_cgroup ? BPF_CGROUP_SOCK_OPS : BPF_SK_LOOKUP, nullptr);
  if (link < 0) return attach_error("attach " + what.program, -link);
  const kernel::Fd owned(link);
  return pin_link(folder, what.program, link);
}

void detach(const std::string& folder, const ScopeAttachment& what) { unpin_link(folder, what.program); }

std::optional<std::string> attachment_problem(const std::string& folder, const ScopeAttachment& what) {
  return link_problem(folder, what.program, what.program);
}

std::string cgroup_v2_folder() {
  for (const char* folder : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs info {};
    if (::statfs(folder, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC) return folder;
  }
  return {};
}

}  // namespace weir::steer
