// Tasks from request to end: real server and worker, Postgres, git, sandboxed programs; the model
// is a script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "tests/scenarios/tasks.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using v1::Execution;
using v1::ExecutionEvent;

// A schema in one line, for workflows of tests.
constexpr char kBase[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue","blocked"]},"reason":{"type":"string"},"summary":{"type":"string"}},"additionalProperties":false}')";

std::string WithSchema(std::string yaml) {
  const std::string mark = "BASE";
  for (std::size_t at = yaml.find(mark); at != std::string::npos; at = yaml.find(mark, at))
    yaml.replace(at, mark.size(), kBase);
  return yaml;
}

class TaskTest : public ::testing::Test {
 protected:
  TaskTest() : system_(System::Make(NamedCallers())), server_(system_->StartServer()) {}

  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }

  void StartWorker() { workers_.push_back(system_->StartWorker({}, room_.WorkerFlags())); }

  TaskRoom room_;
  std::unique_ptr<System> system_;
  Server server_;
  std::vector<std::unique_ptr<Process>> workers_;
};

constexpr char kTwoSteps[] = R"(
name: two-steps
steps:
  - name: write
    llm: {prompt: "Do {{TASK_TITLE}}.", schema: BASE}
  - name: look
    depends_on: [write]
    command: {argv: [cat, made.txt]}
)";

TEST_F(TaskTest, S1_1_RunsItsStepsInOrderInAWorkspaceOfItsOwn) {
  room_.SetScript(R"(
replies:
  - step: write
    text: ["I write."]
    files: [{path: made.txt, content: "hello\n"}]
    answer: {status: complete, summary: written}
    usage: {model: scripted, input_tokens: 10, output_tokens: 5, cache_read_tokens: 100}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kTwoSteps));

  const Streamed run = RunToEnd(server_, Task("two-steps", &room_), "alice");

  ASSERT_TRUE(run.status.ok()) << run.status.error_message();
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(EndsOf(run.events), "write:SUCCEEDED look:SUCCEEDED");
  const Execution task = Get(server_, run.snapshot->name());
  EXPECT_EQ(task.workflow(), "two-steps");
  EXPECT_EQ(task.usage().input_tokens(), 110) << "what was read from a cache counts";
  const std::string branch = task.workspace().branch();
  EXPECT_EQ(room_.Git({"show", branch + ":made.txt"}), "hello");
  EXPECT_EQ(room_.Git({"show", "main:README.md"}), "A repository.");
  EXPECT_EQ(room_.Git({"status", "--porcelain"}), "") << "nobody else's folder was touched";
}

TEST_F(TaskTest, S4_21_TheTranscriptHoldsPromptAnswerAndOutput) {
  room_.SetScript(R"(
replies:
  - step: write
    text: ["I write ", "it.\n"]
    files: [{path: made.txt, content: "sk-ant-0123456789abcdef0123\n"}]
    answer: {status: complete, summary: written}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kTwoSteps));
  const Streamed run = RunToEnd(server_, Task("two-steps", &room_), "alice");
  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();

  const auto entries = ReadTranscript(server_, run.snapshot->name());

  std::vector<std::string> said;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].number(), static_cast<std::int64_t>(i + 1));
    const std::string role = v1::TranscriptEntry::Role_Name(entries[i].role());
    said.push_back(entries[i].step() + " " + role.substr(5) + " " + entries[i].text());
  }
  EXPECT_THAT(said, ElementsAre("write PROMPT Do Try it.", "write CHUNK I write it.\n",
                                HasSubstr("write TOOL_CALL Write {\"content\":\"[redacted]"),
                                "write TOOL_RESULT Write written",
                                HasSubstr("write RESPONSE {\"status\":\"complete\""),
                                "write COMBINED I write it.\n", "look CHUNK [redacted]\n",
                                "look COMBINED [redacted]\n"));
  EXPECT_THAT(ReadTranscript(server_, run.snapshot->name(), 6), ::testing::SizeIs(2));
}

constexpr char kGated[] = R"(
name: gated
steps:
  - name: write
    artifact: spec
    llm: {prompt: "Write.", schema: '{"type":"object","required":["status"],"properties":{"status":{"enum":["complete"]},"artifact":{"type":"string"}}}'}
  - name: use
    depends_on: [write]
    gate: {kind: human}
    command: {argv: [echo, "{{SPEC_CONTENT}}"], output_variable: ECHOED}
)";

