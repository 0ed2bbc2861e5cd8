#include "control/privileges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace weir::control {
namespace {

// Runs `body` in a child with its own credentials; its exit code, 0 is right.  Each failed step has a number of its own.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

class Privileges : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "run the tests as root";
  }
};

TEST_F(Privileges, AHardenedProcessLeavesNoCoreAndGainsNothing) {
  EXPECT_EQ(in_child([] {
              if (!harden_process()) return 1;
              rlimit core{};
              getrlimit(RLIMIT_CORE, &core);
              if (core.rlim_cur != 0 || core.rlim_max != 0) return 2;
              if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 3;
              return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
            }),
            0);
}

TEST_F(Privileges, TheUserChangesForGoodAndOnlyThePlanIsKept) {
  EXPECT_EQ(in_child([] {
              if (!drop_privileges({.user = "nobody"})) return 1;
              if (geteuid() == 0 || getuid() == 0) return 2;
              if (setuid(0) == 0) return 3;
              if (capabilities_in_force() != std::vector<std::string>{"cap_net_bind_service", "cap_net_admin", "cap_bpf"}) return 4;
              if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 5;
              return access("/etc/shadow", R_OK) != 0 ? 0 : 6;
            }),
            0);
}

TEST_F(Privileges, RootMayStayTheUserButLosesTheRest) {
  EXPECT_EQ(in_child([] {
              if (!drop_privileges({.user = "root", .net_admin = false, .net_bind_service = false, .bpf = false})) return 1;
              if (!capabilities_in_force().empty()) return 2;
              return geteuid() == 0 ? 0 : 3;
            }),
            0);
}

TEST_F(Privileges, AnUnknownUserIsNamedWithTheFix) {
  EXPECT_EQ(in_child([] {
              const auto dropped = drop_privileges({.user = "nobody-here"});
              return !dropped && dropped.error().kind == Error::Kind::kNotFound && dropped.error().message.find("useradd") != std::string::npos ? 0 : 1;
            }),
            0);
}

TEST_F(Privileges, ThreadsMustNotBeThereYet) {
  EXPECT_EQ(in_child([] {
              std::thread other([] { pause(); });
              const auto dropped = drop_privileges({.user = "nobody"});
              other.detach();
              return !dropped && dropped.error().kind == Error::Kind::kInvalid ? 0 : 1;
            }),
            0);
}

TEST_F(Privileges, TheStateFolderIsTheUsersAlone) {
  char name[] = "/tmp/weir-state-XXXXXX";
  const std::string parent = mkdtemp(name), folder = parent + "/state";
  std::filesystem::create_directories(folder + "/journal");
  std::ofstream(folder + "/journal/a") << "x";
  std::ofstream(parent + "/outside") << "x";
  std::filesystem::create_symlink(parent + "/outside", folder + "/link");
  ASSERT_TRUE(prepare_state_folder(folder, "nobody"));
  const auto status_of = [](const std::string& path) {
    struct stat status{};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status;
  };
  EXPECT_EQ(status_of(folder).st_mode & 0777, 0700u);
  EXPECT_NE(status_of(folder).st_uid, 0u);
  EXPECT_NE(status_of(folder + "/journal/a").st_uid, 0u);
  EXPECT_EQ(status_of(parent + "/outside").st_uid, 0u) << "a link gave away what it points to";
  std::filesystem::remove_all(parent);
}

}  // namespace
}  // namespace weir::control
