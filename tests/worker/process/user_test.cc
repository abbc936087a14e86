// The sandbox of a worker that is not root: namespaces of its own user.
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/worker/process/process_fixture.h"

namespace capstan::process {
namespace {

constexpr uid_t kSomebody = 54321;

// Runs `what` in a process of an ordinary user; true when it says so there.
template <class What>
bool AsSomebody(What what) {
  const pid_t pid = fork();
  if (pid == 0) {
    const bool changed = geteuid() != 0 || (setgroups(0, nullptr) == 0 &&
                                            setresgid(kSomebody, kSomebody, kSomebody) == 0 &&
                                            setresuid(kSomebody, kSomebody, kSomebody) == 0);
    _exit(changed && what() ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class UserTest : public ProcessFixture {
 protected:
  void SetUp() override {
    ProcessFixture::SetUp();
    // A copy that an ordinary user may run.
    supervisor_ = workspace_.path() + "/capstan-supervisor";
    std::filesystem::copy_file(CAPSTAN_SUPERVISOR, supervisor_);
    if (geteuid() == 0) {
      ASSERT_EQ(chown(workspace_.path().c_str(), kSomebody, kSomebody), 0);
    }
  }

  Options UserOptions() const {
    Options options = TestOptions();
    options.supervisor = supervisor_;
    return options;
  }

  std::string supervisor_;
};

TEST_F(UserTest, AnOrdinaryUsersChildIsWalledInToo) {
  Spec spec = Script(
      "test $(id -u) != 0 && echo text > file && test ! -e /root && test ! -e /proc/2000000 &&"
      "grep -q 'CapEff:.0000000000000000' /proc/self/status && ! unshare -U true 2> /dev/null &&"
      "test $(grep -c : /proc/net/dev) = 1 && test \"$(cat $CAPSTAN_SECRETS/token)\" = hunter2");
  spec.secret_files = {{"token", "hunter2"}};

  const bool worked = AsSomebody([&] {
    const auto runner = MakeRunner(UserOptions());
    if (!runner.ok()) std::cerr << runner.status() << "\n";
    if (!runner.ok()) return false;
    const Result result =
        (*runner)->Run(spec, [](Stream, std::string_view text) { std::cerr << text; }, {});
    std::cerr << result.message << " " << result.exit_code << "\n";
    return result.end == Result::End::kExited && result.exit_code == 0;
  });

  EXPECT_TRUE(worked);
  EXPECT_TRUE(std::filesystem::exists(workspace_.path() + "/file"));
}

// As in a container that runs as root with few rights.
TEST_F(UserTest, RootWithoutTheRightToMountIsWalledInToo) {
  ASSERT_EQ(chown(workspace_.path().c_str(), geteuid(), getegid()), 0);
  const Spec spec = Script(
      "test $(id -u) = 65534 && echo text > file && test ! -e /root && ! cat /etc/shadow &&"
      "grep -q 'CapEff:.0000000000000000' /proc/self/status");

  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0);
    const auto runner = MakeRunner(UserOptions());
    if (!runner.ok()) _exit(2);
    const Result result = (*runner)->Run(spec, [](Stream, std::string_view) {}, {});
    _exit(result.end == Result::End::kExited ? result.exit_code : 3);
  }
  int status = 0;
  waitpid(pid, &status, 0);

  EXPECT_EQ(status, 0);
  EXPECT_TRUE(std::filesystem::exists(workspace_.path() + "/file"));
}

TEST_F(UserTest, WithoutACgroupItsProcessesAreLimitedToo) {
  Spec spec = Script("for i in $(seq 100); do sleep 86400.03125 & done");
  spec.limits.max_processes = 30;

  const bool limited = AsSomebody([&] {
    Options options = UserOptions();
    options.cgroup = "/no/such/cgroup";
    const auto runner = MakeRunner(options);
    if (!runner.ok()) return false;
    const Result result = (*runner)->Run(spec, [](Stream, std::string_view) {}, {});
    return result.orphans.size() > 20 && result.orphans.size() <= 30;
  });

  EXPECT_TRUE(limited);
  EXPECT_EQ(ProcessesWith("86400.03125"), 0);
}

TEST_F(UserTest, ADaemonOfAnOrdinaryUserIsGone) {
  const Spec spec = Script("setsid sleep 86400.0625 & exit 0");

  const bool reported = AsSomebody([&] {
    const auto runner = MakeRunner(UserOptions());
    return runner.ok() &&
           (*runner)->Run(spec, [](Stream, std::string_view) {}, {}).orphans.size() == 1;
  });

  EXPECT_TRUE(reported);
  EXPECT_EQ(ProcessesWith("86400.0625"), 0);
}

}  // namespace
}  // namespace capstan::process
