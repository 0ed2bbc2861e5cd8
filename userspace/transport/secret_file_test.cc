#include "transport/secret_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/tls_test_support.h"

namespace weir::transport::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SecretFile, OneTrailingNewlineIsCut) {
  Folder folder;
  EXPECT_EQ(read_secret_file(folder.write("a", "fake-secret\n"))->view(), "fake-secret");
  EXPECT_EQ(read_secret_file(folder.write("b", "fake-secret\r\n"))->view(), "fake-secret");
  EXPECT_EQ(read_secret_file(folder.write("c", "fake-secret\n\n"))->view(), "fake-secret\n");
  EXPECT_EQ(read_secret_file(folder.write("d", "fake-secret "))->view(), "fake-secret ");
}

TEST(SecretFile, AnyRightOfOthersIsAnErrorWithTheFix) {
  Folder folder;
  for (const mode_t mode : std::initializer_list<mode_t>{0604, 0640, 0620, 0602, 0610}) {
    const auto secret = read_secret_file(folder.write("s", "fake-secret", mode));
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().kind, Error::Kind::kDenied);
    EXPECT_THAT(secret.error().message, AllOf(HasSubstr("chmod 0600 "), Not(HasSubstr("fake-secret"))));
  }
  EXPECT_TRUE(read_secret_file(folder.write("s", "fake-secret", 0400)));
}

TEST(SecretFile, EmptyMissingHugeAndOddFilesAreErrors) {
  Folder folder;
  EXPECT_THAT(read_secret_file(folder.write("empty", "\n")).error().message, HasSubstr("is empty"));
  EXPECT_EQ(read_secret_file(folder / "none").error().kind, Error::Kind::kNotFound);
  EXPECT_THAT(read_secret_file(folder.write("huge", std::string(101, 'x')), 100).error().message, HasSubstr("larger than 100"));
  EXPECT_TRUE(read_secret_file(folder.write("fits", std::string(100, 'x')), 100));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(read_secret_file(folder / "fifo").error().message, HasSubstr("not a regular file"));
  EXPECT_FALSE(read_secret_file(folder / "."));
}

TEST(SecretString, MovesWithoutACopyAndLeavesNothingBehind) {
  SecretString first("fake-secret");
  const char* place = first.view().data();
  SecretString second = std::move(first);
  EXPECT_EQ(second.view().data(), place);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  EXPECT_EQ(first.view(), "fake-secret");
  first.shorten(4);
  EXPECT_EQ(first.view(), "fake");
}

TEST(SecretString, WipingAStringOverwritesItsWholeBlock) {
  std::string secret = "fake-secret-that-is-longer-than-a-small-string";
  secret.reserve(200);
  const char* place = secret.data();
  secret.resize(8);
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  ASSERT_EQ(secret.data(), place);
  secret.resize(secret.capacity());
  EXPECT_EQ(secret.find("secret"), std::string::npos);
}

TEST(SecretString, EqualityNeedsTheSameSize) {
  EXPECT_TRUE(equal_in_constant_time(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("abcd")));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

}  // namespace
}  // namespace weir::transport::testing
