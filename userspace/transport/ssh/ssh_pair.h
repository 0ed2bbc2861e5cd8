// Two transports back to back, and a sink that keeps what it is told.
#pragma once
#include <functional>
#include <map>

#include "transport/ssh/ssh_test_support.h"
#include "transport/ssh/ssh_transport.h"

namespace weir::ssh::testing {

class KeepingSink final : public SshSink {
 public:
  void wire(Bytes bytes) override { sent.append(as_text(bytes)); }
  void message(Bytes bytes) override {
    messages.push_back(string_of(bytes));
    if (on_message) on_message(bytes);
  }
  void version(std::string_view peer) override { peer_version = peer; }
  void host_key(const HostKeyShown& shown) override {
    ++host_keys;
    shown_fingerprint = shown.key.fingerprint();
    has_certificate = shown.certificate != nullptr;
    if (on_host_key) on_host_key();
  }
  void keys_exchanged(bool is_first) override {
    ++exchanges;
    first_seen = first_seen || is_first;
  }
  std::string take() { return std::exchange(sent, {}); }

  std::string sent, peer_version, shown_fingerprint;
  std::vector<std::string> messages;
  int host_keys = 0, exchanges = 0;
  bool has_certificate = false, first_seen = false;
  std::function<void()> on_host_key;
  std::function<void(Bytes)> on_message;
};

inline const PrivateKey& test_key(KeyType type) {
  static std::map<KeyType, PrivateKey> keys;
  auto found = keys.find(type);
  if (found == keys.end()) found = keys.emplace(type, *PrivateKey::generate(type, 2048)).first;
  return found->second;
}
inline std::shared_ptr<SshLeg> server_leg(std::vector<KeyType> types = {KeyType::kEd25519}) {
  auto leg = std::make_shared<SshLeg>();
  leg->role = SshRole::kServer;
  for (const KeyType type : types) leg->host_keys.push_back({test_key(type), {}});
  return leg;
}
inline std::shared_ptr<SshLeg> client_leg() {
  auto leg = std::make_shared<SshLeg>();
  leg->role = SshRole::kClient;
  return leg;
}

using Time = SshTransport::Time;

class SshPair {
 public:
  explicit SshPair(std::shared_ptr<const SshLeg> server_side = server_leg(), std::shared_ptr<const SshLeg> client_side = client_leg())
      : server(std::move(server_side), random), client(std::move(client_side), random) {
    client_sink.on_host_key = [this] {
      if (accepts) client.accept_host_key(now, client_sink);
    };
  }
  void start() {
    ASSERT_TRUE(server.start("SSH-2.0-server_1", now, server_sink));
    ASSERT_TRUE(client.start("SSH-2.0-client_1 with a comment", now, client_sink));
  }
  // Until both are silent; `cut`: in pieces of so many bytes.  `change`, when there is one, sees each piece first.
  void converse(std::size_t cut = SIZE_MAX) {
    while (!client_sink.sent.empty() || !server_sink.sent.empty()) {
      give(client_sink.take(), server, server_sink, cut);
      give(server_sink.take(), client, client_sink, cut);
    }
  }
  void give(const std::string& bytes, SshTransport& to, KeepingSink& sink, std::size_t cut = SIZE_MAX) {
    for (std::size_t at = 0; at < bytes.size(); at += std::min(cut, bytes.size() - at)) to.receive(as_bytes(std::string_view(bytes).substr(at, cut)), now, sink);
  }
  void connect(std::size_t cut = SIZE_MAX) {
    start();
    converse(cut);
    ASSERT_EQ(client.state(), SshTransport::State::kReady) << client.fault();
    ASSERT_EQ(server.state(), SshTransport::State::kReady) << server.fault();
  }
  void say(SshTransport& from, KeepingSink& sink, const std::string& text) { from.send(as_bytes("\x5e" + text), now, sink); }

  SeededRandom random{1};
  bool accepts = true;
  Time now{};
  KeepingSink server_sink, client_sink;
  SshTransport server, client;
};

}  // namespace weir::ssh::testing
