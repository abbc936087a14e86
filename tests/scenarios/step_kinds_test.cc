// What holds for a step of every kind, on the whole system: it is stopped with its task, survives
// the loss of its worker, is not run again once it has ended, has the time that the workflow gives
// it, and leaves nothing behind.
//
// What each kind waits for comes from here: a pipe that its program reads to the end, a service
// that is silent, a model that says nothing, an approval.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/scenarios/tasks.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/temporary_directory.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kSchema[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete"]}}}')";
constexpr char kNeedsApproval[] =
    R"(violations contains {"id": "never", "message": "never"} if input.parameters.replicas == 13

obligations contains {"type": "approval", "quorum": 1, "reason": "more than five"} if {
	input.parameters.replicas > 5
})";

// How it is made to go on.
enum class Release { kModel, kPipe, kService, kChild, kGate };

struct Kind {
  const char* name;
  const char* step;  // PIPE and URL stand for what it waits for
  Release release;
  const char* hasty;  // with one second of time; empty: it has no time of its own
  Execution::FailureReason too_late = Execution::FAILURE_REASON_TIMED_OUT;
};

constexpr Kind kKinds[] = {
    {"llm", "llm: {prompt: Work., schema: SCHEMA}", Release::kModel,
     "timeout: 1s, llm: {prompt: Work., schema: SCHEMA}"},
    {"command", "command: {argv: [cat, PIPE], repeatable: true}", Release::kPipe,
     "timeout: 1s, command: {argv: [cat, PIPE], repeatable: true}"},
    {"http", "http: {method: GET, url: \"URL/\"}", Release::kService,
     "timeout: 1s, http: {method: GET, url: \"URL/\"}"},
    {"check", "check: {}, checks: [{name: read, argv: [cat, PIPE]}]", Release::kPipe,
     "timeout: 1s, check: {}, checks: [{name: read, argv: [cat, PIPE]}]"},
    {"action",
     "action: {action: ScaleDeployment, parameters: {namespace: default, deployment: web, "
     "replicas: 7}}",
     Release::kChild,
     "timeout: 1s, action: {action: ScaleDeployment, parameters: {namespace: default, "
     "deployment: web, replicas: 7}}"},
    {"gate", "gate_only: {}, gate: {kind: human}", Release::kGate,
     "gate_only: {}, gate: {kind: human, timeout: 1s}", Execution::FAILURE_REASON_APPROVAL_TIMEOUT},
    {"judgement", "gate_only: {}, gate: {kind: model, judge: {prompt: Judge.}}", Release::kModel,
     ""},
};

class StepKindTest : public ::testing::TestWithParam<Kind> {
 protected:
  StepKindTest()
      : service_([this](const ReceivedRequest&) {
          return service_answers_ ? Answer(200, "{}") : Silence();
        }),
        system_(System::Make(Options())),
        server_(system_->StartServer()) {
    WriteBundle(*system_, "four-eyes", kNeedsApproval);
    chmod(pipes_.path().c_str(), 0755);
    for (const std::string& pipe : {Pipe(), NextPipe()})
      EXPECT_EQ(mkfifo(pipe.c_str(), 0644), 0) << pipe;
    room_.SetScript(
        "replies: [{step: work, hold: true}, {step: work, judgement: true, hold: true}]\n");
  }

