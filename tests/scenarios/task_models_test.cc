// Tasks in which the real Claude CLI works: a real server and worker, the CLI in its sandbox, and
// the model's side of the conversation as a script. Run by tests/support/model_stub/claude_cli.sh.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/scenarios/model_tasks.h"

namespace capstan::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using v1::Execution;
using v1::ExecutionEvent;
using v1::TranscriptEntry;

namespace fs = std::filesystem;

// ---- processes of this machine

std::string ReadProc(pid_t pid, const std::string& file) {
  std::ifstream stream(absl::StrCat("/proc/", pid, "/", file));
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Those with `text` among their arguments.
std::vector<pid_t> ProcessesWith(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    if (absl::StrContains(ReadProc(pid, "cmdline"), text)) found.push_back(pid);
  }
  return found;
}

bool DescendsFrom(pid_t pid, pid_t ancestor) {
  while (pid > 1 && pid != ancestor) {
    const std::string status = ReadProc(pid, "status");
    const std::size_t at = status.find("PPid:\t");
    if (at == std::string::npos ||
        !absl::SimpleAtoi(status.substr(at + 6, status.find('\n', at) - at - 6), &pid))
      return false;
  }
  return pid == ancestor;
}

// The CLI that a worker has started; 0: none.
pid_t CliOf(const Process& worker) {
  for (const pid_t pid : ProcessesWith("stream-json")) {
    if (DescendsFrom(pid, worker.pid())) return pid;
  }
  return 0;
}

// ---- what the model says

StubReply Uses(const std::string& tool, const nlohmann::json& input) {
  return {.text = absl::StrCat("I use ", tool, ".\n"), .tool_uses = {{tool, input}}};
}
StubReply Runs(const std::string& command) { return Uses("Bash", {{"command", command}}); }
StubReply Answers(const nlohmann::json& answer) {
  return {.tool_uses = {{"StructuredOutput", answer}}};
}

constexpr char kWrite[] = R"(
name: write
steps:
  - name: write
    max_iterations: 2
    llm: {prompt: "Write it.", schema: BASE, tools: [Read, Edit, Bash], max_turns: 6}
)";

class TaskModelsTest : public ::testing::Test {
 protected:
  TaskModelsTest() { PutWorkflow(on_.server, WithSchema(kWrite)); }

  v1::RunTaskRequest Write() const { return Task("write", &on_.room); }
  // Nobody works on it yet: what the model says can name its workspace.
  std::string Accepted(const v1::RunTaskRequest& request) {
    const auto name = Submit(on_.server, request, "alice");
    EXPECT_TRUE(name.ok()) << name.status();
    return name.value_or("");
  }
  std::string WorkspaceOf(const std::string& name) const {
    return absl::StrCat(on_.room.workspaces(), "/", name.substr(name.find('/') + 1));
  }
  Streamed Run(const v1::RunTaskRequest& request) {
    on_.StartWorker();
    return RunToEnd(on_.server, request, "alice");
  }

  // A tool that leaves its session, says by a call of the model's API that it runs, and stays. The
  // call gets the next reply.
  StubReply Stays() const {
    return Runs(absl::StrCat("setsid sleep ", mark_, "1 & curl -s -d '{}' ", on_.stub->Url(),
                             "/v1/messages; sleep ", mark_, "2"));
  }
  void PushStays() {
    on_.stub->Push(Stays());
    on_.stub->Push({.text = "noted"});
  }

  ModelSystem on_{"claude_cli"};
  const std::string mark_ = absl::StrCat("86400.", getpid());  // no other test's
};

TEST_F(TaskModelsTest, S4_19_AToolEditsAFileAndTheWorkIsOnTheTasksBranch) {
  const std::string name = Accepted(Write());
  const std::string file = absl::StrCat(WorkspaceOf(name), "/README.md");
  on_.stub->Push(Uses("Read", {{"file_path", file}}));
  on_.stub->Push(Uses("Edit", {{"file_path", file},
                               {"old_string", "A repository."},
                               {"new_string", "A repository, edited."}}));
  on_.stub->Push(Answers({{"status", "complete"}, {"summary", "edited"}}));
  on_.StartWorker();

  const Streamed run = Watch(on_.server, name);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("write 1.1 COMPLETE"));
  const Execution task = Get(on_.server, name);
  EXPECT_EQ(on_.room.Git({"show", task.workspace().branch() + ":README.md"}),
            "A repository, edited.");
  EXPECT_EQ(on_.room.Git({"show", "main:README.md"}), "A repository.");
  const auto transcript = ReadTranscript(on_.server, name);
  EXPECT_THAT(Said(transcript, TranscriptEntry::ROLE_TOOL_CALL),
              AllOf(HasSubstr("Read {"), HasSubstr("Edit {")));
  EXPECT_THAT(Said(transcript, TranscriptEntry::ROLE_RESPONSE), HasSubstr(R"("summary":"edited")"));
  EXPECT_EQ(task.usage().cost_microusd(), CostOf(on_.stub->Billed()));
  EXPECT_FALSE(task.usage().is_upper_bound());
}

