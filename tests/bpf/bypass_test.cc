// Bypasses: what passes raw, by which packets it begins, and that it is over with the kernel's clock alone.
#include "steer/kernel_bypasses.h"

#include "tests/bpf/frames_fixture.h"

namespace weir::bpf_test {
namespace {

class Bypass : public Frames {
 protected:
  static void put(uint64_t id, uint64_t until_ns, uint32_t index = 0) {
    weir_bypass value{};
    value.id = id;
    value.until_ns = until_ns;
    std::memcpy(value.target, "db", 2);
    ASSERT_EQ(bpf_map_update_elem(map("bypasses"), &index, &value, BPF_ANY), 0);
  }
  static weir_bypass look(uint32_t index = 0) {
    weir_bypass value{};
    EXPECT_EQ(bpf_map_lookup_elem(map("bypasses"), &index, &value), 0);
    return value;
  }
  static uint64_t soon() { return kernel::boot_time_ns() + 60'000'000'000u; }
  static FrameBytes data(unsigned flags = kAck, unsigned port = 40000) { return ethernet(kIpv4Type, Ipv4{}.with(tcp(port, 5432, flags, 10))); }
  static FrameBytes answer(unsigned port = 40000) { return ethernet(kIpv4Type, from_target4().with(tcp(5432, port, kAck, 100))); }
};

TEST_F(Bypass, NewFlowsPassRawBothWaysAndAreCounted) {
  open_engine();
  put(77, soon());
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "a SYN, of a source that nobody is bound to");
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "the SYN again");
  expect(run("steer_client", data()), kNext, 0, "bypassed", "its packets");
  expect(run("guard", data(), 0, kLoopback), kNext, 0, "bypassed", "forwarded, at the guard");
  expect(run("steer_target", answer()), kNext, 0, "bypassed", "the answer");
  expect(run("guard", answer(), 0, kLoopback), kNext, 0, "bypassed", "the answer at the guard");
  const weir_bypass seen = look();
  EXPECT_EQ(seen.flows, 1u);
  EXPECT_EQ(seen.packets_to_target, 3u);
  EXPECT_EQ(seen.bytes_to_target, 40u + 40u + 50u);
  EXPECT_EQ(seen.packets_to_client, 1u);
  EXPECT_EQ(seen.bytes_to_client, 140u);
  const auto icmp_error = ethernet(kIpv4Type, [] {
    Ipv4 header;
    header.source = "198.18.2.9";  // A router before the target.
    header.destination = "198.18.1.2";
    header.protocol = 1;
    return header.with(icmp(3, 4, Ipv4{}.with(tcp(40000, 5432, kAck))));
  }());
  expect(run("steer_target", icmp_error), kNext, 0, "bypassed", "an error that quotes it");
}

TEST_F(Bypass, NothingElsePasses) {
  open_engine();
  bind("198.18.1.2", 7);
  put(77, soon());
  expect(run("steer_client", data()), kPass, kReset, "midstream_reset", "no SYN was seen");
  expect(run("guard", data(), 0, kLoopback), kDrop, 0, "guard_foreign", "forwarded, past steer");
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "a SYN");
  expect(run("guard", data(), 0, 0), kDrop, 0, "guard_foreign", "a process of this host on the same tuple");
  expect(run("guard", data(kAck, 40001), 0, kLoopback), kDrop, 0, "guard_foreign", "another tuple");
  expect(run("steer_target", answer(40001)), kDrop, 0, "return_no_socket", "another tuple's answer");
  put_flow(key_of("198.18.1.2", 40002, "198.18.2.2", 5432), 7);
  expect(run("steer_client", data(kAck, 40002)), kPass, kSteered, "flow", "a flow that the engine has");
  expect(run("steer_client", data(kSyn, 40002)), kPass, kSteered, "syn", "a SYN on its tuple");
  put_flow(key_of("198.18.1.2", 40002, "198.18.2.2", 5432), 7, true);
  expect(run("steer_client", data(kSyn, 40002)), kDrop, 0, "cut", "a flow that was cut");
  Ipv4 fragment;
  fragment.fragment = 0x2000;
  expect(run("steer_client", ethernet(kIpv4Type, fragment.with(tcp(40000, 5432, kAck)))), kDrop, 0, "fragment", "a fragment of the raw flow");
  TargetConfig other = target_;
  other.name = "other";
  other.ports = {5433};
  const TargetConfig both[] = {target_, other};
  ASSERT_TRUE(steer::write_target_map(map("prefixes"), map("targets"), steer::compile_targets(both)));
  expect(run("steer_client", ethernet(kIpv4Type, Ipv4{}.with(tcp(40000, 5433, kSyn)))), kPass, kSteered, "syn", "another target at the same address");
}

TEST_F(Bypass, ItsEndIsTheKernelsAndCutsItsFlows) {
  put(77, soon());
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "on, with no engine");
  put(77, kernel::boot_time_ns() - 1);
  expect(run("steer_client", data()), kPass, kReset, "midstream_reset", "over");
  expect(run("guard", data(), 0, kLoopback), kDrop, 0, "guard_foreign", "over, at the guard");
  expect(run("steer_target", answer()), kDrop, 0, "return_no_socket", "over, the answer");
  expect(run("guard", answer(), 0, kLoopback), kDrop, 0, "guard_forwarded", "over, the answer at the guard");
  expect(run("steer_client", syn4()), kPass, kReset, "engine_away", "over, and there is no engine");
  put(78, soon());
  expect(run("steer_client", data()), kPass, kReset, "midstream_reset", "a flow of the earlier bypass");
  expect(run("guard", data(), 0, kLoopback), kDrop, 0, "guard_foreign", "the same at the guard");
}

TEST_F(Bypass, TheEngineStartsListsAndEndsThem) {
  auto bypasses = steer::KernelBypasses::open(config_);
  ASSERT_TRUE(bypasses) << bypasses.error().message;
  EXPECT_FALSE(bypasses->put(0, "db", 0, std::chrono::seconds(5)));
  EXPECT_FALSE(bypasses->put(1, "db", 0, std::chrono::seconds(0)));
  EXPECT_FALSE(bypasses->put(1, std::string(65, 'x'), 0, std::chrono::seconds(5)));
  ASSERT_TRUE(bypasses->put(5, "db", 0, std::chrono::seconds(60)));
  ASSERT_TRUE(bypasses->put(6, "other", 1, std::chrono::seconds(60)));
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "on");
  auto all = bypasses->list();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].target, "db");
  EXPECT_EQ(all[0].counts.flows, 1u);
  EXPECT_GT(all[0].left, std::chrono::seconds(50));
  TargetConfig elsewhere = target_, kept = target_;
  elsewhere.name = "elsewhere";
  kept.name = "other";
  bypasses->keep_only({elsewhere, kept});  // "db" has no index any more.
  all = bypasses->list();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].target, "other");
  EXPECT_FALSE(bypasses->take("db"));
  ASSERT_TRUE(bypasses->put(7, "db", 0, std::chrono::seconds(60)));
  expect(run("steer_client", syn4()), kNext, 0, "bypassed", "on again");
  const auto ended = bypasses->take("db");
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->id, 7u);
  EXPECT_EQ(ended->counts.flows, 1u);
  expect(run("steer_client", data()), kPass, kReset, "midstream_reset", "ended");
}

}  // namespace
}  // namespace weir::bpf_test
