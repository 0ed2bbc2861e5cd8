// Against OpenSSH itself: ssh as the client of our server's side, sshd (on its standard input, as inetd runs it) as the target
// of our client's side.  Each cipher, MAC, key exchange and type of host key; rekeys while both talk.
// WEIR_SSH_MIB=64 carries so much each way instead of the little that a quick test needs.  Skipped where OpenSSH is not.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "transport/ssh/auth_client.h"
#include "transport/ssh/auth_server.h"
#include "transport/ssh/key_file.h"
#include "transport/ssh/ssh_pair.h"

namespace weir::ssh::testing {
namespace {

using std::chrono::steady_clock;
using State = SshTransport::State;

constexpr uint32_t kWindow = 1 << 21, kPacket = 32'768;

std::size_t bytes_to_carry() {
  const char* const text = std::getenv("WEIR_SSH_MIB");
  return text != nullptr ? static_cast<std::size_t>(std::strtoul(text, nullptr, 10)) << 20 : std::size_t{1} << 20;
}
std::string payload_of(std::size_t size) {
  Prng prng(11);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(prng.below(256));
  return text;
}

// One end of a session channel that sends `to_send` (or what it hears) and keeps what it hears.
class Channel {
 public:
  explicit Channel(std::function<void(Bytes)> send) : send_(std::move(send)) {}
  void set_peer(uint32_t number, uint32_t window) {
    peer_ = number;
    window_ = window;
  }
  void queue(std::string_view bytes) { to_send_.append(bytes); }
  void finish() { is_finished_ = true; }
  void hear(Bytes data) {
    heard.append(as_text(data));
    Buffer out;
    WireWriter(out).u8(93).u32(peer_).u32(static_cast<uint32_t>(data.size()));
    send_(out);
  }
  void widen(uint32_t by) { window_ += by; }
  // As much as the window lets; not more than a little at a time, so that rekeys fall in between.
  void pump(std::size_t queued) {
    while (sent_ < to_send_.size() && window_ != 0 && queued < kWindow) {
      const auto size = static_cast<uint32_t>(std::min<std::size_t>({to_send_.size() - sent_, window_, kPacket}));
      Buffer out;
      WireWriter(out).u8(94).u32(peer_).string(std::string_view(to_send_).substr(sent_, size));
      sent_ += size;
      window_ -= size;
      queued += size;
      send_(out);
    }
    if (is_finished_ && !is_ended_ && sent_ == to_send_.size()) {
      is_ended_ = true;
      message(96);
      if (on_ended) on_ended();
    }
  }
  void message(uint8_t number) {
    Buffer out;
    WireWriter(out).u8(number).u32(peer_);
    send_(out);
  }
  std::string heard;
  std::function<void()> on_ended;

 private:
  std::function<void(Bytes)> send_;
  std::string to_send_;
  std::size_t sent_ = 0;
  uint32_t peer_ = 0, window_ = 0;
  bool is_finished_ = false, is_ended_ = false;
};

// A transport on a real socket.  The layers above are a subclass's.
class Driver : public SshSink {
 public:
  Driver(std::shared_ptr<const SshLeg> leg, int fd) : transport(std::move(leg), random), fd_(fd) { fcntl(fd, F_SETFL, O_NONBLOCK); }
  ~Driver() override { close(fd_); }
  void wire(Bytes bytes) override { out_.append(as_text(bytes)); }
  void version(std::string_view) override {}
  void host_key(const HostKeyShown& shown) override {
    fingerprint = shown.key.fingerprint();
    has_certificate = shown.certificate != nullptr;
    transport.accept_host_key(now(), *this);
  }
  void keys_exchanged(bool) override {}
  static Time now() { return steady_clock::now().time_since_epoch(); }
  void send(Bytes bytes) { transport.send(bytes, now(), *this); }
  virtual void idle() {}
  virtual bool is_over() = 0;

