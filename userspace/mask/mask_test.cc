// Claims about rewriting: every form is safe for its type, keeps its length where it says so, and keeps nothing else.
#include <gtest/gtest.h>

#include <string>

#include "base/prng.h"
#include "mask/copy_escape.h"
#include "mask/keyed_hash.h"
#include "mask/masker.h"

namespace weir::mask {
namespace {

using As = MaskSpec::As;
using Kind = MaskResult::Kind;

constexpr uint32_t kText = 25, kInt2 = 21, kInt4 = 23, kInt8 = 20, kNumeric = 1700, kUuid = 2950, kBytea = 17, kJson = 114,
                   kJsonb = 3802, kDate = 1082, kTextArray = 1009, kEnum = 16400;

class Masking : public ::testing::Test {
 protected:
  std::string apply(const MaskSpec& spec, std::string_view value, uint32_t type = kText,
                    ValueFormat format = ValueFormat::kText) {
    return put(masker->mask(spec, {as_bytes(value), format, type, true, true}, arena), value);
  }
  std::string apply_part(const MaskSpec& spec, std::string_view value, std::size_t begin, std::size_t end,
                         uint32_t type = kText, ValueFormat format = ValueFormat::kText) {
    return put(masker->mask_part(spec, {as_bytes(value), format, type, true, true}, begin, end, arena), value);
  }
  std::string put(const MaskResult& result, std::string_view value) {
    if (result.kind == Kind::kNull) return "<NULL>";
    if (result.kind == Kind::kRefuse) return "<refused>";
    return std::string(value.substr(0, result.begin)) + std::string(as_text(result.with)) +
           std::string(value.substr(result.end));
  }
  std::shared_ptr<const Masker> masker = make_masker(as_bytes("a key for tests only"));
  std::shared_ptr<const Masker> keyless = make_masker({});
  Arena arena{1u << 20};
  static constexpr MaskSpec kFull{As::kFull, 4, true}, kPartial{As::kPartial, 4, true}, kHash{As::kHash, 4, true},
      kNull{As::kNull, 4, true};
};

TEST(KeyedHash, IsHmacSha256OfPurposeAndValue) {
  // RFC 4231, test case 2, whose data starts with the byte that is the purpose here.
  const KeyedHash hash(as_bytes("Jefe"));
  const KeyedHash::Digest digest = hash.digest('w', as_bytes("hat do ya want for nothing?"));
  constexpr std::array<unsigned, 8> kStart = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
  for (std::size_t i = 0; i < kStart.size(); ++i) EXPECT_EQ(std::to_integer<unsigned>(digest[i]), kStart[i]);
  // Test case 6: a key larger than a block.
  const std::string long_key(131, '\xaa');
  const KeyedHash other(as_bytes(long_key));
  const KeyedHash::Digest long_digest = other.digest('T', as_bytes("est Using Larger Than Block-Size Key - Hash Key First"));
  constexpr std::array<unsigned, 4> kLongStart = {0x60, 0xe4, 0x31, 0x59};
  for (std::size_t i = 0; i < kLongStart.size(); ++i) EXPECT_EQ(std::to_integer<unsigned>(long_digest[i]), kLongStart[i]);
}

TEST(KeyedHash, LongHexGoesOn) {
  const KeyedHash hash(as_bytes("k"));
  std::string digits(200, ' '), fewer(70, ' ');
  hash.hex(1, as_bytes("v"), {reinterpret_cast<std::byte*>(digits.data()), digits.size()});
  hash.hex(1, as_bytes("v"), {reinterpret_cast<std::byte*>(fewer.data()), fewer.size()});
  EXPECT_EQ(digits.substr(0, 70), fewer);
  EXPECT_NE(digits.substr(0, 64), digits.substr(64, 64));
}

TEST_F(Masking, TextKeepsItsLengthAndNothingElse) {
  EXPECT_EQ(apply(kFull, "alice@example.test"), std::string(18, '*'));
  EXPECT_EQ(apply(kPartial, "alice@example.test"), std::string(14, '*') + "test");
  EXPECT_EQ(apply(kPartial, "abcd"), "**cd") << "at most half is kept";
  EXPECT_EQ(apply(kPartial, "a"), "*");
  EXPECT_EQ(apply(kNull, "alice"), "<NULL>");
  EXPECT_EQ(apply(kFull, ""), "");
  const std::string hashed = apply(kHash, "alice@example.test");
  EXPECT_EQ(hashed.size(), 18u);
  EXPECT_EQ(hashed, apply(kHash, "alice@example.test")) << "joinable";
  EXPECT_NE(hashed, apply(kHash, "alicf@example.test"));
  EXPECT_EQ(hashed.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(apply(kFull, std::string(9000, 'a')), std::string(9000, '*'));
}

TEST_F(Masking, FreeLengthHidesTheLength) {
  constexpr MaskSpec kFree{As::kFull, 4, false}, kFreeHash{As::kHash, 4, false};
  EXPECT_EQ(apply(kFree, "alice"), apply(kFree, "al"));
  EXPECT_EQ(apply(kFreeHash, "alice").size(), apply(kFreeHash, "al").size());
}

TEST_F(Masking, PartialNeverCutsACharacter) {
  EXPECT_EQ(apply({As::kPartial, 2, true}, "Zoë Łukasz"), std::string(10, '*') + "sz");
  EXPECT_EQ(apply({As::kPartial, 1, true}, "aaaaaŁ"), "*****Ł");
}

TEST_F(Masking, NumbersStayNumbersOfTheirType) {
  EXPECT_EQ(apply(kFull, "-12.50", kNumeric), "-00.00");
  EXPECT_EQ(apply(kPartial, "123456789", kInt8), "000006789");
  EXPECT_EQ(apply(kFull, "NaN", kNumeric), "<NULL>");
  EXPECT_EQ(apply(kFull, "1e+10", 701), "<NULL>");
  Prng prng(1);
  for (int i = 0; i < 2000; ++i) {
    const auto number = static_cast<int32_t>(prng.next());
    const std::string text = std::to_string(number);
    const std::string masked = apply(kHash, text, kInt4);
    EXPECT_EQ(masked.size(), text.size());
    EXPECT_NO_THROW({ (void)std::stoi(masked); }) << masked;
    const std::string small = apply(kHash, std::to_string(static_cast<int16_t>(number)), kInt2);
    EXPECT_LE(std::abs(std::stoi(small)), 32767) << small;
    const std::string large = apply(kHash, std::to_string(static_cast<int64_t>(prng.next())), kInt8);
    EXPECT_NO_THROW({ (void)std::stoll(large); }) << large;
  }
}

TEST_F(Masking, BinaryValuesKeepTheirForm) {
  const std::string number("\x00\x01\xe2\x40", 4);  // 123456
  EXPECT_EQ(apply(kFull, number, kInt4, ValueFormat::kBinary), std::string(4, '\0'));
  EXPECT_EQ(apply({As::kPartial, 2, true}, number, kInt4, ValueFormat::kBinary), std::string("\x00\x00\x00\x38", 4)) << "56";
  EXPECT_EQ(apply(kHash, number, kInt4, ValueFormat::kBinary).size(), 4u);
  const std::string minimum("\x80\x00\x00\x00\x00\x00\x00\x00", 8);
  EXPECT_EQ(apply({As::kPartial, 2, true}, minimum, kInt8, ValueFormat::kBinary).substr(0, 7), std::string(7, '\0'))
      << "the least of all";
  EXPECT_EQ(apply(kFull, std::string(16, 'u'), kUuid, ValueFormat::kBinary), std::string(16, '\0'));
  EXPECT_EQ(apply(kFull, "\x01{\"a\":1}", kJsonb, ValueFormat::kBinary), "\x01\"*****\"");
  EXPECT_EQ(apply(kFull, "text", kText, ValueFormat::kBinary), "****");
  EXPECT_EQ(apply(kFull, std::string(8, 'n'), kNumeric, ValueFormat::kBinary), "<NULL>");
  EXPECT_EQ(apply(kFull, "????", kDate, ValueFormat::kBinary), "<NULL>");
  EXPECT_EQ(apply(kFull, "label", kEnum, ValueFormat::kBinary), "<NULL>") << "an extension's own form is not known";
  EXPECT_EQ(apply(kFull, "anything", 0, ValueFormat::kCopyBinary), "<NULL>");
}

TEST_F(Masking, EveryTextFormStaysReadable) {
  EXPECT_EQ(apply(kFull, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", kUuid), "00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(apply(kHash, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", kUuid)[8], '-');
  EXPECT_EQ(apply(kFull, "\\x6162", kBytea), "\\x0000");
  EXPECT_EQ(apply(kFull, "ab\\001", kBytea), "<NULL>");
  EXPECT_EQ(apply(kFull, "{\"a\": 1}", kJson), "\"******\"");
  EXPECT_EQ(apply(kFull, "7", kJson), "0");
  EXPECT_EQ(apply(kFull, "2020-01-01", kDate), "<NULL>");
  EXPECT_EQ(apply(kFull, "{a,b}", kTextArray), "<NULL>");
  EXPECT_EQ(apply(kFull, "label", kEnum), "*****");
}

TEST_F(Masking, ARunInsideAValueLeavesTheRest) {
  EXPECT_EQ(apply_part(kFull, "see 4111 1111 1111 1111 ok", 4, 23), "see ******************* ok");
  EXPECT_EQ(apply_part(kPartial, "see 4111111111111111 ok", 4, 20), "see ************1111 ok");
  EXPECT_EQ(apply_part(kHash, "see 4111111111111111 ok", 4, 20).size(), 23u);
  EXPECT_EQ(apply_part(kFull, "{\"n\": 4111111111111111}", 6, 22, kJson), "{\"n\": 1000000000000000}")
      << "a bare number stays one";
  EXPECT_EQ(apply_part(kFull, "{4111111111111111,x}", 1, 17, kTextArray), "{****************,x}");
  EXPECT_EQ(apply_part(kFull, "4111111111111111", 0, 16, kInt8), "0000000000000000");
  EXPECT_EQ(apply_part(kNull, "see 4111", 4, 8), "<NULL>");
  EXPECT_EQ(apply_part(kFull, "short", 3, 9), "<refused>");
}

TEST_F(Masking, WhatCannotBeDoneSafelyIsRefused) {
  const auto refused = [&](const MaskResult& result) { return result.kind == Kind::kRefuse; };
  EXPECT_TRUE(refused(keyless->mask(kHash, {as_bytes("alice"), ValueFormat::kText, kText, true, true}, arena)));
  EXPECT_TRUE(refused(masker->mask(kNull, {as_bytes("alice"), ValueFormat::kText, kText, true, false}, arena)));
  EXPECT_TRUE(refused(masker->mask(kFull, {as_bytes("2020"), ValueFormat::kText, kDate, false, false}, arena)));
  Arena full(4);
  EXPECT_TRUE(refused(masker->mask(kHash, {as_bytes("alice@example.test"), ValueFormat::kText, kText, true, true}, full)));
  EXPECT_FALSE(keyless->has_key());
  EXPECT_TRUE(keyless->digest(as_bytes("x"), arena).empty());
}

TEST_F(Masking, APieceOfACellIsFilledWhatever) {
  const MaskResult result = masker->mask(kPartial, {as_bytes("alice"), ValueFormat::kText, kText, false, false}, arena);
  EXPECT_EQ(put(result, "alice"), "*****") << "its end is not the value's end";
}

TEST_F(Masking, CopyStaysCopy) {
  EXPECT_EQ(apply(kFull, "alice", 0, ValueFormat::kCopyText), "xxxxx") << "no letter can be the delimiter";
  EXPECT_EQ(apply(kPartial, "a\\tb\\\\cdef", 0, ValueFormat::kCopyText), "xxxxcdef");
  EXPECT_EQ(apply(kPartial, "abcdefg\\t", 0, ValueFormat::kCopyText), "xxxxefg\\t");
  EXPECT_EQ(apply(kPartial, "\"aaaa,bb\"\"\"", 0, ValueFormat::kCopyCsv), "\"xxxx,bb\"\"\"");
  EXPECT_EQ(apply(kHash, "alice\\n", 0, ValueFormat::kCopyText).size(), 6u);
}

TEST_F(Masking, OurMasksAreKnownAgain) {
  for (const std::string_view value : {"alice@example.test", "4111111111111111", "a long enough value"}) {
    for (const MaskSpec& spec : {kFull, kPartial, kHash}) {
      EXPECT_TRUE(masker->is_masked(apply(spec, value))) << value;
      if (spec.as == As::kHash) continue;
      EXPECT_TRUE(masker->is_masked(apply(spec, value, 0, ValueFormat::kCopyText))) << value;
    }
    EXPECT_FALSE(masker->is_masked(value));
  }
  EXPECT_FALSE(masker->is_masked("0123456789abcdef0123456789abcdef"));
  EXPECT_FALSE(masker->is_masked("*"));
  EXPECT_FALSE(masker->is_masked(""));
  EXPECT_FALSE(make_masker(as_bytes("another key"))->is_masked(apply(kHash, "alice@example.test")));
}

TEST_F(Masking, DigestsAreKeyed) {
  EXPECT_EQ(masker->digest(as_bytes("a"), arena).size(), 44u);
  EXPECT_EQ(masker->digest(as_bytes("a"), arena), masker->digest(as_bytes("a"), arena));
  EXPECT_NE(masker->digest(as_bytes("a"), arena), make_masker(as_bytes("another key"))->digest(as_bytes("a"), arena));
}

TEST(CopyEscape, EveryMeaningComesBack) {
  Prng prng(2);
  for (int i = 0; i < 5000; ++i) {
    std::string meaning(prng.below(12), ' ');
    for (char& c : meaning) c = "\\\"\t\n,ab\x01x7"[prng.below(10)];
    for (const ValueFormat format : {ValueFormat::kCopyText, ValueFormat::kCopyCsv, ValueFormat::kText}) {
      std::vector<std::byte> escaped(escaped_size_max(meaning.size()));
      escaped.resize(escape(as_bytes(meaning), format, escaped));
      std::vector<std::byte> back(escaped.size());
      back.resize(unescape(escaped, format, back));
      EXPECT_EQ(as_text(back), meaning);
    }
  }
}

TEST(CopyEscape, ReadsWhatTheServerMayWrite) {
  const auto meaning = [](std::string_view value) {
    std::string out(value.size(), ' ');
    out.resize(unescape(as_bytes(value), ValueFormat::kCopyText, {reinterpret_cast<std::byte*>(out.data()), out.size()}));
    return out;
  };
  EXPECT_EQ(meaning("\\101\\x42\\x4\\C\\"),
            "AB\x04"
            "C\\");
  EXPECT_EQ(meaning("\\b\\f\\n\\r\\t\\v\\\\"), "\b\f\n\r\t\v\\");
}

}  // namespace
}  // namespace weir::mask
