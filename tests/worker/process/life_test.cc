// Nothing of a child outlives its run, its worker or its supervisor.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/worker/process/process_fixture.h"
#include "worker/process/fd.h"

namespace capstan::process {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using LifeTest = ProcessFixture;

TEST_F(LifeTest, S1_26_S4_44_I10_ADaemonIsKilledAndReportedAsAnOrphan) {
  // Twice away from its parent, in a session of its own.
  const Result result = RunScript(
      "(setsid sh -c 'sh -c \"echo up > up; exec sleep 86400.125\" & exit 0' &) ;"
      "until test -e up && grep -qs sleep /proc/[0-9]*/comm; do :; done");

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_THAT(result.orphans,
              Contains(Field("command", &Orphan::command, HasSubstr("sleep 86400.125"))));
  EXPECT_EQ(ProcessesWith("86400.125"), 0);
}

TEST_F(LifeTest, S1_26_ALoopThatIgnoresHangUpIsGone) {
  const Result result = RunScript(
      "nohup sh -c ': loop-of-life-test; echo up > up; while :; do :; done' > /dev/null 2>&1 &"
      "until test -e up; do :; done");

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_THAT(result.orphans,
              Contains(Field("command", &Orphan::command, HasSubstr("loop-of-life"))));
  EXPECT_EQ(ProcessesWith("loop-of-life-test; echo"), 0);
}

TEST_F(LifeTest, I10_AThousandForksAreGone) {
  Spec spec =
      Script("i=0; while [ $i -lt 1000 ]; do setsid sleep 86400.25 & i=$((i+1)); done; echo done");
  spec.limits.max_processes = 3000;
  spec.limits.timeout = absl::Minutes(2);

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(out_, "done\n") << err_;
  EXPECT_THAT(result.orphans, SizeIs(Ge(100)));  // as many as are listed
  EXPECT_EQ(ProcessesWith("86400.25"), 0);
}

TEST_F(LifeTest, AForkBombIsBoundedAndGone) {
  Spec spec =
      Script("bomb() { bomb bomb-of-life-test | bomb & }; bomb; wait; exec sleep 86400.375");
  spec.limits.max_processes = 50;
  spec.limits.timeout = absl::Seconds(2);

  const Result result = Run(spec);

  EXPECT_NE(result.end, Result::End::kNotStarted);
  EXPECT_EQ(ProcessesWith("bomb-of-life-test"), 0);
  EXPECT_EQ(ProcessesWith("86400.375"), 0);
}

TEST_F(LifeTest, OutputOfWhatIsLeftBehindDoesNotHoldTheRun) {
  const Result result = RunScript("sleep 86400.5 & echo done");

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(out_, "done\n");
  EXPECT_THAT(result.orphans, SizeIs(1));
  EXPECT_EQ(ProcessesWith("86400.5"), 0);
}

// A worker in a process of its own runs `marker`; returns its pid when that is there.
class WorkerProcess {
 public:
  WorkerProcess(Runner& runner, const Spec& spec) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // what the worker leaves behind becomes ours to wait for
    int ready[2];
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      runner.Run(spec, [&](Stream, std::string_view) { (void)!write(ready[1], "r", 1); }, {});
      _exit(0);
    }
    close(ready[1]);
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
  }
  ~WorkerProcess() { prctl(PR_SET_CHILD_SUBREAPER, 0); }

  pid_t pid() const { return pid_; }
  static void AwaitAll() {
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }
  static pid_t ChildOf(pid_t parent) {
    std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                       "/children");
    pid_t child = 0;
    file >> child;
    return child;
  }

 private:
  pid_t pid_;
};

TEST_F(LifeTest, I10_NothingIsLeftOfAChildWhoseWorkerWasKilled) {
  const WorkerProcess worker(*runner_,
                             Script("setsid sleep 86400.625 & echo up; exec sleep 86400.625"));
  ASSERT_THAT(ProcessesWith("86400.625"), Ge(1));

  kill(worker.pid(), SIGKILL);
  WorkerProcess::AwaitAll();

  EXPECT_EQ(ProcessesWith("86400.625"), 0);
}

TEST_F(LifeTest, NothingIsLeftOfAChildWhoseSupervisorWasKilled) {
  const WorkerProcess worker(*runner_,
                             Script("setsid sleep 86400.75 & echo up; exec sleep 86400.75"));
  const pid_t supervisor = WorkerProcess::ChildOf(worker.pid());
  ASSERT_GT(supervisor, 0);

  kill(supervisor, SIGKILL);
  WorkerProcess::AwaitAll();

  EXPECT_EQ(ProcessesWith("86400.75"), 0);
}

// Waits for the end of a process that is not ours to wait for.
bool Ends(pid_t process) {
  const Fd ended(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  pollfd wanted = {ended.get(), POLLIN, 0};
  return poll(&wanted, 1, 30'000) == 1;
}

TEST_F(LifeTest, ADeadlineHoldsWhenTheWorkerIsStopped) {
  Spec spec = Script("echo up; exec sleep 86400.875");
  spec.limits.timeout = absl::Seconds(1);
  const WorkerProcess worker(*runner_, spec);
  const pid_t supervisor = WorkerProcess::ChildOf(worker.pid());
  ASSERT_GT(supervisor, 0);

  kill(worker.pid(), SIGSTOP);
  EXPECT_TRUE(Ends(supervisor));
  EXPECT_EQ(ProcessesWith("86400.875"), 0);

  kill(worker.pid(), SIGKILL);
  WorkerProcess::AwaitAll();
}

TEST_F(LifeTest, AChildIsKilledWhenNothingIsHeardOfItsWorker) {
  Options options = TestOptions();
  options.silence = absl::Seconds(1);
  const auto runner = MakeRunner(options);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const WorkerProcess worker(**runner, Script("echo up; exec sleep 86400.9375"));
  const pid_t supervisor = WorkerProcess::ChildOf(worker.pid());
  ASSERT_GT(supervisor, 0);

  kill(worker.pid(), SIGSTOP);
  EXPECT_TRUE(Ends(supervisor)) << "long before its own deadline of a minute";
  EXPECT_EQ(ProcessesWith("86400.9375"), 0);

  kill(worker.pid(), SIGKILL);
  WorkerProcess::AwaitAll();
}

TEST_F(LifeTest, AChildMayBeSilentForLongWhileItsWorkerIsThere) {
  Options options = TestOptions();
  options.silence = absl::Milliseconds(500);
  const auto runner = MakeRunner(options);
  ASSERT_TRUE(runner.ok()) << runner.status();

  const Result result = (*runner)->Run(Script("sleep 2"), [](Stream, std::string_view) {}, {});

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(result.exit_code, 0);
}

}  // namespace
}  // namespace capstan::process
