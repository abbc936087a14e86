#include "server/validate_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

v1::RunTaskRequest Good() {
  v1::RunTaskRequest request;
  request.set_workflow("small");
  request.mutable_task()->set_title("Add a button");
  return request;
}

// The good one, changed.
template <class Change>
v1::RunTaskRequest With(Change change) {
  v1::RunTaskRequest request = Good();
  change(request);
  return request;
}

auto Refused(const std::string& message) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
}

std::string Long(std::size_t bytes) { return std::string(bytes, 'x'); }

const std::string kDigest(64, 'a');

TEST(ValidateTaskTest, ATaskNeedsAWorkflowAndATitle) {
  EXPECT_THAT(CheckRunTask(Good()), IsOk());
  EXPECT_EQ(CheckRunTask(Good())->name, "small");

  EXPECT_THAT(CheckRunTask(v1::RunTaskRequest()), Refused("workflow: got nothing"));
  EXPECT_THAT(CheckRunTask(v1::RunTaskRequest()), Refused("task.title: got nothing"));
}

TEST(ValidateTaskTest, AWorkflowIsNamedOrItsWeightIsGivenAndNotBoth) {
  const auto weight = With([](auto& r) { r.clear_workflow(), r.set_weight("greenfield"); });

  EXPECT_EQ(CheckRunTask(weight)->name, "greenfield");
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_weight("small"); })),
              Refused("workflow: got both"));
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.clear_workflow(), r.set_weight("huge"); })),
              Refused("weight: got \"huge\", want trivial, small, medium, large or greenfield"));
}

TEST(ValidateTaskTest, AnOlderDefinitionIsNamedByItsDigest) {
  const auto named = CheckRunTask(With([](auto& r) { r.set_workflow("small@" + kDigest); }));

  ASSERT_OK(named);
  EXPECT_EQ(named->name, "small");
  EXPECT_EQ(named->digest, kDigest);
}

class BadWorkflowName : public ::testing::TestWithParam<std::string> {};

TEST_P(BadWorkflowName, IsRefused) {
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_workflow(GetParam()); })),
              Refused("want {name} or {name}@{digest}"));
  EXPECT_THAT(CheckWorkflowName("workflows/" + GetParam()), Refused("name: got "));
}

INSTANTIATE_TEST_SUITE_P(Names, BadWorkflowName,
                         ::testing::Values("Small", "1small", "-small", "sm all", "small@",
                                           "small@" + std::string(63, 'a'),
                                           "small@" + std::string(64, 'A'), "@" + kDigest,
                                           std::string(64, 'a'), "../small"));

TEST(ValidateTaskTest, TheNameOfAWorkflowHasItsPrefix) {
  EXPECT_EQ(CheckWorkflowName("workflows/small")->name, "small");
  EXPECT_EQ(CheckWorkflowName("workflows/small@" + kDigest)->digest, kDigest);
  EXPECT_THAT(CheckWorkflowName("small"), Refused("want workflows/{name}"));
  EXPECT_THAT(CheckWorkflowName(""), Refused("name: got nothing"));
}

TEST(ValidateTaskTest, EveryTextHasALimit) {
  const auto check = [](auto change) { return CheckRunTask(With(change)).status(); };

  EXPECT_OK(check([](auto& r) { r.mutable_task()->set_title(Long(512)); }));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_title(Long(513)); }),
              Refused("task.title: got 513 bytes, want at most 512"));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_id(Long(129)); }), Refused("task.id: "));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_category(Long(65)); }),
              Refused("task.category: "));
  EXPECT_OK(check([](auto& r) { r.mutable_task()->set_description(Long(64 * 1024)); }));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_description(Long(64 * 1024 + 1)); }),
              Refused("task.description: "));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_initiative(Long(64 * 1024 + 1)); }),
              Refused("task.initiative: "));
  EXPECT_THAT(check([](auto& r) { r.mutable_task()->set_spec(Long(128 * 1024 + 1)); }),
              Refused("task.spec: "));
}

