#include "worker/process/process.h"

#include <sys/stat.h>

#include <iostream>

#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/process/process_fixture.h"

namespace capstan::process {
namespace {

using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

using ProcessTest = ProcessFixture;

TEST_F(ProcessTest, TheExitCodeAndBothStreamsComeBack) {
  const Result result = RunScript("echo out; echo err >&2; exit 7");

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(out_, "out\n");
  EXPECT_EQ(err_, "err\n");
  EXPECT_THAT(result.orphans, IsEmpty());
  EXPECT_THAT(result.took, Gt(absl::ZeroDuration()));
}

TEST_F(ProcessTest, ASignalOfItsOwnDoingIsNamed) {
  const Result result = RunScript("kill -SEGV $$");

  EXPECT_EQ(result.end, Result::End::kSignalled) << result.message;
  EXPECT_EQ(result.signal, SIGSEGV);
}

TEST_F(ProcessTest, AProgramThatIsNotThereIsNotStarted) {
  Spec spec = Script("");
  spec.argv = {"no-such-program"};

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kNotStarted);
  EXPECT_THAT(result.message, HasSubstr("no-such-program"));
}

TEST_F(ProcessTest, ADirectoryThatIsNotThereIsNotStarted) {
  Spec spec = Script("true");
  spec.directory = "/nowhere";

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kNotStarted);
  EXPECT_THAT(result.message, HasSubstr("/nowhere"));
}

TEST_F(ProcessTest, AWritableFolderThatIsALinkIsRefused) {
  Spec spec = Script("true");
  std::filesystem::create_directory_symlink("/var", workspace_.path() + "/link");
  spec.sandbox.writable = {workspace_.path() + "/link"};

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kNotStarted);
  EXPECT_THAT(result.message, HasSubstr("symbolic link"));
}

