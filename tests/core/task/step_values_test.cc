#include "core/task/step_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/situations.h"

namespace capstan::task {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;

constexpr char kSteps[] =
    "  - {name: spec, artifact: spec, " kModel
    "}\n"
    "  - {name: log, depends_on: [spec], command: {argv: [git, log], output_variable: LOG}}\n"
    "  - {name: test, depends_on: [log], " kModel
    "}\n"
    "  - {name: last, depends_on: [test], " kModel "}\n";

workflow::Values ValuesOf(const TaskUnderTest& run, const std::string& step) {
  return ValuesFor(run.task, run.task.data, run.task.steps, run.Step(step));
}

TEST(StepValuesTest, StatesHaveTheirNamesInLowerCase) {
  EXPECT_EQ(StepStateName(StepStatus::STATE_SUCCEEDED), "succeeded");
  EXPECT_EQ(StepStateName(StepStatus::STATE_SKIPPED), "skipped");
}

TEST(StepValuesTest, S4_2_OnABranchOfTheRepositoryWorkIsComparedWithWhereItBegan) {
  TaskUnderTest run{std::string(kSteps)};
  v1::TaskRequest& request = *run.task.request.mutable_task();
  request.set_context(v1::CONTEXT_KIND_BRANCH);
  request.mutable_repository()->set_base_ref("develop");
  run.Begin();
  run.task.data.mutable_workspace()->set_branch("develop");
  run.task.data.mutable_workspace()->set_base_commit("c0ffee");

  const workflow::Values values = ValuesOf(run, "spec");

  EXPECT_EQ(values.variables.at("TASK_BRANCH"), "develop");
  EXPECT_EQ(values.variables.at("TARGET_BRANCH"), "c0ffee");
}

TEST(StepValuesTest, ATaskIsDescribedByItsRequestAndItsWorkspace) {
  TaskUnderTest run{std::string(kSteps)};
  v1::TaskRequest& request = *run.task.request.mutable_task();
  request.mutable_description()->set_id("T-1");
  request.mutable_description()->set_title("Add a button");
  request.mutable_repository()->set_base_ref("develop");
  run.Begin();

  const workflow::Values values = ValuesOf(run, "spec");

  EXPECT_EQ(values.variables.at("TASK_ID"), "T-1");
  EXPECT_EQ(values.variables.at("TASK_TITLE"), "Add a button");
  EXPECT_EQ(values.variables.at("TASK_BRANCH"), "capstan/1");
  EXPECT_EQ(values.variables.at("TARGET_BRANCH"), "develop");
  EXPECT_EQ(values.variables.at("WORKTREE_PATH"), "/w/1");
  EXPECT_EQ(values.variables.at("SCREENSHOT_DIR"), "/w/1/.screenshots");
  EXPECT_EQ(values.variables.at("ITERATION"), "1");
  EXPECT_THAT(values.variables, Not(Contains(Key("RETRY_ATTEMPT"))));
}

TEST(StepValuesTest, AnIterationGetsWhatTheLastOneLeftToDo) {
  TaskUnderTest run{std::string(kSteps)};
  run.Begin();
  run.Continue("spec", "say how it is tested");

  const workflow::Values values = ValuesOf(run, "spec");

  EXPECT_EQ(values.variables.at("ITERATION"), "2");
  EXPECT_EQ(values.variables.at("ITERATION_FEEDBACK"), "say how it is tested");
}

TEST(StepValuesTest, WhatAStepWroteIsThereForLaterOnes) {
  TaskUnderTest run{std::string(kSteps)};
  run.Begin();
  run.Complete("spec", {{"status", "complete"}});
  run.task.steps["spec"]["artifact"] = "It has a button.";

  EXPECT_EQ(ValuesOf(run, "log").variables.at("SPEC_CONTENT"), "It has a button.");
}

TEST(StepValuesTest, TheOutputOfAProgramIsAVariableOnceItHasSucceeded) {
  TaskUnderTest run{std::string(kSteps)};
  run.Begin();
  run.Complete("spec");
  IterationEnded failed = run.Of("log", IterationFinished::STATUS_CONTINUE);
  failed.answer = {{"exit_code", 0}, {"output", "c1 first"}};
  run.task.steps["log"]["output"] = failed.answer;
  EXPECT_THAT(ValuesOf(run, "test").variables, Not(Contains(Key("LOG"))));

  run.Complete("log", failed.answer);

  EXPECT_EQ(ValuesOf(run, "test").variables.at("LOG"), "c1 first");
}

TEST(StepValuesTest, TheAnswerOfTheTestsIsThereForLaterSteps) {
  TaskUnderTest run{std::string(kSteps)};
  run.Begin();
  run.Complete("spec");
  run.Complete("log");

  run.Complete("test", {{"status", "pass"}});

  EXPECT_THAT(ValuesOf(run, "last").variables.at("VERIFICATION_RESULTS"), HasSubstr("pass"));
}

TEST(StepValuesTest, AnAnswerThatIsNoObjectIsNoAnswer) {
  TaskUnderTest run{std::string(kSteps)};
  run.Begin();
  run.Complete("spec");
  run.Complete("log", {{"output", 7}});
  run.task.steps["test"]["output"] = nlohmann::json::parse("{", nullptr, false);

  const workflow::Values values = ValuesOf(run, "last");

  EXPECT_THAT(values.variables, Not(Contains(Key("LOG"))));
  EXPECT_THAT(values.variables, Not(Contains(Key("VERIFICATION_RESULTS"))));
}

}  // namespace
}  // namespace capstan::task
