#include "parse/postgres/sql_lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/prng.h"
#include "parse/postgres/facts_fuzz.h"

namespace weir::postgres {
namespace {

std::string key_of(std::string_view text) {
  std::vector<std::byte> buffer(2 * text.size() + 2);
  const SqlKey key = sql_key(text, buffer);
  return key.is_shareable ? std::string(as_text(Bytes(buffer)).substr(0, key.size)) : "";
}

// Pieces of real statements and of traps; joined at random they make the differential's inputs.
const std::vector<std::string> kPieces = {
    "select", "SELECT", "*", "from", "where", "a", "b.c", "\"q\"", "\"q\"\"r\"", "1", "1.5", ".5", "1.", "1e5", "1e-5", "1e", "1..2", "2147483647",
    "2147483648", "99999999999999999999", "'x'", "''", "'it''s'", "'a\\'", "E'a\\'b'", "e'\\\\'", "U&'d\\0061t'", "U&\"d\\0061t\"", "u&'x' uescape '!'",
    "B'01'", "x'1F'", "N'x'", "n 'x'", "$$", "$$x$$", "$t$x$$y$t$", "$1", "$12", "$a", "$1a", "::", ":", ":=", "..", "=>", "<=", ">=", "<>", "!=", "+-", "-",
    "--x\n", "--x", "/*", "*/", "/* c */", "/*/**/*/", "*/*", "@-", "|/", "->>", "#>>", "||", "&&", "~*", "!~~", "+", "/", "%", "^", "?", "(", ")", "[",
    "]", ",", ";", "\n", "\t", "\r", "\f", "\v", " ", "  ", "'x'\n'y'", "'x' --c\n  'y'", "'x' /*c*/\n'y'", "'x'--\n--\n'y'", "'x'\n--c\n\n'y'", "é", "\xff", "_x$1",
    "u&", "U", "e", "E", "x", "b", "\\", "{", "0x1F", "1_000", "1a", "$", "'", "\"", "\"\"", "e'", "$x$"};

TEST(SqlLexer, AgreesWithTheParsersScannerOnRandomMixturesOfTraps) {
  Prng random(20240601);
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    const uint64_t count = 1 + random.below(9);
    for (uint64_t k = 0; k < count; ++k) {
      text += kPieces[random.below(kPieces.size())];
      if (random.one_in(2)) text += ' ';
    }
    const std::string difference = lexer_difference(text);
    ASSERT_EQ(difference, "") << "text: " << text;
  }
}

TEST(SqlLexer, AgreesWithTheParsersScannerOnRandomBytes) {
  Prng random(7);
  const std::string alphabet = "'\"$\\-/*eEuU&xXbBnN01.;:=<>+@ \n\ta_(),";
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    const uint64_t count = random.below(24);
    for (uint64_t k = 0; k < count; ++k) text += alphabet[random.below(alphabet.size())];
    const std::string difference = lexer_difference(text);
    ASSERT_EQ(difference, "") << "text: " << text;
  }
}

TEST(SqlKey, IsTheSameForOtherConstantsWhiteSpaceCommentsAndCase) {
  const std::string key = key_of("select a from t where id = 17 and n = 'x'");
  EXPECT_NE(key, "");
  EXPECT_EQ(key, key_of("SELECT a FROM T WHERE Id=4 AND n='it''s'"));
  EXPECT_EQ(key, key_of("select/* hi /* nested */ */a from t -- c\nwhere id =\t1 and n = 'x'\n'y'"));
}

TEST(SqlKey, DiffersWhereTheParserMaySeeAnotherStatement) {
  const char* const pairs[][2] = {
      {"select a", "select b"}, {"select \"A\"", "select A"}, {"select 1", "select '1'"}, {"select 1", "select 1.0"},
      {"select 'a'", "select E'a'"}, {"select 'a'", "select $$a$$"}, {"select B'1'", "select X'1'"}, {"select N'x'", "select n 'x'"},
      {"select 2147483647", "select 2147483648"}, {"select 'a' 'b'", "select 'a'\n'b'"}, {"select $1", "select $2"}, {"select $1", "select 1"},
      {"select a.b", "select a b"}, {"select - -1", "select @-1"}, {"select U&\"d!0061\" uescape '!'", "select U&\"d!0061\" uescape '?'"},
      {"select a;", "select a"}, {"select \"a b\"", "select \"a\" \"b\""}};
  for (const auto& pair : pairs) EXPECT_NE(key_of(pair[0]), key_of(pair[1])) << pair[0];
}

TEST(SqlKey, KeepsIntegersThatMayBeColumnNumbers) {
  EXPECT_NE(key_of("select a, b from t order by 1"), key_of("select a, b from t order by 2"));
  EXPECT_NE(key_of("select a, b from t GROUP BY 1, 2"), key_of("select a, b from t group by 1, 3"));
  EXPECT_EQ(key_of("select a, b from t order by 1 desc, 2 limit 10"), key_of("select a, b from t order by 1 desc, 2 limit 20"));
  EXPECT_EQ(sql_integers_in_key("select 1 from t order by 2, a + 3, 4 limit 5"), (std::vector<uint32_t>{25, 35}));
}

TEST(SqlKey, IsRefusedWhereTheReadingIsNotCertain) {
  for (const char* text : {"select 'a\\b'", "select 'a", "select \"a", "select /* a", "select $x$ a", "select E'a\\'", "select 1a", "select \x01", "select \"\""}) {
    EXPECT_EQ(key_of(text), "") << text;
  }
  EXPECT_EQ(key_of(std::string_view("select 1\0;drop table t", 23)), "");
  EXPECT_NE(key_of("select E'a\\'b'"), "");
}

