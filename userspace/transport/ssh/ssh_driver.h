// Peers of other people's, for tests: a transport on a real socket, an echo of a session channel on either side, and a folder
// in which ssh, sshd and others are run.
#pragma once
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

using std::chrono::steady_clock;

inline constexpr uint32_t kWindow = 1 << 21, kPacket = 32'768;

// A little, for a quick test; WEIR_SSH_MIB says otherwise.
inline std::size_t bytes_to_carry() {
  const char* const text = std::getenv("WEIR_SSH_MIB");
  return text != nullptr ? static_cast<std::size_t>(std::strtoul(text, nullptr, 10)) << 20 : std::size_t{1} << 20;
}
inline std::string payload_of(std::size_t size) {
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
  [[nodiscard]] uint32_t peer() const { return peer_; }
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
    ADD_FAILURE() << "it took too long: " << transport.exchanges() << " key exchanges, " << (transport.is_exchanging() ? "one going on, " : "none going on, ") << transport.queued_size() << " bytes queued, "
                  << out_.size() << " to write";
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
        WireWriter(out).u8(98).u32(channel.peer()).string("exit-status").boolean(false).u32(0);
        send(out);
        channel.message(97);
      };
    } else if (number == 97) {
      is_closed_ = true;
    }
  }
  void idle() override { channel.pump(transport.queued_size()); }
  bool is_over() override { return is_closed_ || transport.state() > SshTransport::State::kReady; }

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
  bool is_over() override { return is_closed_ || transport.state() > SshTransport::State::kReady || !trouble.empty(); }

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

// A folder, keys in it, and programs that are run from it.
class PeerTest : public ::testing::Test {
 protected:
  PeerTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-ssh-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~PeerTest() override { std::filesystem::remove_all(folder); }
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
  // A socket of loopback's that one peer may connect to; `port`: which.
  static int listen_once(std::string& port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = std::to_string(ntohs(address.sin_port));
    return listener;
  }
  static int accept_once(int listener) {
    pollfd poll_for{listener, POLLIN, 0};
    EXPECT_EQ(poll(&poll_for, 1, 60'000), 1) << "nobody connected";
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    return fd;
  }
  std::string folder;
};


}  // namespace weir::ssh::testing
