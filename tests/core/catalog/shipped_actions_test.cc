// The ten actions that are shipped: what their files say, their Jobs, and that no parameter can
// become more than one argument.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/job_spec.h"
#include "core/catalog/target.h"
#include "core/text.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/golden.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::MatchesGolden;
using ::testing::ElementsAre;
using Json = nlohmann::json;

const RunnerImages kImages = {{"kubectl", "registry.local/kubectl:v1.34.4"},
                              {"capstan-action", "registry.local/capstan-action:v1"}};

// A request that is right, and what was captured for it.
struct Example {
  const char* action;
  const char* parameters;
  const char* captured;
};

constexpr Example kExamples[] = {
    {"ScaleDeployment", R"({"deployment":"web","namespace":"shop","replicas":3})",
     R"({"replicas":1,"autoscaled":false})"},
    {"RestartDeployment", R"({"deployment":"web","namespace":"shop"})",
     R"({"revision":"4","generation":7})"},
    {"DeletePod", R"({"pod":"web-1","namespace":"shop"})",
     R"({"uid":"6d0b8f4e-7a1c-4a53-9d0e-3f1b2c4d5e6f","owner":{},"node":"n1","images":[]})"},
    {"PatchConfigMap",
     R"({"configmap":"settings","namespace":"shop",
         "patch":"[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"$(HOME)\"}]"})",
     R"({"resource_version":"812","data_sha256":"","restore_patch":""})"},
    {"PatchSecret", R"({"secret":"db","namespace":"shop","patch_secret":"change-7"})", "{}"},
    {"UpdateImage",
     R"({"deployment":"web","namespace":"shop","container":"main",
         "image":"registry.example.com/web:1.2"})",
     R"({"image":"registry.example.com/web:1.1","revision":"4"})"},
    {"CordonNode", R"({"node":"n1.example.com"})", R"({"unschedulable":false})"},
    {"DrainNode", R"({"node":"n1.example.com"})", R"({"unschedulable":false,"pods":[]})"},
    {"UncordonNode", R"({"node":"n1.example.com"})", R"({"unschedulable":true})"},
    {"RolloutStatus", R"({"deployment":"web","namespace":"shop"})",
     R"({"observed_generation":7,"updated_replicas":3,"available_replicas":3})"},
};

absl::StatusOr<Json> Render(const ActionDefinition& action, const TypedParameters& parameters,
                            std::string_view captured) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const RenderedJob job,
      RenderJob({.execution = *ExecutionId::Parse("01932b5c-7d1e-7f00-8a00-0123456789ab"),
                 .action = action,
                 .parameters = parameters,
                 .timeout = action.default_timeout,
                 .actions_namespace = "capstan-actions",
                 .installation = "capstan",
                 .images = kImages,
                 .traceparent = "",
                 .captured = ParseStruct(captured),
                 .create_time = absl::FromUnixSeconds(1767323045)}));
  return Json::parse(job.json);
}

// All argv of a Job, in order.
std::vector<std::vector<std::string>> Commands(const Json& job) {
  std::vector<std::vector<std::string>> commands;
  const Json& pod = job["spec"]["template"]["spec"];
  for (const char* list : {"initContainers", "containers"}) {
    if (!pod.contains(list)) continue;
    for (const Json& container : pod[list]) commands.push_back(container["command"]);
  }
  return commands;
}

std::vector<std::vector<std::string>> ExampleCommands(std::string_view name) {
  for (const Example& example : kExamples) {
    if (name != example.action) continue;
    const ActionDefinition action = Shipped(name);
    return Commands(*Render(action, *ValidateParameters(action, ParseStruct(example.parameters)),
                            example.captured));
  }
  return {};
}

class ShippedActionTest : public ::testing::TestWithParam<Example> {
 protected:
  // What may not be given together with this parameter.
  std::vector<std::string> AlternativesOf(const std::string& parameter) const {
    const std::vector<std::string>& all = action_.exactly_one_of;
    if (std::count(all.begin(), all.end(), parameter) == 0) return {};
    std::vector<std::string> others = all;
    std::erase(others, parameter);
    return others;
  }
  google::protobuf::Struct RequestWithout(const std::vector<std::string>& names) const {
    google::protobuf::Struct request = submitted_;
    for (const std::string& name : names) request.mutable_fields()->erase(name);
    return request;
  }

