// What tasks work on, how much of the disk they may take, and what becomes of their programs: real
// git, real programs, a worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/tasks.h"

namespace capstan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using v1::Execution;

class TaskWorkspaceTest : public ::testing::Test {
 protected:
  TaskWorkspaceTest() : system_(System::Make(NamedCallers())), server_(system_->StartServer()) {}

  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }

  void StartWorker(const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = room_.WorkerFlags();
    flags.insert(flags.end(), more.begin(), more.end());
    worker_ = system_->StartWorker({}, flags);
  }

  // A task on a branch of the repository.
  v1::RunTaskRequest OnBranch(const std::string& workflow, const std::string& branch) {
    v1::RunTaskRequest request = Task(workflow, &room_);
    request.set_context(v1::CONTEXT_KIND_BRANCH);
    request.mutable_repository()->set_base_ref(branch);
    return request;
  }
  // Returns when a step has printed that.
  void AwaitOutput(const std::string& name, const std::string& text) {
    grpc::ClientContext context;
    v1::ReadTranscriptRequest request;
    request.set_name(name);
    request.set_follow(true);
    const auto reader = server_.executions->ReadTranscript(&context, request);
    v1::ReadTranscriptResponse response;
    while (reader->Read(&response) && response.entry().text() != text) {
    }
    context.TryCancel();
  }
  // Somebody puts a commit on a branch; its id.
  std::string MoveBranch(const std::string& branch) {
    const std::string commit =
        room_.Git({"commit-tree", "-p", branch, "-m", "theirs", branch + "^{tree}"});
    room_.Git({"update-ref", "refs/heads/" + branch, commit});
    return commit;
  }

  TaskRoom room_;
  std::unique_ptr<System> system_;
  Server server_;
  std::unique_ptr<Process> worker_;
};

constexpr char kWrite[] = R"(
name: write
steps:
  - name: write
    command:
      repeatable: true
      argv: [sh, -c, "echo from {{TASK_BRANCH}}, new since {{TARGET_BRANCH}} > made.txt"]
)";

constexpr char kAsk[] = R"(
name: ask
steps:
  - name: write
    command: {argv: [sh, -c, "echo one > made.txt"], repeatable: true}
  - name: more
    depends_on: [write]
    gate: {kind: human}
    command: {argv: [sh, -c, "echo two > made.txt"], repeatable: true}
)";

// ---- what a task works on

TEST_F(TaskWorkspaceTest, S4_2_ATaskOnABranchCommitsToItAndLeavesItBehind) {
  room_.Git({"branch", "feature"});
  const std::string began = room_.Git({"rev-parse", "feature"});
  StartWorker();
  PutWorkflow(server_, kWrite);

  const Streamed run = RunToEnd(server_, OnBranch("write", "feature"));

  ASSERT_TRUE(run.status.ok()) << run.status.error_message();
  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  const Execution task = Get(server_, run.snapshot->name());
  EXPECT_EQ(task.context(), v1::CONTEXT_KIND_BRANCH);
  EXPECT_EQ(task.workspace().branch(), "feature");
  EXPECT_EQ(task.workspace().base_commit(), began);
  EXPECT_EQ(room_.Git({"rev-parse", "feature"}), task.workspace().head_commit());
  EXPECT_EQ(room_.Git({"rev-parse", "feature^"}), began);
  EXPECT_EQ(room_.Git({"show", "feature:made.txt"}),
            absl::StrCat("from feature, new since ", began));
  EXPECT_EQ(room_.Git({"branch", "--list", "capstan/*"}), "");
  EXPECT_EQ(room_.Git({"rev-parse", "main"}), began);
  EXPECT_EQ(room_.Git({"status", "--porcelain"}), "");
}