  void run() {
    const auto until = steady_clock::now() + std::chrono::seconds(240);
    ASSERT_TRUE(transport.start("SSH-2.0-Weir_test", now(), *this));
    std::string block(64 << 10, '\0');
    while (steady_clock::now() < until) {
      idle();
      if (is_over() && out_.empty()) return;
      pollfd poll_for{fd_, static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
      if (poll(&poll_for, 1, 1000) < 0) break;
      if ((poll_for.revents & (POLLIN | POLLHUP)) != 0) {
        const ssize_t got = read(fd_, block.data(), block.size());
        if (got == 0 || (got < 0 && errno != EAGAIN)) return;
        if (got > 0) transport.receive(as_bytes(std::string_view(block).substr(0, static_cast<std::size_t>(got))), now(), *this);
      }
      if (!out_.empty()) {
        const ssize_t sent = write(fd_, out_.data(), out_.size());
        if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
        else if (sent < 0 && errno != EAGAIN) return;
      }
    }
    ADD_FAILURE() << "it took too long";
  }

  SeededRandom random{static_cast<uint64_t>(steady_clock::now().time_since_epoch().count())};
  SshTransport transport;
  std::string fingerprint, trouble;
  bool has_certificate = false;

 private:
  int fd_;
  std::string out_;
};

// We are the server: lets a known key in, and echoes what the command's standard input says.
class EchoServer final : public Driver, private AuthServerHost {
 public:
  EchoServer(std::shared_ptr<const SshLeg> leg, int fd, std::string known) : Driver(std::move(leg), fd), known_(std::move(known)) {}
  void message(Bytes bytes) override {
    const auto number = std::to_integer<uint8_t>(bytes[0]);
    if (!auth_.is_done() && (number < 80 || number == 5)) {
      if (!has_begun_) auth_.begin(transport.session_id(), transport.host_key_blob());
      has_begun_ = true;
      return auth_.receive(bytes);
    }
    WireReader in(bytes.subspan(1));
    if (number == 90) {
      in.string();
      const uint32_t peer = in.u32();
      channel.set_peer(peer, in.u32());
      Buffer out;
      WireWriter(out).u8(91).u32(peer).u32(0).u32(kWindow).u32(kPacket);
      send(out);
    } else if (number == 98) {
      in.u32();
      const std::string what(in.text());
      if (what == "exec") is_execed = true;
      if (in.boolean()) channel.message(what == "exec" || what == "env" ? 99 : 100);
    } else if (number == 94) {
      in.u32();
      const Bytes data = in.string();
      channel.queue(as_text(data));
      channel.hear(data);
    } else if (number == 93) {
      in.u32();
      channel.widen(in.u32());
    } else if (number == 96) {
      channel.finish();
      channel.on_ended = [this] {
        Buffer out;
        WireWriter(out).u8(98).u32(0).string("exit-status").boolean(false).u32(0);
        send(out);
        channel.message(97);
      };
    } else if (number == 97) {
      is_closed_ = true;
    }
  }
  void idle() override { channel.pump(transport.queued_size()); }
  bool is_over() override { return is_closed_ || transport.state() > State::kReady; }

  Channel channel{[this](Bytes bytes) { send(bytes); }};
  bool is_execed = false, was_hostbound = false;
  std::string user;

 private:
  void reply(Bytes bytes) override { send(bytes); }
  void decide(const AuthAttempt& attempt) override {
    user = attempt.user;
    const bool is_known = attempt.key && attempt.key->fingerprint() == known_;
    was_hostbound = attempt.is_hostbound;
    if (is_known && attempt.kind == AuthAttempt::Kind::kKeyOffered) auth_.allow_key();
    else if (is_known && attempt.kind == AuthAttempt::Kind::kKeyProven) auth_.accept();
    else auth_.refuse();
  }
  void authenticated() override { transport.set_authenticated(); }
  void end(Disconnect reason, std::string_view text) override { transport.disconnect(reason, text, *this); }
  std::string known_;
  AuthServer auth_{*this, {}};
  bool has_begun_ = false, is_closed_ = false;
};

// We are the client: logs in, runs cat, and compares.
class CatClient final : public Driver, private AuthClientHost {
 public:
  CatClient(std::shared_ptr<const SshLeg> leg, int fd, const PrivateKey& key, Buffer certificate, std::string text)
      : Driver(std::move(leg), fd), key_(key), certificate_(std::move(certificate)), text_(std::move(text)) {}
  void keys_exchanged(bool is_first) override {
    if (is_first) auth_.begin(login, transport.session_id(), transport.host_key_blob());
  }
  void message(Bytes bytes) override {
    const auto number = std::to_integer<uint8_t>(bytes[0]);
    if (!is_in) return auth_.receive(bytes);
    WireReader in(bytes.subspan(1));
    if (number == 91) {
      in.u32();
      const uint32_t peer = in.u32();
      channel.set_peer(peer, in.u32());
      Buffer out;
      WireWriter(out).u8(98).u32(peer).string("exec").boolean(true).string("cat");
      send(out);
    } else if (number == 99) {
      channel.queue(text_);
      channel.finish();
    } else if (number == 94) {
      in.u32();
      channel.hear(in.string());
    } else if (number == 93) {
      in.u32();
      channel.widen(in.u32());
    } else if (number == 97) {
      channel.message(97);
      is_closed_ = true;
    }
  }
  void idle() override { channel.pump(transport.queued_size()); }
  bool is_over() override { return is_closed_ || transport.state() > State::kReady || !trouble.empty(); }

