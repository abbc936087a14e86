#include "core/workflow/task_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/workflow/task_variables.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

v1::Workflow OneStep(const std::string& name, const std::string& artifact) {
  v1::Workflow workflow;
  workflow.add_steps()->set_name(name);
  workflow.mutable_steps(0)->set_artifact(artifact);
  return workflow;
}

v1::WorkflowVariable& Add(v1::Workflow& workflow, const std::string& name) {
  v1::WorkflowVariable& variable = *workflow.add_variables();
  variable.set_name(name);
  return variable;
}

TaskFacts FullTask() {
  return {.id = "T-1",
          .title = "Title",
          .description = "Description",
          .category = "bug",
          .branch = "task/T-1",
          .target_branch = "main",
          .worktree = "/w",
          .initiative = "Initiative",
          .requires_ui_testing = true,
          .screenshot_dir = "/w/shots",
          .criteria = {{"C1", "It works"}, {"C2", "It is fast"}},
          .artifacts = {{"spec", "S"}, {"design", "D"}, {"research", "R"}},
          .inputs = {{"team", "blue"}},
          .env = {{"REGION", "north"}}};
}

StepFacts FullStep() {
  return {.retry_attempt = 2,
          .retry_from = "review",
          .retry_reason = "not good",
          .retry_feedback = "a.cc is wrong",
          .iteration = 3,
          .iteration_feedback = "lint failed",
          .gate_reason = "too vague",
          .review_round = 2,
          .review_findings = "{}",
          .verification_results = "all pass",
          .outputs = {{"LOG", "line"}}};
}

std::map<std::string, std::string> VariablesOf(const v1::Workflow& workflow,
                                               const json& steps = json::object()) {
  return BuildValues(workflow, FullTask(), FullStep(), steps).variables;
}

TEST(TaskValuesTest, S1_12_S4_6_GivesEveryVariableOfATask) {
  const auto variables = VariablesOf({});

  for (const TaskVariable& variable : kTaskVariables) {
    EXPECT_THAT(variables, Contains(Key(std::string(variable.name))));
  }
  EXPECT_THAT(variables, Contains(Pair("TASK_ID", "T-1")));
  EXPECT_THAT(variables, Contains(Pair("SPEC_CONTENT", "S")));
  EXPECT_THAT(variables, Contains(Pair("REQUIRES_UI_TESTING", "true")));
  EXPECT_THAT(variables, Contains(Pair("SUCCESS_CRITERIA", "- C1: It works\n- C2: It is fast")));
  EXPECT_THAT(variables, Contains(Pair("REVIEW_ROUND", "2")));
  EXPECT_THAT(variables, Contains(Pair("LOG", "line")));
}

TEST(TaskValuesTest, S4_16_GivesWhyTheTaskHasGoneBack) {
  const auto variables = VariablesOf({});

  EXPECT_THAT(variables, Contains(Pair("RETRY_ATTEMPT", "2")));
  EXPECT_THAT(variables, Contains(Pair("RETRY_FROM_PHASE", "review")));
  EXPECT_THAT(variables, Contains(Pair("RETRY_REASON", "not good")));
  EXPECT_THAT(variables, Contains(Pair("RETRY_FEEDBACK", "a.cc is wrong")));
  EXPECT_EQ(variables.at("RETRY_CONTEXT"),
            "The step review has sent the task back to this step (2 times).\nWhy: not good\n\n"
            "a.cc is wrong");
}

TEST(TaskValuesTest, S4_27_WorkThatIsLookedAtBeforeItCountsAsDoneIsThere) {
  v1::Workflow workflow = OneStep("spec", "spec");
  Add(workflow, "SUMMARY").set_step_output("spec.output.summary");
  Add(workflow, "BOTH").set_text("{{SUMMARY}}: {{SPEC_CONTENT}}");
  Values values = BuildValues(workflow, {.id = "T-1"}, {}, json::object());
  EXPECT_THAT(values.variables, Not(Contains(Key("SPEC_CONTENT"))));

  TakeAnswer(workflow, workflow.steps(0), {{"summary", "two rules"}}, "the text", values);

  EXPECT_THAT(values.variables, Contains(Pair("SPEC_CONTENT", "the text")));
  EXPECT_THAT(values.variables, Contains(Pair("SUMMARY", "two rules")));
  EXPECT_THAT(values.variables, Contains(Pair("BOTH", "two rules: the text")));
  EXPECT_EQ(values.steps["spec"]["state"], "succeeded");
}

