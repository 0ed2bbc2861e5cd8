// What the engine writes into the programs' maps, and what the programs make of it.
#include "tests/bpf/frames_fixture.h"

namespace weir::bpf_test {
namespace {

TEST_F(Frames, SteeringWritesAndReadsTheSameFlows) {
  auto steering = steer::KernelSteering::open(config_);
  ASSERT_TRUE(steering) << steering.error().message;
  const FlowKey key{{*Address::parse("198.18.1.2"), 40000}, {*Address::parse("198.18.2.2"), 5432}};
  EXPECT_FALSE((*steering)->flow(key));
  EXPECT_FALSE((*steering)->set_session(key, 3));
  put_flow(key_of("198.18.1.2", 40000, "198.18.2.2", 5432), 7);
  ASSERT_TRUE((*steering)->flow(key));
  EXPECT_EQ((*steering)->flow(key)->binding, 7u);
  EXPECT_TRUE((*steering)->set_session(key, 3));
  (*steering)->set_upstream(key, 3, {*Address::parse("198.18.2.1"), 50000});
  EXPECT_EQ((*steering)->cut_session(3), 1u);
  EXPECT_TRUE((*steering)->flow(key)->cut);
  EXPECT_FALSE((*steering)->set_session(key, 4));
  // The target leg has its own source: it is cut with the flow.
  Ipv4 leg;
  leg.source = "198.18.2.1";
  expect(run("guard", ethernet(kIpv4Type, leg.with(tcp(50000, 5432, kAck, 5))), kUpstream), kDrop, kUpstream, "guard_cut", "the alias");
  (*steering)->forget(key, 3);
  EXPECT_FALSE((*steering)->flow(key));
  char any[64];
  EXPECT_NE(bpf_map_get_next_key(map("flows"), nullptr, any), 0);
}

// A client that comes back from the same port needs the entry that the earlier session is about to forget.
TEST_F(Frames, AnEntryThatTheNextConnectionCountsOnIsNotForgotten) {
  auto steering = steer::KernelSteering::open(config_);
  ASSERT_TRUE(steering) << steering.error().message;
  const FlowKey key{{*Address::parse("198.18.1.2"), 40000}, {*Address::parse("198.18.2.2"), 5432}};
  const weir_flow_key abi_key = key_of("198.18.1.2", 40000, "198.18.2.2", 5432);
  put_flow(abi_key, 7);
  ASSERT_TRUE((*steering)->set_session(key, 3));
  ASSERT_TRUE((*steering)->set_session(key, 4));
  (*steering)->forget(key, 3);
  EXPECT_TRUE((*steering)->flow(key)) << "it is session 4's";
  weir_flow flow{};
  ASSERT_EQ(bpf_map_lookup_elem(map("flows"), &abi_key, &flow), 0);
  flow.reopened = 1;  // As a SYN does.
  ASSERT_EQ(bpf_map_update_elem(map("flows"), &abi_key, &flow, BPF_EXIST), 0);
  (*steering)->forget(key, 4);
  ASSERT_TRUE((*steering)->flow(key)) << "a handshake came upon it";
  EXPECT_EQ((*steering)->flow(key)->session, 0u);
  ASSERT_TRUE((*steering)->set_session(key, 5));
  (*steering)->forget(key, 5);
  EXPECT_FALSE((*steering)->flow(key));
}

TEST_F(Frames, ClsactFiltersServeWhereThereIsNoTcx) {
  const auto qdiscs = [] {
    FILE* pipe = popen("tc qdisc show dev lo", "r");
    std::string text(4096, '\0');
    text.resize(fread(text.data(), 1, text.size(), pipe));
    pclose(pipe);
    return text;
  };
  const std::string before = qdiscs();
  const std::string& folder = options_.pin_folder;
  const steer::TcAttachment client{"steer_client", "lo", kLoopback, kernel::TcSide::kIngress, 1};
  const steer::TcAttachment target{"steer_target", "lo", kLoopback, kernel::TcSide::kIngress, 2};
  const steer::TcAttachment guard{"guard", "lo", kLoopback, kernel::TcSide::kEgress, 1};
  for (const auto& what : {guard, client, target}) {
    EXPECT_TRUE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    const auto attached = steer::attach(folder, what, steer::TcKind::kClsact);
    ASSERT_TRUE(attached) << attached.error().message;
    EXPECT_FALSE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::attach(folder, what, steer::TcKind::kClsact)) << "again";
  }
  EXPECT_NE(qdiscs(), before);
  for (const auto& what : {target, client, guard}) {
    EXPECT_TRUE(steer::detach(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::attachment_problem(folder, what, steer::TcKind::kClsact)) << what.program;
    EXPECT_TRUE(steer::detach(folder, what, steer::TcKind::kClsact)) << "again";
  }
  EXPECT_EQ(qdiscs(), before);
}

TEST_F(Frames, BindingsAreListedReplacedAndTakenOutById) {
  auto bindings = steer::KernelBindings::open(config_);
  ASSERT_TRUE(bindings) << bindings.error().message;
  const auto soon = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + std::chrono::hours(1);
  steer::KernelBinding one;
  one.id = 11;
  one.where = *Prefix::parse("198.18.1.2");
  one.until = soon;
  one.link = {"lo", uint16_t{7}, parse_mac("02:00:00:00:00:02").value()};
  steer::KernelBinding two;
  two.id = 12;
  two.where = *Prefix::parse("fd57:1::/64");
  ASSERT_TRUE(bindings->put(one));
  ASSERT_TRUE(bindings->put(two));
  auto all = bindings->list();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].where, one.where);
  EXPECT_EQ((*all)[0].link, one.link);
  EXPECT_TRUE((*all)[1].link.is_empty());
  EXPECT_LE(std::chrono::abs((*all)[0].until - soon), std::chrono::seconds(1));
  EXPECT_EQ((*all)[1].where, two.where);
  EXPECT_EQ((*all)[1].until, std::chrono::sys_seconds{});

  one.id = 13;  // The same address, bound anew.
  const auto gone = bindings->replace({&one, 1});
  ASSERT_TRUE(gone);
  EXPECT_EQ(*gone, (std::vector<uint64_t>{11, 12}));
  all = bindings->list();
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].id, 13u);
  EXPECT_FALSE(bindings->remove(one.where, 12));  // It is somebody else's.
  EXPECT_TRUE(bindings->remove(one.where, 13));
  EXPECT_FALSE(bindings->remove(one.where, 13));
  one.id = 14;
  one.link = {"no-such-link", {}, {}};
  ASSERT_TRUE(bindings->put(one));
  open_engine();
  TargetConfig target = target_;
  target.unbound = Unbound::kDrop;
  write(target);
  expect(run("steer_client", syn4()), kDrop, 0, "binding_interface", "bound to an interface that is not there");
  EXPECT_TRUE(bindings->remove(one.where, 14));
  two.id = 15;
  ASSERT_TRUE(bindings->put(two));
  EXPECT_FALSE(bindings->remove(*Prefix::parse("fd57:1::/96"), 15));  // Within it, and not it.
  EXPECT_TRUE(bindings->remove(two.where, 15));
  steer::KernelBinding wrong;
  wrong.where = one.where;
  EXPECT_FALSE(bindings->put(wrong));  // No id.
  wrong.id = 14;
  wrong.until = soon - std::chrono::hours(2);
  EXPECT_FALSE(bindings->put(wrong));  // Over already.
}

}  // namespace
}  // namespace weir::bpf_test
