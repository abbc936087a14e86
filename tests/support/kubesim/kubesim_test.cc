#include "tests/support/kubesim/kubesim_fixture.h"

namespace capstan::kubesim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(KubeSimTest, ASuspendedJobMakesNoPodUntilItIsArmed) {
  sim_->AddDeployment("default", "web", 1);
  ASSERT_EQ(CreateJob(JobJson("scale", kScaleTo3)).code, 201);
  ASSERT_TRUE(WaitForCondition("scale", "Suspended"));
  EXPECT_EQ(sim_->PodsRun("scale"), 0);

  Reply armed = Arm("scale", UidOf("scale"));

  EXPECT_EQ(armed.code, 200);
  ASSERT_TRUE(WaitForCondition("scale", "Complete"));
  EXPECT_EQ(sim_->Replicas("default", "web"), 3);
  EXPECT_EQ(sim_->PodsRun("scale"), 1);
  EXPECT_EQ(sim_->PodsRunByUid(UidOf("scale")), 1);
  ASSERT_THAT(sim_->Scales("default", "web"), SizeIs(1));
  EXPECT_EQ(sim_->Scales("default", "web")[0].job, "scale");
  EXPECT_EQ(sim_->Scales("default", "web")[0].from, 1);
}

TEST_F(KubeSimTest, ArmingWithAnotherUidAnswers422AndChangesNothing) {
  CreateJob(JobJson("job", {"true"}));
  ASSERT_TRUE(WaitForCondition("job", "Suspended"));
  Json before = sim_->Get("jobs", kNamespace, "job");

  Reply reply = Arm("job", "another-uid");

  EXPECT_EQ(reply.code, 422);
  EXPECT_EQ(reply.json()["reason"], "Invalid");
  EXPECT_EQ(reply.json()["status"], "Failure");
  EXPECT_EQ(sim_->Get("jobs", kNamespace, "job"), before);
}

TEST_F(KubeSimTest, ArmingAgainFailsItsTestAndUnsuspendingAgainChangesNothing) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}));
  ASSERT_EQ(Arm("job", UidOf("job")).code, 200);
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));
  ASSERT_TRUE(sim_->WaitFor(
      [&] { return sim_->Get("jobs", kNamespace, "job")["status"].value("ready", 0) == 1; }));
  Json before = sim_->Get("jobs", kNamespace, "job");

  Reply again = Arm("job", UidOf("job"));
  Reply same = Call("PATCH", Url(Cat(kJobs, "/job")), R"({"spec":{"suspend":false}})", kMergePatch);

  EXPECT_EQ(again.code, 422);
  EXPECT_EQ(same.code, 200);
  EXPECT_EQ(same.json()["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
}

TEST_F(KubeSimTest, CreatingTheSameNameAgainAnswers409AlreadyExists) {
  CreateJob(JobJson("job", {"true"}));

  Reply reply = CreateJob(JobJson("job", {"true"}));

  EXPECT_EQ(reply.code, 409);
  EXPECT_EQ(reply.json()["reason"], "AlreadyExists");
  EXPECT_EQ(reply.json()["message"], "jobs.batch \"job\" already exists");
  EXPECT_EQ(reply.json()["details"]["kind"], "jobs");
}

TEST_F(KubeSimTest, DeletingWithAnotherUidOrVersionAnswers409Conflict) {
  CreateJob(JobJson("job", {"true"}));
  ASSERT_TRUE(WaitForCondition("job", "Suspended"));

  Reply uid = Call("DELETE", Url(Cat(kJobs, "/job")), R"({"preconditions":{"uid":"other"}})");
  Reply version =
      Call("DELETE", Url(Cat(kJobs, "/job")), R"({"preconditions":{"resourceVersion":"1"}})");

  EXPECT_EQ(uid.code, 409);
  EXPECT_EQ(uid.json()["reason"], "Conflict");
  EXPECT_THAT(uid.json()["message"].get<std::string>(), HasSubstr("UID in precondition: other"));
  EXPECT_EQ(version.code, 409);
  EXPECT_FALSE(sim_->Get("jobs", kNamespace, "job").is_null());
}

TEST_F(KubeSimTest, AForegroundDeletedJobIsGoneOnlyAfterItsPods) {
  sim_->HoldJobs();
  sim_->HoldPodTermination();
  CreateJob(JobJson("job", {"true"}, /*suspend=*/false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  Reply reply = Call("DELETE", Url(Cat(kJobs, "/job?propagationPolicy=Foreground")));

  EXPECT_EQ(reply.code, 200);
  EXPECT_EQ(reply.json()["kind"], "Job");
  ASSERT_TRUE(sim_->WaitFor([&] {
    auto pods = sim_->PodsOfJob(kNamespace, "job");
    return pods.size() == 1 && pods[0]["metadata"].contains("deletionTimestamp");
  }));
  EXPECT_THAT(sim_->Get("jobs", kNamespace, "job")["metadata"]["finalizers"],
              Contains("foregroundDeletion"));
  sim_->ReleasePodTermination();
  EXPECT_TRUE(sim_->WaitFor([&] { return sim_->Get("jobs", kNamespace, "job").is_null(); }));
  EXPECT_THAT(sim_->PodsOfJob(kNamespace, "job"), SizeIs(0));
}

TEST_F(KubeSimTest, ABackgroundDeletedJobIsGoneAtOnceAndItsPodFollows) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}, /*suspend=*/false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  Reply reply = Call("DELETE", Url(Cat(kJobs, "/job")), R"({"propagationPolicy":"Background"})");

  EXPECT_EQ(reply.json()["status"], "Success");
  EXPECT_TRUE(sim_->Get("jobs", kNamespace, "job").is_null());
  EXPECT_TRUE(sim_->WaitFor([&] { return sim_->PodsOfJob(kNamespace, "job").empty(); }));
}

TEST_F(KubeSimTest, WithoutAPolicyAJobLeavesItsPodBehindAndTheServerWarns) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}, /*suspend=*/false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  Reply reply = Call("DELETE", Url(Cat(kJobs, "/job")));

  EXPECT_THAT(reply.headers, HasSubstr("child pods are preserved"));
  EXPECT_THAT(sim_->PodsOfJob(kNamespace, "job"), SizeIs(1));
}

