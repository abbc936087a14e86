// Gates that models decide, gates beside steps that go on, scripts of gates that were refused, and
// work that a model judges: on the whole system, with a scripted model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/scenarios/tasks.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using v1::CheckResult;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kSchema[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue"]},"artifact":{"type":"string"},"ok":{"type":"boolean"}}}')";

std::string WithSchema(std::string yaml) {
  for (std::size_t at = yaml.find("SCHEMA"); at != std::string::npos; at = yaml.find("SCHEMA", at))
    yaml.replace(at, 6, kSchema);
  return yaml;
}

// "ship model:fast passed continue".
std::vector<std::string> GatesOf(const std::vector<ExecutionEvent>& events) {
  std::vector<std::string> out;
  for (const ExecutionEvent& event : events) {
    if (!event.has_gate_decided()) continue;
    const v1::GateDecided& gate = event.gate_decided();
    out.push_back(absl::StrCat(gate.step(), " ", gate.decider(),
                               gate.passed() ? " passed " : " refused ", gate.action()));
  }
  return out;
}

std::vector<CheckResult> ChecksOf(const std::vector<ExecutionEvent>& events,
                                  const std::string& name) {
  std::vector<CheckResult> out;
  for (const ExecutionEvent& event : events) {
    for (const CheckResult& check : event.iteration_finished().checks()) {
      if (check.name() == name) out.push_back(check);
    }
  }
  return out;
}

class TaskGatesTest : public ::testing::Test {
 protected:
  TaskGatesTest() : system_(System::Make(NamedCallers())), server_(system_->StartServer()) {}

  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }

  Process& StartWorker() {
    workers_.push_back(system_->StartWorker({}, room_.WorkerFlags()));
    return *workers_.back();
  }

  Streamed Run(const std::string& workflow) {
    return RunToEnd(server_, Task(workflow, &room_), "alice");
  }

  // What models were asked, in order: "ship 1.0: Is it good?".
  std::vector<std::string> PromptsOf(const std::string& execution) {
    std::vector<std::string> out;
    for (const v1::TranscriptEntry& entry : ReadTranscript(server_, execution)) {
      if (entry.role() == v1::TranscriptEntry::ROLE_PROMPT)
        out.push_back(absl::StrCat(entry.step(), " ", entry.attempt(), ".", entry.iteration(), ": ",
                                   entry.text()));
    }
    return out;
  }

  TaskRoom room_;
  std::unique_ptr<System> system_;
  Server server_;
  std::vector<std::unique_ptr<Process>> workers_;
};

constexpr char kJudged[] = R"(
name: judged
steps:
  - name: write
    artifact: spec
    llm: {prompt: "Write.", schema: SCHEMA}
  - name: use
    depends_on: [write]
    retry_from: write
    gate:
      kind: model
      on_reject: retry
      judge: {prompt: "Is this good? {{SPEC_CONTENT}}", model: fast}
    command: {argv: [echo, "{{SPEC_CONTENT}}"]}
)";

TEST_F(TaskGatesTest, S4_29_AModelThatSaysNoSendsTheWorkBackAndItsYesLetsTheStepRun) {
  room_.SetScript(R"(
replies:
  - {step: write, attempt: 1, answer: {status: complete, artifact: "vague"}}
  - {step: write, answer: {status: complete, artifact: "exact"}}
  - {step: use, judgement: true, attempt: 1, answer: {status: fail, reason: "too vague"}, usage: {model: scripted, cost_microusd: 30}}
  - {step: use, judgement: true, answer: {status: pass, reason: "can be tested"}, usage: {model: scripted, cost_microusd: 40}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kJudged));

  const Streamed run = Run("judged");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(GatesOf(run.events),
              ElementsAre("use model:fast refused retry", "use model:fast passed continue"));
  EXPECT_THAT(PromptsOf(run.snapshot->name()),
              ElementsAre("write 1.1: Write.", "use 1.0: Is this good? vague", "write 2.1: Write.",
                          "use 2.0: Is this good? exact"));
  const Execution task = Get(server_, run.snapshot->name());
  EXPECT_EQ(task.steps(1).usage().cost_microusd(), 70) << "billed to the step";
  EXPECT_EQ(task.steps(1).gate(), "");
}

