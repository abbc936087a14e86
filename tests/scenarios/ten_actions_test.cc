// Each of the ten built-in actions through the whole system: real server and worker, real Postgres,
// a simulated cluster whose Jobs really change it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using google::protobuf::util::MessageDifferencer;
using kubesim::Json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using v1::Execution;

constexpr char kActions[] = "capstan-actions";

class TenActionsTest : public ::testing::Test {
 protected:
  void ReplaceInCatalog(const std::string& file, const std::string& from, const std::string& to) {
    Replace(absl::StrCat(system_->catalog(), "/actions/", file), from, to);
  }
  void Start() {
    server_ = system_->StartServer();
    worker_ = system_->StartWorker();
  }
  kubesim::KubeSim& kube() { return system_->kube(); }

  std::unique_ptr<System> system_ = System::Make();
  TenActions ten_{*system_};
  Server server_;
  std::unique_ptr<Process> worker_;
};

TEST_F(TenActionsTest, S2_11_S2_55_EachChangesTheClusterAndSaysHowItWasBeforeAndAfter) {
  Start();
  const std::vector<Streamed> runs = WatchAll(server_, ten_.SubmitAll(server_));

  ASSERT_THAT(runs, SizeIs(10));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ActionCase& one = ten_.all()[i];
    SCOPED_TRACE(one.action);
    ASSERT_EQ(runs[i].End().to(), Execution::STATE_SUCCEEDED) << runs[i].End().DebugString();
    EXPECT_TRUE(one.done());
    EXPECT_EQ(runs[i].End().outcome().effect(), Execution::EFFECT_APPLIED);
    EXPECT_EQ(kube().PodsRun(JobOf(runs[i].snapshot->name())), 1);
    if (one.fact.empty()) continue;
    const v1::ResourceChange& change = runs[i].End().outcome().resources(0);
    ASSERT_TRUE(change.before().fields().contains(one.fact)) << change.DebugString();
    ASSERT_TRUE(change.after().fields().contains(one.fact)) << change.DebugString();
    EXPECT_FALSE(MessageDifferencer::Equals(change.before().fields().at(one.fact),
                                            change.after().fields().at(one.fact)))
        << change.DebugString();
  }
  EXPECT_EQ(JobsCreated(kube()), 10);
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
}

TEST_F(TenActionsTest, S2_36_ADryRunOfEachReturnsItsPlanAndCreatesNoJob) {
  Start();
  for (const ActionCase& one : ten_.all()) {
    SCOPED_TRACE(one.action);
    const bool before = one.done();
    const Streamed run = Execute(server_, DryRun(one.request));

    ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    EXPECT_TRUE(run.End().outcome().dry_run());
    EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
    const v1::Plan& plan = run.End().outcome().plan();
    EXPECT_THAT(plan.digest(), SizeIs(64));
    EXPECT_THAT(plan.rendered_job(), HasSubstr(one.argv));
    EXPECT_EQ(plan.dry_run_error(), "");
    EXPECT_TRUE(plan.policy_decision().allow());
    for (const v1::ConditionResult& result : plan.condition_results()) {
      EXPECT_TRUE(result.evaluated() && result.passed()) << result.DebugString();
    }
    EXPECT_EQ(plan.rollback().action(), one.inverse);
    ASSERT_THAT(plan.expected_changes(), SizeIs(1));
    if (!one.reads) {
      EXPECT_THAT(plan.blast_radius().objects(), Contains(one.target));
    }
    EXPECT_EQ(one.done(), before);
  }
  EXPECT_EQ(JobsCreated(kube()), 0);
  EXPECT_TRUE(kube().List("jobs", kActions).empty());
  EXPECT_THAT(Targets(server_), IsEmpty());
}

TEST_F(TenActionsTest, S2_36_TheBlastRadiusOfADrainIsTheNodeAndThePodsThatItEvicts) {
  Start();
  const Streamed run = Execute(server_, DryRun(ten_["DrainNode"].request));

  const v1::BlastRadius& radius = run.End().outcome().plan().blast_radius();
  EXPECT_EQ(radius.pods(), 1);
  EXPECT_THAT(radius.objects(), Contains("Pod/shop/evicted"));
}