  Channel channel{[this](Bytes bytes) { send(bytes); }};
  std::string login = "root";
  bool is_in = false;

 private:
  void request(Bytes bytes) override { send(bytes); }
  void ready() override {
    auth_.set_peer(transport.peer_signature_algorithms(), transport.peer_has_hostbound());
    const auto tried = auth_.try_key(key_, certificate_);
    if (!tried) trouble = tried.error().message;
  }
  void authenticated() override {
    is_in = true;
    transport.set_authenticated();
    Buffer out;
    WireWriter(out).u8(90).string("session").u32(0).u32(kWindow).u32(kPacket);
    send(out);
  }
  void refused(std::string_view left, bool) override { trouble = "refused; left: " + std::string(left); }
  void asked(std::string_view, std::string_view, std::span<const InteractivePrompt>) override { trouble = "asked"; }
  void asked_new_password(std::string_view) override { trouble = "asked for a new password"; }
  void banner(std::string_view) override {}
  void end(Disconnect, std::string_view text) override { trouble = text; }
  const PrivateKey& key_;
  Buffer certificate_;
  std::string text_;
  AuthClient auth_{*this};
  bool is_closed_ = false;
};

struct Variant {
  std::string name;
  SshPreferences preferences;
  KeyType host_key = KeyType::kEd25519;
  bool has_certificate = false;
};
void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }
// As many as there are host key algorithms, the most of all kinds; each has an exchange and a cipher of its own, in turn.
std::vector<Variant> variants() {
  std::vector<SshPreferences> suites;
  for (const std::string_view name : cipher_names()) {
    if (is_aead(*find_cipher(name))) suites.push_back({"", "", std::string(name), ""});
  }
  const char* const ctr[] = {"aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-ctr"};
  for (std::size_t i = 0; i < mac_names().size(); ++i) suites.push_back({"", "", ctr[i % 4], std::string(mac_names()[i])});
  std::vector<Variant> all;
  for (const SignatureAlgorithm& algorithm : signature_algorithms()) {
    SshPreferences preferences = suites[all.size() % suites.size()];
    preferences.kex = kex_methods()[all.size() % kex_methods().size()].name;
    preferences.host_keys = algorithm.name;
    all.push_back({std::string(algorithm.name) + "_" + preferences.kex + "_" + preferences.ciphers + "_" + preferences.macs, preferences, algorithm.type, algorithm.is_certificate});
  }
  return all;
}

class OpenSsh : public ::testing::TestWithParam<Variant> {
 protected:
  OpenSsh() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-ssh-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~OpenSsh() override { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  void write_file(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    chmod(path(name).c_str(), 0600);
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static bool has(const char* program) { return access(program, X_OK) == 0; }
  // A pair of ssh-keygen's, once a run.
  std::string make_key(const std::string& name, KeyType type) const {
    static std::map<KeyType, std::pair<std::string, std::string>> made;
    auto& [secret, shown] = made[type];
    if (secret.empty()) {
      const char* const words[] = {"ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "rsa -b 2048"};
      EXPECT_EQ(std::system(("ssh-keygen -q -N '' -f " + path("made") + " -t " + words[static_cast<int>(type)]).c_str()), 0);
      secret = text_of("made");
      shown = text_of("made.pub");
    }
    write_file(name, secret);
    write_file(name + ".pub", shown);
    return path(name);
  }
  PrivateKey key_of(const std::string& file) const { return *read_private_key_file(file); }
  Buffer certificate_for(const PublicKey& key, CertificateUse use, const std::string& principal) {
    CertificateRequest request;
    request.use = use;
    request.key = &key;
    request.key_id = "weir:test";
    request.principals = {principal};
    request.from = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) - kCertificateBackdate;
    request.until = request.from + std::chrono::hours(1);
    request.extensions = {{"permit-pty", ""}};
    SeededRandom random(8);
    return *mint_certificate(test_key(KeyType::kEd25519), request, random);
  }
  pid_t spawn(const std::vector<std::string>& words, int in, int out, const std::string& errors) const {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      dup2(in, 0);
      dup2(out, 1);
      const int log = open(path(errors).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(log, 2);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    return child;
  }
  std::string folder;
};

TEST_P(OpenSsh, ItsClientTalksToOurServer) {
  if (!has("/usr/bin/ssh")) GTEST_SKIP() << "openssh-client is not installed";
  const Variant& variant = GetParam();
  const std::string user_key = make_key("user", KeyType::kEd25519);
  auto leg = server_leg({variant.host_key});
  leg->preferences = variant.preferences;
  leg->rekey.packets = 50;
  const PublicKey& shown = leg->host_keys[0].key.public_key();
  if (variant.has_certificate) {
    leg->host_keys[0].certificate = certificate_for(shown, CertificateUse::kHost, "weir.test");
    write_file("known", "@cert-authority * " + public_line(test_key(KeyType::kEd25519).public_key().blob(), ""));
  } else {
    write_file("known", "weir.test " + public_line(shown.blob(), ""));
  }
  const std::string said = payload_of(bytes_to_carry());
  write_file("in", said);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t address_size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &address_size), 0);
  const int in = open(path("in").c_str(), O_RDONLY | O_CLOEXEC), out = open(path("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t child = spawn({"/usr/bin/ssh", "-F", "/dev/null", "-p", std::to_string(ntohs(address.sin_port)), "-i", user_key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
                             "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + path("known"), "-o", "GlobalKnownHostsFile=/dev/null", "-o", "HostKeyAlias=weir.test", "-o",
                             "IdentityAgent=none", "alice@127.0.0.1", "cat"},
                            in, out, "errors");
  close(in);
  close(out);
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  EchoServer server(leg, fd, key_of(user_key).public_key().fingerprint());
  server.run();
  if (HasFailure() || server.transport.state() == State::kFault) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << text_of("errors") << server.transport.fault();
  EXPECT_TRUE(text_of("out") == said);
  EXPECT_EQ(server.user, "alice");
  EXPECT_TRUE(server.was_hostbound);
  EXPECT_TRUE(server.transport.is_strict()) << "OpenSSH of Debian 12 is";
  EXPECT_GE(server.transport.exchanges(), 2U);
  EXPECT_EQ(server.transport.algorithms().host_key, variant.preferences.host_keys);
}

TEST_P(OpenSsh, ItsServerTalksToOurClient) {
  if (!has("/usr/sbin/sshd")) GTEST_SKIP() << "openssh-server is not installed";
  if (geteuid() != 0) GTEST_SKIP() << "sshd lets nobody in but who runs it, and the test's user may have no shell";
  mkdir("/run/sshd", 0755);  // Where sshd locks its unprivileged child in; its package's service makes it.
  const Variant& variant = GetParam();
  const std::string host_key = make_key("host", variant.host_key);
  write_file("ca.pub", public_line(test_key(KeyType::kEd25519).public_key().blob(), ""));
  std::vector<std::string> words = {"/usr/sbin/sshd", "-i", "-e", "-f", "/dev/null", "-o", "HostKey=" + host_key, "-o", "UsePAM=no", "-o", "StrictModes=no", "-o", "PidFile=none", "-o",
                                    "TrustedUserCAKeys=" + path("ca.pub"), "-o", "LogLevel=VERBOSE", "-o", "AuthorizedKeysFile=none"};
  if (variant.has_certificate) {
    const PrivateKey key = key_of(host_key);
    write_file("host-cert.pub", public_line(certificate_for(key.public_key(), CertificateUse::kHost, "weir.test"), ""));
    words.insert(words.end(), {"-o", "HostCertificate=" + path("host-cert.pub")});
  }
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t child = spawn(words, ends[1], ends[1], "errors");
  close(ends[1]);
  auto leg = client_leg();
  leg->preferences = variant.preferences;
  leg->rekey.packets = 50;
  const PrivateKey& user_key = test_key(KeyType::kEcdsa256);
  const std::string said = payload_of(bytes_to_carry());
  {
    CatClient client(leg, ends[0], user_key, certificate_for(user_key.public_key(), CertificateUse::kUser, "root"), said);
    client.run();
    EXPECT_TRUE(client.is_in) << client.trouble << client.transport.fault() << text_of("errors");
    EXPECT_TRUE(client.channel.heard == said) << client.channel.heard.size();
    EXPECT_EQ(client.fingerprint, key_of(host_key).public_key().fingerprint());
    EXPECT_EQ(client.has_certificate, variant.has_certificate);
    EXPECT_TRUE(client.transport.is_strict()) << "OpenSSH of Debian 12 is";
    EXPECT_GE(client.transport.exchanges(), 2U);
    EXPECT_EQ(client.transport.algorithms().kex, variant.preferences.kex);
  }
  if (HasFailure()) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_THAT(text_of("errors"), ::testing::HasSubstr("ID weir:test"));  // The target's own log names who it was.
}

INSTANTIATE_TEST_SUITE_P(Peers, OpenSsh, ::testing::ValuesIn(variants()), [](const auto& variant) { return test_name(variant.param.name); });

}  // namespace
}  // namespace weir::ssh::testing
