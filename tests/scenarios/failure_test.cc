// How executions fail: each cause with its reason and the words a person needs, what may be tried
// again and what may not, and what ExplainExecution says meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using v1::Execution;

constexpr char kActions[] = "capstan-actions";

kubesim::Fault Refusal(const std::string& verb, const std::string& resource, int code, int count) {
  kubesim::Fault fault;
  fault.verb = verb;
  fault.resource = resource;
  fault.code = code;
  fault.count = count;
  return fault;
}

class FailureTest : public ::testing::Test {
 protected:
  kubesim::KubeSim& kube() { return system_->kube(); }
  // On a Deployment of its own, so that nothing waits for another one.
  std::string SubmitOnItsOwn(v1::ExecuteActionRequest request = Scale(2)) {
    const std::string name = absl::StrCat("web-", ++deployments_);
    kube().AddDeployment("default", name, 1);
    (*request.mutable_parameters()->mutable_fields())["deployment"].set_string_value(name);
    return *Submit(server_, request);
  }
  Streamed Fail(v1::ExecuteActionRequest request) {
    kube().HoldJobs();
    const std::string name = *Submit(server_, request);
    WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
    kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; });
    kube().FinishPod(JobOf(name), 1, "error: no\n");
    Streamed run = Watch(server_, name);
    kube().ReleaseJobs();
    return run;
  }

  int deployments_ = 0;
  std::unique_ptr<System> system_ = System::Make();
  Server server_ = system_->StartServer();
};

TEST_F(FailureTest, S2_18_S2_66_F8_F9_EachWayAPodFailsHasItsReasonAndItsWords) {
  struct Way {
    kubesim::PodFate fate;
    Execution::FailureReason reason;
    std::string words;
  };
  const std::vector<Way> ways = {
      {kubesim::PodFate::kImagePull, Execution::FAILURE_REASON_IMAGE_PULL, "ImagePullBackOff"},
      {kubesim::PodFate::kConfigError, Execution::FAILURE_REASON_CONFIGURATION,
       "CreateContainerConfigError"},
      {kubesim::PodFate::kMissingMount, Execution::FAILURE_REASON_CONFIGURATION, "FailedMount"},
      {kubesim::PodFate::kUnschedulable, Execution::FAILURE_REASON_RESOURCE_EXHAUSTED,
       "Unschedulable"},
      {kubesim::PodFate::kOomKilled, Execution::FAILURE_REASON_OOM_KILLED, "memory"},
      {kubesim::PodFate::kEvicted, Execution::FAILURE_REASON_RESOURCE_EXHAUSTED,
       "taken off its node"},
  };
  std::vector<std::string> names;
  for (const Way& way : ways) {
    names.push_back(SubmitOnItsOwn());
    kube().SetPodFate(JobOf(names.back()), way.fate);
  }
  const auto worker = system_->StartWorker({}, {"--jobs.start_deadline=2s"});

  for (std::size_t i = 0; i < ways.size(); ++i) {
    const Streamed run = Watch(server_, names[i]);
    SCOPED_TRACE(run.End().DebugString());
    EXPECT_EQ(run.End().failure_reason(), ways[i].reason);
    EXPECT_THAT(run.End().message(), HasSubstr(ways[i].words));
    EXPECT_EQ(kube().PodsRun(JobOf(names[i])), i < 4 ? 0 : 1);
  }
  EXPECT_TRUE(kube().WaitFor([&] { return kube().List("jobs", kActions).empty(); }));
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
}

TEST_F(FailureTest, S2_12_S2_18_AJobThatRunsPastItsTimeoutFailsWithThat) {
  kube().HoldJobs();
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(3);
  request.mutable_timeout()->set_seconds(1);

  const Streamed run = Execute(server_, request);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_DEADLINE_EXCEEDED)
      << run.End().DebugString();
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_POSSIBLE);
}

TEST_F(FailureTest, S2_18_SignalsThatEndTheProgramAreNamed) {
  const auto worker = system_->StartWorker();
  for (const int code : {137, 143}) {
    kube().HoldJobs();
    const std::string name = SubmitOnItsOwn();
    WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
    kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; });
    kube().FinishPod(JobOf(name), code);
    const Streamed run = Watch(server_, name);
    EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED);
    EXPECT_EQ(run.End().outcome().exit_code(), code);
    EXPECT_THAT(run.End().message(), HasSubstr(absl::StrCat(code)));
    EXPECT_EQ(kube().PodsRun(JobOf(name)), 1);
  }
}

// RestartDeployment is idempotent: the pod that takes over repeats it. ScaleDeployment is not.
TEST_F(FailureTest, S2_62_F8_AKilledPodOfAnIdempotentActionIsReplacedWithinTheSameJob) {
  kube().HoldJobs();
  const auto worker = system_->StartWorker();
  const std::string name = SubmitOnItsOwn(Request("RestartDeployment", {{"namespace", "default"}}));
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  ASSERT_TRUE(kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; }));
  kube().FinishPod(JobOf(name), 137);
  ASSERT_TRUE(kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 2; }));
  kube().ReleaseJobs();
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(JobsCreated(kube()), 1);
}

