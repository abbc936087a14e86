#include "worker/policy/condition_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"
#include "worker/policy/bundle_loader.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kTimeout = absl::Seconds(10);

std::string Module(const std::string& name, const std::string& rules) {
  return "package capstan.conditions." + name + "\n\nimport rego.v1\n\n" + rules + "\n";
}

constexpr char kPasses[] = R"(result := {"passed": true, "message": "fine", "missing": []})";

ConditionSet::Options OptionsOf(const PolicyDirectory& directory) {
  ConditionSet::Options options;
  options.directory = directory.path();
  options.check_program = CAPSTAN_POLICY_CHECK;
  return options;
}

class ConditionSetTest : public ::testing::Test {
 protected:
  absl::StatusOr<ConditionSet> Load() { return ConditionSet::Load(OptionsOf(directory_), clock_); }

  absl::Status LoadError() { return Load().status(); }

  // The answer of one condition with these rules.
  ConditionAnswer Answer(const std::string& rules,
                         const nlohmann::json& input = nlohmann::json::object(),
                         absl::Duration timeout = kTimeout, const RegoLimits& limits = {}) {
    directory_.Write("a.rego", Module("a", rules));
    ConditionSet::Options options = OptionsOf(directory_);
    options.limits = limits;
    const absl::StatusOr<ConditionSet> set = ConditionSet::Load(options, clock_);
    EXPECT_OK(set);
    return set->Evaluate("a", input, timeout);
  }

  PolicyDirectory directory_;
  SystemClock clock_;
};

TEST_F(ConditionSetTest, S2_38_AConditionThatHoldsPasses) {
  const ConditionAnswer answer = Answer(kPasses);

  EXPECT_TRUE(answer.evaluated);
  EXPECT_TRUE(answer.passed);
  EXPECT_EQ(answer.message, "fine");
  EXPECT_THAT(answer.missing, IsEmpty());
  EXPECT_GT(answer.took, absl::ZeroDuration());
}

TEST_F(ConditionSetTest, S2_38_AConditionThatDoesNotHoldSaysWhy) {
  const ConditionAnswer answer =
      Answer(R"(result := {"passed": false, "message": "two of three", "missing": []})");

  EXPECT_TRUE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_EQ(answer.message, "two of three");
}

TEST_F(ConditionSetTest, S2_43a_AMissingFactFailsAndIsNamed) {
  const ConditionAnswer answer =
      Answer(R"(result := {"passed": true, "message": "m", "missing": ["facts.pod.ready"]})");

  EXPECT_TRUE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_THAT(answer.missing, ElementsAre("facts.pod.ready"));
}

TEST_F(ConditionSetTest, S2_44_AnUnknownConditionIsNotEvaluated) {
  directory_.Write("a.rego", Module("a", kPasses));

  const ConditionAnswer answer = Load()->Evaluate("b", {}, kTimeout);

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_THAT(answer.message, HasSubstr("b"));
}

TEST_F(ConditionSetTest, S2_44_AnUndefinedResultIsNotEvaluated) {
  const ConditionAnswer answer =
      Answer(R"(result := {"passed": true, "message": "m", "missing": []} if input.facts.x)");

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_THAT(answer.message, HasSubstr("undefined"));
}

TEST_F(ConditionSetTest, S2_44_AnErrorIsNotEvaluated) {
  const ConditionAnswer answer =
      Answer(R"(result := {"passed": 1 / input.n > 0, "message": "m", "missing": []})", {{"n", 0}});

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_THAT(answer.message, HasSubstr("divide by zero"));
}

TEST_F(ConditionSetTest, S2_44_ASlowConditionTimesOut) {
  const ConditionAnswer answer =
      Answer(R"(result := {"passed": true, "message": "m", "missing": []} if {
	count([1 | some a in input.n; some b in input.n; some c in input.n; a + b + c == 0]) == 0
})",
             {{"n", std::vector<int>(1000, 1)}}, kTimeout, {.timeout = absl::Milliseconds(20)});

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_EQ(answer.message, "timed out");
  EXPECT_LT(answer.took, kTimeout);
}

