// The program itself: what only a process can show.
#include <spawn.h>
#include <sys/wait.h>

#include "core/status_macros.h"
#include "tests/action_program/program_fixture.h"

namespace capstan::action_program {
namespace {

class BinaryTest : public ProgramTest {
 protected:
  pid_t Spawn(std::vector<std::string> args) {
    args.insert(args.begin(), CAPSTAN_PROGRAM);
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    CAPSTAN_CHECK(posix_spawn(&pid, CAPSTAN_PROGRAM, nullptr, nullptr, argv.data(), environ) == 0);
    return pid;
  }
  // The exit code; -1 when a signal ended it.
  static int Wait(pid_t pid) {
    int status = 0;
    CAPSTAN_CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(BinaryTest, ItsExitCodeSaysWhetherItIsDone) {
  sim_->AddDeployment("shop", "web", 1);
  const auto restart = [&](const std::string& name) {
    return Wait(Spawn({"restart-deployment", "--kubeconfig", kubeconfig_, "--namespace=shop",
                       "--at=2026-01-02T03:04:05Z", "--", name}));
  };

  EXPECT_EQ(restart("web"), 0);
  EXPECT_EQ(restart("absent"), 1);
}

TEST_F(BinaryTest, ATermSignalEndsItWithCode143) {
  sim_->AddDeployment("shop", "web", 1);
  ASSERT_TRUE(sim_->WaitFor([&] { return !sim_->List("pods", "shop").empty(); }));
  const Json pod = sim_->List("pods", "shop").front();
  sim_->HoldPodTermination();
  const std::string uid = pod["metadata"]["uid"];
  const pid_t pid = Spawn({"delete-pod", "--kubeconfig", kubeconfig_, "--namespace=shop",
                           "--uid=" + uid, "--", pod["metadata"]["name"]});
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->CountCalls("delete", "pods") == 1; }));

  kill(pid, SIGTERM);

  EXPECT_EQ(Wait(pid), 143);
  sim_->ReleasePodTermination();
}

}  // namespace
}  // namespace capstan::action_program
