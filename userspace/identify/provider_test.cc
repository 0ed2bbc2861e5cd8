#include "identify/provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/prng.h"
#include "identify/provider_fuzz.h"

namespace weir::identify::testing {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

IssuerConfig issuer() {
  IssuerConfig config;
  config.name = "lab-idp";
  config.url = "https://idp.example/realms/lab";
  return config;
}
json document() {
  return {{"issuer", "https://idp.example/realms/lab"},
          {"jwks_uri", "https://idp.example/keys"},
          {"token_endpoint", "https://idp.example/token"},
          {"device_authorization_endpoint", "https://idp.example/device"},
          {"code_challenge_methods_supported", {"plain", "S256"}}};
}
std::string error_of(const json& value, const IssuerConfig& config = issuer()) {
  const auto parsed = parse_discovery(value.dump(), config);
  return parsed ? "" : parsed.error().message;
}

TEST(HttpsUrl, IsReadStrictly) {
  const auto url = parse_https_url("https://IDP.Example:8443/keys?x=1");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "idp.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(parse_https_url("https://idp.example")->port, 443);
  EXPECT_EQ(parse_https_url("https://[FD57:2::a]:9443/")->host, "[fd57:2::a]");
  EXPECT_EQ(parse_https_url("https://idp.example?x")->host, "idp.example");
  for (const char* text : {"",
                           "http://idp.example",
                           "HTTPS://idp.example",
                           "https:/idp.example",
                           "https://",
                           "https:///keys",
                           "ftp://idp.example",
                           "file:///etc/passwd",
                           "https://user@idp.example/",
                           "https://idp.example@evil.example/",
                           "https://idp.example\\@evil.example",
                           "https://idp.example#x",
                           "https://idp.example/ x",
                           "https://idp.example/\n",
                           "https://idp.example:0/",
                           "https://idp.example:70000/",
                           "https://idp.example:/",
                           "https://idp.example:8443x/",
                           "https://[::1/",
                           "https://::1/",
                           "https://[]/",
                           "https://idp\xc3\xa4.example/",
                           "https://%69dp.example/"}) {
    EXPECT_FALSE(parse_https_url(text)) << text;
  }
  EXPECT_FALSE(parse_https_url("https://idp.example/" + std::string(kUrlSizeMax, 'x')));
}

TEST(Discovery, IsBelowTheIssuer) {
  EXPECT_EQ(discovery_url("https://idp.example"), "https://idp.example/.well-known/openid-configuration");
  EXPECT_EQ(discovery_url("https://idp.example/realms/lab/"),
            "https://idp.example/realms/lab/.well-known/openid-configuration");
}

TEST(Discovery, GivesWhatIsNeeded) {
  const auto metadata = parse_discovery(document().dump(), issuer());
  ASSERT_TRUE(metadata) << metadata.error().message;
  EXPECT_EQ(metadata->jwks_uri, "https://idp.example/keys");
  EXPECT_EQ(*metadata->token_endpoint, "https://idp.example/token");
  EXPECT_EQ(*metadata->device_authorization_endpoint, "https://idp.example/device");
  EXPECT_TRUE(metadata->has_pkce);
  json plain = document();
  plain["code_challenge_methods_supported"] = {"plain"};
  EXPECT_FALSE(parse_discovery(plain.dump(), issuer())->has_pkce);
}

TEST(Discovery, OfAnotherIssuerIsRefused) {
  for (const json& name : {json("https://idp.example/realms/lab/"), json("https://idp.example/realms/other"),
                           json("https://evil.example"), json(1), json(nullptr)}) {
    json changed = document();
    changed["issuer"] = name;
    EXPECT_THAT(error_of(changed), HasSubstr("of another issuer than https://idp.example/realms/lab")) << name;
  }
  json missing = document();
  missing.erase("issuer");
  EXPECT_THAT(error_of(missing), HasSubstr("of another issuer"));
}

TEST(Discovery, KeysAreFetchedFromTheIssuersHostAlone) {
  for (const char* address :
       {"https://evil.example/keys", "https://idp.example:8443/keys", "https://idp.example.evil.example/keys",
        "https://169.254.169.254/latest", "https://127.0.0.1/keys", "https://[::1]/keys"}) {
    json changed = document();
    changed["jwks_uri"] = address;
    EXPECT_THAT(error_of(changed), HasSubstr("put it into identity.issuers[lab-idp].hosts")) << address;
  }
  for (const char* address :
       {"http://idp.example/keys", "file:///etc/passwd", "https://idp.example@evil.example/keys", "gopher://idp.example/"}) {
    json changed = document();
    changed["jwks_uri"] = address;
    EXPECT_THAT(error_of(changed), HasSubstr("its jwks_uri")) << address;
    EXPECT_THAT(error_of(changed), Not(HasSubstr("passwd")));
  }
}

TEST(Discovery, OtherHostsAreWhatTheOperatorNames) {
  IssuerConfig config = issuer();
  config.hosts = {"keys.example:8443", "other.example"};
  json changed = document();
  changed["jwks_uri"] = "https://keys.example:8443/jwks";
  EXPECT_EQ(error_of(changed, config), "");
  changed["jwks_uri"] = "https://OTHER.example/jwks";
  EXPECT_EQ(error_of(changed, config), "");
  changed["jwks_uri"] = "https://keys.example/jwks";
  EXPECT_THAT(error_of(changed, config), HasSubstr("keys.example:443"));
}

TEST(Discovery, AnEndpointElsewhereIsAnErrorOfItsOwn) {
  json changed = document();
  changed["token_endpoint"] = "https://evil.example/token";
  changed.erase("device_authorization_endpoint");
  const auto metadata = parse_discovery(changed.dump(), issuer());
  ASSERT_TRUE(metadata);
  EXPECT_THAT(metadata->token_endpoint.error().message, HasSubstr("evil.example"));
  EXPECT_THAT(metadata->device_authorization_endpoint.error().message, HasSubstr("has no device_authorization_endpoint"));
}

// What a document may try to have us ask, or send a browser to: each is refused, whichever key it stands in.
TEST(Discovery, NoAddressInItLeadsAnywhereElse) {
  const char* const elsewhere[] = {"http://idp.example/x", "HTTPS://idp.example/x", "file:///etc/passwd", "gopher://idp.example/", "//idp.example/x", "/x", "idp.example/x",
                                   "https://127.0.0.1/x", "https://[::1]/x", "https://localhost/x", "https://169.254.169.254/latest/meta-data", "https://[fe80::1]/x",
                                   "https://0.0.0.0/x", "https://2130706433/x", "https://0x7f.1/x", "https://198.18.2.2:5432/", "https://idp.example:22/x", "https://idp.example.evil.example/x",
                                   "https://idp.example@evil.example/x", "https://evil.example#@idp.example/", "https://evil.example\\@idp.example/", "https://idp.example%2eevil.example/",
                                   "https:///x", "https://", "https://idp.example\t.evil.example/", "javascript:alert(1)", ""};
  for (const char* url : elsewhere) {
    json changed = document();
    changed["jwks_uri"] = url;
    EXPECT_NE(error_of(changed), "") << url;
    changed = document();
    for (const char* name : {"token_endpoint", "authorization_endpoint", "device_authorization_endpoint"}) changed[name] = url;
    const auto metadata = parse_discovery(changed.dump(), issuer());
    ASSERT_TRUE(metadata) << url;
    EXPECT_FALSE(metadata->token_endpoint) << url;
    EXPECT_FALSE(metadata->authorization_endpoint) << url;
    EXPECT_FALSE(metadata->device_authorization_endpoint) << url;
  }
}

TEST(Discovery, SaysHowAClientProvesItselfAndWhetherAnswersNameTheProvider) {
  json changed = document();
  EXPECT_EQ(parse_discovery(changed.dump(), issuer())->client_proof, ClientProof::kBasic);
  EXPECT_FALSE(parse_discovery(changed.dump(), issuer())->sends_issuer);
  changed["authorization_response_iss_parameter_supported"] = true;
  changed["token_endpoint_auth_methods_supported"] = {"client_secret_post", "client_secret_basic"};
  EXPECT_EQ(parse_discovery(changed.dump(), issuer())->client_proof, ClientProof::kBasic);
  EXPECT_TRUE(parse_discovery(changed.dump(), issuer())->sends_issuer);
  changed["token_endpoint_auth_methods_supported"] = {"client_secret_post", "private_key_jwt"};
  EXPECT_EQ(parse_discovery(changed.dump(), issuer())->client_proof, ClientProof::kPost);
  changed["authorization_response_iss_parameter_supported"] = "true";
  EXPECT_FALSE(parse_discovery(changed.dump(), issuer())->sends_issuer);
}

TEST(Discovery, WhatIsNoDocumentIsRefused) {
  for (const char* text : {"", "[]", "null", "<html>", R"({"issuer":"a","issuer":"b"})", "{\"issuer\":\"\xff\"}"})
    EXPECT_FALSE(parse_discovery(text, issuer())) << text;
  json huge = document();
  huge["x"] = std::string(kProviderAnswerMax, 'x');
  EXPECT_THAT(error_of(huge), HasSubstr("too large"));
}

TEST(CacheControl, SaysHowLongKeysAreKept) {
  EXPECT_EQ(cache_lifetime(""), std::nullopt);
  EXPECT_EQ(cache_lifetime("public"), std::nullopt);
  EXPECT_EQ(cache_lifetime("max-age=600"), seconds(600));
  EXPECT_EQ(cache_lifetime("Public, Max-Age = \"600\" , must-revalidate"), seconds(600));
  EXPECT_EQ(cache_lifetime("max-age=600, max-age=7"), seconds(600));
  EXPECT_EQ(cache_lifetime("max-age=600, no-store"), seconds(0));
  EXPECT_EQ(cache_lifetime("no-cache"), seconds(0));
  EXPECT_EQ(cache_lifetime("max-age=-1"), std::nullopt);
  EXPECT_EQ(cache_lifetime("max-age=1x"), std::nullopt);
  EXPECT_EQ(cache_lifetime("max-age=99999999999999999999999"), seconds(30 * 24 * 3600));
}

json device() {
  return {{"device_code", "secret"},
          {"user_code", "ABCD-EFGH"},
          {"verification_uri", "https://idp.example/device"},
          {"expires_in", 600}};
}

TEST(DeviceCode, IsReadWithItsDefaults) {
  const auto code = parse_device_code(device().dump());
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_EQ(code->interval, seconds(5));
  EXPECT_EQ(code->expires_in, seconds(600));
  json more = device();
  more["interval"] = 1;
  more["verification_uri_complete"] = "https://idp.example/device?user_code=ABCD-EFGH";
  EXPECT_EQ(parse_device_code(more.dump())->interval, seconds(1));
}

TEST(DeviceCode, WhatCannotBeShownOrUsedIsRefused) {
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, json>>{{"device_code", ""},
                                                 {"device_code", 1},
                                                 {"device_code", "a b"},
                                                 {"user_code", "\x1b[31mred"},
                                                 {"user_code", "two words"},
                                                 {"user_code", std::string(65, 'A')},
                                                 {"user_code", nullptr},
                                                 {"verification_uri", "http://idp.example/device"},
                                                 {"verification_uri", "javascript:alert(1)"},
                                                 {"verification_uri", 1},
                                                 {"verification_uri_complete", "http://idp.example/"},
                                                 {"expires_in", 0},
                                                 {"expires_in", -5},
                                                 {"expires_in", "600"},
                                                 {"interval", 0},
                                                 {"interval", -1},
                                                 {"interval", 1.5}}) {
    json changed = device();
    changed[name] = value;
    EXPECT_FALSE(parse_device_code(changed.dump())) << name << " " << value;
  }
  for (const char* name : {"device_code", "user_code", "verification_uri", "expires_in"}) {
    json changed = device();
    changed.erase(name);
    EXPECT_FALSE(parse_device_code(changed.dump())) << name;
  }
}