TEST_F(TaskTest, S4_30_AHumanGateWaitsWithoutAWorkerAndGoesOnFromThere) {
  room_.SetScript(R"(
default: {answer: {status: complete, artifact: "the spec"}}
)");
  StartWorker();
  PutWorkflow(server_, kGated);
  const auto name = Submit(server_, Task("gated", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, [](const ExecutionEvent& event) {
    return event.state_changed().to() == Execution::STATE_BLOCKED;
  });
  const Execution blocked = Get(server_, *name);
  EXPECT_EQ(blocked.block_reason(), Execution::BLOCK_REASON_APPROVAL);
  EXPECT_EQ(blocked.approval().step(), "use");
  workers_.clear();  // nobody is needed while it waits
  EXPECT_EQ(DecideGate(server_, *name, true, "mine", "alice").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  ASSERT_TRUE(DecideGate(server_, *name, true, "fine", "bob").ok());
  StartWorker();

  const Streamed end = Watch(server_, *name);

  EXPECT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
  EXPECT_EQ(EndsOf(end.events), "write:SUCCEEDED use:SUCCEEDED");
  const auto entries = ReadTranscript(server_, *name);
  EXPECT_EQ(entries.back().text(), "the spec\n");
}

TEST_F(TaskTest, S4_29_ARejectedGateFailsTheTaskWithWhoAndWhy) {
  room_.SetScript("default: {answer: {status: complete, artifact: x}}\n");
  StartWorker();
  PutWorkflow(server_, kGated);
  const auto name = Submit(server_, Task("gated", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, [](const ExecutionEvent& event) {
    return event.state_changed().to() == Execution::STATE_BLOCKED;
  });

  ASSERT_TRUE(DecideGate(server_, *name, false, "not like that", "bob").ok());

  const Streamed end = Watch(server_, *name);
  EXPECT_EQ(end.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(end.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
  EXPECT_THAT(end.End().message(), HasSubstr("bob: not like that"));
}

constexpr char kChecked[] = R"(
name: checked
checkpoint: every_iteration
steps:
  - name: implement
    max_iterations: 3
    llm: {prompt: "Go.{{#if ITERATION_FEEDBACK}} Mend: {{ITERATION_FEEDBACK}}{{/if}}", schema: BASE}
    checks:
      - {name: tests, command: tests}
      - {name: lint, command: lint, on_failure: warn}
)";

TEST_F(TaskTest, S4_26_AFailedCheckGoesIntoTheNextIterationAndAMissingOneIsReported) {
  room_.SetScript(R"(
replies:
  - {step: implement, iteration: 1, files: [{path: state, content: "broken"}], answer: {status: complete}}
  - {step: implement, iteration: 2, files: [{path: state, content: "works"}], answer: {status: complete}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kChecked));
  v1::RunTaskRequest request = Task("checked", &room_);
  auto& tests = (*request.mutable_commands())["tests"];
  for (const char* one : {"sh", "-c", "cat state; grep -q works state"}) tests.add_argv(one);

  const Streamed run = RunToEnd(server_, request, "alice");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  std::vector<std::string> checks;
  for (const ExecutionEvent& event : run.events) {
    for (const v1::CheckResult& check : event.iteration_finished().checks())
      checks.push_back(check.name() + " " + v1::CheckResult::State_Name(check.state()).substr(6));
  }
  EXPECT_THAT(checks, ElementsAre("tests BLOCKED", "lint NOT_RUN", "tests PASSED", "lint NOT_RUN"));
  std::string second_prompt;
  for (const v1::TranscriptEntry& entry : ReadTranscript(server_, run.snapshot->name())) {
    if (entry.role() == v1::TranscriptEntry::ROLE_PROMPT) second_prompt = entry.text();
  }
  EXPECT_THAT(second_prompt, HasSubstr("Mend: The check tests did not pass: exit code 1\nbroken"));
}

TEST_F(TaskTest, S1_27_ARetryFromAStepTakesOverWhatWasDoneBefore) {
  room_.SetScript(R"(
replies:
  - {step: write, files: [{path: made.txt, content: "one"}], answer: {status: complete, summary: written}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: fails
steps:
  - name: write
    llm: {prompt: "Go.", schema: BASE}
  - name: look
    depends_on: [write]
    condition: {test: {field: steps.write.output.summary, op: eq, value: written}}
    command: {argv: [test, "{{steps.write.output.summary}}", "=", other]}
)"));
  const Streamed first = RunToEnd(server_, Task("fails", &room_), "alice");
  ASSERT_EQ(first.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED)
      << first.End().message();

  grpc::ClientContext context;
  v1::RetryExecutionRequest request;
  request.set_name(first.snapshot->name());
  request.set_from_step("look");
  v1::RetryExecutionResponse response;
  const grpc::Status status = server_.executions->RetryExecution(&context, request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  const Streamed second = Watch(server_, response.execution().name());
  EXPECT_EQ(EndsOf(second.events), "write:SUCCEEDED look:FAILED");
  int started = 0;
  for (const ExecutionEvent& event : second.events) started += event.has_step_started() ? 1 : 0;
  EXPECT_EQ(started, 1) << "only the named step ran";
  EXPECT_EQ(Get(server_, response.execution().name()).retry_of(), first.snapshot->name());
}

TEST_F(TaskTest, ACancelStopsWhatRunsAndKeepsTheWork) {
  room_.SetScript(R"(
replies:
  - {step: write, hold: true, text: ["begun\n"], files: [{path: made.txt, content: "half"}]}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kTwoSteps));
  const auto name = Submit(server_, Task("two-steps", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, ExecutionEvent::kStepStarted);

  ASSERT_TRUE(Cancel(server_, *name, "enough").ok());

  const Streamed end = Watch(server_, *name);
  EXPECT_EQ(end.End().to(), Execution::STATE_CANCELLED);
  EXPECT_THAT(end.End().message(), HasSubstr("enough"));
  EXPECT_EQ(EndsOf(end.events), "write:CANCELLED");
}

TEST_F(TaskTest, S1_31_ALostWorkerCostsAtMostItsIteration) {
  room_.SetScript(R"(
replies:
  - {step: implement, iteration: 1, files: [{path: a, content: "1"}], answer: {status: continue, reason: more}}
  - {step: implement, iteration: 2, attempt: 1, hold: true, files: [{path: b, content: "half"}]}
  - {step: implement, iteration: 2, answer: {status: complete}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: long-step
steps:
  - name: implement
    llm: {prompt: "Go.", schema: BASE}
)"));
  const auto name = Submit(server_, Task("long-step", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, ExecutionEvent::kIterationFinished);

  workers_.front()->Signal(SIGKILL);
  StartWorker();

  const Streamed end = Watch(server_, *name);
  ASSERT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
  std::vector<std::string> iterations;
  for (const ExecutionEvent& event : end.events) {
    if (!event.has_iteration_finished()) continue;
    const auto& one = event.iteration_finished();
    iterations.push_back(std::to_string(one.attempt()) + "." + std::to_string(one.iteration()) +
                         " " + v1::IterationFinished::Status_Name(one.status()).substr(7));
  }
  EXPECT_THAT(iterations, ElementsAre("1.1 CONTINUE", "1.2 STOPPED", "2.2 COMPLETE"));
  const std::string branch = Get(server_, *name).workspace().branch();
  EXPECT_EQ(room_.Git({"ls-tree", "--name-only", branch}), "README.md\na")
      << "what the ended iteration did is there, and nothing of the lost one";
}

TEST_F(TaskTest, S4_1_AnUnknownWorkflowIsRefusedWithThoseThatAreKnown) {
  const Streamed run = RunToEnd(server_, Task("no-such", &room_), "alice");

  EXPECT_EQ(run.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(run.status.error_message(), HasSubstr("greenfield, large, medium, small, trivial"));
}

TEST_F(TaskTest, S1_14_AnUnresolvedVariableFailsBeforeAnyModelIsAsked) {
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: unresolved
variables: [{name: FROM_ENV, env: CAPSTAN_NO_SUCH_VARIABLE}]
steps:
  - name: write
    llm: {prompt: "Use {{FROM_ENV}}.", schema: BASE}
)"));

  const Streamed run = RunToEnd(server_, Task("unresolved", &room_), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_THAT(run.End().message(), HasSubstr("FROM_ENV"));
  EXPECT_THAT(ReadTranscript(server_, run.snapshot->name()), IsEmpty());
}

TEST_F(TaskTest, APauseLetsTheIterationEndAndResumeGoesOn) {
  room_.SetScript(R"(
replies:
  - {step: write, files: [{path: made.txt, content: "x"}], answer: {status: complete}}
)");
  PutWorkflow(server_, WithSchema(kTwoSteps));
  const auto name = Submit(server_, Task("two-steps", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  grpc::ClientContext pause_context, resume_context;
  v1::PauseExecutionRequest pause;
  pause.set_name(*name);
  v1::PauseExecutionResponse paused;
  ASSERT_TRUE(server_.executions->PauseExecution(&pause_context, pause, &paused).ok());
  StartWorker();
  WatchUntil(server_, *name, [](const ExecutionEvent& event) {
    return event.state_changed().to() == Execution::STATE_BLOCKED;
  });
  EXPECT_EQ(Get(server_, *name).block_reason(), Execution::BLOCK_REASON_PAUSED);

  v1::ResumeExecutionRequest resume;
  resume.set_name(*name);
  v1::ResumeExecutionResponse resumed;
  ASSERT_TRUE(server_.executions->ResumeExecution(&resume_context, resume, &resumed).ok());

  EXPECT_EQ(Watch(server_, *name).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TaskTest, S4_24_TheBudgetEndsTheTaskAndIsNeverExceededByMoreThanATurn) {
  room_.SetScript(R"(
replies:
  - {iteration: 1, answer: {status: continue, reason: one}, usage: {model: scripted, input_tokens: 1, cost_microusd: 40}}
  - {iteration: 2, answer: {status: continue, reason: two}, usage: {model: scripted, input_tokens: 1, cost_microusd: 40}}
  - {iteration: 3, answer: {status: continue, reason: three}, usage: {model: scripted, input_tokens: 1, cost_microusd: 40}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: costly
max_cost_microusd: 100
steps:
  - name: implement
    llm: {prompt: "Go {{ITERATION}}.", schema: BASE}
)"));

  const Streamed run = RunToEnd(server_, Task("costly", &room_), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED)
      << run.End().message();
  EXPECT_EQ(Get(server_, run.snapshot->name()).usage().cost_microusd(), 120);
  int warnings = 0;
  for (const ExecutionEvent& event : run.events) warnings += event.has_budget_warning() ? 1 : 0;
  EXPECT_EQ(warnings, 1);
}

// "Threads" or "VmRSS" of a process, as /proc has it; memory in KiB.
long Figure(const Process& process, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stol(line.substr(name.size() + 1));
  }
  return -1;
}

TEST_F(TaskTest, AWaitingTaskCostsARowAndNoThread) {
  StartWorker();
  PutWorkflow(server_, R"(
name: waits
steps:
  - name: first
    gate: {kind: human}
    gate_only: {}
)");
  // The pools are warm after a few.
  const auto park = [&](int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(*Submit(server_, Task("waits"), "alice"));
    for (const std::string& name : names)
      WaitBlocked(server_, name, Execution::BLOCK_REASON_APPROVAL);
    return names;
  };
  park(20);
  const long threads = Figure(*workers_.front(), "Threads");
  const long memory = Figure(*workers_.front(), "VmRSS");

  const std::vector<std::string> parked = park(500);

  std::printf("parked=500 threads=%ld->%ld rss_kib=%ld->%ld\n", threads,
              Figure(*workers_.front(), "Threads"), memory, Figure(*workers_.front(), "VmRSS"));
  EXPECT_EQ(Figure(*workers_.front(), "Threads"), threads);
  EXPECT_LT(Figure(*workers_.front(), "VmRSS") - memory, 8 * 1024);
  ASSERT_TRUE(DecideGate(server_, parked.back(), true, "go", "bob").ok());
  EXPECT_EQ(Watch(server_, parked.back()).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TaskTest, AnEmergencyStopKeepsTasksFromBeginningUntilItIsLifted) {
  room_.SetScript(R"(
replies:
  - {step: write, files: [{path: made.txt, content: "x"}], answer: {status: complete}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kTwoSteps));
  const auto stop = Stop(server_, StopAll());
  ASSERT_TRUE(stop.ok()) << stop.status();
  const auto name = Submit(server_, Task("two-steps", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WaitBlocked(server_, *name, Execution::BLOCK_REASON_STOPPED);
  EXPECT_THAT(ReadTranscript(server_, *name), IsEmpty());

  ASSERT_TRUE(Lift(server_, stop->stop().name()).ok());

  EXPECT_EQ(Watch(server_, *name).End().to(), Execution::STATE_SUCCEEDED);
}

}  // namespace
}  // namespace capstan::testing
