// The pure parts; what touches the kernel is tested in tests/bpf.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "steer/clashes.h"
#include "steer/options.h"
#include "steer/pin_folder.h"
#include "steer/saved_state.h"
#include "steer/target_map.h"

namespace weir::steer {
namespace {

Config make_config() {
  Config config;
  config.state = "/nowhere";
  config.steer.clients = {"eth0"};
  config.steer.targets = {"eth1"};
  return config;
}

TargetConfig target(std::vector<const char*> prefixes, std::vector<uint16_t> ports) {
  TargetConfig config;
  for (const char* prefix : prefixes) config.addresses.push_back(*Prefix::parse(prefix));
  config.ports = std::move(ports);
  return config;
}

TEST(Options, MarksAreFourValuesWithinTheMask) {
  const auto options = options_of(make_config());
  ASSERT_TRUE(options);
  EXPECT_EQ(options->steered_mark(), 0x57450000u);
  EXPECT_EQ(options->upstream_mark(), 0x57460000u);
  EXPECT_EQ(options->client_leg_mark(), 0x57470000u);
  EXPECT_EQ(options->reset_mark(), 0x57480000u);
}

TEST(Options, RefuseWhatCannotWorkAndNameTheKey) {
  struct Row { void (*change)(Config&); const char* key; };
  const Row rows[] = {
      {[](Config& c) { c.steer.mark = 0x57450001; }, "steer.mark"},            // A bit outside the mask.
      {[](Config& c) { c.steer.mark = 0xfffe0000; }, "steer.mark"},            // No room for three more values.
      {[](Config& c) { c.steer.mark = 0x10000; c.steer.mark_mask = 0x10000; }, "steer.mark"},
      {[](Config& c) { c.steer.mark = 0; }, "steer.mark"},
      {[](Config& c) { c.steer.mark_mask = 0; }, "steer.mark"},
      {[](Config& c) { c.steer.clients.clear(); }, "steer.clients"},
      {[](Config& c) { c.steer.targets.clear(); }, "steer.targets"},
      {[](Config& c) { c.steer.table = 254; }, "steer.table"},
      {[](Config& c) { c.steer.priority = 0; }, "steer.priority"},
      {[](Config& c) { c.steer.pin_folder = "relative"; }, "steer.pin"},
      {[](Config& c) { c.steer.pin_folder = "/sys/fs/bpf/weir.new"; }, "steer.pin"},
      {[](Config& c) { c.steer.pin_folder = "/sys/fs/bpf/"; }, "steer.pin"},
      {[](Config& c) { c.steer.flows_max = 0; }, "flows_max"},
  };
  for (const Row& row : rows) {
    Config config = make_config();
    row.change(config);
    const auto options = options_of(config);
    ASSERT_FALSE(options) << row.key;
    EXPECT_NE(options.error().message.find(row.key), std::string::npos) << options.error().message;
  }
}

TEST(Options, OnlySomeMayChangeWhileItIsUp) {
  const Options options = *options_of(make_config());
  Options other = options;
  other.drop_notices_per_second = 5;
  other.is_draining = true;
  EXPECT_TRUE(options.fits(other));
  other.table = 99;
  EXPECT_FALSE(options.fits(other));
}

TEST(Targets, EachPrefixHasEveryPortThatHoldsThere) {
  std::vector<TargetConfig> targets = {target({"10.0.0.0/8"}, {22, 5432}), target({"10.1.0.0/16", "fd57:2::2"}, {5432}), target({"10.1.2.3"}, {6379})};
  targets[1].closed_answer = ClosedAnswer::kDrop;
  const auto groups = compile_targets(targets);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].ports.size(), 2u);
  EXPECT_EQ(groups[1].ports.at(22).index, 0u);       // The wider target's port.
  EXPECT_EQ(groups[1].ports.at(5432).index, 1u);     // The longer prefix first.
  EXPECT_EQ(groups[1].ports.at(5432).flags, static_cast<uint32_t>(WEIR_TARGET_CLOSED_DROP));
  EXPECT_EQ(groups[2].ports.size(), 1u);
  EXPECT_EQ(groups[3].ports.size(), 3u);
  EXPECT_EQ(groups[3].ports.at(6379).index, 2u);
  EXPECT_EQ(groups[3].ports.at(5432).index, 1u);
}

TEST(Targets, TheStricterOfTwoAtOneAddressCounts) {
  std::vector<TargetConfig> targets = {target({"10.1.2.3"}, {5432}), target({"10.1.2.3"}, {22}), target({"10.0.0.0/8"}, {80})};
  targets[0].icmp_pass = true;
  targets[1].other_ports_drop = true;
  targets[2].icmp_pass = true;
  const auto groups = compile_targets(targets);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].flags, static_cast<uint32_t>(WEIR_PREFIX_OTHER_DROP));  // One says drop; one does not let ICMP pass.
  EXPECT_EQ(groups[1].flags, static_cast<uint32_t>(WEIR_PREFIX_ICMP_PASS));   // The wider one's own wish.
}