TEST_F(FailureTest, S2_18_S2_48_F12_ARefusalOfTheClusterIsNamed) {
  const auto worker = system_->StartWorker();
  kube().InjectFault(kubesim::AdmissionPolicyDenied("no-jobs", "not on Fridays"));
  const Streamed denied = Watch(server_, SubmitOnItsOwn());
  EXPECT_EQ(denied.End().failure_reason(), Execution::FAILURE_REASON_FORBIDDEN)
      << denied.End().DebugString();
  EXPECT_THAT(denied.End().message(), HasSubstr("not on Fridays"));
  EXPECT_EQ(denied.End().outcome().effect(), Execution::EFFECT_NONE);

  kube().ForbidPods("patch", "deployments");
  const Streamed run = Watch(server_, SubmitOnItsOwn());
  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED) << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("orbidden"));
}

TEST_F(FailureTest, S2_10_S2_13_F12_TroubleOfTheInfrastructureDoesNotUseUpTheCallersRetries) {
  kubesim::Fault quota = kubesim::QuotaExceeded("jobs", 1);
  quota.count = 2;
  kube().InjectFault(quota);
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(3);
  request.set_max_retries(0);

  const std::string name = *Submit(server_, request);
  WatchUntil(server_, name, [](const v1::ExecutionEvent& event) {
    return event.state_changed().has_retry_time();
  });
  const v1::ExplainExecutionResponse why = *Explain(server_, name);
  const Streamed run = Watch(server_, name);

  EXPECT_EQ(why.reasons(0).code(), "RETRY");
  EXPECT_THAT(why.reasons(0).message(), HasSubstr("quota"));
  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(JobsCreated(kube()), 1);
}

TEST_F(FailureTest, S2_13_OtherErrorsAreTriedAgainAsOftenAsTheCallerAllows) {
  // Facts that the worker may not read.
  kube().InjectFault(Refusal("get", "deployments", 403, -1));
  const auto worker = system_->StartWorker();
  v1::ExecuteActionRequest request = Scale(3);
  request.set_max_retries(1);

  const Streamed run = Execute(server_, request);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT)
      << run.End().DebugString();
  EXPECT_THAT(run.End().message(), HasSubstr("failed 2 times"));
  EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
}

