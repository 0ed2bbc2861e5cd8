// weir login: the device flow, and the portal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/cli_test_support.h"
#include "identify/base64url.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

// A provider whose person is done at the second look.
class Login : public Cli {
 protected:
  Login() {
    std::string text = kConfig;
    text.replace(text.find("identity: {"), 11, "identity: {issuers: [{name: lab-idp, url: \"https://idp.example\", audience: weir-lab, algorithms: [ES256], login: {client_id: weir-cli, flows: [device]}}], ");
    write(text);
    provider_ = [this](const identify::HttpsRequest& request) { return answer(request); };
    environment_["SSH_CONNECTION"] = "198.18.1.7 50000 198.18.1.1 22";
  }
  identify::HttpsAnswer answer(const identify::HttpsRequest& request) {
    asked_.push_back(request);
    if (request.url.ends_with("/openid-configuration")) {
      return {200, "", json{{"issuer", "https://idp.example"}, {"jwks_uri", "https://idp.example/keys"}, {"token_endpoint", "https://idp.example/token"},
                            {"device_authorization_endpoint", "https://idp.example/device"}}.dump()};
    }
    if (request.url.ends_with("/device")) {
      return {200, "", json{{"device_code", "device-secret"}, {"user_code", "ABCD-EFGH"}, {"verification_uri", "https://idp.example/d"}, {"expires_in", 60}, {"interval", 1}}.dump()};
    }
    if (error_.empty() && looks_++ == 0) return {400, "", R"({"error":"authorization_pending"})"};
    if (!error_.empty()) return {400, "", json{{"error", error_}}.dump()};
    return {200, "", json{{"access_token", token_}}.dump()};
  }
  FakeEngine engine_;
  const Served served_{folder_, engine_};
  std::vector<identify::HttpsRequest> asked_;
  const std::string token_ = "e30." + identify::encode_base64url(as_bytes(std::string_view(R"({"aud":"weir-lab"})"))) + ".AA";
  std::string error_;
  int looks_ = 0;
};

TEST_F(Login, ShowsTheCodeAndTheAddressThenBinds) {
  const Outcome outcome = weir({"login", "--issuer", "lab-idp"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  for (const char* part : {"Open    https://idp.example/d\nand enter  ABCD-EFGH\n", "lab-idp is bound to the address 198.18.1.7, where this terminal comes from", "198.18.1.7 is user:ann, binding 9"})
    EXPECT_THAT(outcome.out, HasSubstr(part));
  EXPECT_EQ(engine_.asked.back().second["token"], token_);
  EXPECT_EQ(waited_, std::chrono::seconds(2));
  for (const std::string& secret : {token_, std::string("device-secret")}) EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr(secret)));
}

// With a portal it says where, and waits: no code that somebody else could enter.
class PortalLogin : public Login {
 protected:
  void write_with(const std::string& flows) {
    for (const char* file : {"api.crt", "api.key"}) {
      std::ofstream(folder_ + "/keys/" + file) << "fake\n";
      chmod((folder_ + "/keys/" + file).c_str(), 0600);
    }
    std::string text = kConfig;
    text.replace(text.find("identity: {"), 11, "identity: {portal: {url: \"https://gw.example:8443\", issuer: lab-idp}, issuers: [{name: lab-idp, url: \"https://idp.example\", audience: weir-lab, "
                                               "algorithms: [ES256], login: {client_id: weir-cli, flows: " + flows + "}}], ");
    write(text + "api: {listen: [\"198.18.1.1:8443\"], certificate_file: keys/api.crt, key_file: keys/api.key}\n");
  }
};

TEST_F(PortalLogin, SaysWhereAndWaitsUntilTheAddressIsBound) {
  write_with("[code]");
  engine_.bound_after = 3;
  const Outcome outcome = weir({"login"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  for (const char* part : {"Open    https://gw.example:8443/portal\nin a browser on 198.18.1.7, where this terminal comes from", "198.18.1.7 is bound, binding 9, until 2027-01-15T09:00:00Z"})
    EXPECT_THAT(outcome.out, HasSubstr(part));
  EXPECT_TRUE(asked_.empty()) << "the provider is the browser's to ask";
  for (const auto& asked : engine_.asked) EXPECT_EQ(asked.first, "bound");
  engine_.bound_after = 3;
  std::istringstream lines(weir({"login", "--json"}).out);
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first)["portal"], "https://gw.example:8443/portal");
  EXPECT_EQ(json::parse(second)["id"], 9);
}

