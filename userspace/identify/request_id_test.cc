#include "identify/request_id.h"

#include <gtest/gtest.h>

namespace weir::identify {
namespace {

const std::vector<std::string> kOrder = {"traceparent", "sqlcommenter", "application_name"};
constexpr std::string_view kTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::string_view find(std::string_view statement, std::string_view application = "") {
  return find_request_id(kOrder, statement, application);
}

TEST(RequestId, TraceparentOfATrailingCommentComesFirst) {
  const std::string statement = "select 1 /*route='x',traceparent='" + std::string(kTrace) + "'*/";
  EXPECT_EQ(find(statement, "app"), kTrace);
  EXPECT_EQ(find(statement + " ;\n", "app"), kTrace);
}

TEST(RequestId, TraceparentMayBeInTheApplicationName) { EXPECT_EQ(find("select 1", "svc " + std::string(kTrace)), kTrace); }

TEST(RequestId, MalformedTraceparentsAreNotTaken) {
  for (const char* trace :
       {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"}) {
    EXPECT_EQ(find("select 1 /*" + std::string(trace) + "*/"), "") << trace;
  }
}

TEST(RequestId, SqlcommenterIsTheInsideOfTheComment) {
  EXPECT_EQ(find("select 1 /* controller='orders',route='%2Fx',q='it\\'s' */", "app"),
            "controller='orders',route='%2Fx',q='it\\'s'");
  EXPECT_EQ(find("select 1 /* a hint */", "app"), "app");
  EXPECT_EQ(find("select 1 /* ='x' */", "app"), "app");
  EXPECT_EQ(find("select 1 /* a='x */", "app"), "app");
  EXPECT_EQ(find("select 1 /* a='x\\' */", "app"), "app");
  EXPECT_EQ(find("select 1 /* a='x', */", "app"), "app");
  EXPECT_EQ(find("select 1 /* a='x' b='y' */", "app"), "app");
}

TEST(RequestId, OnlyTheLastCommentCounts) {
  EXPECT_EQ(find("select /*id='1'*/ 1", "app"), "app");
  EXPECT_EQ(find("/*id='1'*/ select 1 /*id='2'*/"), "id='2'");
  EXPECT_EQ(find("select '/*id=''1''*/'", "app"), "app");
}

TEST(RequestId, ApplicationNameIsTheLastResort) {
  EXPECT_EQ(find("select 1", "  app-7 "), "app-7");
  EXPECT_EQ(find("select 1", ""), "");
  EXPECT_EQ(find("", ""), "");
}

TEST(RequestId, TheOrderIsTheConfigurations) {
  const std::vector<std::string> only = {"application_name"};
  EXPECT_EQ(find_request_id(only, "select 1 /*id='1'*/", "app"), "app");
  EXPECT_EQ(find_request_id({}, "select 1 /*id='1'*/", "app"), "");
}

TEST(RequestId, WhatIsLongOrUnprintableIsNotTaken) {
  EXPECT_EQ(find("select 1", std::string(kRequestIdSizeMax, 'a')).size(), kRequestIdSizeMax);
  EXPECT_EQ(find("select 1", std::string(kRequestIdSizeMax + 1, 'a')), "");
  EXPECT_EQ(find("select 1", "app\x1b[31m"), "");
  EXPECT_EQ(find("select 1 /*id='" + std::string(300, 'x') + "'*/"), "");
  EXPECT_EQ(find("select 1 /*" + std::string(kCommentSizeMax, ' ') + "id='1'*/"), "");  // Begins further back than we look.
}

// Whoever sends several, or one that is none before one that is, is known by the first that holds.
TEST(RequestId, TheFirstThatHoldsIsTaken) {
  const std::string other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
  const std::string none = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
  EXPECT_EQ(find("select 1 /*traceparent='" + std::string(kTrace) + "',traceparent='" + other + "'*/"), kTrace);
  EXPECT_EQ(find("select 1 /*traceparent='" + none + "',x='" + other + "'*/"), other);
  EXPECT_EQ(find("select 1 /*traceparent='\x01'*/", "app"), "app");
  EXPECT_EQ(find("select 1 /*a='" + std::string("x\0y", 3) + "'*/", "app"), "app");
  EXPECT_EQ(find("select 1 /*a='\xc3\xa4'*/", "svc " + other), other);
}

TEST(RequestId, ALookAtTheEndSaysWhetherThereIsAComment) {
  for (const char* text : {"select 1 /*a*/", "select 1 /*a*/;", "select 1 /*a*/ ;\n", "/**/"}) EXPECT_TRUE(may_have_request_id(text)) << text;
  for (const char* text : {"", "*/", "/*/", ";", "select 1", "select /*a*/ 1", "select '/*a*/'"}) EXPECT_FALSE(may_have_request_id(text)) << text;
}

TEST(RequestId, OddEndsAreHarmless) {
  for (const char* text : {"*/", "/*/", "/**/", ";", ";;*/", "/", "*", "/* */ */"}) EXPECT_EQ(find(text), "") << text;
}

}  // namespace
}  // namespace weir::identify