TEST_F(TenActionsTest, S2_24_S2_25_S2_27_EachIsDeniedWithTheRuleThatObjects) {
  Start();
  for (const ActionCase& one : ten_.all()) {
    SCOPED_TRACE(one.action);
    const Streamed run = Execute(server_, one.denied);

    EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED)
        << run.End().DebugString();
    EXPECT_THAT(run.End().message(), HasSubstr(one.rule));
    EXPECT_EQ(run.End().outcome().effect(), Execution::EFFECT_NONE);
    const Streamed tried = Execute(server_, DryRun(one.denied));
    EXPECT_EQ(tried.End().message(), run.End().message());
  }
  EXPECT_EQ(kube().CountCalls("create", "jobs"), 0);
}

TEST_F(TenActionsTest, S2_39_EachEndsBeforeAnyJobWhenARequiredPreconditionDoesNotHold) {
  Start();
  for (const ActionCase& one : ten_.all()) {
    if (one.reason.empty()) continue;
    SCOPED_TRACE(one.action);
    const Streamed run = Execute(server_, one.impossible);

    EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED)
        << run.End().DebugString();
    EXPECT_THAT(run.End().message(), HasSubstr(one.reason));
    const Streamed tried = Execute(server_, DryRun(one.impossible));
    EXPECT_EQ(tried.End().message(), run.End().message());
  }
  EXPECT_EQ(JobsCreated(kube()), 0);
}

TEST_F(TenActionsTest, S2_65_APatchOfASecretThatIsNotThereFailsInItsJobAndNamesIt) {
  Start();
  const Streamed run = Execute(server_, ten_["PatchSecret"].impossible);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_JOB_FAILED);
  EXPECT_THAT(absl::StrCat(run.End().message(), ReadLog(server_, run.snapshot->name())),
              HasSubstr("absent"));
}

// Programs that say "done" and have done nothing.
TEST_F(TenActionsTest, S2_40_EachFailsWhenItsJobSucceededAndTheEffectIsNotThere) {
  ReplaceInCatalog("scale_deployment.yaml", "timeout: 2m", "timeout: 1s");
  ReplaceInCatalog("delete_pod.yaml", "timeout: 2m", "timeout: 1s");
  ReplaceInCatalog("patch_config_map.yaml", "timeout: 10s", "timeout: 1s");
  for (const auto& [file, name] :
       std::map<std::string, std::string>{{"update_image", "pods_run_image"},
                                          {"cordon_node", "node_unschedulable"},
                                          {"drain_node", "node_drained"},
                                          {"uncordon_node", "node_schedulable"},
                                          {"restart_deployment", "rollout_complete"},
                                          {"rollout_status", "rollout_complete"}}) {
    ReplaceInCatalog(absl::StrCat(file, ".yaml"), absl::StrCat("- name: ", name),
                     absl::StrCat("- name: ", name, "\n    timeout: 1s"));
  }
  const kubesim::Program nothing = [](kubesim::ProgramRun&) { return 0; };
  for (const char* verb : {"scale", "set", "cordon", "drain", "uncordon", "rollout"}) {
    kube().RegisterProgram({"kubectl", verb}, nothing);
  }
  for (const char* verb : {"delete-pod", "patch-config-map"}) {
    kube().RegisterProgram({"capstan-action", verb}, nothing);
  }
  // The restart is made, and its pods do not get ready; nor do those of the rollout to come.
  for (const char* deployment : {"restarted", "watched"}) {
    kube().HoldDeploymentRollout("shop", deployment);
  }
  ASSERT_OK(
      kube().PatchExternally("deployments", "shop", "watched", {{"spec", {{"replicas", 2}}}}));
  Start();
  const std::vector<Streamed> runs = WatchAll(server_, ten_.SubmitAll(server_));

  int failed = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ActionCase& one = ten_.all()[i];
    if (one.postcondition.empty()) continue;
    ++failed;
    SCOPED_TRACE(one.action);
    EXPECT_EQ(runs[i].End().failure_reason(), Execution::FAILURE_REASON_POSTCONDITION_FAILED)
        << runs[i].End().DebugString();
    EXPECT_THAT(runs[i].End().message(), HasSubstr(one.postcondition));
    EXPECT_EQ(runs[i].End().outcome().effect(), Execution::EFFECT_APPLIED);
    const Execution execution = Get(server_, runs[i].snapshot->name());
    EXPECT_EQ(execution.rollback().action(), one.inverse);
  }
  EXPECT_EQ(failed, 9);
}