TEST_F(TaskWorkspaceTest, S4_2_WhatWasNotSaidIsTaskWithARepositoryAndStandaloneWithout) {
  StartWorker();
  PutWorkflow(server_, kWrite);

  const Streamed task = RunToEnd(server_, Task("write", &room_));
  const Streamed alone = RunToEnd(server_, Task("write"));

  ASSERT_EQ(task.End().to(), Execution::STATE_SUCCEEDED) << task.End().message();
  ASSERT_EQ(alone.End().to(), Execution::STATE_SUCCEEDED) << alone.End().message();
  EXPECT_EQ(task.events[0].accepted().task().context(), v1::CONTEXT_KIND_TASK);
  EXPECT_EQ(alone.events[0].accepted().task().context(), v1::CONTEXT_KIND_STANDALONE);
  const Execution of_repository = Get(server_, task.snapshot->name());
  const Execution of_nothing = Get(server_, alone.snapshot->name());
  EXPECT_EQ(of_repository.context(), v1::CONTEXT_KIND_TASK);
  EXPECT_EQ(of_nothing.context(), v1::CONTEXT_KIND_STANDALONE);
  EXPECT_EQ(room_.Git({"show", of_repository.workspace().branch() + ":made.txt"}),
            absl::StrCat("from ", of_repository.workspace().branch(), ", new since main"));
  EXPECT_THAT(of_nothing.workspace().repository(), HasSubstr(room_.workspaces()));
}