TEST_F(TaskGatesTest, S4_29_AnAnswerThatIsNoJudgementIsMendedOnce) {
  room_.SetScript(R"(
replies:
  - {step: write, answer: {status: complete, artifact: "exact"}}
  - {step: use, judgement: true, answer: {status: complete}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(kJudged));

  const Streamed run = Run("judged");

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << "it counts as passed, on record";
  EXPECT_THAT(GatesOf(run.events), ElementsAre("use model passed continue"));
  EXPECT_EQ(PromptsOf(run.snapshot->name()).size(), 3u);
}

TEST_F(TaskGatesTest, S4_29_AScriptAfterANoRunsInTheWorkspaceAndKnowsWhy) {
  room_.SetScript(R"(
replies:
  - {step: look, judgement: true, answer: {status: fail, reason: "no licence"}}
)");
  StartWorker();
  PutWorkflow(server_, R"(
name: repaired
steps:
  - name: look
    gate:
      kind: model
      judge: {prompt: "Is there a licence?", model: fast}
      on_reject: run_script
      script: {argv: [sh, -c, "echo \"$0\" > why.txt", "{{GATE_REASON}}"], repeatable: true}
    command: {argv: [cat, why.txt], success_pattern: "no licence"}
)");

  const Streamed run = Run("repaired");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(GatesOf(run.events),
              ElementsAre("look model:fast refused run_script", "look script passed continue"));
  const std::string branch = Get(server_, run.snapshot->name()).workspace().branch();
  EXPECT_EQ(room_.Git({"show", branch + ":why.txt"}), "no licence");
}

TEST_F(TaskGatesTest, S4_29_AScriptThatFailsFailsTheTask) {
  StartWorker();
  PutWorkflow(server_, R"(
name: broken
steps:
  - name: look
    gate:
      kind: auto
      criteria: {test: {field: TASK_ID, op: eq, value: other}}
      on_reject: run_script
      script: {argv: [sh, -c, "exit 3"], repeatable: true}
    command: {argv: ["true"]}
)");

  const Streamed run = Run("broken");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_THAT(run.End().message(), HasSubstr("exit code 3"));
  EXPECT_THAT(GatesOf(run.events),
              ElementsAre("look auto refused run_script", "look script refused fail"));
}

constexpr char kBeside[] = R"(
name: beside
steps:
  - name: first
    gate: {kind: human, mode: reaction}
    command: {argv: ["true"]}
  - name: second
    depends_on: [first]
    command: {argv: ["true"]}
)";