TEST_F(FailureTest, S2_13_WhetherItMayBeTriedAgainDependsOnWhatItMayHaveDone) {
  const auto worker = system_->StartWorker();
  const Streamed denied = Execute(server_, Scale(3, "kube-system"));
  const Streamed scaled = Fail(Scale(3));
  const Streamed restarted =
      Fail(Request("RestartDeployment", {{"namespace", "default"}, {"deployment", "web"}}));
  const Streamed good = Execute(server_, Scale(2));
  ASSERT_EQ(good.End().to(), Execution::STATE_SUCCEEDED) << good.End().DebugString();

  // Nothing was done: again, and denied again.
  const std::string again = *Retry(server_, denied.snapshot->name());
  EXPECT_EQ(Watch(server_, again).End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  // Half of it may be there, and it is not safe to repeat.
  EXPECT_THAT(Retry(server_, scaled.snapshot->name()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("accept_repeated_effect")));
  const std::string accepted = *Retry(server_, scaled.snapshot->name(), true);
  EXPECT_EQ(Watch(server_, accepted).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Get(server_, accepted).retry_of(), scaled.snapshot->name());
  EXPECT_EQ(kube().Replicas("default", "web"), 3);
  // Idempotent.
  const std::string repeated = *Retry(server_, restarted.snapshot->name());
  EXPECT_EQ(Watch(server_, repeated).End().to(), Execution::STATE_SUCCEEDED);
  // Done.
  EXPECT_THAT(Retry(server_, good.snapshot->name()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  kube().HoldJobs();
  const std::string running = *Submit(server_, Scale(4));
  WatchUntil(server_, running, v1::ExecutionEvent::kJobArmed);
  EXPECT_THAT(Retry(server_, running), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Explain(server_, running)->reasons(0).code(), "JOB_RUNNING");
  EXPECT_EQ(Explain(server_, running)->reasons(0).holder(), Workers(server_)[0].name());
}

TEST_F(FailureTest, ExplainSaysWhoIsMissingAndWhatComesNext) {
  const std::string name = *Submit(server_, Scale(3));
  EXPECT_EQ(Explain(server_, name)->reasons(0).code(), "NO_LIVE_WORKER");

  kube().HoldDeploymentRollout("default", "web");
  kube().RegisterProgram({"kubectl", "rollout", "status"}, [](kubesim::ProgramRun&) { return 0; });
  const auto worker = system_->StartWorker();
  WatchUntil(server_, name, [](const v1::ExecutionEvent& event) {
    return event.condition_evaluated().result().phase() == v1::ConditionResult::PHASE_POST;
  });
  const v1::ExplainExecutionResponse verifying = *Explain(server_, name);
  EXPECT_EQ(verifying.reasons(0).code(), "VERIFYING");
  EXPECT_THAT(verifying.reasons(0).message(), HasSubstr("desired_replicas_running"));

  kube().ReleaseDeploymentRollout("default", "web");
  EXPECT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
  const v1::ExplainExecutionResponse ended = *Explain(server_, name);
  EXPECT_EQ(ended.reasons(0).code(), "ENDED");
  EXPECT_THAT(ended.reasons(0).clears(), HasSubstr("rollback"));
}

TEST_F(FailureTest, S2_42_ARequiredConditionMayBeAWarningForOneRun) {
  kube().AddConfigMap("default", "frozen", {{"mode", "slow"}});
  ASSERT_OK(kube().PatchExternally("configmaps", "default", "frozen", {{"immutable", true}}));
  const auto worker = system_->StartWorker();
  const v1::ExecuteActionRequest request = Request(
      "PatchConfigMap", {{"namespace", "default"},
                         {"configmap", "frozen"},
                         {"patch", R"([{"op":"add","path":"/data/mode","value":"fast"}])"}});
  const Streamed refused = Execute(server_, DryRun(request));
  EXPECT_THAT(refused.End().message(), HasSubstr("config_map_not_immutable"));

  v1::ExecuteActionRequest warned = DryRun(request);
  (*warned.mutable_condition_overrides())["config_map_not_immutable"] = false;
  const Streamed run = Execute(server_, warned);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  const auto& results = run.End().outcome().plan().condition_results();
  const auto found = std::find_if(results.begin(), results.end(), [](const auto& result) {
    return result.name() == "config_map_not_immutable";
  });
  ASSERT_NE(found, results.end());
  EXPECT_FALSE(found->required());
  EXPECT_FALSE(found->passed());
}

// The last answer of a condition.
const v1::ConditionResult* Answer(const Streamed& run, const std::string& name) {
  const v1::ConditionResult* last = nullptr;
  for (const v1::ExecutionEvent& event : run.events) {
    const v1::ConditionResult& result = event.condition_evaluated().result();
    if (result.name() == name) last = &result;
  }
  return last;
}

TEST_F(FailureTest, S2_43a_AfterAPatchOfAConfigMapThePodsThatUseItAreLookedAt) {
  Replace(absl::StrCat(system_->catalog(), "/actions/patch_config_map.yaml"),
          "description: The pods that use", "timeout: 1s\n    description: The pods that use");
  kube().AddConfigMap("default", "settings", {{"mode", "slow"}});
  const auto use_it = [&](const std::string& deployment) {
    const kubesim::Json source = {{"configMapRef", {{"name", "settings"}}}};
    const kubesim::Json container = {
        {"name", "main"}, {"image", "tools:1"}, {"envFrom", kubesim::Json::array({source})}};
    const kubesim::Json containers = {{"containers", kubesim::Json::array({container})}};
    ASSERT_OK(kube().PatchExternally("deployments", "default", deployment,
                                     {{"spec", {{"template", {{"spec", containers}}}}}}));
  };
  // Pods that use it and say `text` in their status.
  const auto wait_for_user = [&](const std::string& text) {
    ASSERT_TRUE(kube().WaitFor([&] {
      const auto pods = kube().List("pods", "default");
      return std::any_of(pods.begin(), pods.end(), [&](const kubesim::Json& pod) {
        return pod["spec"].dump().find("configMapRef") != std::string::npos &&
               pod["status"].dump().find(text) != std::string::npos;
      });
    }));
  };
  use_it("web");
  wait_for_user(R"("ready":true)");
  const auto worker = system_->StartWorker();
  const auto patched = [&](const std::string& mode) {
    return Execute(server_,
                   Request("PatchConfigMap",
                           {{"namespace", "default"},
                            {"configmap", "settings"},
                            {"patch", absl::StrCat(R"([{"op":"add","path":"/data/mode","value":")",
                                                   mode, R"("}])")}}));
  };

  const Streamed healthy = patched("fast");
  kube().SetDeploymentPodFate("default", "broken", kubesim::PodFate::kCrashLoop);
  kube().AddDeployment("default", "broken", 1);
  use_it("broken");
  wait_for_user("CrashLoopBackOff");
  const Streamed ill = patched("faster");

  ASSERT_NE(Answer(healthy, "dependents_healthy"), nullptr);
  EXPECT_EQ(Answer(healthy, "dependents_healthy")->message(), "all pods are ready");
  EXPECT_TRUE(Answer(healthy, "dependents_healthy")->passed());
  ASSERT_NE(Answer(ill, "dependents_healthy"), nullptr);
  EXPECT_THAT(Answer(ill, "dependents_healthy")->message(), HasSubstr("1 crash again and again"));
  EXPECT_EQ(ill.End().to(), Execution::STATE_SUCCEEDED) << ill.End().DebugString();
}

}  // namespace
}  // namespace capstan::testing
