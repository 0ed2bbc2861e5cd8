// The codec's parts that need no stream: words, startup packets, names, column tables, cells.
#include <gtest/gtest.h>

#include "parse/postgres/codec_scan.h"
#include "parse/postgres/codec_startup.h"
#include "parse/postgres/column_tables.h"
#include "parse/postgres/copy_rows.h"
#include "parse/postgres/messages.h"
#include "parse/postgres/statements.h"

namespace weir::postgres {
namespace {

Traits lone(std::string_view text) { return scan_lone(as_bytes(text)); }

TEST(CodecScan, FencesWhateverMayChangeTheMeaningOfWhatFollows) {
  for (const char* text : {"copy t from stdin", "  /* a /* nested */ comment */ SET x = 1", "-- line\nReset all", "discard all", "select set_config('a', 'b', false)",
                           "select current_setting('Client_Encoding')", "\"quoted\"", "/* never closed", "(((set x = 1", "alter role a set search_path = x",
                           "create view v as select 1", "Drop table t", "alter table t rename to u", "do $$begin end$$"}) {
    EXPECT_NE(lone(text) & kMayFence, 0) << text;
  }
  for (const char* text : {"select 1", "update t set a = 1", "insert into copy values (1)", "", "with x as (select 1) select * from x"}) {
    EXPECT_EQ(lone(text) & kMayFence, 0) << text;
  }
}

TEST(CodecScan, ColumnsNamedLikeCommandsDoNotMovePortalsOfALoneStatement) {
  EXPECT_EQ(lone("select open, close from prices") & kMayMovePortals, 0);
  EXPECT_NE(lone("close p") & kMayMovePortals, 0);
  EXPECT_NE(scan_query(as_bytes("select 1; close p")) & kMayMovePortals, 0);
}

TEST(CodecScan, ALargeTextIsNotReadThroughAndMayDoAnything) {
  const std::string values(kScanMax, 'x');
  EXPECT_EQ(scan_query(as_bytes("insert into t values ('" + values + "');")) & (kMayMoveNames | kMayMovePortals), 0);
  EXPECT_NE(scan_query(as_bytes("insert into t values ('" + values + "'); prepare a as select 1")) & kMayMoveNames, 0);
  EXPECT_NE(scan_lone(as_bytes("insert into t values ('" + values + "')")) & kMaySetGrammar, 0);
}

TEST(CodecScan, ReadsSqlPrepareOnlyWhenItIsSure) {
  std::string_view name, body;
  bool quoted = false;
  ASSERT_TRUE(read_sql_prepare("prepare A (int, text) as select $1;", name, quoted, body));
  EXPECT_EQ(name, "A");
  EXPECT_EQ(body, " select $1");
  ASSERT_TRUE(read_sql_prepare("PREPARE \"Mixed\" AS select 1", name, quoted, body));
  EXPECT_TRUE(quoted);
  for (const char* text : {"prepare a as select 1; select 2", "prepare transaction 'x'", "prepare \"a\"\"b\" as select 1", "prepare a select 1", "prepare", "select 1",
                           "prepare a as select ';' , 1"}) {
    EXPECT_FALSE(read_sql_prepare(text, name, quoted, body)) << text;
  }
}

TEST(CodecStartup, TakesTheServersSpellingsOfEncodings) {
  for (const char* name : {"UTF8", "utf-8", "UNICODE", "Latin1", "ISO_8859_1", "iso88591", "LATIN10", "SQL_ASCII"}) EXPECT_TRUE(is_safe_encoding(name)) << name;
  for (const char* name : {"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "WIN1252", "LATIN11", "", "EUC_JP"}) EXPECT_FALSE(is_safe_encoding(name)) << name;
}

std::string startup_packet(std::string_view pairs) {
  std::string packet("\0\0\0\0\0\x03\0\0", 8);
  for (const char c : pairs) packet += c == '|' ? '\0' : c;
  packet += std::string(pairs.empty() ? 1 : 2, '\0');
  packet[3] = static_cast<char>(packet.size());
  return packet;
}

TEST(CodecStartup, ReadsSettingsFromOptionsAsTheServerSplitsThem) {
  Startup startup;
  EXPECT_EQ(read_startup(as_bytes(startup_packet("user|alice|options|-c a\\ b=c -cstandard_conforming_strings=off")), startup).why, nullptr);
  EXPECT_FALSE(startup.standard_conforming_strings);
  EXPECT_EQ(startup.database, "alice");
  startup = {};
  EXPECT_NE(read_startup(as_bytes(startup_packet("user|alice|options|-c client\\_encoding=sj\\is")), startup).why, nullptr);
  startup = {};
  EXPECT_NE(read_startup(as_bytes(startup_packet("user|alice|replication|on")), startup).why, nullptr);
  startup = {};
  EXPECT_NE(read_startup(as_bytes(startup_packet("database|shop")), startup).why, nullptr);
}

// Letters may be clustered, and a setting may be spelt with dashes and in any case.
TEST(CodecStartup, NoSettingComesInByTheDoorThatASetWouldBeJudgedFor) {
  for (const char* options : {"-c role=admin", "-crole=admin", "--role=admin", "--Session-Authorization=bob", "-Ec role=admin", "-Oecrole=admin",
                              "-d 5 -c row_security=off", "-S1 -c\\ role=x -c role=x", "-eEF --session_replication_role=replica", "-Ec client_encoding=SJIS",
                              "-c", "-z -c a=b", "alone", "--", "-c a=b --"}) {
    Startup startup;
    EXPECT_NE(read_startup(as_bytes(startup_packet(std::string("user|alice|options|") + options)), startup).why, nullptr) << options;
  }
  for (const char* pairs : {"user|alice|role|admin", "user|alice|Session_Authorization|bob"}) {
    Startup startup;
    EXPECT_NE(read_startup(as_bytes(startup_packet(pairs)), startup).why, nullptr) << pairs;
  }
  for (const char* pairs : {"user|alice|options|-ec search_path=evil", "user|alice|options|--search-path=evil", "user|alice|SEARCH_PATH|evil"}) {
    Startup startup;
    EXPECT_EQ(read_startup(as_bytes(startup_packet(pairs)), startup).why, nullptr) << pairs;
    EXPECT_FALSE(startup.search_path_is_default) << pairs;
  }
  Startup startup;
  EXPECT_EQ(read_startup(as_bytes(startup_packet("user|alice|options|-c geqo=off --work_mem=4MB -e")), startup).why, nullptr);
  EXPECT_TRUE(startup.search_path_is_default);
}

TEST(CodecStartup, RewritesTheLoginAndKeepsTheDatabaseThatTheClientMeant) {
  Startup startup;
  ASSERT_EQ(read_startup(as_bytes(startup_packet("user|alice|_pq_.x|1|TimeZone|UTC")), startup).why, nullptr);
  MessageWriter out;
  write_startup(out, startup, "app");
  Startup again;
  ASSERT_EQ(read_startup(out.bytes(), again).why, nullptr);
  EXPECT_EQ(again.user, "app");
  EXPECT_EQ(again.database, "alice");
  EXPECT_EQ(again.parameters, std::string("TimeZone\0UTC\0", 13));
  EXPECT_EQ(again.protocol_option_count, 0U);
}

TEST(StatementStore, GivesUpWhatNobodyMarksAndIsBounded) {
  StatementStore store(100);
  const uint64_t a = store.keep(as_bytes("select 1"), 0);
  const uint64_t b = store.keep(as_bytes("select 2"), kMayFence);
  store.mark(b);
  store.sweep();
  EXPECT_TRUE(store.text(a).empty());
  EXPECT_EQ(as_text(store.text(b)), "select 2");
  EXPECT_EQ(store.traits(a), static_cast<Traits>(~0)) << "an unknown statement may do anything";
  EXPECT_EQ(store.keep(as_bytes(std::string(93, 'x')), 0), 0U);
  const uint64_t c = store.keep(as_bytes("select 3"), 0);
  store.take_back(c);
  EXPECT_EQ(store.keep(as_bytes("select 4"), 0), c);
}

TEST(NameTable, AMeaningChangesOnlyWhenItIsConfirmed) {
  NameTable<uint64_t> names;
  names.send("s", 1, 10, 1);
  names.confirm("s", 1, 10);
  names.send("s", 2, 11, 2);
  EXPECT_EQ(names.find("s")->current, 1U);
  names.fail("s", 11);
  EXPECT_EQ(names.find("s")->current, 1U);
  EXPECT_EQ(names.find("s")->pending, 0U);
  names.close("s");
  EXPECT_EQ(names.find("s"), nullptr);
  names.send("t", 3, 12, 3);
  names.fail("t", 12);
  EXPECT_TRUE(names.find("t")->is_of_segment(3)) << "until its segment is over";
  names.forget_dead();
  EXPECT_EQ(names.named_count(), 0U);
}

std::string row_description(std::initializer_list<std::pair<std::string, int>> columns) {
  std::string body{'\0', static_cast<char>(columns.size())};
  for (const auto& [name, format] : columns) {
    body += name + std::string("\0\0\0\x40\x10\0\x02\0\0\0\x19\xff\xff\xff\xff\xff\xff\0", 18);
    body += static_cast<char>(format);
  }
  return body;
}

TEST(ColumnTables, NamesSurviveTheBytesTheyCameInAndFormatsAreOverlaid) {
  ColumnTables tables(1u << 20);
  bool malformed = false;
  uint32_t index = 0;
  {
    const std::string body = row_description({{"mail", 0}, {"age", 0}});
    index = tables.read(as_bytes(body), malformed);
    EXPECT_EQ(tables.read(as_bytes(body), malformed), index) << "the same description is the same table";
  }
  ASSERT_FALSE(malformed);
  ASSERT_EQ(tables.columns(index).size(), 2U);
  EXPECT_EQ(tables.columns(index)[0].name, "mail");
  EXPECT_EQ(tables.columns(index)[0].table_id, 0x4010U);
  const uint32_t mixed = tables.read_formats(as_bytes(std::string("\0\0\0\x01", 4)));
  const uint32_t combined = tables.combine(index, mixed);
  EXPECT_EQ(tables.columns(combined)[1].name, "age");
  EXPECT_EQ(tables.format(combined, 0), ValueFormat::kText);
  EXPECT_EQ(tables.format(combined, 1), ValueFormat::kBinary);
  EXPECT_EQ(tables.read_formats(as_bytes(std::string("\0\x01", 2))), ColumnTables::kBinary);
  EXPECT_EQ(tables.read(as_bytes(std::string("\0\x02x", 3)), malformed), 0U);
  EXPECT_TRUE(malformed);
}

TEST(ColumnTables, AFullTableTellsNothingRatherThanGrow) {
  ColumnTables tables(64);
  bool malformed = false;
  EXPECT_EQ(tables.read(as_bytes(row_description({{"mail", 0}, {"age", 0}})), malformed), 0U);
  EXPECT_FALSE(malformed);
  EXPECT_TRUE(tables.columns(0).empty());
}

std::vector<std::string> cells(const CopyShape& shape, std::string_view line) {
  struct Context { std::string_view line; std::vector<std::string> out; } context{line, {}};
  walk_copy_data(shape, as_bytes(line), 0, [](void* pointer, const Field& field) {
    auto& c = *static_cast<Context*>(pointer);
    c.out.push_back((field.column == kColumnUnknown ? "?" : std::to_string(field.column)) +
                    (field.is_null ? "=null" : "=" + std::string(c.line.substr(field.value.offset, field.value.size))));
    return true;
  }, &context);
  return context.out;
}

TEST(CopyRows, CellsAreTakenApartOnlyWhenTheCountIsRight) {
  using Cells = std::vector<std::string>;
  const CopyShape text{CopyShape::Kind::kText, 2, true}, csv{CopyShape::Kind::kCsv, 2, true}, unsure{CopyShape::Kind::kText, 2, false};
  EXPECT_EQ(cells(text, "a\t\\N\n"), (Cells{"0=a", "1=null"}));
  EXPECT_EQ(cells(text, "a\\\tb\tc\n"), (Cells{"0=a\\\tb", "1=c"}));
  EXPECT_EQ(cells(text, "a|b\n"), (Cells{"?=a|b"}));
  EXPECT_EQ(cells(text, "a\tb\nc\td\n"), (Cells{"?=a\tb\nc\td"}));
  EXPECT_EQ(cells(unsure, "a\tb\n"), (Cells{"?=a\tb"}));
  EXPECT_EQ(cells(csv, "\"a,\"\"b\",\n"), (Cells{"0=a,\"\"b", "1=null"}));
  EXPECT_EQ(cells(csv, "\"line\nbreak\",x\n"), (Cells{"0=line\nbreak", "1=x"}));
  EXPECT_EQ(cells(csv, "a\n"), (Cells{"?=a"}));
}

TEST(CopyRows, PartsOfARowEndNowhereInsideALength) {
  std::string row("D\0\0\0\0\0\x02", 7);
  for (const std::string& value : {std::string(20, 'a'), std::string(9, 'b')}) {
    row += std::string("\0\0\0", 3) + static_cast<char>(value.size()) + value;
  }
  row[4] = static_cast<char>(row.size() - 1);
  for (std::size_t first = 1; first < row.size(); ++first) {
    CellState state;
    bool failed = false;
    const uint32_t taken = take_row_part(state, as_bytes(row).first(first), static_cast<uint32_t>(row.size()), failed);
    ASSERT_FALSE(failed);
    ASSERT_LE(taken, first);
    if (taken == 0) continue;
    CellState rest = state;
    EXPECT_EQ(take_row_part(rest, as_bytes(row).subspan(taken), static_cast<uint32_t>(row.size()) - taken, failed), row.size() - taken);
    EXPECT_FALSE(failed);
    EXPECT_EQ(rest.column, 2U);
  }
}

}  // namespace
}  // namespace weir::postgres