TEST_F(ProcessTest, TheEnvironmentIsExactlyWhatWasGiven) {
  setenv("CAPSTAN_TEST_OF_WORKER", "inherited", 1);
  Spec spec = Script("");
  spec.argv = {"env"};
  spec.environment["GREETING"] = "hello there";

  const Result result = Run(spec);

  EXPECT_EQ(result.exit_code, 0) << result.message;
  const std::vector<std::string> lines = absl::StrSplit(out_, '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, UnorderedElementsAre("PATH=/usr/bin:/bin", "GREETING=hello there"));
}

TEST_F(ProcessTest, TheInputIsReadToItsEnd) {
  Spec spec = Script("cat");
  spec.input = std::string(300'000, 'x');

  const Result result = Run(spec);

  EXPECT_EQ(result.exit_code, 0) << result.message;
  EXPECT_EQ(out_, spec.input);
}

TEST_F(ProcessTest, WhatItWritesInItsWorkspaceBelongsToTheWorker) {
  const Result result = RunScript("mkdir made && echo text > made/file && test -O made/file");

  struct stat status{};
  EXPECT_EQ(result.exit_code, 0) << result.message << err_;
  ASSERT_EQ(stat((workspace_.path() + "/made/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, geteuid());
  EXPECT_EQ(status.st_gid, getegid());
}

TEST_F(ProcessTest, ItIsNotRootAndHasNoRights) {
  const Result result =
      RunScript("id -u; grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status");

  EXPECT_EQ(result.exit_code, 0) << result.message;
  EXPECT_EQ(out_,
            "65534\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
            "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
            "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
}

TEST_F(ProcessTest, ItRunsNoLongerThanItMay) {
  Spec spec = Script("trap '' TERM; echo ready; while :; do sleep 1000; done");
  spec.limits.timeout = absl::Milliseconds(500);

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kTimedOut);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_EQ(out_, "ready\n");
  EXPECT_THAT(result.message, HasSubstr("500ms"));
}

TEST_F(ProcessTest, AStopIsToldFirst) {
  std::stop_source stop;
  const Spec spec =
      Script("trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.01; done");

  const Result result = runner_->Run(
      spec,
      [&](Stream, std::string_view piece) {
        out_.append(piece);
        if (out_ == "ready\n") stop.request_stop();
      },
      stop.get_token());

  EXPECT_EQ(result.end, Result::End::kStopped);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(out_, "ready\ntold\n");
}

TEST_F(ProcessTest, AStopThatIsNotHeardKills) {
  std::stop_source stop;

  const Result result = runner_->Run(
      Script("trap '' TERM; echo ready; while :; do sleep 1000; done"),
      [&](Stream, std::string_view) { stop.request_stop(); }, stop.get_token());

  EXPECT_EQ(result.end, Result::End::kStopped);
  EXPECT_EQ(result.signal, SIGKILL);
}

TEST_F(ProcessTest, NothingIsStartedAfterAStop) {
  std::stop_source stop;
  stop.request_stop();

  const Result result = Run(Script("touch started"), stop.get_token());

  EXPECT_EQ(result.end, Result::End::kStopped);
  EXPECT_FALSE(std::filesystem::exists(workspace_.path() + "/started"));
}

TEST_F(ProcessTest, OutputBeyondTheLimitEndsIt) {
  Spec spec = Script("while :; do echo line of text; done");
  spec.limits.output_bytes = 100'000;

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kOutputLimit);
  EXPECT_EQ(out_.size(), 100'000u);
  EXPECT_THAT(result.message, HasSubstr("100000"));
}

// Where the machine has no memory limit this says so, and shows nothing.
TEST_F(ProcessTest, MemoryBeyondTheLimitIsNamed) {
  if (!AbilitiesHere(TestOptions()).memory_limit) {
    std::cout << "NOT RUN: no memory cgroup on this machine\n";
    return;
  }
  Spec spec = Script("head -c 300000000 /dev/zero | tail");
  spec.limits.memory_bytes = 64 << 20;

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kOutOfMemory) << result.message;
  EXPECT_THAT(result.message, HasSubstr("67108864"));
}

TEST_F(ProcessTest, S4_44_ThePeakOfItsMemoryIsReported) {
  const Result result = RunScript("head -c 100000000 /dev/zero | tail -c 100000000 | wc -c");

  EXPECT_EQ(out_, "100000000\n") << result.message;
  EXPECT_THAT(result.peak_memory_bytes, Gt(90'000'000));
}

TEST_F(ProcessTest, WithoutACgroupEverythingEndsAndMemoryIsStillReported) {
  Options options = TestOptions();
  options.cgroup = "/no/such/cgroup";
  const auto runner = MakeRunner(options);
  ASSERT_OK(runner);

  const Result result = (*runner)->Run(
      Script("setsid sleep 86400.015625 & head -c 100000000 /dev/zero | tail -c 100000000 | wc -c"),
      [](Stream, std::string_view) {}, {});

  EXPECT_EQ(result.exit_code, 0) << result.message;
  EXPECT_THAT(result.peak_memory_bytes, Gt(90'000'000));
  EXPECT_EQ(result.orphans.size(), 1u);
  EXPECT_EQ(ProcessesWith("86400.015625"), 0);
}

TEST_F(ProcessTest, SecretsAreFilesOfItsOwn) {
  Spec spec = Script(
      "stat -c %a-%U $CAPSTAN_SECRETS/token; cat $CAPSTAN_SECRETS/token;"
      "touch $CAPSTAN_SECRETS/more || echo read only");
  spec.secret_files = {{"token", "hunter2"}};

  const Result result = Run(spec);

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(out_, "400-nobody\nhunter2read only\n");
}

TEST_F(ProcessTest, NobodySeesASecretInArgumentsOrEnvironment) {
  std::stop_source stop;
  Spec spec = Script("echo ready; exec sleep 1000");
  spec.secret_files = {{"token", "hunter2-of-this-test"}};
  spec.input = "hunter2-of-this-test";
  int seen = -1;

  const Result result = runner_->Run(
      spec,
      [&](Stream, std::string_view) {
        seen = ProcessesWith(
            "hunter2-of-"
            "this-test");
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
          std::ifstream file(entry.path() / "environ", std::ios::binary);
          std::stringstream text;
          text << file.rdbuf();
          seen += text.str().find("hunter2-of-this-test") != std::string::npos ? 1 : 0;
        }
        stop.request_stop();
      },
      stop.get_token());

  EXPECT_EQ(result.end, Result::End::kStopped);
  EXPECT_EQ(seen, 0);
}

TEST_F(ProcessTest, WithoutASandboxItSeesTheMachinesFilesAndItsSecrets) {
  Spec spec = Script("cat $CAPSTAN_SECRETS/token; test -d /root && ls /proc | grep -c '^[0-9]'");
  spec.sandbox = {};
  spec.sandbox.enabled = false;
  spec.secret_files = {{"token", "hunter2 "}};

  const Result result = Run(spec);

  EXPECT_EQ(result.exit_code, 0) << result.message << err_;
  EXPECT_THAT(out_, ::testing::MatchesRegex("hunter2 [1-9]\n"));
}

TEST_F(ProcessTest, ASpecThatCannotBeMeantIsNotStarted) {
  Spec spec = Script("true");
  spec.limits.timeout = absl::ZeroDuration();

  EXPECT_THAT(Run(spec).message, HasSubstr("limits.timeout: got 0, want"));
}

TEST(MakeRunnerTest, ASupervisorThatIsNotThereIsNotFound) {
  Options options;
  options.supervisor = "/no/such/supervisor";

  EXPECT_THAT(MakeRunner(options), StatusIs(absl::StatusCode::kNotFound));
}

TEST(MakeRunnerTest, ASupervisorThatCannotRunIsAFailedPrecondition) {
  Options options;
  options.supervisor = "/bin/false";

  EXPECT_THAT(MakeRunner(options), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(AbilitiesTest, TheMachineOfTheTestsGivesWalls) {
  const Abilities abilities = AbilitiesHere(TestOptions());

  EXPECT_TRUE(abilities.namespaces);
  EXPECT_TRUE(abilities.seccomp);
}

}  // namespace
}  // namespace capstan::process
