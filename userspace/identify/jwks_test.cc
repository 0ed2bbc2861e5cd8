#include "identify/jwks.h"

#include <gmock/gmock.h>

#include "identify/token_test_support.h"

namespace weir::identify::testing {
namespace {

using ::testing::HasSubstr;

// A vector: a JSON list of one element would be taken for that element.
std::string error_of(const std::vector<json>& keys) {
  const auto parsed = KeySet::parse(json{{"keys", keys}}.dump());
  return parsed ? "" : parsed.error().message;
}

TEST(Jwks, KeysOfNoUseAreLeftOutAndCounted) {
  const PrivateKey key = make_ec("P-256");
  json encryption = ec_jwk(key.get(), "enc", "P-256", 32), other_algorithm = encryption, no_verify = encryption;
  encryption["use"] = "enc";
  other_algorithm["alg"] = "ECDH-ES";
  no_verify["key_ops"] = {"encrypt"};
  const json symmetric = {{"kty", "oct"}, {"k", "AAAA"}, {"kid", "hmac"}}, strange = {{"kty", "EC"}, {"crv", "secp256k1"}};
  const auto set = KeySet::parse(
      json{{"keys", {encryption, other_algorithm, no_verify, symmetric, strange, ec_jwk(key.get(), "ok", "P-256", 32)}}}
          .dump());
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->size(), 1u);
  EXPECT_EQ(set->ignored(), 5u);
  EXPECT_NE(set->find("ok", Algorithm::kEs256), nullptr);
  EXPECT_EQ(set->find("hmac", Algorithm::kEs256), nullptr);
}

TEST(Jwks, APrivateKeyIsRefused) {
  const PrivateKey key = make_ec("P-256");
  json leaked = ec_jwk(key.get(), "x", "P-256", 32);
  leaked["d"] = number_of(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, 32);
  EXPECT_THAT(error_of({leaked}), HasSubstr("private key"));
}

TEST(Jwks, WeakHugeAndOddRsaKeysAreRefused) {
  EXPECT_THAT(error_of({rsa_jwk(make_rsa(1024).get(), "weak")}), HasSubstr("too weak"));
  json key = rsa_jwk(make_rsa().get(), "x");
  json huge = key, even = key, one = key, slow = key, empty = key;
  huge["n"] = encode(std::string(1025, '\xff'));
  even["e"] = encode(std::string("\x04", 1));
  one["e"] = encode(std::string("\x01", 1));
  slow["e"] = encode(std::string(200, '\xff'));
  empty["n"] = "";
  EXPECT_THAT(error_of({huge}), HasSubstr("too large"));
  EXPECT_THAT(error_of({even}), HasSubstr("exponent"));
  EXPECT_THAT(error_of({one}), HasSubstr("exponent"));
  EXPECT_THAT(error_of({slow}), HasSubstr("exponent"));
  EXPECT_THAT(error_of({empty}), HasSubstr("missing or malformed"));
}

TEST(Jwks, APointThatIsNotOnTheCurveIsRefused) {
  json key = ec_jwk(make_ec("P-256").get(), "x", "P-256", 32);
  key["y"] = encode(std::string(32, '\x01'));
  EXPECT_THAT(error_of({key}), HasSubstr("not a valid key"));
  key["y"] = encode(std::string(31, '\x01'));
  EXPECT_THAT(error_of({key}), HasSubstr("wrong size"));
}

TEST(Jwks, TwoKeysOfOneNameAreRefused) {
  EXPECT_THAT(
      error_of({ec_jwk(make_ec("P-256").get(), "same", "P-256", 32), ec_jwk(make_ec("P-256").get(), "same", "P-256", 32)}),
      HasSubstr("kid of another"));
}

TEST(Jwks, AnAlgorithmThatDoesNotFitItsKeyIsRefused) {
  json key = ec_jwk(make_ec("P-256").get(), "x", "P-256", 32);
  key["alg"] = "RS256";
  EXPECT_THAT(error_of({key}), HasSubstr("does not fit"));
}

TEST(Jwks, WhatIsNoSetIsRefused) {
  for (const char* text : {"", "[]", "null", "{}", R"({"keys":{}})", R"({"keys":[1]})", R"({"keys":[]})",
                           R"({"keys":[],"keys":[]})", "{\"keys\":[\xff]}"}) {
    EXPECT_FALSE(KeySet::parse(text)) << text;
  }
  EXPECT_FALSE(KeySet::parse(std::string(KeySet::kSizeMax + 1, ' ')));
  EXPECT_THAT(error_of(std::vector<json>(KeySet::kKeysMax + 1, json::object())), HasSubstr("more than 64"));
}

TEST(Jwks, AFileThatOthersMayWriteIsRefused) {
  Folder folder;
  EXPECT_TRUE(read_key_file(folder.write("ok", "{}", 0644)));
  for (const mode_t mode : std::initializer_list<mode_t>{0664, 0646})
    EXPECT_THAT(read_key_file(folder.write("bad", "{}", mode)).error().message, HasSubstr("chmod go-w"));
  EXPECT_EQ(read_key_file(folder / "none").error().kind, Error::Kind::kNotFound);
  EXPECT_THAT(read_key_file(folder.path).error().message, HasSubstr("not a regular file"));
  EXPECT_THAT(read_key_file(folder.write("big", std::string(KeySet::kSizeMax + 1, ' '))).error().message, HasSubstr("larger"));
}

TEST(Base64url, IsStrict) {
  EXPECT_TRUE(decode_base64url("")->empty());
  EXPECT_EQ(as_text(*decode_base64url("Zm9vYg")), "foob");
  EXPECT_EQ(as_text(*decode_base64url("-_-_")), "\xfb\xff\xbf");
  for (const char* text : {"Zm9vYg==", "Zm9vY", "Zm9 v", "Zm9v\n", "+/+/", "Zm9vYh", "Z"})
    EXPECT_FALSE(decode_base64url(text)) << text;
}

TEST(Base64url, GoesThereAndBackAtEveryLength) {
  std::string text;
  for (int size = 0; size < 100; ++size) {
    const std::string encoded = encode_base64url(as_bytes(text));
    EXPECT_EQ(as_text(*decode_base64url(encoded)), text);
    text += static_cast<char>(size * 37);
  }
}

}  // namespace
}  // namespace weir::identify::testing
