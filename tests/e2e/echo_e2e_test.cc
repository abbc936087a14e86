// An installation whose images do nothing but print their arguments, one a line: what an action's
// containers are really called with, whatever a caller put into parameters, and what becomes of
// actions whose Job says that all went well when nothing did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/action_cases.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using v1::Execution;
using Json = nlohmann::json;

constexpr char kImage[] = "capstan.test/echo-argv:1";

// A copy of the catalog in which nobody waits long for a postcondition.
std::string ImpatientCatalog(const std::string& folder) {
  Shell(absl::StrCat("cp -r catalog ", folder));
  Shell(absl::StrCat(R"(for file in )", folder, R"(/actions/*.yaml; do awk '
        /^[a-z]/ { post = /^postconditions:/ }
        post && /^    timeout:/ { next }
        { print }
        post && /^  - name:/ { print "    timeout: 2s" }' "$file" > "$file.new" && mv "$file.new" "$file"; done)"));
  return folder;
}

// All suites share one installation, made before the first of them.
class EchoTest : public ::testing::Test {
 public:
  static void End() {
    delete std::exchange(worker_, nullptr);
    delete std::exchange(server_, nullptr);
    delete std::exchange(system_, nullptr);
  }

 protected:
  static void SetUpTestSuite() {
    if (system_ != nullptr) return;
    const Installation echo = {
        .actions_namespace = "capstan-echo",
        .system_namespace = "capstan-echo-system",
        .flags = absl::StrCat("--image kubectl=", kImage, " --image capstan-action=", kImage)};
    Install(echo);
    MakeObjects();
    system_ = MakeSystem(echo).release();
    const std::string catalog =
        absl::StrCat("--catalog_dir=", ImpatientCatalog(system_->LogFile("catalog")));
    server_ = new Server(system_->StartServer({}, {catalog}));
    worker_ = system_
                  ->StartWorker({}, {catalog, "--kubernetes.namespace=capstan-echo",
                                     absl::StrCat("--kubernetes.runner_images=kubectl=", kImage,
                                                  ",capstan-action=", kImage)})
                  .release();
  }

  static void MakeObjects();

  // The arguments that the containers printed, each as it was given.
  static std::vector<std::string> ArgumentsOf(const std::string& execution) {
    std::vector<std::string> arguments;
    const std::vector<std::string> lines = absl::StrSplit(ReadLog(*server_, execution), '\n');
    for (const std::string& line : lines) {
      std::string argument;
      for (size_t i = 0; i < line.size(); ++i) {
        const bool escaped = line[i] == '\\' && i + 1 < line.size();
        argument += !escaped ? line[i] : line[++i] == 'n' ? '\n' : line[i];
      }
      arguments.push_back(std::move(argument));
    }
    return arguments;
  }

  static inline System* system_ = nullptr;
  static inline Server* server_ = nullptr;
  static inline Process* worker_ = nullptr;
};

class EndOfEcho : public ::testing::Environment {
  void TearDown() override { EchoTest::End(); }
};
[[maybe_unused]] const auto* const kEnd = ::testing::AddGlobalTestEnvironment(new EndOfEcho());

// What a shell, a template, Kubernetes, YAML, SQL or a terminal could take for something else.
const std::vector<std::string>& Injections() {
  static const auto* const kTexts = new std::vector<std::string>{
      "; rm -rf /",
      "$(kubectl get secrets -A)",
      "`id`",
      "&& kubectl delete ns default",
      "| tee /tmp/x",
      "> /etc/passwd",
      "$(HOME)",
      "$$(HOME)",
      "${HOME} ${parameters.namespace}",
      "--kubeconfig=/tmp/evil --as=system:masters",
      "' -- --force '",
      "\" --all-namespaces \"",
      "two words",
      "line one\nline two",
      "tab\there\rand return",
      "* ? [a-z] ~ {a,b}",
      "\\ \\\\ \\n \\\"",
      "{{ .Values.secret }} %s %n",
      "'; DROP TABLE executions; --",
      "\u00e9\u4f60\u597d \u202e\U0001f600",
      "-",
      "!!python/object: x # comment",
  };
  return *kTexts;
}

void EchoTest::MakeObjects() {
  MakeTargets();
  std::string maps;
  for (size_t i = 0; i < Injections().size(); ++i) {
    absl::StrAppend(&maps, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: injected-", i,
                    ", namespace: actions-e2e}\ndata: {value: old}\n");
  }
  Apply(maps);
  Apply(Filled(R"(
apiVersion: v1
kind: Secret
metadata: {name: new-password, namespace: capstan-echo}
stringData: {patch: "[]"}
)",
               {}));
}

TEST_F(EchoTest, S2_64_AnyAcceptedTextIsExactlyOneArgument) {
  std::vector<std::future<Streamed>> runs;
  std::vector<std::string> patches;
  for (size_t i = 0; i < Injections().size(); ++i) {
    patches.push_back(
        Json::array({{{"op", "replace"}, {"path", "/data/value"}, {"value", Injections()[i]}}})
            .dump());
    v1::ExecuteActionRequest request =
        Request("PatchConfigMap", Json{{"namespace", kTargets},
                                       {"configmap", absl::StrCat("injected-", i)},
                                       {"patch", patches.back()}}
                                      .dump());
    (*request.mutable_condition_overrides())["config_map_matches_patch"] = false;
    runs.push_back(
        std::async(std::launch::async, [request] { return Execute(*server_, request); }));
  }

  for (size_t i = 0; i < runs.size(); ++i) {
    const Streamed run = runs[i].get();
    ASSERT_TRUE(run.status.ok()) << run.status.error_message();
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    const std::vector<std::string> arguments = ArgumentsOf(run.snapshot->name());
    ASSERT_EQ(arguments.size(), 8u) << patches[i];  // the last is empty: after the last line
    EXPECT_EQ(arguments[1], "patch-config-map");
    EXPECT_EQ(arguments[4], absl::StrCat("--patch=", patches[i]));
    EXPECT_EQ(arguments[5], "--");
    EXPECT_EQ(arguments[6], absl::StrCat("injected-", i));
  }
}

struct Unfulfilled {
  std::string action;
  std::string postcondition;
  std::string parameters = {};  // empty: those of the case
};

// Each of the ten but PatchSecret, which has no postcondition: what it changes is not readable. Its
// own check is in rights_e2e_test.cc.
std::vector<Unfulfilled> Unfulfilleds() {
  const std::string stuck = R"({"namespace": "actions-e2e", "deployment": "without-image")";
  return {
      {"ScaleDeployment", "desired_replicas_running"},
      {"RestartDeployment", "rollout_complete", stuck + "}"},
      {"DeletePod", "replacement_ready"},
      {"PatchConfigMap", "config_map_matches_patch"},
      {"UpdateImage", "pods_run_image"},
      {"CordonNode", "node_unschedulable"},
      {"DrainNode", "node_drained"},
      {"UncordonNode", "node_schedulable"},
      {"RolloutStatus", "rollout_complete", stuck + "}"},
  };
}

class PostconditionTest : public EchoTest, public ::testing::WithParamInterface<Unfulfilled> {
 protected:
  // All of them at once; each test looks at one.
  static void SetUpTestSuite() {
    EchoTest::SetUpTestSuite();
    Apply(DeploymentOf("without-image", "capstan.test/none:1"));
    for (const Unfulfilled& one : Unfulfilleds()) {
      names_[one.action] = *Submit(
          *server_, Request(one.action, one.parameters.empty() ? CaseOf(one.action).parameters
                                                               : one.parameters));
    }
  }

  static inline std::map<std::string, std::string> names_;  // of executions, by action
};

TEST_P(PostconditionTest, S2_40_FailsWhenTheJobClaimsSuccessAndTheEffectIsNotThere) {
  const Streamed run = Watch(*server_, names_.at(GetParam().action));

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POSTCONDITION_FAILED)
      << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_APPLIED);
  EXPECT_THAT(run.End().message(), HasSubstr(GetParam().postcondition));
}

INSTANTIATE_TEST_SUITE_P(TheTen, PostconditionTest, ::testing::ValuesIn(Unfulfilleds()),
                         [](const auto& info) { return info.param.action; });

}  // namespace
}  // namespace capstan::testing
