#include "transport/capability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::transport {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = CapabilityVerdict::Kind;

struct Setting {
  bool inject;
  LegTls to_client;
  bool own_pair;
  VerifyMode to_target;
};
CapabilityVerdict verdict(const Setting& setting, bool has_ca = true) {
  Config config;
  if (has_ca) config.tls = {"ca.crt", "ca.key", "1.2"};
  TargetConfig target;
  target.name = "orders-db";
  target.protocol = "postgres";
  target.inject = setting.inject;
  target.tls.to_client = setting.to_client;
  target.tls.to_target = setting.to_target;
  if (setting.own_pair) {
    target.tls.certificate_file = "own.crt";
    target.tls.key_file = "own.key";
  }
  return capability(target, config);
}

TEST(Capability, RelayOverTlsOnBothLegsWithAMintedLeafIsRefusedWithTheWaysOut) {
  for (const LegTls client : {LegTls::kOffer, LegTls::kRequire}) {
    const CapabilityVerdict refused = verdict({false, client, false, VerifyMode::kVerifyFull});
    EXPECT_EQ(refused.kind, Kind::kRefused);
    EXPECT_FALSE(refused.admits());
    EXPECT_THAT(refused.reason, HasSubstr("SCRAM"));
    EXPECT_THAT(refused.fix, AllOf(HasSubstr("own pair"), HasSubstr("inject"), HasSubstr("tls.to_target: none")));
  }
}

TEST(Capability, EachOfTheWaysOutWorks) {
  EXPECT_EQ(verdict({false, LegTls::kOffer, true, VerifyMode::kVerifyFull}).kind, Kind::kFullWithKey);
  EXPECT_EQ(verdict({true, LegTls::kOffer, false, VerifyMode::kVerifyFull}).kind, Kind::kFull);
  EXPECT_EQ(verdict({false, LegTls::kOffer, false, VerifyMode::kNone}).kind, Kind::kFull);
  EXPECT_EQ(verdict({false, LegTls::kNone, false, VerifyMode::kVerifyFull}).kind, Kind::kFull);
}

TEST(Capability, WhatAClientThatVerifiesNeedsIsSaid) {
  EXPECT_THAT(verdict({true, LegTls::kOffer, false, VerifyMode::kVerifyFull}).trust, HasSubstr("weir ca show"));
  EXPECT_THAT(verdict({true, LegTls::kOffer, true, VerifyMode::kVerifyFull}).trust, HasSubstr("own certificate"));
  EXPECT_EQ(verdict({true, LegTls::kNone, false, VerifyMode::kVerifyFull}).trust, "");
}

TEST(Capability, WeakerLegsAreSaid) {
  EXPECT_THAT(verdict({true, LegTls::kNone, false, VerifyMode::kNone}).reason,
              AllOf(HasSubstr("client leg is plain"), HasSubstr("target leg is plain")));
  EXPECT_THAT(verdict({true, LegTls::kNone, false, VerifyMode::kRequire}).reason, HasSubstr("certificate is not verified"));
  EXPECT_THAT(verdict({true, LegTls::kNone, false, VerifyMode::kVerifyCa}).reason, HasSubstr("name is not verified"));
}

TEST(Capability, NoCertificateForClientsIsRefused) {
  const CapabilityVerdict refused = verdict({true, LegTls::kOffer, false, VerifyMode::kVerifyFull}, false);
  EXPECT_EQ(refused.kind, Kind::kRefused);
  EXPECT_THAT(refused.fix, HasSubstr("weir ca init"));
  EXPECT_EQ(verdict({true, LegTls::kNone, false, VerifyMode::kVerifyFull}, false).kind, Kind::kFull);
}

TEST(Capability, AnUnreadProtocolIsRefusedUnlessOpaquePasses) {
  TargetConfig target;
  target.protocol = "gopher";
  EXPECT_EQ(capability(target, {}, false).kind, Kind::kRefused);
  target.opaque = Opaque::kAllow;
  EXPECT_EQ(capability(target, {}, false).kind, Kind::kMetadataOnly);
}

TEST(Capability, TextIsOneLineThatNamesTargetKindAndFix) {
  const std::string text = text_of(verdict({false, LegTls::kOffer, false, VerifyMode::kVerifyFull}), "orders-db");
  EXPECT_THAT(text, AllOf(HasSubstr("orders-db: refused ("), HasSubstr("to mend it: ")));
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace weir::transport
