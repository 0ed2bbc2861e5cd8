// After start-up a packet allocates nothing of ours.
#include "base/counting_new_test_support.h"
#include "transport/ssh/ssh_pair.h"

namespace weir::ssh::testing {
namespace {

// Keeps what it is told in a block made beforehand.
struct FixedSink final : SshSink {
  void wire(Bytes bytes) override {
    ASSERT_LE(size + bytes.size(), sizeof block);
    std::memcpy(block + size, bytes.data(), bytes.size());
    size += bytes.size();
  }
  void message(Bytes bytes) override { heard += bytes.size(); }
  void version(std::string_view) override {}
  void host_key(const HostKeyShown&) override { client->accept_host_key(Time{}, *this); }
  void keys_exchanged(bool) override {}
  Bytes take() { return Bytes(block, std::exchange(size, 0)); }
  std::byte block[128 << 10];
  std::size_t size = 0, heard = 0;
  SshTransport* client = nullptr;
};

class Allocations : public ::testing::TestWithParam<Suite> {};
TEST_P(Allocations, APacketMakesNone) {
  auto leg = client_leg();
  const std::string name = GetParam().name;
  leg->preferences.ciphers = name.substr(0, name.find('_'));
  if (name.find('_') != std::string::npos) leg->preferences.macs = name.substr(name.find('_') + 1);
  SeededRandom random(9);
  SshTransport server(server_leg(), random), client(leg, random);
  auto to_server = std::make_unique<FixedSink>(), to_client = std::make_unique<FixedSink>();
  to_server->client = &client;
  ASSERT_TRUE(server.start("SSH-2.0-server", Time{}, *to_client));
  ASSERT_TRUE(client.start("SSH-2.0-client", Time{}, *to_server));
  for (int i = 0; i < 6; ++i) {
    server.receive(to_server->take(), Time{}, *to_client);
    client.receive(to_client->take(), Time{}, *to_server);
  }
  ASSERT_EQ(client.state(), SshTransport::State::kReady) << client.fault();
  server.set_authenticated();
  client.set_authenticated();
  std::string text(32'000, '\x5e');
  const auto carry = [&](std::size_t size) {
    client.send(as_bytes(std::string_view(text).substr(0, size)), Time{}, *to_server);
    const Bytes wire = to_server->take();
    // In two pieces: what waits for the rest of a packet has its place as well.
    server.receive(wire.first(wire.size() / 2), Time{}, *to_client);
    server.receive(wire.subspan(wire.size() / 2), Time{}, *to_client);
  };
  carry(text.size());  // The largest that there will be: buffers have their sizes from here on.
  to_client->heard = 0;
  const uint64_t before = weir::testing::g_news;
  for (std::size_t i = 0; i < 200; ++i) carry(1 + i * 150);
  EXPECT_EQ(weir::testing::g_news, before);
  EXPECT_EQ(server.account().messages_in, 201U);
}
std::vector<Suite> encrypted() {
  std::vector<Suite> suites = all_suites();
  suites.erase(suites.begin());
  return suites;
}
INSTANTIATE_TEST_SUITE_P(Ssh, Allocations, ::testing::ValuesIn(encrypted()), [](const auto& suite) { return test_name(suite.param.name); });

}  // namespace
}  // namespace weir::ssh::testing
