// The definitions that come with Capstan, against the tables that they have to follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/condition.h"
#include "core/workflow/loader.h"
#include "core/workflow/render.h"
#include "core/workflow/task_values.h"
#include "core/workflow/task_variables.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"

namespace capstan::workflow {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const std::map<std::string, v1::Workflow>& Shipped() {
  static const auto* shipped = [] {
    auto* workflows = new std::map<std::string, v1::Workflow>;
    const absl::StatusOr<std::vector<v1::Workflow>> loaded = LoadAll(CAPSTAN_SOURCE_DIR "/catalog");
    CAPSTAN_CHECK(loaded.ok());  // AllOfThemLoad says why not
    for (const v1::Workflow& workflow : *loaded) (*workflows)[workflow.name()] = workflow;
    return workflows;
  }();
  return *shipped;
}

TEST(ShippedWorkflowsTest, AllOfThemLoad) {
  const absl::StatusOr<std::vector<v1::Workflow>> workflows =
      LoadAll(CAPSTAN_SOURCE_DIR "/catalog");

  ASSERT_OK(workflows);
  std::vector<std::string> names;
  for (const v1::Workflow& workflow : *workflows) names.push_back(workflow.name());
  EXPECT_THAT(names, ElementsAre("greenfield", "large", "medium", "small", "trivial"));
}

// What is the same for all steps of a workflow.
struct Weight {
  const char* name;
  std::vector<std::string> phases;
  int iterations;
  int turn_minutes;
  v1::Workflow::Session session;
  v1::Workflow::Checkpoint checkpoint;
  bool requires_spec;
};

const std::vector<Weight>& Weights() {
  static const auto* weights = new std::vector<Weight>{
      {"trivial",
       {"implement"},
       5,
       5,
       v1::Workflow::SESSION_FRESH,
       v1::Workflow::CHECKPOINT_NONE,
       false},
      {"small",
       {"implement", "test"},
       10,
       10,
       v1::Workflow::SESSION_PER_STEP,
       v1::Workflow::CHECKPOINT_ON_COMPLETION,
       true},
      {"medium",
       {"spec", "implement", "review", "test"},
       20,
       10,
       v1::Workflow::SESSION_PER_STEP,
       v1::Workflow::CHECKPOINT_ON_COMPLETION,
       true},
      {"large",
       {"research", "spec", "design", "implement", "review", "test", "validate"},
       30,
       15,
       v1::Workflow::SESSION_PER_TASK,
       v1::Workflow::CHECKPOINT_EVERY_ITERATION,
       true},
      {"greenfield",
       {"research", "spec", "design", "scaffold", "implement", "review", "test", "validate",
        "docs"},
       50,
       15,
       v1::Workflow::SESSION_PER_TASK,
       v1::Workflow::CHECKPOINT_EVERY_ITERATION,
       true},
  };
  return *weights;
}

// What is the same for a step in all workflows.
struct Phase {
  const char* step;
  const char* retry_from;
  const char* model;
  bool thinks;
  bool fresh_session;
  const char* artifact;
  const char* schema_title;
};

constexpr Phase kPhases[] = {
    {"research", "", "fast", false, false, "research", "A document, and where"},
    {"spec", "", "strong", true, false, "spec", "A document, and where"},
    {"design", "spec", "strong", true, false, "design", "A document, and where"},
    {"scaffold", "", "fast", false, false, "", "Where the work stands"},
    {"implement", "", "fast", false, false, "", "Where a change stands"},
    {"review", "implement", "strong", true, true, "", "What a first review has found"},
    {"review_round2", "implement", "strong", true, true, "", "Whether the findings of an earlier"},
    {"test", "implement", "fast", false, false, "", "What tests have shown"},
    {"validate", "implement", "strong", true, true, "", "What tests have shown"},
    {"docs", "", "fast", false, false, "docs", "A document, and where"},
};

const Phase& PhaseOf(const std::string& step) {
  for (const Phase& phase : kPhases) {
    if (step == phase.step) return phase;
  }
  ADD_FAILURE() << "no row for step " << step;
  return kPhases[0];
}

template <class Check>
void ForEachStep(Check check) {
  for (const auto& [name, workflow] : Shipped()) {
    for (const v1::WorkflowStep& step : workflow.steps()) {
      SCOPED_TRACE(name + "." + step.name());
      check(workflow, step);
    }
  }
}

TEST(ShippedWorkflowsTest, S1_6_EachWeightHasItsPhasesInOrder) {
  for (const Weight& weight : Weights()) {
    std::vector<std::string> phases;
    std::vector<std::string> before;  // nothing, or the step before
    for (const v1::WorkflowStep& step : Shipped().at(weight.name).steps()) {
      // The later rounds of a review are a step of the same phase: their answers differ.
      if (step.name() != "review_round2") phases.push_back(step.name());
      EXPECT_THAT(step.depends_on(), ElementsAreArray(before)) << weight.name;
      before = {step.name()};
    }
    EXPECT_EQ(phases, weight.phases) << weight.name;
  }
}

TEST(ShippedWorkflowsTest, S1_2_S1_4_EachWeightHasItsSessionAndCheckpoint) {
  for (const Weight& weight : Weights()) {
    EXPECT_EQ(Shipped().at(weight.name).session(), weight.session) << weight.name;
    EXPECT_EQ(Shipped().at(weight.name).checkpoint(), weight.checkpoint) << weight.name;
  }
}

TEST(ShippedWorkflowsTest, S1_3_S1_5_EachWeightHasItsLimits) {
  for (const Weight& weight : Weights()) {
    for (const v1::WorkflowStep& step : Shipped().at(weight.name).steps()) {
      EXPECT_EQ(MaxIterations(step), weight.iterations) << weight.name << "." << step.name();
      EXPECT_EQ(step.turn_timeout().seconds(), weight.turn_minutes * 60)
          << weight.name << "." << step.name();
    }
  }
}

TEST(ShippedWorkflowsTest, S1_9_StepsThatDecideUseTheStrongModelAndThink) {
  ForEachStep([](const v1::Workflow&, const v1::WorkflowStep& step) {
    EXPECT_EQ(step.llm().model(), PhaseOf(step.name()).model);
    EXPECT_EQ(step.llm().thinking_tokens() > 0, PhaseOf(step.name()).thinks);
  });
}

TEST(ShippedWorkflowsTest, S4_14_S4_15_EachStepGoesBackToWhereItsRowSays) {
  ForEachStep([](const v1::Workflow& workflow, const v1::WorkflowStep& step) {
    EXPECT_EQ(step.retry_from(), PhaseOf(step.name()).retry_from);
    EXPECT_EQ(MaxRetries(workflow), 5);
  });
}

TEST(ShippedWorkflowsTest, S4_12_S4_13_EachStepHasTheSchemaOfItsPhase) {
  ForEachStep([](const v1::Workflow&, const v1::WorkflowStep& step) {
    EXPECT_THAT(step.llm().schema(), HasSubstr(PhaseOf(step.name()).schema_title));
    EXPECT_EQ(step.llm().evidence_required(), step.name() == "implement");
  });
}

TEST(ShippedWorkflowsTest, S4_9_OnlyStepsThatWriteKeepAnArtifact) {
  ForEachStep([](const v1::Workflow&, const v1::WorkflowStep& step) {
    EXPECT_EQ(step.artifact(), PhaseOf(step.name()).artifact);
  });
}

TEST(ShippedWorkflowsTest, S4_41_WhatJudgesHasAConversationOfItsOwn) {
  ForEachStep([](const v1::Workflow&, const v1::WorkflowStep& step) {
    EXPECT_EQ(step.llm().fresh_session(), PhaseOf(step.name()).fresh_session);
  });
}

TEST(ShippedWorkflowsTest, S4_3_AllButTrivialNeedASpecification) {
  for (const Weight& weight : Weights()) {
    EXPECT_EQ(Shipped().at(weight.name).requires_spec(), weight.requires_spec) << weight.name;
  }
  EXPECT_TRUE(TaskMustBringSpec(Shipped().at("small")));
  EXPECT_FALSE(TaskMustBringSpec(Shipped().at("medium")));
}

TEST(ShippedWorkflowsTest, S4_25_WhatIsImplementedIsChecked) {
  ForEachStep([](const v1::Workflow&, const v1::WorkflowStep& step) {
    if (step.name() != "implement") return;
    std::map<std::string, v1::QualityCheck::OnFailure> checks;
    for (const v1::QualityCheck& check : step.checks())
      checks[check.command()] = check.on_failure();
    EXPECT_THAT(checks,
                UnorderedElementsAre(std::pair("build", v1::QualityCheck::ON_FAILURE_BLOCK),
                                     std::pair("tests", v1::QualityCheck::ON_FAILURE_BLOCK),
                                     std::pair("lint", v1::QualityCheck::ON_FAILURE_BLOCK),
                                     std::pair("typecheck", v1::QualityCheck::ON_FAILURE_WARN)));
  });
}

TEST(ShippedWorkflowsTest, S4_27_WhatASpecificationSaysIsJudgedByASmallModel) {
  int specs = 0;
  ForEachStep([&](const v1::Workflow&, const v1::WorkflowStep& step) {
    if (step.artifact() != "spec") {
      for (const v1::QualityCheck& check : step.checks()) EXPECT_FALSE(check.has_judge());
      return;
    }
    ++specs;
    ASSERT_EQ(step.checks_size(), 1);
    EXPECT_EQ(step.checks(0).on_failure(), v1::QualityCheck::ON_FAILURE_BLOCK);
    EXPECT_EQ(step.checks(0).judge().model(), "fast");
    EXPECT_FALSE(step.checks(0).judge().fail_on_api_error());
  });
  EXPECT_EQ(specs, 3);
}

// What profiles call a review or a validation by a model is a step of its own, that can send the
// work back: in every profile.
TEST(ShippedWorkflowsTest, S4_31_ReviewsAndValidationsAreMadeByModelsThatCanSendTheWorkBack) {
  std::map<std::string, int> found;
  ForEachStep([&](const v1::Workflow&, const v1::WorkflowStep& step) {
    EXPECT_FALSE(step.has_gate()) << "profiles add gates, the workflows have none";
    const bool judges =
        step.name() == "review" || step.name() == "review_round2" || step.name() == "validate";
    if (!judges) return;
    ++found[step.name()];
    EXPECT_TRUE(step.has_llm());
    EXPECT_TRUE(step.llm().fresh_session());
    EXPECT_EQ(step.retry_from(), "implement");
  });
  EXPECT_THAT(found, UnorderedElementsAre(std::pair("review", 3), std::pair("review_round2", 3),
                                          std::pair("validate", 2)));
}

TEST(ShippedWorkflowsTest, S4_42_InEachRoundExactlyOneReviewRuns) {
  for (const char* name : {"medium", "large", "greenfield"}) {
    for (int round = 1; round <= 6; ++round) {
      std::vector<std::string> running;
      const Values values =
          BuildValues(Shipped().at(name), {}, {.review_round = round}, nlohmann::json::object());
      for (const v1::WorkflowStep& step : Shipped().at(name).steps()) {
        if (step.has_condition() && Holds(step.condition(), values)) running.push_back(step.name());
      }
      EXPECT_THAT(running, ElementsAre(round == 1 ? "review" : "review_round2")) << name << round;
    }
  }
}

// ---- prompts ----

TaskFacts GoldenTask() {
  return {.id = "T-42",
          .title = "Export reports as CSV",
          .description = "Users want to open a report in a spreadsheet.",
          .category = "feature",
          .branch = "task/T-42",
          .target_branch = "main",
          .worktree = "/workspaces/T-42",
          .initiative = "Reports that leave the house.",
          .requires_ui_testing = true,
          .screenshot_dir = "/workspaces/T-42/screenshots",
          .criteria = {{"C1", "A report can be saved as CSV."}, {"C2", "Umlauts survive."}},
          .artifacts = {{"spec", "A button saves the report as CSV. {{TASK_ID}} stays as it is."},
                        {"design", "One function, Report::ToCsv()."},
                        {"research", "Reports are in report.cc."}}};
}

StepFacts GoldenStep() {
  return {.retry_attempt = 1,
          .retry_from = "review",
          .retry_reason = "The review needs changes.",
          .retry_feedback = "- high: report.cc:10: Commas are not quoted.",
          .iteration = 2,
          .iteration_feedback = "lint failed: report.cc:12: line too long",
          .review_round = 2,
          .review_findings = "- high: report.cc:10: Commas are not quoted.",
          .verification_results = "tests: 12 passed"};
}

TaskFacts BareTask() {
  return {.id = "T-43",
          .title = "Correct a typo",
          .branch = "task/T-43",
          .target_branch = "main",
          .worktree = "/workspaces/T-43",
          .artifacts = {{"spec", "The word is \"its\"."}}};
}

std::string Prompt(const v1::WorkflowStep& step, const TaskFacts& task, const StepFacts& facts) {
  const Values values =
      BuildValues(Shipped().at("greenfield"), task, facts, nlohmann::json::object());
  const absl::StatusOr<std::string> prompt = Render(step.llm().prompt(), values);
  EXPECT_OK(prompt) << step.name();
  return prompt.ok() ? *prompt : "";
}

TEST(ShippedPromptsTest, S1_11_S1_12_RenderAsTheGoldenFilesSay) {
  for (const v1::WorkflowStep& step : Shipped().at("greenfield").steps()) {
    EXPECT_TRUE(capstan::testing::MatchesGolden("prompts/" + step.name() + ".txt",
                                                Prompt(step, GoldenTask(), GoldenStep())));
    EXPECT_TRUE(capstan::testing::MatchesGolden("prompts/" + step.name() + "_bare.txt",
                                                Prompt(step, BareTask(), {})));
  }
}

std::string JudgePrompt(const TaskFacts& task, const StepFacts& facts) {
  for (const v1::WorkflowStep& step : Shipped().at("greenfield").steps()) {
    if (step.artifact() != "spec") continue;
    const Values values =
        BuildValues(Shipped().at("greenfield"), task, facts, nlohmann::json::object());
    const absl::StatusOr<std::string> prompt = Render(step.checks(0).judge().prompt(), values);
    EXPECT_OK(prompt);
    return prompt.value_or("");
  }
  return "";
}

TEST(ShippedPromptsTest, S4_27_TheJudgementOfASpecificationRendersAsTheGoldenFilesSay) {
  EXPECT_TRUE(capstan::testing::MatchesGolden("prompts/judge_spec.txt",
                                              JudgePrompt(GoldenTask(), GoldenStep())));
  EXPECT_TRUE(
      capstan::testing::MatchesGolden("prompts/judge_spec_bare.txt", JudgePrompt(BareTask(), {})));
  EXPECT_THAT(JudgePrompt(BareTask(), {}), Not(HasSubstr("\n\n\n")));
}

TEST(ShippedPromptsTest, AStepHasTheSamePromptInEveryWorkflow) {
  std::map<std::string, std::string> prompts;
  ForEachStep([&](const v1::Workflow&, const v1::WorkflowStep& step) {
    const auto [entry, is_new] = prompts.emplace(step.name(), step.llm().prompt());
    EXPECT_EQ(entry->second, step.llm().prompt());
  });
  EXPECT_EQ(prompts.size(), std::size(kPhases));
}

TEST(ShippedPromptsTest, NothingOfATemplateIsLeftInAPrompt) {
  for (const v1::WorkflowStep& step : Shipped().at("greenfield").steps()) {
    EXPECT_THAT(Prompt(step, BareTask(), {}), Not(HasSubstr("{{"))) << step.name();
    EXPECT_THAT(Prompt(step, BareTask(), {}), Not(HasSubstr("\n\n\n"))) << step.name();
    EXPECT_THAT(Prompt(step, GoldenTask(), GoldenStep()), Not(HasSubstr("\n\n\n"))) << step.name();
  }
}

// ---- documentation ----

std::string Documentation() {
  std::ifstream file(CAPSTAN_SOURCE_DIR "/docs/workflows.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::StatusOr<std::string> ReadShippedPart(std::string_view kind, std::string_view name) {
  std::ifstream file(Cat(CAPSTAN_SOURCE_DIR, "/catalog/", kind, "/", name));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(WorkflowDocumentationTest, ItsExampleLoads) {
  const std::string text = Documentation();
  const std::size_t begin = text.find("```yaml\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string example = text.substr(begin + 8, text.find("```", begin + 8) - begin - 8);

  EXPECT_OK(Load(example, "example.yaml", ReadShippedPart));
}

TEST(WorkflowDocumentationTest, NamesEveryVariableOfATask) {
  for (const TaskVariable& variable : kTaskVariables) {
    EXPECT_THAT(Documentation(), HasSubstr(Cat("`", variable.name, "`")));
  }
  for (const TaskVariable& variable : kEndVariables) {
    EXPECT_THAT(Documentation(), HasSubstr(Cat("`", variable.name, "`")));
  }
}

}  // namespace
}  // namespace capstan::workflow
