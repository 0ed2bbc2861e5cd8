#include "kernel/whole_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

namespace weir::kernel {
namespace {

class WholeFile : public testing::Test {
 protected:
  WholeFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-whole-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~WholeFile() override { std::filesystem::remove_all(folder); }
  [[nodiscard]] std::string path() const { return folder + "/table.json"; }
  std::string folder;
};

TEST_F(WholeFile, IsReplacedWholeAndForItsOwnerAlone) {
  ASSERT_TRUE(replace_whole_file(path(), std::string(200'000, 'x')));
  ASSERT_TRUE(replace_whole_file(path(), "the new one"));
  EXPECT_EQ(read_whole_file(path(), 1 << 20).value(), "the new one");
  struct stat status {};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
}

TEST_F(WholeFile, WhatIsNotThereOrTooLargeSaysSo) {
  EXPECT_EQ(read_whole_file(path(), 10).error().kind, Error::Kind::kNotFound);
  ASSERT_TRUE(replace_whole_file(path(), "eleven byte"));
  EXPECT_EQ(read_whole_file(path(), 10).error().kind, Error::Kind::kCorrupt);
  EXPECT_EQ(read_whole_file(path(), 11).value(), "eleven byte");
}

TEST_F(WholeFile, AFailureLeavesTheOldOne) {
  ASSERT_TRUE(replace_whole_file(path(), "old"));
  std::filesystem::create_directory(path() + ".new");  // In the way of the one aside.
  EXPECT_EQ(replace_whole_file(path(), "new").error().kind, Error::Kind::kSystem);
  EXPECT_EQ(read_whole_file(path(), 10).value(), "old");
}

}  // namespace
}  // namespace weir::kernel
