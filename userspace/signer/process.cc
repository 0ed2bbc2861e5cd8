#include "signer/process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "core/time_text.h"
#include "record/key_store.h"
#include "signer/channel.h"
#include "signer/confine.h"
#include "signer/service.h"

namespace weir::signer {
namespace {

constexpr std::size_t kSetupMax = 1u << 20;
constexpr std::chrono::seconds kSetupPatience{10}, kEndPatience{5};

struct User { uid_t uid = 0; gid_t gid = 0; };

// nullopt: no such user, or none is named.
std::optional<User> find_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (name.empty() || getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return User{found->pw_uid, found->pw_gid};
}

// A key that the engine's user owns could be read by it: it becomes root's.
Result<void> take_over(const std::string& path, uid_t engine, std::vector<std::string>& notes) {
  if (path.empty() || engine == 0 || geteuid() != 0) return {};
  const Result<record::FileHandle> file = record::open_file(path, O_RDONLY | O_CLOEXEC);
  if (!file) return file.error().kind == Error::Kind::kNotFound ? Result<void>{} : tl::unexpected(file.error());
  struct stat status {};
  if (fstat(file->get(), &status) != 0) return record::system_error(path);
  if (!S_ISREG(status.st_mode) || status.st_uid != engine) return {};
  if (status.st_nlink != 1) return fail(Error::Kind::kDenied, path + ": the engine's user owns this key, under more than one name: remove the others, and chown root " + path);
  if (fchown(file->get(), 0, 0) != 0) {  // A read-only /etc, for instance.
    notes.push_back(path + " is the engine's user's, who can read it, and cannot be made root's here (" + std::strerror(errno) + "): chown root " + path);
    return {};
  }
  notes.push_back(path + " was the engine's user's and is root's now: the engine does not read it any more");
  return {};
}

// The folder of what the signer remembers: its user's alone.
Result<void> make_folder(const Setup& setup, uid_t engine, std::vector<std::string>& notes) {
  record::PosixFiles files;
  if (!record::exists(setup.folder)) {
    if (Result<void> done = files.make_folder(setup.folder); !done) return done;
  }
  const Result<record::FileHandle> folder = record::open_file(setup.folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (!folder) return tl::unexpected(folder.error());
  if (geteuid() != 0) return {};
  const std::optional<User> user = find_user(setup.user);
  const User owner = user ? *user : User{};
  if (fchmod(folder->get(), 0700) != 0 || fchown(folder->get(), owner.uid, owner.gid) != 0) return record::system_error(setup.folder);
  const Result<std::vector<std::string>> names = record::list_folder(setup.folder);
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    if (fchownat(folder->get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) return record::system_error(setup.folder + "/" + name);
  }
  struct stat above {};
  const std::string parent = record::folder_of(setup.folder);
  if (engine != 0 && stat(parent.c_str(), &above) == 0 && above.st_uid == engine) {
    notes.push_back("engine.signer_state: " + parent + " is the engine's user's, who could take the folder away, and with it what the signer remembers of the log");
  }
  return {};
}

Result<record::SigningKey> log_key(const std::string& path, std::vector<std::string>& notes) {
  if (record::exists(path)) return record::SigningKey::read(path);
  Result<record::SigningKey> made = record::SigningKey::generate(path);
  if (made) notes.push_back("made a new signing key " + path + " (give " + path + ".pub to your auditors)");
  return made;
}

Result<std::shared_ptr<const record::GatewayKeys>> gateway_keys(const Setup& setup, std::vector<std::string>& notes) {
  const std::string& file = setup.gateway_key_file;
  if (file.empty()) return std::shared_ptr<const record::GatewayKeys>();
  if (!record::exists(file)) {
    if (Result<void> made = record::make_gateway_keys(file, setup.state); !made) return tl::unexpected(made.error());
    notes.push_back("made a new key for the session archives, " + file + " (keep a copy elsewhere: without it they cannot be read)");
  }
  return record::GatewayKeys::read(file);
}

// On stderr, beside the engine's log: the engine cannot take it back.
void tell(std::string_view text) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  std::fprintf(stderr, "%s signer %.*s\n", utc_text(now).c_str(), static_cast<int>(text.size()), text.data());
}

struct Opened {
  Setup setup;
  std::unique_ptr<Service> service;
  Hello hello;
};

// As root: the files.  Then as nobody much: the rest.
Result<Opened> open(int socket, const DropPrivileges& drop, record::Files& files) {
  const Result<Message> first = receive_frame(socket, kSetupMax, kSetupPatience);
  if (!first) return tl::unexpected(first.error());
  Result<Setup> setup = setup_from_json(as_text(first->bytes()));
  if (!setup) return tl::unexpected(setup.error());
  Opened opened{.setup = std::move(*setup), .service = {}, .hello = {}};
  const Setup& wanted = opened.setup;
  std::vector<std::string>& notes = opened.hello.notes;
  const std::optional<User> engine_user = find_user(wanted.engine_user);
  const uid_t engine = engine_user ? engine_user->uid : 0;
  for (const std::string& path : {wanted.log_key_file, wanted.gateway_key_file, wanted.ca.ca_key_file}) {
    if (Result<void> taken = take_over(path, engine, notes); !taken) return tl::unexpected(taken.error());
  }
  Result<record::SigningKey> log = log_key(wanted.log_key_file, notes);
  if (!log) return tl::unexpected(log.error());
  auto gateway = gateway_keys(wanted, notes);
  if (!gateway) return tl::unexpected(gateway.error());
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  std::shared_ptr<transport::CaKey> ca;
  if (!wanted.ca.ca_key_file.empty()) {
    auto loaded = transport::CaKey::load(wanted.ca, now);
    if (loaded) ca = std::move(*loaded);
    else if (wanted.needs_ca) return tl::unexpected<Error>(loaded.error());
    else notes.push_back("no certificates can be minted: " + loaded.error().message);
  }
  if (Result<void> made = make_folder(wanted, engine, notes); !made) return tl::unexpected(made.error());
  if (Result<void> dropped = drop(wanted.user); !dropped) return tl::unexpected(dropped.error());
  if (engine != 0 && geteuid() == engine) return fail(Error::Kind::kInvalid, "engine.signer_user: the signer and the engine need users of their own; this one is the engine's");
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return record::system_error("PR_SET_PDEATHSIG");
  if (wanted.parent != 0 && getppid() != wanted.parent) return fail(Error::Kind::kUnavailable, "the engine has ended");
  if (Result<void> confined = confine(); !confined) return tl::unexpected(confined.error());
  opened.hello.pid = getpid();
  opened.hello.uid = geteuid();
  opened.hello.user = wanted.user;
  opened.hello.public_pem = log->public_pem();
  if (*gateway) {
    opened.hello.key_names = (*gateway)->names();
    opened.hello.first_key = (*gateway)->first_id();
  }
  opened.hello.has_ca = ca != nullptr;
  ServiceClock clock{.wall = [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }, .steady = [] { return std::chrono::steady_clock::now(); }};
  opened.service = std::make_unique<Service>(ServiceKeys{.log = std::move(*log), .gateway = std::move(*gateway), .ca = std::move(ca)},
                                             ServiceRules{.gateway = wanted.gateway, .origin = wanted.origin, .names = wanted.names, .folder = wanted.folder}, files, std::move(clock), &tell);
  opened.hello.head_file = opened.service->head_file();
  if (Result<void> read = opened.service->open(); !read) return tl::unexpected(read.error());
  return opened;
}

void ignore_signals() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(signal, SIG_IGN);
}

[[noreturn]] void become_signer(int socket) {
  // Not the engine's environment, nor its files.
  if (socket == kSocket) fcntl(socket, F_SETFD, 0);
  else if (dup2(socket, kSocket) != kSocket) _exit(127);
  close_range(kSocket + 1, ~0u, 0);
  const int nothing = ::open("/dev/null", O_RDWR);
  if (nothing >= 0) {
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    if (nothing > kSocket) ::close(nothing);
  }
  if (chdir("/") != 0) _exit(127);
  std::array<char, 5> name{"weir"};
  std::array<char, 7> verb{"signer"};
  std::array<char*, 3> arguments{name.data(), verb.data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  execve("/proc/self/exe", arguments.data(), environment.data());
  _exit(127);
}

}  // namespace

int serve(int socket, const DropPrivileges& drop) {
  ignore_signals();
  prctl(PR_SET_NAME, "weir-signer");
  record::PosixFiles files;
  Result<Opened> opened = open(socket, drop, files);
  const std::string hello = to_json(opened ? Result<Hello>(opened->hello) : tl::unexpected(opened.error()));
  const Result<void> said = send_frame(socket, as_bytes(hello));
  if (!opened || !said) return 1;
  while (true) {
    const Result<Message> request = receive_frame(socket, kFrameMax, std::nullopt);
    if (!request && request.error().kind == Error::Kind::kNotFound) return 0;
    if (!request) {
      tell("ended: " + request.error().message);
      return 1;
    }
    const Message answer = opened->service->answer(request->bytes());
    if (const Result<void> sent = send_frame(socket, answer.bytes()); !sent) return 0;  // Nobody waits for it.
  }
}

Result<std::unique_ptr<Process>> Process::start(const Setup& wanted) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return record::system_error("signer: socketpair");
  Setup setup = wanted;
  setup.parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become_signer(sockets[1]);
  const int error = errno;
  ::close(sockets[1]);
  if (pid < 0) {
    ::close(sockets[0]);
    return fail(Error::Kind::kSystem, std::string("signer: fork: ") + std::strerror(error), error);
  }
  auto client = Client::open(sockets[0], setup);
  if (!client) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return tl::unexpected<Error>(client.error());
  }
  return std::make_unique<Process>(pid, std::move(*client));
}

void Process::end() {
  if (std::exchange(is_over_, true)) return;
  client_->close();
  const auto until = std::chrono::steady_clock::now() + kEndPatience;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    // As another user it may be out of reach: then the kernel ends it with us.
    if (std::chrono::steady_clock::now() > until && kill(pid_, SIGKILL) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace weir::signer