TEST(ValidateTaskTest, CriteriaHaveIdsOfTheirOwnAndAText) {
  const auto criteria = [](std::vector<std::pair<std::string, std::string>> all) {
    return CheckRunTask(With([&](auto& r) {
             for (const auto& [id, text] : all) {
               r.mutable_task()->add_criteria()->set_id(id);
               r.mutable_task()->mutable_criteria()->rbegin()->set_text(text);
             }
           }))
        .status();
  };

  EXPECT_OK(criteria({{"a.1", "it works"}, {"A_2-b", "it is fast"}}));
  EXPECT_THAT(criteria({{"a", "x"}, {"a", "y"}}),
              Refused("task.criteria[1].id: got \"a\" again, want each once"));
  EXPECT_THAT(criteria({{"", "x"}}), Refused("task.criteria[0].id: got nothing"));
  EXPECT_THAT(criteria({{"a b", "x"}}), Refused("task.criteria[0].id: got \"a b\""));
  EXPECT_THAT(criteria({{"a", ""}}), Refused("task.criteria[0].text: got 0 bytes"));
  EXPECT_THAT(criteria({{"a", Long(2049)}}), Refused("task.criteria[0].text: got 2049 bytes"));
  EXPECT_THAT(criteria(std::vector<std::pair<std::string, std::string>>(65)),
              Refused("task.criteria: got 65, want at most 64"));
}

TEST(ValidateTaskTest, InputsHaveNamesAndLimits) {
  const auto inputs = [](const std::string& name, const std::string& value) {
    return CheckRunTask(With([&](auto& r) { (*r.mutable_inputs())[name] = value; })).status();
  };

  EXPECT_OK(inputs("team", Long(64 * 1024)));
  EXPECT_THAT(inputs("team", Long(64 * 1024 + 1)), Refused("inputs.team: got 65537 bytes"));
  EXPECT_THAT(inputs("", "x"), Refused("inputs: got the name nothing"));
  EXPECT_THAT(inputs(Long(64), "x"), Refused("inputs: got the name"));
  EXPECT_THAT(CheckRunTask(With([](auto& r) {
                for (int i = 0; i < 65; ++i) (*r.mutable_inputs())[absl::StrCat(i)] = "x";
              })),
              Refused("inputs: got 65, want at most 64"));
}

TEST(ValidateTaskTest, CommandsHaveAProgram) {
  const auto commands = [](const std::string& name, std::vector<std::string> argv) {
    return CheckRunTask(With([&](auto& r) {
             v1::CommandLine& line = (*r.mutable_commands())[name];
             for (const std::string& one : argv) line.add_argv(one);
           }))
        .status();
  };

  EXPECT_OK(commands("tests", {"make", "test", ""}));
  EXPECT_OK(commands("tests", std::vector<std::string>(64, "x")));
  EXPECT_FALSE(commands("tests", {"make", std::string(64 * 1024 + 1, 'x')}).ok());
  EXPECT_THAT(commands("tests", {}), Refused("commands.tests.argv: got 0 arguments"));
  EXPECT_THAT(commands("tests", {""}), Refused("commands.tests.argv: "));
  EXPECT_THAT(commands("tests", std::vector<std::string>(65, "x")),
              Refused("commands.tests.argv: got 65 arguments"));
  EXPECT_THAT(commands("", {"make"}), Refused("commands: got the name nothing"));
  EXPECT_THAT(CheckRunTask(With([](auto& r) {
                for (int i = 0; i < 33; ++i)
                  (*r.mutable_commands())[absl::StrCat(i)].add_argv("make");
              })),
              Refused("commands: got 33, want at most 32"));
}

TEST(ValidateTaskTest, ARepositoryIsAnAbsolutePathAndARefThatIsNoOption) {
  const auto repository = [](const std::string& path, const std::string& ref) {
    return CheckRunTask(With([&](auto& r) {
             r.mutable_repository()->set_path(path);
             r.mutable_repository()->set_base_ref(ref);
           }))
        .status();
  };

  EXPECT_OK(repository("/srv/git/web", ""));
  EXPECT_OK(repository("/srv/git/..web", "release/1.2_x-y"));
  EXPECT_THAT(repository("", ""), Refused("repository.path: got nothing"));
  EXPECT_THAT(repository("srv/git", ""), Refused("repository.path: "));
  EXPECT_THAT(repository("/srv/git/../../etc", ""), Refused("repository.path: "));
  EXPECT_THAT(repository("/srv/git/..", ""), Refused("repository.path: "));
  EXPECT_THAT(repository(std::string("/srv\0/x", 7), ""), Refused("repository.path: "));
  EXPECT_THAT(repository("/" + Long(1024), ""), Refused("repository.path: "));
  EXPECT_THAT(repository("/srv", "--upload-pack=x"), Refused("repository.base_ref: "));
  EXPECT_THAT(repository("/srv", "a..b"), Refused("repository.base_ref: "));
  EXPECT_THAT(repository("/srv", "a b"), Refused("repository.base_ref: "));
  EXPECT_THAT(repository("/srv", Long(257)), Refused("repository.base_ref: "));
}

