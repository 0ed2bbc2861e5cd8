#include "core/core_count.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(CoreCount, AutoLeavesOneCpuForWhatRunsBesideTheDataPath) {
  const EngineConfig engine;
  EXPECT_EQ(core_count(engine, 8), 7u);
  EXPECT_EQ(core_count(engine, 2), 1u);
  EXPECT_EQ(core_count(engine, 1), 1u) << "there is no engine without a core";
  EXPECT_EQ(core_count(engine, 0), 1u) << "not known";
}

TEST(CoreCount, AListIsTakenAsItIs) {
  EngineConfig engine;
  engine.cores = {0, 1};
  EXPECT_EQ(core_count(engine, 2), 2u);
}

}  // namespace
}  // namespace weir