TEST(TokenAnswer, IsTokensOrAnError) {
  const auto tokens = parse_token_answer(200, R"({"access_token":"a.b.c","id_token":"d.e.f","token_type":"Bearer"})");
  EXPECT_EQ(tokens->kind, TokenAnswer::Kind::kTokens);
  EXPECT_EQ(tokens->id_token, "d.e.f");
  EXPECT_EQ(parse_token_answer(400, R"({"error":"authorization_pending"})")->kind, TokenAnswer::Kind::kPending);
  EXPECT_EQ(parse_token_answer(400, R"({"error":"slow_down"})")->kind, TokenAnswer::Kind::kSlowDown);
  EXPECT_EQ(parse_token_answer(401, R"({"error":"access_denied","error_description":"x"})")->error, "access_denied");
  for (const auto& [status, text] :
       std::vector<std::pair<int, const char*>>{{200, "{}"},
                                                {200, R"({"access_token":""})"},
                                                {200, R"({"access_token":"a\nb"})"},
                                                {200, R"({"error":"slow_down"})"},
                                                {400, "{}"},
                                                {400, R"({"error":"\u001b[0m"})"},
                                                {400, R"({"error":""})"},
                                                {500, "<html>"},
                                                {302, ""},
                                                {200, R"({"access_token":"a","access_token":"b"})"}}) {
    EXPECT_FALSE(parse_token_answer(status, text)) << status << " " << text;
  }
}

TEST(Form, EncodesWhatIsNotPlain) {
  EXPECT_EQ(form_encode("svc-agent_1.x~"), "svc-agent_1.x~");
  EXPECT_EQ(form_encode("a b&c=d+e%\xff"), "a%20b%26c%3Dd%2Be%25%FF");
}

TEST(Provider, FuzzEntryTakesAnything) {
  Prng random(7);
  const std::vector<std::string> seeds = {document().dump(), device().dump(), R"({"access_token":"a.b.c"})",
                                          "max-age=600, public", "https://idp.example:8443/x"};
  for (int round = 0; round < 500; ++round) {
    std::string text = seeds[random.below(seeds.size())];
    for (uint64_t i = random.below(4); i > 0; --i) text[random.below(text.size())] = static_cast<char>(random.next());
    EXPECT_EQ(fuzz_provider(reinterpret_cast<const uint8_t*>(text.data()), text.size()), 0);
  }
}

}  // namespace
}  // namespace weir::identify::testing