TEST_F(KubeSimTest, SuspendingARunningJobDeletesItsPodWithoutFailingTheJob) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}, /*suspend=*/false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  ASSERT_OK(sim_->SuspendJobExternally(kNamespace, "job"));

  ASSERT_TRUE(sim_->WaitFor([&] {
    return sim_->JobHas(kNamespace, "job", "Suspended") &&
           sim_->PodsOfJob(kNamespace, "job").empty();
  }));
  EXPECT_FALSE(sim_->JobHas(kNamespace, "job", "Failed"));
}

TEST_F(KubeSimTest, AFailingProgramFailsTheJobWithItsExitCodeAndLog) {
  CreateJob(JobJson("job", {"kubectl", "scale", "--replicas=2", "deployment/none"}, false));

  ASSERT_TRUE(WaitForCondition("job", "Failed"));

  EXPECT_EQ(ConditionOf("job", "Failed")["reason"], "BackoffLimitExceeded");
  Json pod = sim_->PodsOfJob(kNamespace, "job")[0];
  EXPECT_EQ(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 1);
  Reply log = Get(Cat(kPods, "/", pod["metadata"]["name"].get<std::string>(), "/log"));
  EXPECT_EQ(log.text, "Error from server (NotFound): deployments.apps \"none\" not found\n");
}

TEST_F(KubeSimTest, KubectlTakesItsFlagsInAnyOrder) {
  sim_->AddDeployment("default", "web", 1);
  CreateJob(JobJson("job",
                    {"/usr/bin/kubectl", "-n", "default", "scale", "deployment", "web",
                     "--current-replicas=1", "--replicas", "5"},
                    false));

  ASSERT_TRUE(WaitForCondition("job", "Complete"));

  EXPECT_EQ(sim_->Replicas("default", "web"), 5);
  EXPECT_EQ(sim_->PodLog(kNamespace, sim_->PodsOfJob(kNamespace, "job")[0]["metadata"]["name"]),
            "deployment.apps/web scaled\n");
}