TEST_F(PortalLogin, EndsWhenNobodyComes) {
  write_with("[code]");
  engine_.bound_after = 100'000;
  const Outcome outcome = weir({"login"});
  EXPECT_EQ(outcome.code, kExitDenied);
  EXPECT_EQ(waited_, std::chrono::seconds(600));
}

TEST_F(PortalLogin, ACodeForAnyBrowserIsRefusedUnlessItIsAllowed) {
  write_with("[code]");
  const Outcome refused = weir({"login", "--device"});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_THAT(refused.err, HasSubstr("sign in at https://gw.example:8443/portal"));
  EXPECT_TRUE(asked_.empty());
  write_with("[code, device]");
  EXPECT_THAT(weir({"login", "--device"}).out, HasSubstr("and enter  ABCD-EFGH"));
}

TEST_F(Login, AnAddressThatIsNotTheTerminalsIsTold) {
  const Outcome outcome = weir({"login", "--address", "198.18.1.9"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("the address 198.18.1.9.\nThis terminal comes from another one, 198.18.1.7."));
  EXPECT_EQ(engine_.asked.back().second["address"], "198.18.1.9");
}

TEST_F(Login, InJsonItIsTwoLines) {
  std::istringstream lines(weir({"login", "--json"}).out);
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(json::parse(first)["user_code"], "ABCD-EFGH");
  EXPECT_EQ(json::parse(first)["address"], "198.18.1.7");
  EXPECT_EQ(json::parse(second)["subject"], "user:ann");
}

TEST_F(Login, WhatCannotBeginIsSaidWithTheFix) {
  EXPECT_THAT(weir({"login", "--issuer", "other"}).err, HasSubstr("say which of lab-idp; there is no \"other\""));
  EXPECT_EQ(weir({"login", "--address", "x"}).code, kExitUsage);
  EXPECT_EQ(weir({"login", "more"}).code, kExitUsage);
  environment_.erase("SSH_CONNECTION");
  EXPECT_THAT(weir({"login"}).err, HasSubstr("say which address is to be bound"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Login, AProviderThatRefusesOrIsDownHasAnExitCodeOfItsOwn) {
  error_ = "access_denied";
  EXPECT_EQ(weir({"login"}).code, kExitDenied);
  provider_ = [](const identify::HttpsRequest&) -> Result<identify::HttpsAnswer> { return fail(Error::Kind::kUnavailable, "cannot connect: Connection refused"); };
  const Outcome down = weir({"login"});
  EXPECT_EQ(down.code, kExitSystem);
  EXPECT_THAT(down.err, HasSubstr("https://idp.example/.well-known/openid-configuration: cannot connect: Connection refused"));
  EXPECT_TRUE(engine_.asked.empty());
}

TEST_F(Login, AClientsSecretIsReadFromItsFileAlone) {
  std::ofstream(folder_ + "/keys/client.secret") << "the secret\n";
  chmod((folder_ + "/keys/client.secret").c_str(), 0644);
  std::string text = kConfig;
  text.replace(text.find("identity: {"), 11, "identity: {issuers: [{name: lab-idp, url: \"https://idp.example\", audience: weir-lab, algorithms: [ES256], login: {client_id: weir-cli, client_secret_file: keys/client.secret}}], ");
  write(text);
  EXPECT_EQ(weir({"login"}).code, kExitDenied);
  EXPECT_TRUE(asked_.empty());
  chmod((folder_ + "/keys/client.secret").c_str(), 0600);
  const Outcome outcome = weir({"login"});
  EXPECT_EQ(outcome.code, kExitDone) << outcome.err;
  EXPECT_EQ(asked_.back().password, "the%20secret");
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("the secret")));
}

}  // namespace
}  // namespace weir::control