TEST(SqlKey, DoesNotFitIsNotShareable) {
  std::array<std::byte, 8> small{};
  EXPECT_FALSE(sql_key("select a from t", small).is_shareable);
}

TEST(SqlNormalized, TakesEveryConstantOutAndNumbersThemBehindTheParameters) {
  EXPECT_EQ(sql_normalized("select * from t where a = 'secret' and b=$2 and c in (1,2.5) -- x\n"), "select * from t where a = $3 and b=$2 and c in ($4,$5)");
  EXPECT_EQ(sql_normalized("select E'x', $$y$$, B'1', X'f', U&'z', N'w'"), "select $1, $2, $3, $4, $5, $6");
  EXPECT_EQ(sql_normalized("select 'open"), "");
  EXPECT_EQ(sql_normalized("select 'a\\' , 'b'"), "");
  EXPECT_EQ(sql_normalized("select 'a\\d'"), "select $1");
}

TEST(SqlSurvey, BoundsTheDepthOfChainsAndLeavesListsFlat) {
  const auto repeat = [](std::string_view head, std::string_view piece, int count) {
    std::string text(head);
    for (int i = 0; i < count; ++i) text += piece;
    return sql_survey(text).depth_bound;
  };
  EXPECT_GE(repeat("select 1", "+-1", 30'000), 60'000U);
  EXPECT_GE(repeat("select ", "(", 10'000), 10'000U);
  EXPECT_GE(repeat("select f(1,2)", "+f(1,2)", 1000), 2000U);
  EXPECT_GE(repeat("select 1, 2", " union select 1, 2", 1000), 1000U);
  EXPECT_GE(repeat("select 1", "+case when a and b then 1 end", 1000), 5000U);
  EXPECT_GE(repeat("select a[1]", "[1]", 1000), 1000U);
  EXPECT_GE(repeat("select * from a", " join a on x and y", 1000), 1000U);
  EXPECT_GE(repeat("select ", "(1+", 5000), 10'000U);
  EXPECT_GE(repeat("select 1", "+2+a.and", 1000), 4000U);
  EXPECT_GE(repeat("select 1", "+2+a . union", 1000), 4000U);
  EXPECT_LE(repeat("insert into t values (1,'a')", ",(1,'a')", 100'000), 32U);
  EXPECT_LE(repeat("select * from t where a = 1", " or a = 1", 10'000), 32U);
  EXPECT_LE(repeat("select 1", ";select 1", 10'000), 32U);
}

TEST(SqlSurvey, CountsStatementsAndNamesWhatIsWrong) {
  EXPECT_EQ(sql_survey(";; select 1; select ';' /* ; */; ").statement_count, 2U);
  EXPECT_EQ(sql_survey("create rule r as on insert to t do (select 1; select 2)").statement_count, 1U);
  EXPECT_STREQ(sql_survey("select 'x").error, "unterminated quoted string");
  EXPECT_FALSE(sql_survey("select \"\xc0\xaf\"").names_are_utf8);
  EXPECT_FALSE(sql_survey("select \xff").names_are_utf8);
  EXPECT_TRUE(sql_survey("select '\xff', \"é€😀\"").names_are_utf8);
  EXPECT_FALSE(is_valid_utf8("\xed\xa0\x80"));  // A surrogate.
  EXPECT_FALSE(is_valid_utf8("\xf4\x90\x80\x80"));
  EXPECT_FALSE(is_valid_utf8("abcdefgh\xe2\x82"));
  EXPECT_TRUE(sql_survey("select 'a\\b'").has_plain_backslash);
  EXPECT_FALSE(sql_survey("select E'a\\b'").has_plain_backslash);
}

TEST(SqlFewerRows, LeavesOutRowsAndElementsOfConstantsOnly) {
  EXPECT_EQ(sql_fewer_rows("insert into t values (1,'a'),(2,'b') , (3,'c') returning x"), "insert into t values (1,'a')  returning x");
  EXPECT_EQ(sql_fewer_rows("insert into t values (1,'a'),(2,null),(3,NULL),(-4,$1),(-5,$2)"), "insert into t values (1,'a'),(2,null),(-4,$1)");
  EXPECT_EQ(sql_fewer_rows("select * from t where a in (1,2, 3 /* , */, -4) or b in ('x', 'y', 5, 6)"), "select * from t where a in (1 /* , */) or b in ('x', 5)");
  EXPECT_EQ(sql_fewer_rows("select a in (1, 2, 3 + f(x), 4, 5)"), "select a in (1, 3 + f(x), 4, 5)");
  for (const char* kept : {"insert into t values (1,'a'),(f(),'b'),(2,'a')", "select 1 from t group by (1,2),(3,4)", "select f((1,2),(3,4))", "select a.values (1,2),(1,2)",
                           "insert into t values (1,2),(1)", "select 'a\\' in (1,2,3)", "select a in (select 1), 2", "values (1),('a'),(1.5)", "select x in (1,2,3) 'open"}) {
    EXPECT_EQ(sql_fewer_rows(kept), "") << kept;
  }
}

TEST(SqlLexer, ReadsAPlainBackslashAsTheSettingSays) {
  const std::string text = "select 'a\\' , 'b; drop table dd; --'";
  const auto count = [&text](bool conforming) {
    SqlLexer lexer(text, conforming);
    int tokens = 0;
    while (lexer.next().kind != SqlTokenKind::kEnd) ++tokens;
    return tokens;
  };
  EXPECT_EQ(count(true), 4);
  EXPECT_NE(count(false), 4);
}

}  // namespace
}  // namespace weir::postgres
