// SSH: both sides of a handshake in the clear, and what comes after it, decrypted: messages of the transport, logins, keys and
// certificates.
#include <algorithm>
#include <memory>

#include "base/prng.h"
#include "tests/fuzz/fuzz_target.h"
#include "transport/ssh/auth_client.h"
#include "transport/ssh/auth_server.h"
#include "transport/ssh/key_file.h"

namespace weir::fuzz {

void fuzz_ssh_server(Bytes input);
void fuzz_ssh_client(Bytes input);
void fuzz_ssh_messages(Bytes input);

namespace {

using namespace weir::ssh;
using Time = SshTransport::Time;

class SeededRandom final : public RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    for (std::byte& b : bytes) b = static_cast<std::byte>(prng_.below(256));
  }

 private:
  Prng prng_{1};
};

// Keeps what is sent, and finds what must never be given out.
class Sink final : public SshSink {
 public:
  explicit Sink(SshTransport& transport) : transport_(transport) {}
  void wire(Bytes bytes) override { sent.append(as_text(bytes)); }
  void message(Bytes bytes) override {
    if (transport_.state() != SshTransport::State::kReady) finding("a message before the keys were proved");
    const auto number = std::to_integer<uint8_t>(bytes[0]);
    if (number != 5 && number != 6 && (number < 50 || number > 127)) finding("a message that is the transport's own");
    if (on_message != nullptr) on_message->receive(bytes);
  }
  void version(std::string_view peer) override {
    if (std::any_of(peer.begin(), peer.end(), [](char c) { return c < 0x20 || c > 0x7e; })) finding("a version that does not print");
  }
  void host_key(const HostKeyShown&) override { transport_.accept_host_key(Time{}, *this); }
  void keys_exchanged(bool) override {}
  std::string sent;
  AuthServer* on_message = nullptr;

 private:
  SshTransport& transport_;
};

const PrivateKey& host_key() {
  static const PrivateKey key = *PrivateKey::generate(KeyType::kEd25519);
  return key;
}
std::shared_ptr<const SshLeg> leg_of(SshRole role) {
  auto leg = std::make_shared<SshLeg>();
  leg->role = role;
  if (role == SshRole::kServer) leg->host_keys.push_back({host_key(), {}});
  return leg;
}

// A handshake in the clear, in pieces as the first byte says.
void handshake(SshRole role, Bytes input) {
  ByteReader reader(input);
  const uint8_t settings = reader.u8();
  SeededRandom random;
  SshTransport transport(leg_of(role), random);
  Sink sink(transport);
  if ((settings & 1) != 0) static_cast<void>(transport.start("SSH-2.0-fuzz", Time{}, sink));
  const std::size_t piece = (settings & 2) != 0 ? 1 + settings / 4 : SIZE_MAX;
  while (!reader.at_end()) transport.receive(reader.take(std::min(piece, reader.remaining())), Time{}, sink);
  if ((settings & 1) == 0) static_cast<void>(transport.start("SSH-2.0-fuzz", Time{}, sink));
  // Nobody who only says what stands in a file knows the keys.  A client proves nothing until its first packet under them; a
  // server signs.
  if (transport.account().messages_in != 0) finding("a peer without keys was heard");
  if (role == SshRole::kClient && transport.state() == SshTransport::State::kReady) finding("a peer without keys was believed");
}

// Who lets nobody in, and must not be talked into it.
class NobodyHost final : public AuthServerHost {
 public:
  AuthServer* server = nullptr;
  uint32_t attempts = 0;
  void reply(Bytes) override {}
  void decide(const AuthAttempt& attempt) override {
    if (attempt.kind == AuthAttempt::Kind::kKeyProven) finding("a signature was believed that nobody made");
    if (++attempts > 64) finding("attempts without end");
    if (attempt.kind == AuthAttempt::Kind::kInteractive) {
      const InteractivePrompt prompt{"?", false};
      server->ask("", "", {&prompt, 1});
    } else if (attempt.kind == AuthAttempt::Kind::kKeyOffered) {
      server->allow_key();
    } else {
      server->refuse();
    }
  }
  void authenticated() override { finding("somebody was let in"); }
  void end(Disconnect, std::string_view) override {}
};
class DeafHost final : public AuthClientHost {
 public:
  void request(Bytes) override {}
  void ready() override {}
  void authenticated() override {}
  void refused(std::string_view, bool) override {}
  void asked(std::string_view, std::string_view, std::span<const InteractivePrompt>) override {}
  void asked_new_password(std::string_view) override {}
  void banner(std::string_view) override {}
  void end(Disconnect, std::string_view) override {}
};

}  // namespace

void fuzz_ssh_server(Bytes input) { handshake(SshRole::kServer, input); }
void fuzz_ssh_client(Bytes input) { handshake(SshRole::kClient, input); }

// | settings 1 | size 2, message | ... |: each message is sealed by a peer that has the keys.
void fuzz_ssh_messages(Bytes input) {
  ByteReader reader(input);
  const uint8_t settings = reader.u8();
  SeededRandom random;
  SshTransport server(leg_of(SshRole::kServer), random), client(leg_of(SshRole::kClient), random);
  Sink server_sink(server), client_sink(client);
  static_cast<void>(server.start("SSH-2.0-server", Time{}, server_sink));
  static_cast<void>(client.start("SSH-2.0-client", Time{}, client_sink));
  const auto converse = [&] {
    for (int i = 0; i < 64 && !(client_sink.sent.empty() && server_sink.sent.empty()); ++i) {
      server.receive(as_bytes(std::exchange(client_sink.sent, {})), Time{}, server_sink);
      client.receive(as_bytes(std::exchange(server_sink.sent, {})), Time{}, client_sink);
    }
  };
  converse();
  if (server.state() != SshTransport::State::kReady) finding("a handshake failed");
  NobodyHost nobody;
  AuthServer auth_server(nobody, {});
  nobody.server = &auth_server;
  auth_server.begin(server.session_id(), server.host_key_blob());
  server_sink.on_message = &auth_server;
  DeafHost deaf;
  AuthClient auth_client(deaf);
  auth_client.begin("alice", client.session_id(), client.host_key_blob());
  if ((settings & 4) != 0) server.set_authenticated();
  const bool is_to_server = (settings & 1) != 0;
  for (int i = 0; i < 64 && !reader.at_end(); ++i) {
    const Bytes message = reader.take(std::min<std::size_t>(reader.u16be(), reader.remaining()));
    if (message.empty()) continue;
    if (is_to_server) client.send(message, Time{}, client_sink);
    else server.send(message, Time{}, server_sink);
    if ((settings & 2) != 0) converse();
    auth_client.receive(message);
    static_cast<void>(PublicKey::parse(message));
    static_cast<void>(Certificate::parse(message));
    static_cast<void>(parse_private_key(as_text(message), "fuzz"));
    static_cast<void>(parse_public_line(as_text(message)));
  }
  converse();
}

}  // namespace weir::fuzz