TEST(ValidateTaskTest, ATimeoutIsFromNothingToSevenDays) {
  const auto timeout = [](std::int64_t seconds, int nanos = 0) {
    return CheckRunTask(With([&](auto& r) {
             r.mutable_timeout()->set_seconds(seconds);
             r.mutable_timeout()->set_nanos(nanos);
           }))
        .status();
  };

  EXPECT_OK(timeout(0));
  EXPECT_OK(timeout(7 * 24 * 3600));
  EXPECT_THAT(timeout(7 * 24 * 3600, 1), Refused("timeout: got "));
  EXPECT_THAT(timeout(-1), Refused("timeout: got -1s, want 0 to 168h"));
  EXPECT_THAT(timeout(1, 2'000'000'000), Refused("timeout: got a Duration out of range"));
}

TEST(ValidateTaskTest, MoneyAndProfileAreWhatTheyCanBe) {
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_max_cost_microusd(-1); })),
              Refused("max_cost_microusd: got -1, want 0 or more"));
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_profile(static_cast<v1::Profile>(99)); })),
              Refused("profile: got 99"));
  EXPECT_OK(CheckRunTask(With([](auto& r) { r.set_profile(v1::PROFILE_STRICT); })));
}

TEST(ValidateTaskTest, S4_2_AContextNeedsWhatItWorksOn) {
  const auto of = [](v1::ContextKind context, bool repository, const std::string& ref = "") {
    return CheckRunTask(With([&](auto& r) {
      r.set_context(context);
      if (!repository) return;
      r.mutable_repository()->set_path("/srv/repos/shop");
      r.mutable_repository()->set_base_ref(ref);
    }));
  };

  EXPECT_OK(of(v1::CONTEXT_KIND_UNSPECIFIED, true));
  EXPECT_OK(of(v1::CONTEXT_KIND_UNSPECIFIED, false));
  EXPECT_OK(of(v1::CONTEXT_KIND_TASK, true));
  EXPECT_OK(of(v1::CONTEXT_KIND_STANDALONE, false));
  EXPECT_OK(of(v1::CONTEXT_KIND_BRANCH, true, "feature/one"));
  EXPECT_THAT(of(v1::CONTEXT_KIND_TASK, false),
              Refused("repository: got nothing, want one: the context is TASK"));
  EXPECT_THAT(of(v1::CONTEXT_KIND_BRANCH, false),
              Refused("repository: got nothing, want one: the context is BRANCH"));
  EXPECT_THAT(of(v1::CONTEXT_KIND_STANDALONE, true), Refused("repository: got one, want none"));
  EXPECT_THAT(of(static_cast<v1::ContextKind>(99), true), Refused("context: got 99, want"));
  EXPECT_THAT(of(v1::CONTEXT_KIND_BRANCH, true),
              Refused("repository.base_ref: got nothing, want the name of a branch"));
  for (const std::string& ref :
       {std::string("HEAD"), std::string("refs/heads/main"), std::string(40, 'a')}) {
    EXPECT_THAT(of(v1::CONTEXT_KIND_BRANCH, true, ref),
                Refused("repository.base_ref: got \"" + ref + "\", want the name of a branch"));
  }
}

TEST(ValidateTaskTest, AProjectHasANameAndAnOverrideHasAProject) {
  const auto project = [](const std::string& name) {
    return CheckRunTask(With([&](auto& r) { r.set_project(name); })).status();
  };
  const std::string want = ", want [a-z0-9][a-z0-9._-]{0,62}";

  EXPECT_OK(project(""));
  EXPECT_OK(project("0-shop.web_2"));
  EXPECT_OK(project(Long(63)));
  EXPECT_THAT(project(Long(64)), Refused(want));
  EXPECT_THAT(project("Shop"), Refused("project: got \"Shop\"" + want));
  EXPECT_THAT(project(".shop"), Refused(want));
  EXPECT_THAT(project("a b"), Refused(want));
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_budget_override("why"); })),
              Refused("project: got nothing, want the project whose budget budget_override is "));
  EXPECT_THAT(
      CheckRunTask(With([](auto& r) { r.set_project("shop"), r.set_budget_override(Long(1025)); })),
      Refused("budget_override: got 1025 bytes, want at most 1024"));
}

TEST(ValidateTaskTest, WhatAllSubmitsHaveIsCheckedToo) {
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_request_id("x"); })), Refused("request_id: "));
  EXPECT_THAT(CheckRunTask(With([](auto& r) { r.set_priority(6); })), Refused("priority: "));
  EXPECT_THAT(CheckRunTask(With([](auto& r) { (*r.mutable_labels())["A"] = "x"; })),
              Refused("labels: "));
}