TEST_F(KubeSimTest, InitContainersRunInOrderBeforeTheMainOne) {
  sim_->AddDeployment("default", "web", 1);
  Json job =
      JobJson("job", {"kubectl", "rollout", "status", "-n", "default", "deployment/web"}, false);
  Json init = {{"name", "scale"}, {"image", "registry.example/kubectl:1.34"}};
  init["command"] = kScaleTo3;
  job["spec"]["template"]["spec"]["initContainers"] = Json::array({init});
  CreateJob(job);

  ASSERT_TRUE(WaitForCondition("job", "Complete"));

  std::string pod = sim_->PodsOfJob(kNamespace, "job")[0]["metadata"]["name"];
  EXPECT_EQ(sim_->PodLog(kNamespace, pod, "scale"), "deployment.apps/web scaled\n");
  EXPECT_THAT(sim_->PodLog(kNamespace, pod, "main"),
              HasSubstr("deployment \"web\" successfully rolled out\n"));
}

TEST_F(KubeSimTest, ADeploymentReachesItsReplicasAndARolloutCanBeHeld) {
  sim_->AddDeployment("default", "web", 1);
  sim_->HoldDeploymentRollout("default", "web");
  Call("PATCH", Url("/apis/apps/v1/namespaces/default/deployments/web/scale"),
       R"({"spec":{"replicas":2}})", kMergePatch);

  ASSERT_TRUE(sim_->WaitFor([&] {
    Json status = sim_->Get("deployments", "default", "web")["status"];
    return status.value("observedGeneration", 0) == 2 && status.value("replicas", 0) == 2;
  }));
  EXPECT_LT(sim_->Get("deployments", "default", "web")["status"].value("readyReplicas", 0), 2);
  sim_->ReleaseDeploymentRollout("default", "web");

  EXPECT_TRUE(sim_->WaitFor([&] {
    return sim_->Get("deployments", "default", "web")["status"].value("availableReplicas", 0) == 2;
  }));
}

TEST_F(KubeSimTest, TheScaleSubresourceAnswersAndRefusesAStaleVersion) {
  sim_->AddDeployment("default", "web", 1);
  const std::string path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
  Json scale = Get(path).json();
  EXPECT_EQ(scale["kind"], "Scale");
  scale["spec"]["replicas"] = 4;
  scale["metadata"]["resourceVersion"] = "1";

  Reply stale = Call("PUT", Url(path), scale.dump());
  scale["metadata"].erase("resourceVersion");
  Reply fresh = Call("PUT", Url(path), scale.dump());

  EXPECT_EQ(stale.code, 409);
  EXPECT_EQ(fresh.code, 200);
  EXPECT_EQ(sim_->Replicas("default", "web"), 4);
}

TEST_F(KubeSimTest, ActiveDeadlineFailsTheJobOnTheClockOfTheTest) {
  KubeSimOptions options;
  options.clock = &clock_;
  StartSim(options);
  Json job = JobJson("job", {"sleep", "1000"}, false);
  job["spec"]["activeDeadlineSeconds"] = 60;
  CreateJob(job);
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));
  clock_.Advance(absl::Seconds(59));
  EXPECT_FALSE(sim_->JobHas(kNamespace, "job", "Failed"));

  clock_.Advance(absl::Seconds(1));

  ASSERT_TRUE(WaitForCondition("job", "Failed"));
  EXPECT_EQ(ConditionOf("job", "Failed")["reason"], "DeadlineExceeded");
  EXPECT_TRUE(sim_->WaitFor([&] { return sim_->PodsOfJob(kNamespace, "job").empty(); }));
}

struct FateCase {
  const char* name;
  PodFate fate;
  const char* phase;
  const char* evidence;  // in the pod or its events
};

class PodFateTest : public KubeSimTest, public ::testing::WithParamInterface<FateCase> {};

TEST_P(PodFateTest, ShowsAsOnARealNode) {
  sim_->SetPodFate("job", GetParam().fate);
  CreateJob(JobJson("job", {"true"}, false));

  EXPECT_TRUE(sim_->WaitFor([&] {
    auto pods = sim_->PodsOfJob(kNamespace, "job");
    std::string seen = pods.empty() ? "" : pods[0].dump() + Json(sim_->List("events")).dump();
    return seen.find(GetParam().evidence) != std::string::npos &&
           pods[0]["status"]["phase"] == GetParam().phase;
  }));
}