  static SystemOptions Options() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }

  std::string Pipe() const { return pipes_.path() + "/work"; }
  std::string NextPipe() const { return pipes_.path() + "/after"; }

  void StartWorker() {
    std::vector<std::string> flags = room_.WorkerFlags();
    flags.push_back(absl::StrCat("--tasks.http.allowed=", service_.Url()));
    flags.push_back(absl::StrCat("--tasks.readable=", pipes_.path()));
    worker_ = system_->StartWorker({}, flags);
  }
  void KillWorker() {
    worker_->Signal(SIGKILL);
    worker_->Wait();
  }

  // `work`, and then one that says how it ended, or that waits itself.
  std::string Submitted(const std::string& work, bool next_waits = false) {
    const std::string after =
        next_waits ? absl::StrCat("{argv: [cat, ", NextPipe(), "], repeatable: true}")
                   : "{argv: [echo, \"{{steps.work.state}}\"], repeatable: true}";
    PutWorkflow(
        server_,
        absl::StrCat("name: kinds\nsteps:\n  - {name: work, ",
                     absl::StrReplaceAll(
                         work, {{"PIPE", Pipe()}, {"URL", service_.Url()}, {"SCHEMA", kSchema}}),
                     "}\n  - {name: after, depends_on: [work], command: ", after, "}\n"));
    const absl::StatusOr<std::string> name = Submit(server_, Task("kinds", &room_), "alice");
    EXPECT_TRUE(name.ok()) << name.status();
    return *name;
  }

  // It is worked on, or people are asked.
  void WaitForWork(const std::string& name) {
    WatchUntil(server_, name, [](const ExecutionEvent& event) {
      return event.has_child_submitted() || event.has_approval_requested() ||
             (event.has_step_started() && event.step_started().step() == "work");
    });
    if (GetParam().release == Release::kChild)
      WatchUntil(server_, name, ExecutionEvent::kChildSubmitted);
  }

  // What has to be before a worker goes on with it.
  void PrepareToGoOn() {
    service_answers_ = true;
    room_.SetScript(
        "replies: [{step: work, judgement: true, answer: {status: pass, reason: good}}]\n"
        "default: {answer: {status: complete}}\n");
  }
  // It may end.
  void LetItEnd(const std::string& name) {
    if (GetParam().release == Release::kPipe) Write(Pipe());
    if (GetParam().release == Release::kGate) {
      WaitApproval(server_, name);
      EXPECT_TRUE(DecideGate(server_, name, true, "good", "bob").ok());
    }
    if (GetParam().release != Release::kChild) return;
    WatchUntil(server_, name, ExecutionEvent::kChildSubmitted);
    const std::string child = Get(server_, name).steps(0).child();
    EXPECT_TRUE(
        Decide(server_, child, WaitApproval(server_, child).plan_digest(), true, "bob").ok());
  }

  // A program reads it to its end. Blocks until there is one.
  static void Write(const std::string& pipe) {
    const int file = open(pipe.c_str(), O_WRONLY);
    ASSERT_GE(file, 0) << pipe;
    close(file);
  }

  // Processes that read our pipes.
  std::vector<std::string> Left() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::stringstream line;
      line << std::ifstream(entry.path() / "cmdline").rdbuf();
      std::string text = line.str();
      if (text.find("cat") == 0 && text.find(pipes_.path()) != std::string::npos)
        found.push_back(entry.path());
    }
    return found;
  }

  static int StartsOf(const std::vector<ExecutionEvent>& events, const std::string& step) {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const auto& event) {
      return event.has_step_started() && event.step_started().step() == step;
    }));
  }

  void ExpectNothingLeft(const std::string& name) {
    EXPECT_THAT(Left(), IsEmpty());
    const Execution task = Get(server_, name);
    EXPECT_FALSE(!task.workspace().path().empty() &&
                 std::filesystem::exists(task.workspace().path()))
        << task.workspace().path();
    const std::string child = task.steps_size() == 0 ? "" : task.steps(0).child();
    EXPECT_TRUE(child.empty() || IsEnd(Get(server_, child).state())) << child;
  }

  static bool IsEnd(Execution::State state) {
    return state == Execution::STATE_SUCCEEDED || state == Execution::STATE_FAILED ||
           state == Execution::STATE_CANCELLED;
  }

  TaskRoom room_;
  TemporaryDirectory pipes_;
  std::atomic<bool> service_answers_ = false;
  ScriptedServer service_;
  std::unique_ptr<System> system_;
  Server server_;
  std::unique_ptr<Process> worker_;
};

TEST_P(StepKindTest, S4_35_RunsAndTheNextStepKnowsHowItEnded) {
  PrepareToGoOn();
  StartWorker();
  const std::string name = Submitted(GetParam().step);

  LetItEnd(name);
  const Streamed run = Watch(server_, name);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(EndsOf(run.events), "work:SUCCEEDED after:SUCCEEDED");
  EXPECT_EQ(ReadTranscript(server_, name).back().text(), "succeeded\n");
  ExpectNothingLeft(name);
}

TEST_P(StepKindTest, IsStoppedWithItsTask) {
  StartWorker();
  const std::string name = Submitted(GetParam().step);
  WaitForWork(name);

  ASSERT_TRUE(Cancel(server_, name, "enough").ok());
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED) << run.End().message();
  EXPECT_EQ(StartsOf(run.events, "after"), 0);
  EXPECT_THAT(Left(), IsEmpty());
  EXPECT_EQ(JobsCreated(system_->kube()), 0);
}

TEST_P(StepKindTest, S1_31_IsGoneOnWithWhenItsWorkerIsLost) {
  StartWorker();
  const std::string name = Submitted(GetParam().step);
  WaitForWork(name);
  KillWorker();
  PrepareToGoOn();
  StartWorker();

  LetItEnd(name);
  const Streamed run = Watch(server_, name);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(EndsOf(run.events), "work:SUCCEEDED after:SUCCEEDED");
  EXPECT_LE(StartsOf(run.events, "work"), 2);
  EXPECT_LE(JobsCreated(system_->kube()), 1);
  ExpectNothingLeft(name);
}

TEST_P(StepKindTest, I9_IsNotRunAgainOnceItHasEnded) {
  PrepareToGoOn();
  StartWorker();
  const std::string name = Submitted(GetParam().step, /*next_waits=*/true);
  LetItEnd(name);
  WatchUntil(server_, name, [](const ExecutionEvent& event) {
    return event.has_step_started() && event.step_started().step() == "after";
  });
  KillWorker();
  StartWorker();

  Write(NextPipe());
  const Streamed run = Watch(server_, name);

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(EndsOf(run.events), "work:SUCCEEDED after:SUCCEEDED");
  EXPECT_LE(StartsOf(run.events, "work"), 1);
  ExpectNothingLeft(name);
}

INSTANTIATE_TEST_SUITE_P(All, StepKindTest, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return std::string(info.param.name); });

class StepTimeTest : public StepKindTest {};

TEST_P(StepTimeTest, S1_5_FailsWhenItsTimeIsUp) {
  StartWorker();
  const std::string name = Submitted(GetParam().hasty);

  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(run.End().failure_reason(), GetParam().too_late) << run.End().message();
  EXPECT_THAT(run.End().message(), HasSubstr("step work"));
  EXPECT_THAT(Left(), IsEmpty());
  EXPECT_EQ(JobsCreated(system_->kube()), 0);
}

INSTANTIATE_TEST_SUITE_P(All, StepTimeTest,
                         ::testing::ValuesIn(kKinds, kKinds + std::size(kKinds) - 1),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace capstan::testing