TEST_F(TaskModelsTest, S4_24_S4_39_TheBudgetStopsTheConversationAndTheWorkIsKept) {
  on_.stub->Push(Runs("echo kept > kept.txt"));
  StubReply costly = Runs("echo again");
  costly.usage = {.input = 1000, .output = 1000};  // 6,000
  on_.stub->SetDefault(costly);
  v1::RunTaskRequest request = Write();
  request.set_max_cost_microusd(5000);

  const Streamed run = Run(request);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED)
      << run.End().message();
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("write 1.1 ERROR BUDGET"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(2));
  const Execution task = Get(on_.server, run.snapshot->name());
  EXPECT_EQ(task.usage().cost_microusd(), CostOf(on_.stub->Billed()));
  const std::string id = task.name().substr(task.name().find('/') + 1);
  EXPECT_EQ(on_.room.Git({"show", absl::StrCat("refs/capstan/", id, "/wip-1:kept.txt")}), "kept");
}

TEST_F(TaskModelsTest, I6_ACallThatUsesUpItsTurnsIsAnIterationAndThoseAreLimited) {
  on_.stub->SetDefault(Runs("echo again >> again.txt"));

  const Streamed run = Run(Write());

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ITERATION_LIMIT)
      << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("write 1.1 CONTINUE MAX_TURNS", "write 1.2 CONTINUE MAX_TURNS"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(12));
  const Execution task = Get(on_.server, run.snapshot->name());
  EXPECT_EQ(task.usage().cost_microusd(), CostOf(on_.stub->Billed()));
}

TEST_F(TaskModelsTest, I3_AnOverloadedProviderIsAskedFiveTimesThenTheStepIsTriedLater) {
  for (int i = 0; i < 5; ++i) on_.stub->Push(Refuses(529, "overloaded_error", "Overloaded"));
  on_.stub->Push(Answers({{"status", "complete"}}));

  const Streamed run = Run(Write());

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("write 1.1 ERROR TRANSIENT", "write 2.1 COMPLETE"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(6));
}

TEST_F(TaskModelsTest, AKeyThatIsRefusedFailsTheTaskWithoutFurtherTries) {
  on_.stub->SetDefault(Refuses(401, "authentication_error", "invalid x-api-key"));

  const Streamed run = Run(Write());

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PROVIDER) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("write 1.1 ERROR AUTHENTICATION"));
  EXPECT_LE(on_.stub->Requests().size(), 4u);
}

TEST_F(TaskModelsTest, S4_44_ACliThatIsKilledLeavesNothingAndTheIterationIsTriedAgain) {
  PushStays();
  on_.stub->SetDefault(Answers({{"status", "complete"}}));
  const std::string name = Accepted(Write());
  Process& worker = on_.StartWorker();
  ASSERT_TRUE(on_.stub->WaitForRequests(2));
  ASSERT_THAT(ProcessesWith(mark_), ::testing::Not(::testing::IsEmpty()));
  const pid_t cli = CliOf(worker);
  ASSERT_NE(cli, 0);

  kill(cli, SIGKILL);

  WatchUntil(on_.server, name, ExecutionEvent::kIterationFinished);
  EXPECT_THAT(ProcessesWith(mark_), ::testing::IsEmpty());
  const Streamed run = Watch(on_.server, name);
  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("write 1.1 ERROR PROCESS", "write 2.1 COMPLETE"));
  EXPECT_TRUE(Get(on_.server, name).usage().is_upper_bound());
}

TEST_F(TaskModelsTest, S1_31_AWorkerThatIsKilledLeavesNothingAndCostsAtMostItsIteration) {
  on_.stub->Push(Runs("echo one > one.txt"));
  on_.stub->Push(Answers({{"status", "continue"}, {"reason", "more"}}));
  PushStays();
  on_.stub->SetDefault(Answers({{"status", "complete"}}));
  const std::string name = Accepted(Write());
  Process& worker = on_.StartWorker();
  ASSERT_TRUE(on_.stub->WaitForRequests(4));
  ASSERT_THAT(ProcessesWith(mark_), ::testing::Not(::testing::IsEmpty()));

  worker.Signal(SIGKILL);
  on_.StartWorker();

  WatchUntil(on_.server, name,
             [](const ExecutionEvent& event) { return event.step_started().attempt() == 2; });
  EXPECT_THAT(ProcessesWith(mark_), ::testing::IsEmpty());
  const Streamed run = Watch(on_.server, name);
  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("write 1.1 CONTINUE", "write 1.2 STOPPED", "write 2.2 COMPLETE"));
  const std::string branch = Get(on_.server, name).workspace().branch();
  EXPECT_EQ(on_.room.Git({"show", branch + ":one.txt"}), "one");
}

}  // namespace
}  // namespace capstan::testing
