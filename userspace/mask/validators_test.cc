// Claims about candidates: which are what their kind says, and where they begin and end.
#include "mask/validators.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace weir::mask {
namespace {

// What the validator makes of [begin, end) of `field`.
std::optional<std::string> confirmed(std::string_view name, std::string_view field, std::size_t begin, std::size_t end) {
  if (!find_validator(name)->confirm(as_bytes(field), begin, end)) return std::nullopt;
  return std::string(field.substr(begin, end - begin));
}
// Whether any end in `field` gives a match: a scan reports all of them.
std::optional<std::string> found(std::string_view name, std::string_view field) {
  for (std::size_t end = 1; end <= field.size(); ++end) {
    if (const std::optional<std::string> run = confirmed(name, field, 0, end)) return run;
  }
  return std::nullopt;
}

TEST(Luhn, FindsCardsInTheirWritings) {
  EXPECT_EQ(found("luhn", "4111111111111111"), "4111111111111111");
  EXPECT_EQ(found("luhn", "card 4111 1111 1111 1111, thanks"), "4111 1111 1111 1111");
  EXPECT_EQ(found("luhn", "5500-0000-0000-0004"), "5500-0000-0000-0004");
  EXPECT_EQ(found("luhn", "378282246310005"), "378282246310005");
  EXPECT_EQ(found("luhn", "6011111111111117"), "6011111111111117");
}

TEST(Luhn, LeavesOtherNumbers) {
  EXPECT_EQ(found("luhn", "4111111111111112"), std::nullopt) << "check digit";
  EXPECT_EQ(found("luhn", "94111111111111111"), std::nullopt) << "a longer number";
  EXPECT_EQ(found("luhn", "41111111111111110"), std::nullopt);
  EXPECT_EQ(found("luhn", "0000000000000000"), std::nullopt);
  EXPECT_EQ(found("luhn", "1700000000000"), std::nullopt) << "milliseconds since 1970";
  EXPECT_EQ(found("luhn", "4111  1111 1111 1111"), std::nullopt) << "one separator between groups";
  EXPECT_EQ(found("luhn", ""), std::nullopt);
}

TEST(Luhn, ANumberBeforeTheCardDoesNotHideIt) {
  EXPECT_EQ(found("luhn", "order 1234 4111 1111 1111 1111"), "4111 1111 1111 1111");
  EXPECT_EQ(found("luhn", "4111 1111 1111 1111 123"), "4111 1111 1111 1111") << "nor one behind it";
}

TEST(Luhn, HoldsAtEveryPlaceOfAField) {
  for (std::size_t before = 0; before < 240; ++before) {
    const std::string field = std::string(before, 'a') + "4111111111111111";
    EXPECT_EQ(confirmed("luhn", field, 0, field.size()), "4111111111111111") << before;
  }
}

TEST(Iban, ChecksCountryLengthAndRemainder) {
  EXPECT_EQ(found("iban", "DE89370400440532013000"), "DE89370400440532013000");
  EXPECT_EQ(found("mod97", "pay GB82 WEST 1234 5698 7654 32 now"), "GB82 WEST 1234 5698 7654 32");
  EXPECT_EQ(found("iban", "NL91 ABNA 0417 1643 00"), "NL91 ABNA 0417 1643 00");
  EXPECT_EQ(found("iban", "DE89370400440532013001"), std::nullopt);
  EXPECT_EQ(found("iban", "DE8937040044053201300"), std::nullopt);
  EXPECT_EQ(found("iban", "XX89370400440532013000"), std::nullopt);
  EXPECT_EQ(found("iban", "XDE89370400440532013000"), std::nullopt);
  EXPECT_EQ(found("iban", "DE893704004405320130001"), std::nullopt);
}

TEST(Email, GrowsToTheWholeAddress) {
  EXPECT_EQ(confirmed("email", "to alice.b+x@mail.example.test, soon", 10, 14), "alice.b+x@mail.example.test");
  EXPECT_EQ(found("email", "<zoë@exämple.test>"), "zoë@exämple.test");
  EXPECT_EQ(found("email", "alice@example.test."), "alice@example.test");
  EXPECT_EQ(found("email", "alice@localhost"), std::nullopt);
  EXPECT_EQ(found("email", "alice@example.1"), std::nullopt);
  EXPECT_EQ(found("email", "@example.test"), std::nullopt);
  EXPECT_EQ(found("email", "a@b..test"), std::nullopt);
  EXPECT_EQ(found("email", "x @ example.test"), std::nullopt);
}

TEST(Boundary, WantsNoWordCharacterBeside) {
  EXPECT_EQ(confirmed("boundary", "a AKIA b", 2, 6), "AKIA");
  EXPECT_EQ(confirmed("boundary", "AKIA", 0, 4), "AKIA");
  EXPECT_EQ(confirmed("boundary", "xAKIA", 1, 5), std::nullopt);
  EXPECT_EQ(confirmed("boundary", "AKIA_", 0, 4), std::nullopt);
}

TEST(Entropy, TellsKeysFromWords) {
  EXPECT_TRUE(confirmed("entropy", "q7Zp2LmX9vRt4Kd8", 0, 16));
  EXPECT_FALSE(confirmed("entropy", "aaaaaaaaaaaaaaa1", 0, 16));
  EXPECT_FALSE(confirmed("entropy", "correcthorsebatt", 0, 16)) << "letters alone";
}

TEST(Ssn, RefusesGroupsThatAreNeverGivenOut) {
  EXPECT_EQ(found("ssn", "id 219-09-9999."), "219-09-9999");
  EXPECT_EQ(found("ssn", "000-12-3456"), std::nullopt);
  EXPECT_EQ(found("ssn", "666-12-3456"), std::nullopt);
  EXPECT_EQ(found("ssn", "912-12-3456"), std::nullopt);
  EXPECT_EQ(found("ssn", "219-00-9999"), std::nullopt);
  EXPECT_EQ(found("ssn", "1-219-09-9999"), std::nullopt);
}

TEST(Pem, CoversTheWholeKey) {
  const std::string key = "-----BEGIN PRIVATE KEY-----\nRkFLRQ==\n-----END PRIVATE KEY-----";
  EXPECT_EQ(confirmed("pem", "a " + key + " b", 2, 29), key);
  EXPECT_EQ(confirmed("pem", "-----BEGIN PRIVATE KEY-----RkFLRQ", 0, 27), "-----BEGIN PRIVATE KEY-----RkFLRQ") << "cut short";
  EXPECT_EQ(confirmed("pem", "-----BEGIN PRIVATE KEY-----RkFL\",x", 0, 27), "-----BEGIN PRIVATE KEY-----RkFL");
}

TEST(Jwt, WantsThreePartsOfWhichTwoAreObjects) {
  const std::string token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmYWtlIn0.FAKEfakeFAKE";
  EXPECT_EQ(confirmed("jwt", "Bearer " + token + ",", 7, 15), token);
  EXPECT_EQ(confirmed("jwt", "x" + token, 1, 9), std::nullopt);
  EXPECT_EQ(confirmed("jwt", "eyJhbGciOiJIUzI1NiJ9.AAAAAAAAAA.FAKEfakeFAKE", 0, 8), std::nullopt);
  EXPECT_EQ(confirmed("jwt", "eyJhbGciOiJIUzI1NiJ9", 0, 8), std::nullopt);
}

TEST(Names, UnknownOnesAreNot) { EXPECT_EQ(find_validator("no-such"), nullptr); }

}  // namespace
}  // namespace weir::mask
