#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept/admission.h"
#include "accept/listeners.h"
#include "accept/original_destination.h"
#include "kernel/socket_address.h"

namespace weir::accept {
namespace {

Limits limits(uint32_t sessions, uint32_t per_identity) {
  Limits limits;
  limits.sessions_max = sessions;
  limits.sessions_per_identity_max = per_identity;
  return limits;
}

TEST(Admission, RefusesAboveTheTotalAndTakesAgainWhenAPlaceIsBack) {
  Admission admission(limits(2, 10));
  AdmissionPass first, second, third;
  EXPECT_EQ(admission.admit(first), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(second), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(third), Admission::Answer::kFull);
  EXPECT_FALSE(third);
  first.give_back();
  EXPECT_EQ(admission.admit(third), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.open_count(), 2u);
}

TEST(Admission, WhoIsNobodyYetHoldsAQuarterAtMost) {
  Admission admission(limits(8, 10));
  AdmissionPass first, second, third, known;
  EXPECT_EQ(admission.admit(first, true), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(second, true), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(third, true), Admission::Answer::kFull);
  EXPECT_EQ(admission.admit(known), Admission::Answer::kAdmitted) << "others are let in";
  EXPECT_EQ(admission.identify(first, "ann"), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(third, true), Admission::Answer::kAdmitted) << "one of them is somebody now";
  second.give_back();
  third.give_back();
  AdmissionPass again, more;
  EXPECT_EQ(admission.admit(again, true), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.admit(more, true), Admission::Answer::kAdmitted);
}

TEST(Admission, CountsEachIdentityApart) {
  Admission admission(limits(10, 1));
  AdmissionPass anna, other_anna, bob;
  ASSERT_EQ(admission.admit(anna), Admission::Answer::kAdmitted);
  ASSERT_EQ(admission.admit(other_anna), Admission::Answer::kAdmitted);
  ASSERT_EQ(admission.admit(bob), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.identify(anna, "anna"), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.identify(other_anna, "anna"), Admission::Answer::kIdentityFull);
  EXPECT_TRUE(other_anna);  // It still holds its place in the total.
  EXPECT_EQ(admission.identify(bob, "bob"), Admission::Answer::kAdmitted);
  EXPECT_EQ(admission.open_count("anna"), 1u);
  anna.give_back();
  EXPECT_EQ(admission.open_count("anna"), 0u);
  EXPECT_EQ(admission.identify(other_anna, "anna"), Admission::Answer::kAdmitted);
}

TEST(Admission, APlaceIsGivenBackOnceHoweverThePassMoves) {
  Admission admission(limits(10, 10));
  {
    AdmissionPass pass;
    ASSERT_EQ(admission.admit(pass), Admission::Answer::kAdmitted);
    ASSERT_EQ(admission.identify(pass, "anna"), Admission::Answer::kAdmitted);
    AdmissionPass moved(std::move(pass));
    AdmissionPass assigned;
    ASSERT_EQ(admission.admit(assigned), Admission::Answer::kAdmitted);
    assigned = std::move(moved);
    EXPECT_EQ(admission.open_count(), 1u);
    assigned.give_back();
    assigned.give_back();
    EXPECT_EQ(admission.open_count(), 0u);
  }
  EXPECT_EQ(admission.open_count(), 0u);
  EXPECT_EQ(admission.open_count("anna"), 0u);
}

TEST(Admission, ClosedTakesNobodyAndKeepsWhoIsIn) {
  Admission admission(limits(10, 10));
  AdmissionPass in, late;
  ASSERT_EQ(admission.admit(in), Admission::Answer::kAdmitted);
  admission.close();
  EXPECT_EQ(admission.admit(late), Admission::Answer::kClosed);
  EXPECT_EQ(admission.open_count(), 1u);
}

TEST(Admission, LowerLimitsLetOpenSessionsGoOn) {
  Admission admission(limits(2, 2));
  AdmissionPass first, second, third;
  ASSERT_EQ(admission.admit(first), Admission::Answer::kAdmitted);
  ASSERT_EQ(admission.admit(second), Admission::Answer::kAdmitted);
  admission.set_limits(limits(1, 1));
  first.give_back();
  EXPECT_EQ(admission.admit(third), Admission::Answer::kFull);
  second.give_back();
  EXPECT_EQ(admission.admit(third), Admission::Answer::kAdmitted);
}

TargetConfig target(const char* name, std::vector<const char*> prefixes, std::vector<uint16_t> ports) {
  TargetConfig config;
  config.name = name;
  for (const char* prefix : prefixes) config.addresses.push_back(*Prefix::parse(prefix));
  config.ports = std::move(ports);
  return config;
}
Endpoint at(const char* address, uint16_t port) { return {*Address::parse(address), port}; }

TEST(OriginalDestination, TheLongestPrefixWithThePortCounts) {
  const std::vector<TargetConfig> targets = {target("wide", {"198.18.0.0/16", "fd57:2::/64"}, {5432, 22}), target("narrow", {"198.18.2.2"}, {5432})};
  EXPECT_EQ(find_target(targets, at("198.18.2.2", 5432)), &targets[1]);
  EXPECT_EQ(find_target(targets, at("198.18.2.2", 22)), &targets[0]);
  EXPECT_EQ(find_target(targets, at("198.18.7.7", 5432)), &targets[0]);
  EXPECT_EQ(find_target(targets, at("fd57:2::9", 22)), &targets[0]);
}

TEST(OriginalDestination, AListenersOwnAddressIsNoTarget) {
  const std::vector<TargetConfig> targets = {target("one", {"198.18.2.2"}, {5432})};
  EXPECT_EQ(find_target(targets, at("127.0.0.1", 40000)), nullptr);
  EXPECT_EQ(find_target(targets, at("198.18.2.2", 5433)), nullptr);
  EXPECT_EQ(find_target(targets, at("198.18.2.3", 5432)), nullptr);
}

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

TEST(Listeners, OneOfEachFamilyForEachCoreOnLoopbackOnly) {
  ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  const auto listeners = open_listeners(3, 0x57470000);
  ASSERT_TRUE(listeners) << listeners.error().message;
  ASSERT_EQ(listeners->size(), 3u);
  std::vector<uint16_t> ports;
  for (const CoreListenerSockets& core : *listeners) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ASSERT_EQ(getsockname(core.v4.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const Endpoint local = kernel::from_sockaddr(address);
    EXPECT_EQ(local.address.text(), "127.0.0.1");
    EXPECT_NE(local.port, 0);
    for (const uint16_t port : ports) EXPECT_NE(port, local.port);
    ports.push_back(local.port);
    EXPECT_EQ(option_of(core.v4.get(), SOL_IP, IP_TRANSPARENT), 1);
    EXPECT_EQ(option_of(core.v4.get(), IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option_of(core.v4.get(), SOL_SOCKET, SO_MARK), 0x57470000);
    EXPECT_EQ(option_of(core.v4.get(), SOL_SOCKET, SO_ACCEPTCONN), 1);
    if (core.v6) { EXPECT_EQ(option_of(core.v6.get(), SOL_IPV6, IPV6_V6ONLY), 1); }
  }
}

}  // namespace
}  // namespace weir::accept
