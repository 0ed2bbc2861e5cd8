// The steady path allocates nothing of ours.
#include "base/counting_new_test_support.h"
#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

// Keeps what it is told in blocks made beforehand.
struct FixedSink : TransportSink {
  void plain(Bytes bytes) override { plain_size += bytes.size(); }
  void wire(Bytes bytes) override {
    ASSERT_LE(wire_size + bytes.size(), sizeof block);
    std::memcpy(block + wire_size, bytes.data(), bytes.size());
    wire_size += bytes.size();
  }
  Bytes take() { return Bytes(block, std::exchange(wire_size, 0)); }
  std::byte block[64 << 10];
  std::size_t wire_size = 0, plain_size = 0;
};

TEST(TlsAllocations, TheSteadyPathMakesNone) {
  Lab lab;
  const Pair pair = lab.target_pair();
  lab.tls().certificate_file = lab.folder.write("own.crt", certificate_pem(pair.certificate.get()));
  lab.tls().key_file = lab.folder.write("own.key", key_pem(pair.key.get()));
  const TargetTls& tls = lab.make();
  const auto server = *tls.client_leg(), client = *tls.target_leg(*Address::parse("198.18.2.2"));
  auto to_server = std::make_unique<FixedSink>(), to_client = std::make_unique<FixedSink>();
  client->start(*to_server);
  for (int i = 0; i < 4; ++i) {
    server->receive(to_server->take(), *to_client);
    client->receive(to_client->take(), *to_server);
  }
  ASSERT_EQ(server->state(), Transport::State::kReady) << server->fault();
  ASSERT_EQ(client->state(), Transport::State::kReady) << client->fault();

  const std::string large(40'000, 'x');
  const std::array<Bytes, 3> pieces{as_bytes("small "), as_bytes(large), as_bytes(" last")};
  const uint64_t before = weir::testing::g_news;
  for (int i = 0; i < 100; ++i) {
    client->send(pieces, *to_server);
    server->receive(to_server->take(), *to_client);
    server->send(std::span(pieces).first(1), *to_client);
    client->receive(to_client->take(), *to_server);
  }
  EXPECT_EQ(weir::testing::g_news, before);
  EXPECT_EQ(to_client->plain_size, 100 * (large.size() + 11));
}

}  // namespace
}  // namespace weir::transport::testing