TEST_F(TenActionsTest, ACancelOfEachRunningOneRemovesItsJobAndSaysThatSomethingMayHaveHappened) {
  kube().HoldJobs();
  Start();
  const std::vector<std::string> names = ten_.SubmitAll(server_);
  for (const std::string& name : names) WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  for (const std::string& name : names) {
    ASSERT_TRUE(kube().WaitFor([&] { return kube().PodsRun(JobOf(name)) == 1; }));
    ASSERT_OK(Cancel(server_, name, "not today"));
  }
  const std::vector<Streamed> runs = WatchAll(server_, names);

  for (std::size_t i = 0; i < runs.size(); ++i) {
    SCOPED_TRACE(ten_.all()[i].action);
    EXPECT_EQ(runs[i].End().to(), Execution::STATE_CANCELLED) << runs[i].End().DebugString();
    EXPECT_EQ(runs[i].End().outcome().effect(), Execution::EFFECT_POSSIBLE);
    EXPECT_EQ(ten_.all()[i].done(), ten_.all()[i].reads);
  }
  EXPECT_TRUE(kube().List("jobs", kActions).empty());
  // Of the destructive ones somebody has to look at the target first.
  const auto targets = Targets(server_);
  std::set<std::string> blocked;
  for (const auto& [name, target] : targets) {
    if (!target.blocked_by().empty()) blocked.insert(name);
    EXPECT_EQ(target.holder(), "") << name;
  }
  EXPECT_EQ(blocked, (std::set<std::string>{"targets/Node/drained-by-test",
                                            absl::StrCat("targets/Pod/shop/", ten_.pod())}));
}

TEST_F(TenActionsTest, S2_45_EachWithAnInverseIsUndoneByIt) {
  const Json settings = kube().Get("configmaps", "shop", "settings");
  const Json credentials = kube().Get("secrets", "shop", "credentials");
  Start();
  const std::vector<std::string> names = ten_.SubmitAll(server_);
  WatchAll(server_, names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const ActionCase& one = ten_.all()[i];
    SCOPED_TRACE(one.action);
    const absl::StatusOr<std::string> undo = Rollback(server_, names[i]);
    if (one.inverse.empty()) {
      EXPECT_THAT(undo, StatusIs(absl::StatusCode::kFailedPrecondition));
      continue;
    }
    ASSERT_OK(undo);
    const Streamed run = Watch(server_, *undo);
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    EXPECT_EQ(Get(server_, *undo).action(), one.inverse);
    EXPECT_EQ(Get(server_, *undo).rollback_of(), names[i]);
  }
  EXPECT_EQ(kube().Replicas("shop", "scaled"), 1);
  EXPECT_EQ(kube()
                .Get("deployments", "shop", "imaged")
                .at("/spec/template/spec/containers/0/image"_json_pointer),
            "registry.example/web:1.0");
  for (const char* node : {"cordoned-by-test", "drained-by-test"}) {
    EXPECT_FALSE(kube().Get("nodes", "", node).value("/spec/unschedulable"_json_pointer, false));
  }
  EXPECT_TRUE(kube()
                  .Get("nodes", "", "uncordoned-by-test")
                  .value("/spec/unschedulable"_json_pointer, false));
  const Json restored = kube().Get("configmaps", "shop", "settings");
  EXPECT_EQ(restored["data"], settings["data"]);
  EXPECT_EQ(restored["binaryData"], settings["binaryData"]);
  EXPECT_EQ(kube().Get("secrets", "shop", "credentials")["data"], credentials["data"]);
}