TEST(TaskValuesTest, WhatHasNothingToSayIsNotResolved) {
  const Values values = BuildValues({}, {.id = "T-1"}, {.retry_from = "old"}, json::object());

  std::set<std::string> names;
  for (const auto& [name, text] : values.variables) names.insert(name);
  EXPECT_EQ(names,
            (std::set<std::string>{"TASK_ID", "REQUIRES_UI_TESTING", "ITERATION", "REVIEW_ROUND"}));
}

TEST(TaskValuesTest, EachVariableIsListedOnce) {
  std::set<std::string_view> names;
  for (const TaskVariable& variable : kTaskVariables) {
    EXPECT_TRUE(names.insert(variable.name).second) << variable.name;
    EXPECT_FALSE(variable.meaning.empty());
    EXPECT_TRUE(IsTaskVariable(variable.name));
  }
  EXPECT_FALSE(IsTaskVariable("TASK_IDS"));
}

TEST(TaskValuesTest, S4_9_AnArtifactOfAStepGoesBeforeWhatTheTaskBrought) {
  const v1::Workflow workflow = OneStep("plan", "spec");

  EXPECT_EQ(VariablesOf(workflow, {{"plan", {{"state", "succeeded"}, {"artifact", "new"}}}})
                .at("SPEC_CONTENT"),
            "new");
  EXPECT_EQ(VariablesOf(workflow, {{"plan", {{"state", "running"}, {"artifact", "new"}}}})
                .at("SPEC_CONTENT"),
            "S");
  EXPECT_EQ(VariablesOf(workflow, {{"other", {{"state", "succeeded"}, {"artifact", "new"}}}})
                .at("SPEC_CONTENT"),
            "S");
}

TEST(TaskValuesTest, S4_7_ResolvesEachSourceOfAVariable) {
  v1::Workflow workflow = OneStep("plan", "");
  Add(workflow, "A").set_text("{{TASK_ID}} of {{B}}, {{E}}");
  Add(workflow, "B").set_input("team");
  Add(workflow, "C").set_env("REGION");
  Add(workflow, "D").set_step_output("plan.output.list");
  Add(workflow, "E").set_step_output("plan.output.summary");
  Add(workflow, "F").set_fragment("Keep {{TASK_ID}}.");

  const auto variables = VariablesOf(
      workflow,
      json::parse(
          R"({"plan": {"state": "succeeded", "output": {"summary": "done", "list": [1]}}})"));

  EXPECT_THAT(variables, Contains(Pair("A", "T-1 of blue, done")));
  EXPECT_THAT(variables, Contains(Pair("B", "blue")));
  EXPECT_THAT(variables, Contains(Pair("C", "north")));
  EXPECT_THAT(variables, Contains(Pair("D", "[1]")));
  EXPECT_THAT(variables, Contains(Pair("E", "done")));
  EXPECT_THAT(variables, Contains(Pair("F", "Keep {{TASK_ID}}.")));
}

TEST(TaskValuesTest, ASourceWithNothingGivesTheDefaultOrNothing) {
  v1::Workflow workflow = OneStep("plan", "");
  Add(workflow, "A").set_text("{{B}}");
  Add(workflow, "B").set_input("gone");
  Add(workflow, "C").set_env("GONE");
  Add(workflow, "D").set_step_output("plan.output.summary");
  Add(workflow, "E").set_text("{{C}}");
  workflow.mutable_variables(2)->set_default_value("south");
  workflow.mutable_variables(3)->set_default_value("");

  const auto variables = VariablesOf(
      workflow, json::parse(R"({"plan": {"state": "failed", "output": {"summary": "old"}}})"));

  EXPECT_THAT(variables, Not(Contains(Key("A"))));
  EXPECT_THAT(variables, Not(Contains(Key("B"))));
  EXPECT_THAT(variables, Contains(Pair("C", "south")));
  EXPECT_THAT(variables, Contains(Pair("D", "")));
  EXPECT_THAT(variables, Contains(Pair("E", "south")));
}

TEST(TaskValuesTest, StepsAreAsTheyWereGiven) {
  const json steps = json::parse(R"({"plan": {"state": "skipped"}})");

  EXPECT_EQ(BuildValues({}, {}, {}, steps).steps, steps);
}

}  // namespace
}  // namespace capstan::workflow