INSTANTIATE_TEST_SUITE_P(
    Fates, PodFateTest,
    ::testing::Values(
        FateCase{"ImagePull", PodFate::kImagePull, "Pending", "ImagePullBackOff"},
        FateCase{"Config", PodFate::kConfigError, "Pending", "CreateContainerConfigError"},
        FateCase{"Mount", PodFate::kMissingMount, "Pending", "FailedMount"},
        FateCase{"Unschedulable", PodFate::kUnschedulable, "Pending", "Unschedulable"},
        FateCase{"Oom", PodFate::kOomKilled, "Failed", "OOMKilled"},
        FateCase{"Evicted", PodFate::kEvicted, "Failed", "DisruptionTarget"},
        FateCase{"NodeLost", PodFate::kNodeLost, "Unknown", "NodeLost"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(KubeSimTest, AHeldPodEndsWithTheExitCodeTheTestGives) {
  sim_->HoldJobs("job");
  CreateJob(JobJson("job", {"true"}, false));

  sim_->FinishPod("job", 137, "last words\n", "killed");

  ASSERT_TRUE(WaitForCondition("job", "Failed"));
  Json state = sim_->PodsOfJob(kNamespace, "job")[0]["status"]["containerStatuses"][0]["state"];
  EXPECT_EQ(state["terminated"]["exitCode"], 137);
  EXPECT_EQ(state["terminated"]["message"], "killed");
}

TEST_F(KubeSimTest, ArgumentsAreExpandedAsTheKubeletDoes) {
  std::string heard;
  sim_->RegisterProgram({"say"}, [&heard](ProgramRun& run) -> std::optional<int> {
    heard = run.argv()[1];
    return 0;
  });
  Json job = JobJson("job", {"say", "$(HOME) $$(HOME) $(NONE) $HOME $"}, false);
  job["spec"]["template"]["spec"]["containers"][0]["env"] =
      Json::array({{{"name", "HOME"}, {"value", "/tmp"}}});
  CreateJob(job);

  ASSERT_TRUE(WaitForCondition("job", "Complete"));
  EXPECT_EQ(heard, "/tmp $(HOME) $(NONE) $HOME $");
}

TEST_F(KubeSimTest, AProgramOfTheTestRunsUntilItReturnsACode) {
  sim_->RegisterProgram({"wait-for", "flag"}, [](ProgramRun& run) -> std::optional<int> {
    if (run.Call("GET", "/api/v1/namespaces/flag", nullptr, "").code != 200) return std::nullopt;
    run.Print("seen\n");
    run.SetTerminationMessage("{\"ok\":true}");
    return 0;
  });
  CreateJob(JobJson("job", {"wait-for", "flag"}, false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  sim_->AddNamespace("flag");

  ASSERT_TRUE(WaitForCondition("job", "Complete"));
  Json pod = sim_->PodsOfJob(kNamespace, "job")[0];
  EXPECT_EQ(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"],
            "{\"ok\":true}");
}

TEST_F(KubeSimTest, AProgramThatTheImageLacksCannotStart) {
  CreateJob(JobJson("job", {"nothing-here"}, false));

  ASSERT_TRUE(WaitForCondition("job", "Failed"));

  Json state = sim_->PodsOfJob(kNamespace, "job")[0]["status"]["containerStatuses"][0]["state"];
  EXPECT_EQ(state["terminated"]["reason"], "StartError");
}

TEST_F(KubeSimTest, PodFailurePolicyFailsTheJobWithTheRuleThatFits) {
  Json job = JobJson("job", {"false"}, false);
  job["spec"]["podReplacementPolicy"] = "Failed";
  job["spec"]["podFailurePolicy"]["rules"] = Json::array(
      {{{"action", "FailJob"}, {"onExitCodes", {{"operator", "In"}, {"values", {1, 2}}}}}});
  CreateJob(job);

  ASSERT_TRUE(WaitForCondition("job", "Failed"));

  EXPECT_EQ(ConditionOf("job", "Failed")["reason"], "PodFailurePolicy");
  EXPECT_THAT(ConditionOf("job", "Failed")["message"].get<std::string>(),
              HasSubstr("failed with exit code 1 matching FailJob rule at index 0"));
}

TEST_F(KubeSimTest, APodDeletedByOthersFailsTheJob) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}, false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));

  ASSERT_OK(sim_->DeletePodExternally(kNamespace,
                                      sim_->PodsOfJob(kNamespace, "job")[0]["metadata"]["name"]));

  EXPECT_TRUE(WaitForCondition("job", "Failed"));
  EXPECT_EQ(sim_->PodsRun("job"), 1);
}

TEST_F(KubeSimTest, AQuotaRefusesTheJobBeyondItWithTheRealMessage) {
  sim_->AddJobQuota(kNamespace, "few", 1);
  ASSERT_EQ(CreateJob(JobJson("one", {"true"})).code, 201);

  Reply reply = CreateJob(JobJson("two", {"true"}));

  EXPECT_EQ(reply.code, 403);
  EXPECT_EQ(reply.json()["message"],
            "jobs.batch \"two\" is forbidden: exceeded quota: few, requested: "
            "count/jobs.batch=1, used: count/jobs.batch=1, limited: count/jobs.batch=1");
}

TEST_F(KubeSimTest, AnInvalidJobIsRefusedWithEachWrongField) {
  Json job = JobJson("job", {"true"});
  job["spec"]["template"]["spec"]["restartPolicy"] = "Always";
  job["metadata"]["labels"]["long"] = std::string(64, 'a');

  Reply reply = CreateJob(job);

  EXPECT_EQ(reply.code, 422);
  EXPECT_THAT(reply.json()["details"]["causes"], SizeIs(2));
}

TEST_F(KubeSimTest, StrictFieldValidationNamesTheUnknownField) {
  Json job = JobJson("job", {"true"});
  job["spec"]["template"]["spec"]["containers"][0]["comand"] = "x";

  Reply reply = Call("POST", Url(Cat(kJobs, "?fieldValidation=Strict")), job.dump());

  EXPECT_EQ(reply.code, 400);
  EXPECT_THAT(reply.text, HasSubstr("spec.template.spec.containers[0].comand"));
}

TEST_F(KubeSimTest, AJobsTemplateIsImmutable) {
  CreateJob(JobJson("job", {"true"}));

  Reply reply =
      Call("PATCH", Url(Cat(kJobs, "/job")),
           R"([{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"x"}])",
           kJsonPatch);

  EXPECT_EQ(reply.code, 422);
  EXPECT_THAT(reply.text, HasSubstr("field is immutable"));
}

TEST_F(KubeSimTest, DryRunAnswersAsIfAndStoresNothing) {
  Reply reply = Call("POST", Url(Cat(kJobs, "?dryRun=All")), JobJson("job", {"true"}).dump());

  EXPECT_EQ(reply.code, 201);
  EXPECT_TRUE(sim_->Get("jobs", kNamespace, "job").is_null());
  EXPECT_THAT(sim_->Audit(), SizeIs(1));
  EXPECT_TRUE(sim_->Audit()[0].dry_run);
}

TEST_F(KubeSimTest, ListsSelectByLabelAndPageWithContinue) {
  CreateJob(JobJson("a", {"true"}));
  CreateJob(JobJson("b", {"true"}));
  CreateJob(JobJson("c", {"true"}));

  Json selected = Get(Cat(kJobs, "?labelSelector=run%20in%20(a,c),app=capstan,!none")).json();
  Json page = Get(Cat(kJobs, "?limit=2")).json();
  Json rest =
      Get(Cat(kJobs, "?limit=2&continue=", page["metadata"]["continue"].get<std::string>())).json();

  EXPECT_THAT(selected["items"], SizeIs(2));
  EXPECT_THAT(page["items"], SizeIs(2));
  EXPECT_EQ(page["metadata"]["remainingItemCount"], 1);
  ASSERT_THAT(rest["items"], SizeIs(1));
  EXPECT_EQ(rest["items"][0]["metadata"]["name"], "c");
  EXPECT_FALSE(rest["metadata"].contains("continue"));
}

}  // namespace
}  // namespace capstan::kubesim