TEST_F(TenActionsTest, S2_45_ARollbackIsRefusedWithTheDifferenceWhenTheTargetHasMovedSince) {
  Start();
  struct Moved {
    std::string action;
    std::string resource, name_space, name;
    Json patch;
    std::string difference;
  };
  const Json container = {{"name", "main"}, {"image", "registry.example/web:3.0"}};
  const std::vector<Moved> moves = {
      {"ScaleDeployment",
       "deployments",
       "shop",
       "scaled",
       {{"spec", {{"replicas", 5}}}},
       "replicas: got 5, want 3"},
      {"UpdateImage",
       "deployments",
       "shop",
       "imaged",
       {{"spec", {{"template", {{"spec", {{"containers", Json::array({container})}}}}}}}},
       "image: got \"registry.example/web:3.0\""},
      {"PatchConfigMap",
       "configmaps",
       "shop",
       "settings",
       {{"data", {{"mode", "faster"}}}},
       "data_sha256: got "},
      {"CordonNode",
       "nodes",
       "",
       "cordoned-by-test",
       {{"spec", {{"unschedulable", nullptr}}}},
       "unschedulable: got false, want true"},
      {"DrainNode",
       "nodes",
       "",
       "drained-by-test",
       {{"spec", {{"unschedulable", nullptr}}}},
       "unschedulable: got false, want true"},
  };
  for (const Moved& moved : moves) {
    SCOPED_TRACE(moved.action);
    const Streamed run = Execute(server_, ten_[moved.action].request);
    ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
    ASSERT_OK(kube().PatchExternally(moved.resource, moved.name_space, moved.name, moved.patch));
    const int jobs = JobsCreated(kube());

    const absl::StatusOr<std::string> undo = Rollback(server_, run.snapshot->name());
    ASSERT_OK(undo);
    const Streamed refused = Watch(server_, *undo);

    EXPECT_EQ(refused.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
    EXPECT_THAT(refused.End().message(), HasSubstr("has moved since"));
    EXPECT_THAT(refused.End().message(), HasSubstr(moved.difference));
    EXPECT_EQ(JobsCreated(kube()), jobs);
    // Nor does trying it again pass over that.
    const absl::StatusOr<std::string> again = Retry(server_, *undo);
    ASSERT_OK(again);
    EXPECT_EQ(Watch(server_, *again).End().message(), refused.End().message());
  }
}

TEST_F(TenActionsTest, S2_64_S2_65_WhatGoesIntoASecretIsInNoRowEventLogOrJob) {
  kube().HoldJobs();
  Start();
  const std::string name = *Submit(server_, ten_["PatchSecret"].request);
  WatchUntil(server_, name, v1::ExecutionEvent::kJobArmed);
  const std::string job = kube().Get("jobs", kActions, JobOf(name)).dump();
  kube().ReleaseJobs();
  ASSERT_EQ(Watch(server_, name).End().to(), Execution::STATE_SUCCEEDED);
  ASSERT_TRUE(ten_["PatchSecret"].done());
  const std::string undo = *Rollback(server_, name);
  ASSERT_EQ(Watch(server_, undo).End().to(), Execution::STATE_SUCCEEDED);

  std::string events;
  for (const std::string& one : {name, undo}) {
    for (const v1::ExecutionEvent& event : ListEvents(server_, one)) events += event.DebugString();
    events += ReadLog(server_, one);
  }
  std::string audit;
  for (const kubesim::AuditEntry& entry : kube().Audit())
    audit += kubesim::AuditEntryToJson(entry).dump();
  const std::map<std::string, std::string> places = {{"the Job", job},
                                                     {"events and log", events},
                                                     {"the database", DumpDatabase(*system_)},
                                                     {"the server's log", server_.process->Log()},
                                                     {"the worker's log", worker_->Log()},
                                                     {"calls", audit}};
  for (const std::string value : {TenActions::kCanary, TenActions::kOldValue}) {
    for (const std::string& text : {value, absl::Base64Escape(value)}) {
      for (const auto& [place, content] : places) {
        EXPECT_EQ(content.find(text), std::string::npos) << place;
        EXPECT_EQ(content.find(absl::BytesToHexString(text)), std::string::npos) << place;
      }
    }
  }
  // The search finds what is there.
  EXPECT_THAT(places.at("the database"), HasSubstr(absl::BytesToHexString("credentials-patch")));
  EXPECT_THAT(places.at("the Job"), HasSubstr("credentials-patch"));
}

TEST_F(TenActionsTest, S2_11_AnEleventhActionIsOneFileMore) {
  WriteFile(absl::StrCat(system_->catalog(), "/actions/label_deployment.yaml"), R"(
name: LabelDeployment
description: Sets the label tier of a Deployment.
effect: idempotent
parameters:
  - name: deployment
    type: string
    format: dns_subdomain
    required: true
    description: Name of the Deployment.
  - name: namespace
    type: string
    format: dns_label
    required: true
    description: Namespace of the Deployment.
  - name: tier
    type: string
    format: dns_label
    required: true
    description: The value of the label.
target:
  api_version: apps/v1
  kind: Deployment
  namespace: ${parameters.namespace}
  name: ${parameters.deployment}
facts: [deployment]
capture:
  tier: deployment.labels
preconditions:
  - name: deployment_exists
    description: The Deployment exists.
rbac:
  - scope: namespaced
    api_groups: [apps]
    resources: [deployments]
    verbs: [get, patch]
timeout:
  default: 30s
  max: 60s
containers:
  - name: label
    image: kubectl
    argv:
      - kubectl
      - label
      - --namespace=${parameters.namespace}
      - deployment
      - --
      - ${parameters.deployment}
      - tier=${parameters.tier}
resources:
  requests: {cpu: 10m, memory: 32Mi}
  limits: {cpu: 500m, memory: 128Mi}
)");
  kube().RegisterProgram({"kubectl", "label"}, [](kubesim::ProgramRun& run) -> std::optional<int> {
    const std::string& name = run.argv()[run.argv().size() - 2];
    const std::string tier = run.argv().back().substr(std::string("tier=").size());
    const auto reply =
        run.Call("PATCH", absl::StrCat("/apis/apps/v1/namespaces/shop/deployments/", name),
                 {{"metadata", {{"labels", {{"tier", tier}}}}}}, "application/merge-patch+json");
    return reply.code == 200 ? 0 : 1;
  });
  Start();
  const v1::ExecuteActionRequest request = Request(
      "LabelDeployment", {{"deployment", "scaled"}, {"namespace", "shop"}, {"tier", "gold"}});

  v1::ListActionsResponse actions;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.catalog->ListActions(&context, {}, &actions).ok());
  EXPECT_THAT(actions.actions(), SizeIs(11));
  // S2.28: a handler alone is not enough, the rules have to list it.
  EXPECT_THAT(Execute(server_, request).End().message(), HasSubstr("action-allowlist/not-allowed"));

  worker_->Signal(SIGTERM);
  worker_->Wait();
  const std::string list = absl::StrCat(system_->policies(), "/action-allowlist/");
  Replace(absl::StrCat(list, "action_allowlist.rego"), "\t\"RolloutStatus\",\n",
          "\t\"RolloutStatus\",\n\t\"LabelDeployment\",\n");
  worker_ = system_->StartWorker();
  v1::ExecuteActionRequest again = request;
  again.set_request_id("");
  const Streamed run = Execute(server_, again);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(
      kube().Get("deployments", "shop", "scaled").value("/metadata/labels/tier"_json_pointer, ""),
      "gold");
}

}  // namespace
}  // namespace capstan::testing