TEST_F(TaskGatesTest, S4_29_PeopleDecideBesideAStepAndTheTaskWaitsForThemAtTheEnd) {
  StartWorker();
  PutWorkflow(server_, kBeside);
  const auto name = Submit(server_, Task("beside", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();

  WaitBlocked(server_, *name, Execution::BLOCK_REASON_APPROVAL);
  const Execution blocked = Get(server_, *name);
  EXPECT_EQ(blocked.steps(1).state(), v1::StepStatus::STATE_SUCCEEDED) << "nothing was held up";
  EXPECT_EQ(blocked.steps(0).gate(), "people");
  ASSERT_TRUE(DecideGate(server_, *name, true, "fine", "bob").ok());

  const Streamed run = Watch(server_, *name);
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(GatesOf(run.events), ElementsAre("first human passed continue"));
}

TEST_F(TaskGatesTest, S4_29_AStepThatPeopleRefusedIsNotTakenOverByARetry) {
  StartWorker();
  PutWorkflow(server_, kBeside);
  const auto name = Submit(server_, Task("beside", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WaitBlocked(server_, *name, Execution::BLOCK_REASON_APPROVAL);
  ASSERT_TRUE(DecideGate(server_, *name, false, "not like that", "bob").ok());
  const Streamed run = Watch(server_, *name);
  ASSERT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_APPROVAL_REJECTED);
  ASSERT_EQ(EndsOf(run.events), "first:SUCCEEDED second:SUCCEEDED");

  const auto retry = [&](const char* step) {
    grpc::ClientContext context;
    v1::RetryExecutionRequest request;
    request.set_name(*name);
    request.set_from_step(step);
    v1::RetryExecutionResponse response;
    return server_.executions->RetryExecution(&context, request, &response);
  };
  const grpc::Status refused = retry("second");

  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("the step first that it does not run again was "
                                                 "not passed by its gate in executions/"));
  EXPECT_TRUE(retry("first").ok()) << "where they are asked again";
}

TEST_F(TaskGatesTest, S4_29_AModelThatSaysNoBesideAStepStopsItAndFailsTheTask) {
  room_.SetScript(R"(
replies:
  - {step: write, judgement: true, answer: {status: fail, reason: "not allowed here"}}
  - {step: write, hold: true, text: ["begun\n"]}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: stopped
steps:
  - name: write
    gate: {kind: model, mode: reaction, judge: {prompt: "May it?", model: fast}}
    llm: {prompt: "Write.", schema: SCHEMA}
)"));

  const Streamed run = Run("stopped");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "step write: not allowed here");
  EXPECT_EQ(EndsOf(run.events), "write:CANCELLED");
}

TEST_F(TaskGatesTest, S4_29_CriteriaBesideAStepAreLookedAtWhenItHasEnded) {
  room_.SetScript(R"(
replies:
  - {step: write, attempt: 1, answer: {status: complete, ok: false}}
  - {step: write, answer: {status: complete, ok: true}}
)");
  StartWorker();
  PutWorkflow(server_, WithSchema(R"(
name: criteria
steps:
  - name: write
    retry_from: write
    gate:
      kind: auto
      mode: reaction
      on_reject: retry
      criteria: {test: {field: steps.write.output.ok, op: eq, value: true}}
    llm: {prompt: "Write.", schema: SCHEMA}
)"));

  const Streamed run = Run("criteria");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(GatesOf(run.events),
              ElementsAre("write auto refused retry", "write auto passed continue"));
}

TEST_F(TaskGatesTest, S4_29_AWorkerKilledWhileItJudgesLeavesItsReservationSpent) {
  room_.SetScript(R"(
replies:
  - {step: look, judgement: true, attempt: 1, hold: true, text: ["I think\n"]}
  - {step: look, judgement: true, answer: {status: pass, reason: fine}, usage: {model: scripted, cost_microusd: 20}}
)");
  Process& first = StartWorker();
  PutWorkflow(server_, R"(
name: killed
max_cost_microusd: 1000
steps:
  - name: look
    gate: {kind: model, judge: {prompt: "Is it good?", model: fast, max_cost_microusd: 300}}
    command: {argv: ["true"]}
)");
  const auto name = Submit(server_, Task("killed", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  WatchUntil(server_, *name, [](const ExecutionEvent& event) {
    return event.has_step_started() && event.step_started().iteration() == 0;
  });

  EXPECT_EQ(Get(server_, *name).steps(0).gate(), "a model (fast)");
  EXPECT_EQ(Explain(server_, *name)->reasons(0).message(),
            "the gate of step look is decided by a model (fast)");
  first.Signal(SIGKILL);
  StartWorker();

  const Streamed run = Watch(server_, *name);
  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(GatesOf(run.events), ElementsAre("look model:fast passed continue"));
  const v1::UsageTotals usage = Get(server_, *name).usage();
  EXPECT_EQ(usage.cost_microusd(), 320) << "all that was reserved, and what the second one cost";
  EXPECT_TRUE(usage.is_upper_bound());
}

TEST_F(TaskGatesTest, S4_29_RulesSeeWhoDecidesAndWhatIsRunThen) {
  WriteBundle(*system_, "probe", R"(
violations contains {"id": "probe/saw", "message": json.marshal([step.gate, step.checks])} if {
	some step in input.parameters.steps
}
)");
  StartWorker();
  PutWorkflow(server_, R"(
name: ruled
steps:
  - name: look
    gate:
      kind: model
      mode: reaction
      judge: {prompt: "Is it good?", model: fast, engine: scripted}
      on_reject: run_script
      script: {argv: [rm, -r, x], repeatable: true}
    checks:
      - {name: quality, judge: {prompt: "Is it done?", model: strong}}
    command: {argv: ["true"]}
)");

  const Streamed run = Run("ruled");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(
      run.End().message(),
      HasSubstr(
          R"([{"judge":{"engine":"scripted","model":"fast"},"kind":"model","mode":"reaction",)"
          R"("on_reject":"run_script","script":["rm","-r","x"]},)"
          R"([{"judge":{"engine":"","model":"strong"},"name":"quality"}]])"));
}

// ---- work that is judged

constexpr char kChecked[] = R"(
name: checked
steps:
  - name: write
    artifact: spec
    checks:
      - name: quality
        judge: {prompt: "Judge: {{SPEC_CONTENT}}", model: fast, fail_on_api_error: FAILS}
    llm:
      prompt: "Write.{{#if ITERATION_FEEDBACK}} {{ITERATION_FEEDBACK}}{{/if}}"
      schema: SCHEMA
)";

std::string Checked(const std::string& fails) {
  std::string yaml = WithSchema(kChecked);
  return yaml.replace(yaml.find("FAILS"), 5, fails);
}

TEST_F(TaskGatesTest, S4_27_WorkThatAModelDoesNotPassIsDoneAgainWithItsReason) {
  room_.SetScript(R"(
replies:
  - {step: write, judgement: true, iteration: 1, answer: {status: fail, reason: "too vague", findings: ["rule 2"]}, usage: {model: scripted, cost_microusd: 5}}
  - {step: write, judgement: true, iteration: 2, answer: {status: pass, reason: "can be tested"}, usage: {model: scripted, cost_microusd: 5}}
  - {step: write, iteration: 1, answer: {status: complete, artifact: "vague"}, usage: {model: scripted, cost_microusd: 100}}
  - {step: write, iteration: 2, answer: {status: complete, artifact: "exact"}, usage: {model: scripted, cost_microusd: 100}}
)");
  StartWorker();
  PutWorkflow(server_, Checked("false"));

  const Streamed run = Run("checked");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(PromptsOf(run.snapshot->name()),
              ElementsAre("write 1.1: Write.", "write 1.1: Judge: vague",
                          "write 1.2: Write. The check quality did not pass: too vague\n- rule 2",
                          "write 1.2: Judge: exact"));
  EXPECT_EQ(Get(server_, run.snapshot->name()).usage().cost_microusd(), 210);
}

TEST_F(TaskGatesTest, S4_27_AModelThatCannotBeAskedIsReportedAndCountsAsTheCheckSays) {
  room_.SetScript(R"(
replies:
  - {step: write, judgement: true, iteration: 1, error: authentication, message: "no such key"}
  - {step: write, judgement: true, iteration: 2, answer: {status: pass, reason: fine}}
  - {step: write, answer: {status: complete, artifact: "exact"}}
)");
  StartWorker();
  PutWorkflow(server_, Checked("false"));
  const Streamed passes = Run("checked");
  PutWorkflow(server_, Checked("true"));
  const Streamed fails = Run("checked");

  ASSERT_EQ(passes.End().to(), Execution::STATE_SUCCEEDED) << passes.End().message();
  ASSERT_EQ(fails.End().to(), Execution::STATE_SUCCEEDED) << fails.End().message();
  const std::vector<CheckResult> passed = ChecksOf(passes.events, "quality");
  ASSERT_EQ(passed.size(), 1u);
  EXPECT_EQ(passed[0].state(), CheckResult::STATE_NOT_RUN);
  EXPECT_EQ(passed[0].message(), "the model could not be asked: no such key");
  const std::vector<CheckResult> failed = ChecksOf(fails.events, "quality");
  ASSERT_EQ(failed.size(), 2u) << "another iteration";
  EXPECT_EQ(failed[0].state(), CheckResult::STATE_BLOCKED);
}

TEST_F(TaskGatesTest, S4_27_TheSpecificationOfAShippedWorkflowIsJudged) {
  room_.SetScript(R"(
replies:
  - {step: spec, judgement: true, iteration: 1, answer: {status: fail, reason: "rule 2 cannot be tested"}}
  - {step: spec, judgement: true, answer: {status: pass, reason: "can be tested"}}
  - {step: spec, answer: {status: complete, summary: written, artifact: "Two rules."}}
)");
  StartWorker();
  const auto name = Submit(server_, Task("medium", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();

  const Streamed run = WatchUntil(server_, *name, [](const ExecutionEvent& event) {
    return event.has_step_finished() && event.step_finished().step() == "spec";
  });

  const std::vector<CheckResult> checks = ChecksOf(run.events, "spec_quality");
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].state(), CheckResult::STATE_BLOCKED);
  EXPECT_EQ(checks[1].state(), CheckResult::STATE_PASSED);
  EXPECT_EQ(run.events.back().step_finished().state(), v1::StepStatus::STATE_SUCCEEDED);
  const std::vector<std::string> prompts = PromptsOf(*name);
  EXPECT_TRUE(absl::StrContains(prompts.at(1), "Two rules.")) << "it is judged by its text";
}

}  // namespace
}  // namespace capstan::testing