TEST(Targets, FlagsSayWhatTheConfigurationSays) {
  TargetConfig config = target({"10.1.2.3"}, {5432});
  const auto flags = [&] { return compile_targets({&config, 1}).front().ports.at(5432).flags; };
  EXPECT_EQ(flags(), 0u);
  config.admit = Admit::kEither;
  config.unbound = Unbound::kReset;
  EXPECT_EQ(flags(), static_cast<uint32_t>(WEIR_TARGET_ADMIT_WIRE | WEIR_TARGET_UNBOUND_RESET));
  config.unbound = Unbound::kDrop;
  config.on_engine_failure = OnFailure::kOpen;
  EXPECT_EQ(flags(), static_cast<uint32_t>(WEIR_TARGET_ADMIT_WIRE | WEIR_TARGET_UNBOUND_DROP | WEIR_TARGET_FAIL_OPEN));
}

TEST(Targets, AddressesGoToTheKernelAndBack) {
  for (const char* text : {"198.18.2.2", "fd57:2::2", "0.0.0.0", "::"}) {
    const Address address = *Address::parse(text);
    EXPECT_EQ(from_abi(to_abi(address)), address) << text;
  }
  const weir_prefix_key key = to_abi(*Prefix::parse("198.18.0.0/15"));
  EXPECT_EQ(key.bits, 111u);
}

SavedState make_saved() {
  SavedState state;
  state.options = *options_of(make_config());
  state.options.user = "weir";
  state.is_bpffs_mounted = true;
  state.boot = "b0";
  state.sysctls = {{"net/ipv4/ip_forward", "0", "1"}, {"net/ipv4/conf/eth0.10/send_redirects", "1", "0"}};
  return state;
}

TEST(SavedState, ReadsWhatItWrote) {
  const SavedState state = make_saved();
  const auto read = SavedState::parse(state.text());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->options.fits(state.options));
  EXPECT_EQ(read->options.user, "weir");
  EXPECT_TRUE(read->is_bpffs_mounted);
  EXPECT_EQ(read->boot, "b0");
  EXPECT_EQ(read->sysctls, state.sysctls);
}

TEST(SavedState, EveryCutIsFoundOut) {
  const std::string text = make_saved().text();
  for (std::size_t size = 0; size + 1 < text.size(); ++size) EXPECT_FALSE(SavedState::parse(text.substr(0, size))) << size;
  EXPECT_FALSE(SavedState::parse("weir steer 2\nend\n"));
  EXPECT_FALSE(SavedState::parse(text + "more\n"));
}

TEST(SavedState, IsOnDiskWholeOrNotAtAll) {
  char folder[] = "/tmp/weir-saved-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string file = saved_state_file(std::string(folder) + "/state");  // The folder is made too.
  auto none = read_saved_state(file);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
  ASSERT_TRUE(write_saved_state(file, make_saved()));
  ASSERT_TRUE(write_saved_state(file, make_saved()));
  const auto read = read_saved_state(file);
  ASSERT_TRUE(read && read->has_value());
  EXPECT_FALSE(std::filesystem::exists(file + ".new"));
  remove_saved_state(file);
  EXPECT_FALSE(read_saved_state(file)->has_value());
  std::filesystem::remove_all(folder);
}

// A running engine's watch has it for a moment each second: no reason to refuse an `up`.
TEST(Lock, IsWaitedForAndRefusedWhereSomebodyKeepsIt) {
  char folder[] = "/tmp/weir-lock-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const auto held = lock_steering(folder);
  ASSERT_TRUE(held) << held.error().message;
  std::thread holder([fd = *held] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    close(fd);
  });
  const auto next = lock_steering(folder);
  holder.join();
  ASSERT_TRUE(next) << next.error().message;
  const auto refused = lock_steering(folder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::kUnavailable);
  close(*next);
  std::filesystem::remove_all(folder);
}

TEST(Clashes, RulesThatUseOurBitsPriorityOrTable) {
  const Options options = *options_of(make_config());
  const RuleEntry ours{Family::kV4, 100, 5745, 0x57450000, 0xffff0000, true};
  struct Row { RuleEntry rule; const char* word; };
  const Row rows[] = {
      {ours, ""},
      {{Family::kV6, 100, 5745, 0x57450000, 0xffff0000, true}, ""},
      {{Family::kV4, 0, 255, 0, 0, true}, ""},
      {{Family::kV4, 32766, 254, 0, 0, true}, ""},
      {{Family::kV4, 50, 254, 0x1, 0xffff, true}, ""},                   // Bits that are not ours.
      {{Family::kV4, 50, 254, 0x10000, 0x10000, true}, "steer.mark"},
      {{Family::kV4, 50, 254, 0x57450000, 0, true}, "steer.mark"},       // No mask: all bits.
      {{Family::kV4, 100, 254, 0, 0, true}, "steer.priority"},
      {{Family::kV4, 50, 5745, 0, 0, true}, "steer.table"},
      {{Family::kV4, 100, 5745, 0x57450000, 0xffff0000, false}, "steer.mark"},  // Ours, but asking for more: not ours.
  };
  for (const Row& row : rows) {
    Clashes clashes;
    find_rule_clashes(options, {row.rule}, clashes);
    if (*row.word == '\0') {
      EXPECT_TRUE(clashes.blocking.empty()) << row.rule.text();
    } else {
      ASSERT_EQ(clashes.blocking.size(), 1u) << row.rule.text();
      EXPECT_NE(clashes.blocking[0].find(row.word), std::string::npos) << clashes.blocking[0];
    }
  }
}

}  // namespace
}  // namespace weir::steer