TEST_F(ConditionSetTest, S2_44_AnAnswerThatComesTooLateDoesNotCount) {
  const ConditionAnswer answer = Answer(kPasses, {}, absl::ZeroDuration());

  EXPECT_FALSE(answer.evaluated);
  EXPECT_EQ(answer.message, "timed out");
}

TEST_F(ConditionSetTest, S2_44_AnInputThatIsNotTextIsNotEvaluated) {
  const ConditionAnswer answer = Answer(kPasses, {{"action", "\xff\xfe"}});

  EXPECT_FALSE(answer.evaluated);
  EXPECT_THAT(answer.message, HasSubstr("JSON"));
}

TEST_F(ConditionSetTest, S2_44_AHugeInputIsNotEvaluated) {
  const ConditionAnswer answer =
      Answer(kPasses, {{"blob", std::string(RegoLimits{}.max_input_bytes, 'x')}});

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
}

class OddConditionTest : public ConditionSetTest,
                         public ::testing::WithParamInterface<const char*> {};

TEST_P(OddConditionTest, S2_44_IsNotEvaluated) {
  const ConditionAnswer answer = Answer(std::string("result := ") + GetParam());

  EXPECT_FALSE(answer.evaluated);
  EXPECT_FALSE(answer.passed);
  EXPECT_THAT(answer.message, HasSubstr("malformed"));
}

INSTANTIATE_TEST_SUITE_P(
    Results, OddConditionTest,
    ::testing::Values("true", "1", R"("passed")", "null", "[]", "{}", R"({"passed": true})",
                      R"({"passed": true, "message": "m"})",
                      R"({"passed": "true", "message": "m", "missing": []})",
                      R"({"passed": 1, "message": "m", "missing": []})",
                      R"({"passed": null, "message": "m", "missing": []})",
                      R"({"passed": true, "message": null, "missing": []})",
                      R"({"passed": true, "message": "m", "missing": null})",
                      R"({"passed": true, "message": "m", "missing": "facts.x"})",
                      R"({"passed": true, "message": "m", "missing": [1]})"));

TEST(ConditionResultTest, S2_44_TextThatIsNotJsonIsNotEvaluated) {
  EXPECT_FALSE(ReadConditionResult("").evaluated);
  EXPECT_FALSE(ReadConditionResult("{").evaluated);
}

TEST_F(ConditionSetTest, S2_41_AConditionSeesNeitherOthersNorSafetyRules) {
  directory_.Write("a.rego", Module("a", kPasses));
  directory_.Write("b.rego", Module("b", R"(
default other := "unseen"
other := data.capstan.conditions.a.result.message
default rules := "unseen"
rules := "seen" if data.capstan.safety
result := {"passed": true, "message": concat(" ", [other, rules]), "missing": []})"));

  EXPECT_EQ(Load()->Evaluate("b", {}, kTimeout).message, "unseen unseen");
}

TEST_F(ConditionSetTest, S2_41_AConditionCannotTakeAnotherPackage) {
  directory_.Write("a.rego", "package capstan.safety\n\nimport rego.v1\n\ndecision := {}\n\n" +
                                 std::string(kPasses));

  EXPECT_THAT(LoadError(), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("a.rego: package is capstan.safety")));
}