TEST(ValidateTaskTest, EverythingThatIsWrongIsSaidAtOnce) {
  const absl::Status status = CheckRunTask(With([](auto& r) {
                                r.clear_workflow();
                                r.mutable_task()->clear_title();
                                r.set_max_cost_microusd(-1);
                              })).status();

  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("workflow: "), HasSubstr("task.title: "), HasSubstr("max_cost_microusd: ")));
}

// ---- against the definition

v1::Workflow Definition() {
  v1::Workflow workflow;
  workflow.set_name("small");
  workflow.add_steps()->set_name("implement");
  return workflow;
}

TEST(ValidateTaskTest, S4_3_ATaskWithoutASpecificationIsRefusedBeforeItCostsAnything) {
  v1::Workflow workflow = Definition();
  workflow.set_requires_spec(true);

  EXPECT_THAT(CheckAgainst(Good(), workflow),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("task.spec: got nothing, want a specification")));
  EXPECT_OK(CheckAgainst(With([](auto& r) { r.mutable_task()->set_spec("It has a button."); }),
                         workflow));
  workflow.mutable_steps(0)->set_artifact("spec");
  EXPECT_OK(CheckAgainst(Good(), workflow)) << "a step writes it";
}

TEST(ValidateTaskTest, AVariableWithoutADefaultNeedsItsInput) {
  v1::Workflow workflow = Definition();
  v1::WorkflowVariable& variable = *workflow.add_variables();
  variable.set_name("TEAM");
  variable.set_input("team");

  EXPECT_THAT(CheckAgainst(Good(), workflow), Refused("inputs.team: got nothing"));
  EXPECT_OK(CheckAgainst(With([](auto& r) { (*r.mutable_inputs())["team"] = "a"; }), workflow));
  variable.set_default_value("");
  EXPECT_OK(CheckAgainst(Good(), workflow));
}

catalog::Catalog CatalogOfScale() {
  catalog::ActionDefinition scale;
  scale.name = "ScaleDeployment";
  for (const char* name : {"deployment", "replicas"}) {
    catalog::ParameterDefinition parameter;
    parameter.name = name;
    parameter.required = true;
    scale.parameters.push_back(parameter);
  }
  return *catalog::Catalog::Make({scale});
}

TEST(ValidateTaskTest, StepsSubmitActionsOfTheCatalogWithParametersThatTheyHave) {
  const catalog::Catalog catalog = CatalogOfScale();
  v1::Workflow workflow = Definition();
  v1::ActionStep& action = *workflow.mutable_steps(0)->mutable_action();
  auto& given = *action.mutable_parameters()->mutable_fields();
  action.set_action("ScaleDeployment");
  given["deployment"].set_string_value("web");
  given["replicas"].set_string_value("{{REPLICAS}}");
  EXPECT_OK(CheckActions(workflow, catalog));

  given.erase("replicas");
  given["color"].set_string_value("red");

  EXPECT_THAT(CheckActions(workflow, catalog),
              Refused("steps.implement.action.parameters.replicas: got nothing, want "));
  EXPECT_THAT(CheckActions(workflow, catalog),
              Refused("steps.implement.action.parameters: got \"color\", want a parameter of "));
  action.set_action("GrowDeployment");
  EXPECT_THAT(CheckActions(workflow, catalog),
              Refused("steps.implement.action.action: got \"GrowDeployment\", want one of: "
                      "ScaleDeployment"));
}

// ---- other calls

TEST(ValidateTaskTest, TheReasonOfAPauseIsOptionalAndHasALimit) {
  EXPECT_OK(CheckPause(""));
  EXPECT_OK(CheckPause(Long(1024)));
  EXPECT_THAT(CheckPause(Long(1025)), Refused("reason: got 1025 bytes"));
}

TEST(ValidateTaskTest, ATranscriptIsReadFromANumberOn) {
  v1::ReadTranscriptRequest request;
  EXPECT_OK(CheckReadTranscript(request));

  request.set_after(-1);
  request.set_step(Long(64));

  EXPECT_THAT(CheckReadTranscript(request), Refused("after: got -1"));
  EXPECT_THAT(CheckReadTranscript(request), Refused("step: got "));
}

TEST(ValidateTaskTest, ADefinitionIsSomeYamlAndHasALimit) {
  EXPECT_OK(CheckPutWorkflow("name: w", ""));
  EXPECT_THAT(CheckPutWorkflow("", ""), Refused("yaml: got 0 bytes"));
  EXPECT_THAT(CheckPutWorkflow(Long(512 * 1024 + 1), ""), Refused("yaml: got 524289 bytes"));
  EXPECT_THAT(CheckPutWorkflow("name: w", Long(257)), Refused("file: got 257 bytes"));
}

}  // namespace
}  // namespace capstan::server