  const ActionDefinition action_ = Shipped(GetParam().action);
  const google::protobuf::Struct submitted_ = ParseStruct(GetParam().parameters);
};

TEST_P(ShippedActionTest, S2_14_TheWholeJobIsAsTheGoldenSays) {
  const TypedParameters parameters = *ValidateParameters(action_, submitted_);

  const Json job = *Render(action_, parameters, GetParam().captured);

  const std::string file =
      absl::StrReplaceAll(ServiceAccountOf(action_.name).substr(20), {{"-", "_"}});
  EXPECT_TRUE(MatchesGolden(Cat("catalog/jobs/", file, ".json"), job.dump(2) + "\n"));
}

TEST_P(ShippedActionTest, S2_63_TheJobIsLockedDown) {
  const Json job = *Render(action_, *ValidateParameters(action_, submitted_), GetParam().captured);
  const Json& pod = job["spec"]["template"]["spec"];

  EXPECT_EQ(pod["serviceAccountName"], ServiceAccountOf(action_.name));
  EXPECT_EQ(pod["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
  EXPECT_EQ(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
  EXPECT_EQ(job["spec"]["backoffLimit"], 0);
}

TEST_P(ShippedActionTest, S2_45_TheInverseIsARequestThatIsTaken) {
  const v1::RollbackPlan plan = RollbackOf(action_, *ValidateParameters(action_, submitted_),
                                           ParseStruct(GetParam().captured), ExecutionId());

  if (plan.action().empty()) return;
  EXPECT_OK(ValidateParameters(Shipped(plan.action()), plan.parameters()));
}

// What the kubelet makes of an argument: $(VAR) of the environment, and $$ is $.
std::string AsTheKubeletReadsIt(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (text[i + 1] == '(' && text.find(')', i) != text.npos) {
      out += "EXPANDED";
      i = text.find(')', i);
    } else {
      out += '$';
    }
  }
  return out;
}

// 300 texts that would do harm if anything took them for more than one piece of text.
std::vector<std::string> Injections() {
  std::vector<std::string> texts = {"",     "--",  "-n",  "--all",  "--namespace=kube-system",
                                    "=",    "a=b", "a,b", "a b",    "a\nb",
                                    "a\tb", "*",   "a/b", "../etc", "-"};
  const char* pieces[] = {"; rm -rf /", " --all", "$(HOME)", "`id`", "${parameters.namespace}",
                          "$$",         "'",      "\"",      "\\",   "\n--force",
                          "\t",         " ",      "&&",      "|",    ">/tmp/x",
                          "web",        "=",      "-",       "--",   "\xc3\xa9",
                          "%s",         "{{.x}}", "$HOME",   "#",    "*",
                          "a.b",        ",",      "/",       "..",   "${timeout}"};
  std::mt19937 random(7);
  while (texts.size() < 300) {
    std::string text;
    for (size_t i = 0; i <= random() % 4; ++i) text += pieces[random() % std::size(pieces)];
    texts.push_back(text);
  }
  return texts;
}

// A text inside a format, so that injections also get past a parser.
std::string Wrapped(const ParameterDefinition& parameter, const std::string& text) {
  if (parameter.format != ParameterFormat::kJsonPatch) return text;
  return Json::array({{{"op", "add"}, {"path", "/data/a"}, {"value", text}}}).dump();
}

TEST_P(ShippedActionTest, S2_64_AStringIsRefusedOrStaysOnePieceOfOneArgument) {
  for (const ParameterDefinition& parameter : action_.parameters) {
    if (parameter.type != ParameterType::kString) continue;
    for (const std::string& injection : Injections()) {
      google::protobuf::Struct submitted = RequestWithout(AlternativesOf(parameter.name));
      const std::string value = Wrapped(parameter, injection);
      (*submitted.mutable_fields())[parameter.name].set_string_value(value);
      const absl::StatusOr<TypedParameters> parameters = ValidateParameters(action_, submitted);
      if (!parameters.ok()) continue;

      const auto commands = Commands(*Render(action_, *parameters, GetParam().captured));

      size_t rendered = 0;
      for (const ContainerDefinition& container : action_.containers) {
        if (!container.when.empty() && parameters->count(container.when) == 0) continue;
        const std::vector<std::string>& argv = commands.at(rendered++);
        ASSERT_EQ(argv.size(), container.argv.size()) << value;
        for (size_t i = 0; i < argv.size(); ++i) {
          const std::string mark = Cat("${parameters.", parameter.name, "}");
          const size_t at = container.argv[i].find(mark);
          if (at == std::string::npos) continue;
          EXPECT_NE(AsTheKubeletReadsIt(argv[i]).find(value), std::string::npos) << value;
          EXPECT_FALSE(at == 0 && argv[i].starts_with("-")) << value;
        }
      }
      EXPECT_EQ(rendered, commands.size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ShippedActionTest, ::testing::ValuesIn(kExamples),
                         [](const auto& info) { return info.param.action; });

TEST(ShippedActionsTest, S2_64_ThereAre300Injections) { EXPECT_EQ(Injections().size(), 300u); }

TEST(ShippedActionsTest, S2_12_TimeoutsAreThoseOfTheTable) {
  const std::map<std::string, int> seconds = {{"ScaleDeployment", 300}, {"RestartDeployment", 600},
                                              {"DeletePod", 120},       {"PatchConfigMap", 60},
                                              {"PatchSecret", 60},      {"UpdateImage", 600},
                                              {"CordonNode", 30},       {"DrainNode", 900},
                                              {"UncordonNode", 30},     {"RolloutStatus", 60}};

  const Catalog catalog = ShippedCatalog();
  std::map<std::string, int> given;
  for (const ActionDefinition& action : catalog.List()) {
    given[action.name] = static_cast<int>(absl::ToInt64Seconds(action.default_timeout));
  }
  EXPECT_EQ(given, seconds);
}

std::vector<std::string> NamesOf(const std::vector<ConditionUse>& conditions) {
  std::vector<std::string> names;
  for (const ConditionUse& condition : conditions) {
    names.push_back(Cat(condition.name, condition.required ? "" : "?", " ",
                        absl::FormatDuration(condition.timeout)));
  }
  return names;
}

TEST(ShippedActionsTest, S2_39_S2_40_TheConditionsOfScaleDeploymentAreThoseOfTheTable) {
  const ActionDefinition action = Shipped("ScaleDeployment");

  EXPECT_THAT(NamesOf(action.preconditions),
              ElementsAre("deployment_exists 10s", "cluster_capacity_available 10s",
                          "current_replicas_match? 5s", "image_pull_secrets_valid 10s",
                          "node_selector_matches? 10s"));
  EXPECT_THAT(NamesOf(action.postconditions),
              ElementsAre("desired_replicas_running 2m", "deployment_health_check 2m",
                          "no_crashloop_pods 2m", "resource_usage_acceptable 2m"));
}

TEST(ShippedActionsTest, S2_39_WarningsOfTheTableAreNotRequired) {
  EXPECT_THAT(NamesOf(Shipped("DrainNode").preconditions),
              ElementsAre("pdb_allows? 30s", "capacity_elsewhere? 30s"));
  EXPECT_THAT(NamesOf(Shipped("UncordonNode").preconditions), ElementsAre("node_ready? 30s"));
  EXPECT_THAT(NamesOf(Shipped("RestartDeployment").preconditions),
              ElementsAre("deployment_exists 30s", "available_replicas? 30s"));
}

TEST(ShippedActionsTest, ADrainForcesNothingUnlessToldTo) {
  EXPECT_THAT(ExampleCommands("DrainNode"),
              ElementsAre(ElementsAre("kubectl", "drain", "--grace-period=30", "--force=false",
                                      "--delete-emptydir-data=false", "--ignore-daemonsets=false",
                                      "--timeout=900s", "--", "n1.example.com")));
}

TEST(ShippedActionsTest, APodIsDeletedByTheUidThatWasCaptured) {
  EXPECT_THAT(ExampleCommands("DeletePod"),
              ElementsAre(ElementsAre("capstan-action", "delete-pod", "--namespace=shop",
                                      "--uid=6d0b8f4e-7a1c-4a53-9d0e-3f1b2c4d5e6f", "--grace=30",
                                      "--", "web-1")));
}

TEST(ShippedActionsTest, ARestartCarriesTheTimeOfTheExecution) {
  EXPECT_THAT(ExampleCommands("RestartDeployment")[0],
              ElementsAre("capstan-action", "restart-deployment", "--namespace=shop",
                          "--at=2026-01-02T03:04:05Z", "--", "web"));
}

TEST(ShippedActionsTest, S2_65_APatchOfASecretIsAFileAndABackupComesFirst) {
  EXPECT_THAT(ExampleCommands("PatchSecret"),
              ElementsAre(ElementsAre("capstan-action", "backup-secret", "--namespace=shop",
                                      "--to-namespace=capstan-actions",
                                      "--to=capstan-backup-01932b5c-7d1e-7f00-8a00-0123456789ab",
                                      "--", "db"),
                          ElementsAre("capstan-action", "patch-secret", "--namespace=shop",
                                      "--patch-file=/patch/patch", "--", "db")));
}

TEST(ShippedActionsTest, RestoringASecretBacksItUpToo) {
  const ActionDefinition action = Shipped("PatchSecret");
  const auto commands = Commands(
      *Render(action, {{"secret", "db"}, {"namespace", "shop"}, {"restore_from", "old"}}, "{}"));

  EXPECT_EQ(commands[0][1], "backup-secret");
  EXPECT_THAT(commands[1],
              ElementsAre("capstan-action", "restore-secret", "--namespace=shop",
                          "--from-namespace=capstan-actions", "--from=old", "--", "db"));
}

// docs/actions.md holds a table of the catalog.
std::string Cell(const std::vector<std::string>& lines) { return absl::StrJoin(lines, "<br>"); }

std::string ParametersCell(const ActionDefinition& action) {
  std::vector<std::string> lines;
  for (const ParameterDefinition& parameter : action.parameters) {
    std::string line = Cat("`", parameter.name, "` ", Name(parameter.type));
    if (parameter.format != ParameterFormat::kNone)
      line = Cat("`", parameter.name, "` ", Name(parameter.format));
    if (parameter.min && parameter.max) Append(&line, " ", *parameter.min, "..", *parameter.max);
    if (parameter.default_value) Append(&line, " = ", ToText(*parameter.default_value));
    const bool chosen =
        std::count(action.exactly_one_of.begin(), action.exactly_one_of.end(), parameter.name) != 0;
    if (chosen) Append(&line, " (one of)");
    lines.push_back(line);
  }
  return Cell(lines);
}

std::string RightsCell(const ActionDefinition& action) {
  std::vector<std::string> lines;
  for (const RbacRule& rule : action.rbac) {
    lines.push_back(Cat(absl::StrJoin(rule.api_groups, ","), rule.api_groups[0].empty() ? "" : " ",
                        absl::StrJoin(rule.resources, ", "), ": ", absl::StrJoin(rule.verbs, ", "),
                        rule.scope == Scope::kActions ? " (actions namespace)" : ""));
  }
  return Cell(lines);
}

std::string ConditionsCell(const std::vector<ConditionUse>& conditions) {
  std::vector<std::string> lines;
  for (const ConditionUse& condition : conditions) {
    lines.push_back(Cat("`", condition.name, "` ", absl::FormatDuration(condition.timeout),
                        condition.required ? "" : " (warning)"));
  }
  return Cell(lines);
}

std::string TableOf(const Catalog& catalog) {
  std::string table =
      "| Action | What it does | Parameters | Effect | Timeout | Inverse | Before | After | Rights "
      "of "
      "its account |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const ActionDefinition& action : catalog.List()) {
    Append(&table, "| ", action.name, " | ", action.description, " | ", ParametersCell(action),
           " | ", Name(action.effect), " | ", absl::FormatDuration(action.default_timeout), " | ",
           action.rollback ? action.rollback->action : "", " | ",
           ConditionsCell(action.preconditions), " | ", ConditionsCell(action.postconditions),
           " | ", RightsCell(action), " |\n");
  }
  return table;
}

TEST(ShippedActionsTest, TheDocumentedTableIsThatOfTheCatalog) {
  std::ifstream file(CAPSTAN_SOURCE_DIR "/docs/actions.md");
  std::ostringstream text;
  text << file.rdbuf();
  std::string page = text.str();
  const size_t begin = page.find("| Action |");
  ASSERT_NE(begin, std::string::npos);
  size_t end = page.find("\n\n", begin);
  page.replace(begin, end == std::string::npos ? end : end + 1 - begin, TableOf(ShippedCatalog()));

  EXPECT_TRUE(MatchesGolden("../../docs/actions.md", page));
}

}  // namespace
}  // namespace capstan::catalog