TEST(SafetyRulesTest, S2_41_ABundleCannotTakeThePackageOfAConditionOrOfTheDecision) {
  for (const char* package : {"capstan.conditions.a", "capstan.safety"}) {
    const PolicyDirectory directory;
    directory.Write("a/rules.rego", std::string("package ") + package +
                                        "\n\nimport rego.v1\n\nviolations := set()");

    EXPECT_THAT(CompileBundles(ReadBundleFiles(directory.path(), {}).value(), {}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a/rules.rego")));
  }
}

TEST_F(ConditionSetTest, S2_44_AMissingDirectoryEndsTheStart) {
  ConditionSet::Options options = OptionsOf(directory_);
  options.directory = "/nonexistent/conditions";

  EXPECT_THAT(ConditionSet::Load(options, clock_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/conditions")));
}

TEST_F(ConditionSetTest, S2_44_ADirectoryWithoutAConditionEndsTheStart) {
  EXPECT_THAT(LoadError(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ConditionSetTest, ACheckThatCannotRunEndsTheStart) {
  directory_.Write("a.rego", Module("a", kPasses));
  ConditionSet::Options options = OptionsOf(directory_);
  options.check_program = "/nonexistent/capstan-policy-check";

  EXPECT_THAT(ConditionSet::Load(options, clock_), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(ConditionSetTest, S2_42_WhereNoConditionCanBeLoadedThoseOfTheBuildAreUsed) {
  const absl::StatusOr<ConditionSet> of_empty =
      ConditionSet::LoadOrEmbedded(OptionsOf(directory_), clock_);
  ConditionSet::Options options = OptionsOf(directory_);
  options.directory = "/nonexistent/conditions";
  const absl::StatusOr<ConditionSet> of_none = ConditionSet::LoadOrEmbedded(options, clock_);

  ASSERT_OK(of_empty);
  EXPECT_TRUE(of_empty->embedded());
  ASSERT_OK(of_none);
  EXPECT_TRUE(of_none->Has("deployment_exists"));
}

TEST_F(ConditionSetTest, S2_42_ConditionsThatLoadAreUsedAndABadOneIsNotReplaced) {
  directory_.Write("a.rego", Module("a", kPasses));
  const absl::StatusOr<ConditionSet> loaded =
      ConditionSet::LoadOrEmbedded(OptionsOf(directory_), clock_);
  ASSERT_OK(loaded);
  EXPECT_FALSE(loaded->embedded());
  EXPECT_THAT(loaded->names(), ElementsAre("a"));

  directory_.Write("a.rego", Module("a", "result := {"));

  EXPECT_THAT(ConditionSet::LoadOrEmbedded(OptionsOf(directory_), clock_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a.rego")));
}

// What ends the start-up: a file, its text, and what the message says.
struct BadFile {
  const char* file;
  std::string text;
  const char* why;
};
class BadConditionTest : public ConditionSetTest, public ::testing::WithParamInterface<BadFile> {};

TEST_P(BadConditionTest, S2_38_EndsTheStartNamingTheFile) {
  directory_.Write("good.rego", Module("good", kPasses));
  directory_.Write(GetParam().file, GetParam().text);

  const absl::Status status = LoadError();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().why)));
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadConditionTest,
    ::testing::Values(
        BadFile{"a.rego", Module("a", "result := {"), "a.rego"},
        BadFile{"a.rego", Module("b", kPasses), "a.rego: package is capstan.conditions.b"},
        BadFile{"a.rego", "package capstan.conditions.a\nresult := 1", "a.rego: lacks"},
        BadFile{"a.rego", Module("a", "other := 1"), "a.rego: does not declare `result`"},
        BadFile{"a.rego", Module("a", "result := f(1)\n\nf(x) := f(x)"), "recursion"},
        BadFile{"a.rego", Module("a", "result := time.now_ns()"), "time.now_ns is refused"},
        BadFile{"A.rego", Module("A", kPasses), "condition \"A\""},
        BadFile{"a_test.rego", Module("a_test", "test_x := true"), "there is no a.rego"},
        BadFile{"good_test.rego", Module("good_test", "test_x := false"), "good_test.rego: test_x"},
        BadFile{"folder/a.rego", Module("a", kPasses), "folder"},
        BadFile{"data.json", "{}", "data.json"}));

TEST_F(ConditionSetTest, S2_44_ALoadMeanwhileDoesNotDisturbAnEvaluation) {
  directory_.Write("a.rego", Module("a", kPasses));
  const absl::StatusOr<ConditionSet> before = Load();

  directory_.Write("a.rego",
                   Module("a", R"(result := {"passed": false, "message": "new", "missing": []})"));
  const absl::StatusOr<ConditionSet> after = Load();

  EXPECT_TRUE(before->Evaluate("a", {}, kTimeout).passed);
  EXPECT_FALSE(after->Evaluate("a", {}, kTimeout).passed);
  EXPECT_NE(before->digest(), after->digest());
}

TEST_F(ConditionSetTest, S2_44_EvaluationsAtTheSameTimeDoNotSeeEachOther) {
  directory_.Write(
      "a.rego", Module("a", R"(result := {"passed": true, "message": input.who, "missing": []})"));
  const absl::StatusOr<ConditionSet> set = Load();
  std::atomic<int> mixed = 0;

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, who = std::to_string(i)] {
      for (int n = 0; n < 50; ++n) {
        const ConditionAnswer answer = set->Evaluate("a", {{"who", who}}, kTimeout);
        if (answer.evaluated && answer.message != who) ++mixed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(mixed, 0);
}

// The conditions that ship. Their own tests are run by Load.
class CatalogConditionsTest : public ::testing::Test {
 protected:
  static absl::StatusOr<ConditionSet> LoadCatalog(Clock& clock) {
    return ConditionSet::Load(
        {CAPSTAN_SOURCE_DIR "/catalog/conditions", CAPSTAN_POLICY_CHECK, {}, absl::Seconds(30)},
        clock);
  }

  SystemClock clock_;
  absl::StatusOr<ConditionSet> set_ = LoadCatalog(clock_);
};

TEST_F(CatalogConditionsTest, S2_42_ThoseOfTheBuildAreTheSame) {
  const absl::StatusOr<ConditionSet> embedded = ConditionSet::Embedded({}, clock_);

  ASSERT_OK(set_);
  ASSERT_OK(embedded);
  EXPECT_TRUE(embedded->embedded());
  EXPECT_FALSE(set_->embedded());
  EXPECT_EQ(embedded->names(), set_->names());
  EXPECT_EQ(embedded->digest(), set_->digest());
}

TEST_F(CatalogConditionsTest, S2_38_AllAreThere) {
  ASSERT_OK(set_);
  EXPECT_THAT(
      set_->names(),
      ElementsAre("available_replicas", "capacity_elsewhere", "cluster_capacity_available",
                  "config_map_exists", "config_map_matches_patch", "config_map_not_immutable",
                  "container_exists", "current_replicas_match", "dependents_healthy",
                  "deployment_exists", "deployment_health_check", "desired_replicas_running",
                  "evicted_workloads_ready", "image_pull_secrets_valid", "managed_by_controller",
                  "no_crashloop_pods", "no_image_pull_errors", "node_drained", "node_exists",
                  "node_ready", "node_schedulable", "node_selector_matches", "node_unschedulable",
                  "observed_generation_reached", "other_nodes_schedulable", "pdb_allows",
                  "pod_exists", "pods_run_image", "replacement_ready", "resource_usage_acceptable",
                  "rollout_complete"));
  EXPECT_TRUE(set_->Has("node_drained"));
  EXPECT_FALSE(set_->Has("node"));
}

TEST_F(CatalogConditionsTest, S2_43a_WithoutFactsNonePassesAndEachNamesWhatItNeeds) {
  ASSERT_OK(set_);
  for (const std::string& name : set_->names()) {
    const ConditionAnswer answer = set_->Evaluate(name, nlohmann::json::object(), kTimeout);

    EXPECT_TRUE(answer.evaluated) << name << ": " << answer.message;
    EXPECT_FALSE(answer.passed) << name;
    EXPECT_THAT(answer.missing, Not(IsEmpty())) << name;
  }
}

TEST_F(CatalogConditionsTest, S2_38_ADeploymentThatExistsPasses) {
  ASSERT_OK(set_);
  const nlohmann::json input = {{"api_version", kConditionInputApiVersion},
                                {"phase", "pre"},
                                {"facts", {{"deployment", {{"found", true}}}}}};

  EXPECT_TRUE(set_->Evaluate("deployment_exists", input, kTimeout).passed);
}

}  // namespace
}  // namespace capstan::policy