TEST_F(TaskWorkspaceTest, S4_2_AContextThatDoesNotFitIsRefusedByName) {
  v1::RunTaskRequest request = Task("write");
  request.set_context(v1::CONTEXT_KIND_TASK);

  const Streamed run = RunToEnd(server_, request);

  EXPECT_EQ(run.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(run.status.error_message(), HasSubstr("repository: got nothing, want one"));
}

TEST_F(TaskWorkspaceTest, S4_2_PolicyKnowsWhatATaskWorksOn) {
  room_.Git({"branch", "release"});
  WriteBundle(*system_, "branches", R"(
violations contains {"id": "branches/not-on-release", "message": "nobody works on it itself"} if {
	input.action == "RunTask"
	input.parameters.context == "CONTEXT_KIND_BRANCH"
	input.parameters.base_ref == "release"
}
)");
  StartWorker();
  PutWorkflow(server_, kWrite);
  v1::RunTaskRequest from = OnBranch("write", "release");
  from.set_context(v1::CONTEXT_KIND_TASK);

  const Streamed on = RunToEnd(server_, OnBranch("write", "release"));
  const Streamed beside = RunToEnd(server_, from);

  EXPECT_EQ(on.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(on.End().message(), HasSubstr("branches/not-on-release"));
  EXPECT_EQ(beside.End().to(), Execution::STATE_SUCCEEDED) << beside.End().message();
}

TEST_F(TaskWorkspaceTest, S4_2_TheCheckedOutBranchOfARepositoryIsNotWorkedOn) {
  StartWorker();
  PutWorkflow(server_, kWrite);

  const Streamed run = RunToEnd(server_, OnBranch("write", "main"));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_THAT(run.End().message(),
              AllOf(HasSubstr("branch main: is checked out in"), HasSubstr(room_.repository())));
}

TEST_F(TaskWorkspaceTest, S4_2_TwoTasksDoNotWorkOnOneBranchAtOnce) {
  room_.Git({"branch", "feature"});
  StartWorker();
  PutWorkflow(server_, kAsk);
  PutWorkflow(server_, kWrite);
  const auto first = Submit(server_, OnBranch("ask", "feature"), "alice");
  ASSERT_TRUE(first.ok()) << first.status();
  WaitApproval(server_, *first);

  const Streamed second = RunToEnd(server_, OnBranch("write", "feature"));

  EXPECT_EQ(second.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_THAT(second.End().message(), HasSubstr("branch feature: is checked out in"));
  ASSERT_TRUE(DecideGate(server_, *first, true, "fine", "bob").ok());
  const Streamed end = WatchAll(server_, {*first})[0];
  EXPECT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
  EXPECT_EQ(room_.Git({"show", "feature:made.txt"}), "two");
}

TEST_F(TaskWorkspaceTest, S4_2_I12_ABranchThatSomebodyMovesMeanwhileIsNotOverwritten) {
  room_.Git({"branch", "feature"});
  StartWorker();
  PutWorkflow(server_, kAsk);
  const auto name = Submit(server_, OnBranch("ask", "feature"), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WaitApproval(server_, *name);
  const std::string theirs = MoveBranch("feature");

  ASSERT_TRUE(DecideGate(server_, *name, true, "fine", "bob").ok());
  const Streamed end = WatchAll(server_, {*name})[0];

  EXPECT_EQ(end.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_THAT(end.End().message(), HasSubstr("branch feature: somebody else moved it"));
  EXPECT_EQ(room_.Git({"rev-parse", "feature"}), theirs);
}

constexpr char kMoves[] = R"(
name: moves
steps:
  - name: write
    llm: {prompt: "Do it.", schema: '{"type":"object","required":["status"],"properties":{"status":{"enum":["complete"]}}}'}
    retry_from: write
    checks:
      - {name: wait, argv: [sh, -c, "echo ready; while [ ! -e go ]; do sleep 0.05; done"]}
)";

// While an iteration runs; its work is kept, and going back would only cost more.
TEST_F(TaskWorkspaceTest, S4_2_WorkThatCannotGoToItsBranchIsKeptAndEndsTheTask) {
  room_.Git({"branch", "feature"});
  room_.SetScript(R"(
default:
  files: [{path: made.txt, content: "ours\n"}]
  answer: {status: complete}
)");
  StartWorker();
  PutWorkflow(server_, kMoves);
  const auto name = Submit(server_, OnBranch("moves", "feature"), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  AwaitOutput(*name, "ready\n");
  const std::string theirs = MoveBranch("feature");
  WriteFile(absl::StrCat(Get(server_, *name).workspace().path(), "/go"), "");

  const Streamed end = WatchAll(server_, {*name})[0];

  EXPECT_EQ(end.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  const std::string id = name->substr(name->find('/') + 1);
  EXPECT_THAT(end.End().message(), AllOf(HasSubstr("step write: "), HasSubstr("somebody else"),
                                         HasSubstr("refs/capstan/" + id + "/next")));
  EXPECT_EQ(room_.Git({"rev-parse", "feature"}), theirs);
  EXPECT_EQ(room_.Git({"show", "refs/capstan/" + id + "/next:made.txt"}), "ours");
}

// Nothing is committed before the end, so that this is where it shows.
TEST_F(TaskWorkspaceTest, S4_2_ATaskWhoseWorkIsNotOnItsBranchHasNotSucceeded) {
  room_.Git({"branch", "feature"});
  StartWorker();
  PutWorkflow(server_, R"(
name: at-the-end
checkpoint: none
steps:
  - name: write
    command: {argv: [sh, -c, "echo ours > made.txt; echo ready; while [ ! -e go ]; do sleep 0.05; done"]}
)");
  const auto name = Submit(server_, OnBranch("at-the-end", "feature"), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  AwaitOutput(*name, "ready\n");
  const std::string theirs = MoveBranch("feature");
  WriteFile(absl::StrCat(Get(server_, *name).workspace().path(), "/go"), "");

  const Streamed end = WatchAll(server_, {*name})[0];

  EXPECT_EQ(end.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(end.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_THAT(end.End().message(), HasSubstr("somebody else moved it"));
  const std::string id = name->substr(name->find('/') + 1);
  EXPECT_EQ(room_.Git({"rev-parse", "feature"}), theirs);
  EXPECT_EQ(room_.Git({"show", "refs/capstan/" + id + "/next:made.txt"}), "ours");
}

constexpr char kFails[] = R"(
name: fails
cleanup: on_success
steps:
  - name: write
    command: {argv: [sh, -c, "test -e made.txt || { echo one > made.txt; exit 1; }"]}
)";

TEST_F(TaskWorkspaceTest, S4_2_ATaskThatFailedLetsTheNextOneWorkOnItsBranch) {
  room_.Git({"branch", "feature"});
  StartWorker();
  PutWorkflow(server_, kFails);
  PutWorkflow(server_, kWrite);
  const Streamed failed = RunToEnd(server_, OnBranch("fails", "feature"));
  ASSERT_EQ(failed.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);

  const auto again = Retry(server_, failed.snapshot->name());
  ASSERT_TRUE(again.ok()) << again.status();
  const Streamed second = WatchAll(server_, {*again})[0];
  const Streamed third = RunToEnd(server_, OnBranch("write", "feature"));

  EXPECT_EQ(second.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED)
      << "it began from the branch, and not from what the first one left unfinished";
  EXPECT_EQ(Get(server_, *again).workspace().branch(), "feature");
  EXPECT_EQ(third.End().to(), Execution::STATE_SUCCEEDED) << third.End().message();
}

constexpr char kLong[] = R"(
name: long
checkpoint: every_iteration
steps:
  - name: write
    llm: {prompt: "Go.", schema: '{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue"]}}}'}
)";

TEST_F(TaskWorkspaceTest, S4_2_AnotherWorkerGoesOnOnTheBranch) {
  room_.Git({"branch", "feature"});
  room_.SetScript(R"(
replies:
  - {iteration: 1, files: [{path: a, content: "1"}], answer: {status: continue}}
  - {iteration: 2, attempt: 1, hold: true, files: [{path: b, content: "half"}]}
  - {iteration: 2, files: [{path: c, content: "3"}], answer: {status: complete}}
)");
  StartWorker();
  PutWorkflow(server_, kLong);
  const auto name = Submit(server_, OnBranch("long", "feature"));
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, v1::ExecutionEvent::kIterationFinished);

  worker_->Signal(SIGKILL);
  const std::unique_ptr<Process> lost = std::move(worker_);
  StartWorker();

  const Streamed end = WatchAll(server_, {*name})[0];
  ASSERT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
  EXPECT_EQ(room_.Git({"ls-tree", "--name-only", "feature"}), "README.md\na\nc");
  EXPECT_EQ(room_.Git({"rev-list", "--count", "main..feature"}), "2") << "one for each iteration";
}

class LostAfterPutAwayTest : public TaskWorkspaceTest,
                             public ::testing::WithParamInterface<const char*> {};

TEST_P(LostAfterPutAwayTest, S1_31_TheNextWorkerFindsItsWorkPutAway) {
  room_.Git({"branch", "feature"});
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  const std::unique_ptr<System> system = System::Make(options);
  Server server = system->StartServer();
  const std::unique_ptr<Process> first = system->LaunchWorker(
      {{"CAPSTAN_FAILPOINT", "task.before_commit.SUCCEEDED:crash"}}, room_.WorkerFlags());
  PutWorkflow(server, kWrite);
  const std::string context = GetParam();
  v1::RunTaskRequest request = context == "BRANCH" ? OnBranch("write", "feature")
                               : context == "TASK" ? Task("write", &room_)
                                                   : Task("write");
  const auto name = Submit(server, request);
  ASSERT_TRUE(name.ok()) << name.status();
  first->Wait();
  const std::unique_ptr<Process> second = system->StartWorker({}, room_.WorkerFlags());

  const Streamed run = Watch(server, *name);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(run.End().message(), "");
  if (context == "STANDALONE") return;
  EXPECT_EQ(room_.Git({"rev-list", "--count", "main.." + Get(server, *name).workspace().branch()}),
            "1");
}

INSTANTIATE_TEST_SUITE_P(Contexts, LostAfterPutAwayTest,
                         ::testing::Values("TASK", "BRANCH", "STANDALONE"),
                         [](const auto& info) { return std::string(info.param); });

// ---- what becomes of programs

TEST_F(TaskWorkspaceTest, AWorkerThatStopsLetsAProgramEndThatMayNotRunTwice) {
  StartWorker({"--drain_timeout=60s"});
  PutWorkflow(server_, R"(
name: once
steps:
  - name: ship
    command: {argv: [sh, -c, "echo shipped >> log; echo ready; while [ ! -e go ]; do sleep 0.05; done"]}
  - name: tell
    depends_on: [ship]
    command: {argv: [sh, -c, "echo told >> log"]}
)");
  const auto name = Submit(server_, Task("once", &room_));
  ASSERT_TRUE(name.ok()) << name.status();
  AwaitOutput(*name, "ready\n");

  worker_->Signal(SIGTERM);
  ASSERT_TRUE(worker_->WaitForLog("worker stops"));
  WriteFile(absl::StrCat(Get(server_, *name).workspace().path(), "/go"), "");
  EXPECT_EQ(worker_->Wait(), 0);

  const Execution between = Get(server_, *name);
  EXPECT_EQ(between.state(), Execution::STATE_PENDING);
  EXPECT_EQ(between.steps(0).state(), v1::StepStatus::STATE_SUCCEEDED);
  StartWorker();
  const Streamed end = WatchAll(server_, {*name})[0];
  ASSERT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
  EXPECT_EQ(room_.Git({"show", Get(server_, *name).workspace().branch() + ":log"}),
            "shipped\ntold");
}

TEST_F(TaskWorkspaceTest, S1_26_S4_44_WhatAProgramLeavesBehindIsSaidAndEnded) {
  StartWorker();
  PutWorkflow(server_, R"(
name: leaves
steps:
  - name: run
    command:
      repeatable: true
      argv:
        - sh
        - -c
        - |
          setsid sleep 86400.0625 & one=$!
          setsid tail -f /dev/null mcp-server & two=$!
          until [ $(cat /proc/$one/comm) = sleep ] && [ $(cat /proc/$two/comm) = tail ]; do :; done
)");

  const Streamed run = RunToEnd(server_, Task("leaves", &room_));

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  std::vector<std::string> warnings;
  for (const v1::ExecutionEvent& event : run.events) {
    for (const std::string& one : event.iteration_finished().warnings()) warnings.push_back(one);
  }
  EXPECT_THAT(warnings,
              UnorderedElementsAre(
                  "left a process behind, which was killed: sleep 86400.0625",
                  "left an MCP server behind, which was killed: tail -f /dev/null mcp-server"));
}

// ---- how much of the disk

std::string Program(const std::string& name, const std::string& script) {
  return absl::StrCat(
      "name: ", name,
      "\nsteps:\n  - name: run\n    retry_from: run\n    command: {argv: [sh, -c, \"", script,
      "\"], repeatable: true}\n");
}

TEST_F(TaskWorkspaceTest, I11_WhoFillsItsWorkspaceIsStoppedAndOthersAreNot) {
  StartWorker({"--tasks.workspace_mib=50", "--tasks.workspace_files=10000"});
  PutWorkflow(server_, Program("big",
                               "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 20971520 "
                               "/dev/zero >> big; sleep 0.1; done; sleep 1000"));
  PutWorkflow(server_, Program("many", "seq 100000 | xargs touch; sleep 1000"));
  PutWorkflow(server_, Program("fine",
                               "truncate -s 1T sparse; head -c 31457280 /dev/zero > a; "
                               "ln a b; rm sparse a b; echo done > made.txt"));
  std::vector<std::string> names;
  for (const char* workflow : {"big", "many", "fine"}) {
    const auto name = Submit(server_, Task(workflow, &room_));
    ASSERT_TRUE(name.ok()) << name.status();
    names.push_back(*name);
  }

  const std::vector<Streamed> ends = WatchAll(server_, names);

  EXPECT_EQ(ends[0].End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED);
  EXPECT_THAT(ends[0].End().message(),
              AllOf(HasSubstr("step run: the workspace holds "),
                    HasSubstr("MiB, more than the 50 MiB that tasks.workspace_mib allows")));
  EXPECT_EQ(ends[1].End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED);
  EXPECT_THAT(ends[1].End().message(), HasSubstr("tasks.workspace_files allows"));
  EXPECT_EQ(EndsOf(ends[0].events), "run:FAILED") << "not tried again";
  EXPECT_EQ(ends[2].End().to(), Execution::STATE_SUCCEEDED) << ends[2].End().message();
}

TEST_F(TaskWorkspaceTest, I11_ACheckThatFillsTheWorkspaceIsStoppedToo) {
  StartWorker({"--tasks.workspace_mib=50"});
  PutWorkflow(server_, R"(
name: checked
steps:
  - name: look
    check: {}
    checks:
      - {name: fill, argv: [sh, -c, "head -c 62914560 /dev/zero > big"], on_failure: warn}
      - {name: after, argv: [touch, after.txt]}
)");

  const Streamed run = RunToEnd(server_, Task("checked", &room_));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RESOURCE_EXHAUSTED);
  EXPECT_THAT(run.End().message(),
              HasSubstr(" MiB, more than the 50 MiB that tasks.workspace_mib"));
  EXPECT_EQ(Get(server_, run.snapshot->name()).steps(0).checks(1).state(),
            v1::CheckResult::STATE_NOT_RUN);
}

}  // namespace
}  // namespace capstan::testing
