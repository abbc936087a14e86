#include "tests/support/kubesim/kubesim.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/text.h"
#include "tests/support/status_matchers.h"

namespace capstan::kubesim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kNamespace[] = "capstan-actions";
constexpr char kJobs[] = "/apis/batch/v1/namespaces/capstan-actions/jobs";
constexpr char kJobWatch[] = "/apis/batch/v1/namespaces/capstan-actions/jobs?watch=1";
constexpr char kPods[] = "/api/v1/namespaces/capstan-actions/pods";
constexpr char kJsonPatch[] = "application/json-patch+json";
constexpr char kMergePatch[] = "application/merge-patch+json";

struct Reply {
  CURLcode curl = CURLE_OK;
  long code = 0;
  std::string text;
  std::string headers;

  Json json() const { return Json::parse(text, nullptr, false); }
};

size_t Append(char* data, size_t size, size_t count, void* text) {
  static_cast<std::string*>(text)->append(data, size * count);
  return size * count;
}

// One call on a connection of its own.
Reply Call(const std::string& method, const std::string& url, const std::string& body = "",
           const std::string& content_type = "application/json",
           const std::string& extra_header = "") {
  Reply reply;
  CURL* curl = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, ("Content-Type: " + content_type).c_str());
  if (!extra_header.empty()) headers = curl_slist_append(headers, extra_header.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (!body.empty()) curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.text);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply.headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  reply.curl = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.code);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return reply;
}

Json JobJson(const std::string& name, const std::vector<std::string>& command,
             bool suspend = true) {
  Json container = {{"name", "main"}, {"image", "registry.example/kubectl:1.34"}};
  container["command"] = command;
  return {{"apiVersion", "batch/v1"},
          {"kind", "Job"},
          {"metadata",
           {{"name", name},
            {"labels", {{"app", "capstan"}, {"run", name}}},
            {"annotations", {{"armed", "false"}}}}},
          {"spec",
           {{"suspend", suspend},
            {"backoffLimit", 0},
            {"template",
             {{"spec", {{"restartPolicy", "Never"}, {"containers", Json::array({container})}}}}}}}};
}

const std::vector<std::string> kScaleTo3 = {"kubectl",      "scale", "--namespace=default",
                                            "--replicas=3", "--",    "deployment/web"};

// Time moved by hand.
class ManualClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixSeconds(1'700'000'000) + BootTime(); }
  absl::Duration BootTime() override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  bool SleepFor(absl::Duration duration, std::stop_token stop) override {
    std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
    absl::MutexLock lock(&mu_);
    absl::Duration due = now_ + duration;
    auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stop.stop_requested() || now_ >= due;
    };
    mu_.Await(absl::Condition(&ready));
    return now_ >= due;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mu_);
    now_ += duration;
  }

 private:
  absl::Mutex mu_;
  absl::Duration now_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1);
};

class KubeSimTest : public ::testing::Test {
 protected:
  void SetUp() override { StartSim(KubeSimOptions()); }

  void StartSim(KubeSimOptions options) {
    sim_.reset();
    options.namespaces = {kNamespace};
    options.http_threads = 16;
    auto started = KubeSim::Start(std::move(options));
    ASSERT_OK(started);
    sim_ = *std::move(started);
  }

  std::string Url(const std::string& path) { return sim_->Url() + path; }
  Reply Get(const std::string& path) { return Call("GET", Url(path)); }
  Reply CreateJob(const Json& job) { return Call("POST", Url(kJobs), job.dump()); }
  std::string UidOf(const std::string& job) {
    return sim_->Get("jobs", kNamespace, job)["metadata"]["uid"];
  }
  Reply Arm(const std::string& job, const std::string& uid) {
    Json patch = {{{"op", "test"}, {"path", "/metadata/uid"}, {"value", uid}},
                  {{"op", "test"}, {"path", "/metadata/annotations/armed"}, {"value", "false"}},
                  {{"op", "replace"}, {"path", "/metadata/annotations/armed"}, {"value", "true"}},
                  {{"op", "replace"}, {"path", "/spec/suspend"}, {"value", false}}};
    return Call("PATCH", Url(Cat(kJobs, "/", job)), patch.dump(), kJsonPatch);
  }
  bool WaitForCondition(const std::string& job, const std::string& condition) {
    return sim_->WaitFor([&] { return sim_->JobHas(kNamespace, job, condition); });
  }
  Json ConditionOf(const std::string& job, const std::string& type) {
    Json object = sim_->Get("jobs", kNamespace, job);
    for (const Json& condition : object["status"]["conditions"]) {
      if (condition["type"] == type) return condition;
    }
    return nullptr;
  }
  // A watch in the background; its lines come when it ends.
  std::future<Reply> Watch(const std::string& path, int already_open = 0) {
    auto watch = std::async(std::launch::async, [url = Url(path)] { return Call("GET", url); });
    EXPECT_TRUE(sim_->WaitFor([&] { return sim_->OpenWatches() == already_open + 1; }));
    return watch;
  }
  static std::vector<Json> Lines(const Reply& reply) {
    std::vector<Json> lines;
    for (const std::string& line : Split(reply.text, '\n')) {
      if (!line.empty()) lines.push_back(Json::parse(line));
    }
    return lines;
  }
  static std::vector<std::string> Types(const Reply& reply) {
    std::vector<std::string> types;
    for (const Json& line : Lines(reply)) types.push_back(line["type"]);
    return types;
  }
  std::string Revision() { return Get(kJobs).json()["metadata"]["resourceVersion"]; }

  ManualClock clock_;
  std::unique_ptr<KubeSim> sim_;
};

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

TEST_F(KubeSimTest, AWatchGivesWhatHappenedAfterItsVersionInOrder) {
  std::string version = Revision();
  auto watch = Watch(Cat(kJobWatch, "&labelSelector=run=job&resourceVersion=", version));
  CreateJob(JobJson("other", {"true"}));
  CreateJob(JobJson("job", {"true"}));
  ASSERT_TRUE(WaitForCondition("job", "Suspended"));
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, "job"));
  sim_->CompactHistory();  // a live watch is not behind

  Reply past = Call("GET", Url(Cat(kJobWatch, "&timeoutSeconds=1&resourceVersion=", version)));
  sim_->CloseWatches();

  EXPECT_THAT(Types(watch.get()), Contains("DELETED"));
  ASSERT_THAT(Types(past), ElementsAre("ERROR"));
  EXPECT_EQ(Lines(past)[0]["object"]["code"], 410);
  EXPECT_EQ(Lines(past)[0]["object"]["reason"], "Expired");
}

TEST_F(KubeSimTest, AWatchThatTimesOutEndsWithABookmark) {
  CreateJob(JobJson("job", {"true"}));
  ASSERT_TRUE(WaitForCondition("job", "Suspended"));

  Reply reply = Get(Cat(kJobWatch, "&timeoutSeconds=1&allowWatchBookmarks=true"));

  ASSERT_THAT(Types(reply), ElementsAre("ADDED", "BOOKMARK"));
  EXPECT_EQ(Lines(reply)[1]["object"]["metadata"]["resourceVersion"], Revision());
}

TEST_F(KubeSimTest, WatchListEndsItsInitialEventsWithAMarkedBookmark) {
  CreateJob(JobJson("job", {"true"}));

  Reply reply = Get(Cat(kJobWatch, "&timeoutSeconds=1&allowWatchBookmarks=true",
                        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));

  EXPECT_THAT(reply.text, HasSubstr("\"k8s.io/initial-events-end\":\"true\""));
}

TEST_F(KubeSimTest, DroppedEventsAreMissingFromTheStreamAndAGoneEventEndsIt) {
  Fault drop;
  drop.resource = "jobs";
  drop.name_prefix = "lost";
  drop.kind = FaultKind::kWatchDrop;
  drop.count = -1;
  sim_->InjectFault(drop);
  Fault gone;
  gone.name_prefix = "last";
  gone.kind = FaultKind::kWatchGone;
  sim_->InjectFault(gone);
  auto watch = Watch(Cat(kJobWatch, "&resourceVersion=", Revision()));

  CreateJob(JobJson("lost", {"true"}));
  CreateJob(JobJson("last", {"true"}));
  Reply reply = watch.get();

  EXPECT_THAT(Types(reply), ElementsAre("ERROR"));
  EXPECT_EQ(Lines(reply)[0]["object"]["code"], 410);
}

TEST_F(KubeSimTest, AStaleReplayShowsOldStatesAgain) {
  CreateJob(JobJson("job", {"true"}, false));
  ASSERT_TRUE(WaitForCondition("job", "Complete"));
  std::string version = Revision();
  Fault stale;
  stale.verb = "watch";
  stale.kind = FaultKind::kWatchReplayStale;
  sim_->InjectFault(stale);

  Reply reply = Get(Cat(kJobWatch, "&timeoutSeconds=1&resourceVersion=", version));

  ASSERT_FALSE(Lines(reply).empty());
  EXPECT_EQ(Lines(reply)[0]["type"], "ADDED");
  EXPECT_FALSE(Lines(reply)[0]["object"]["status"].contains("completionTime"));
}

TEST_F(KubeSimTest, AppliedThenCutChangesTheStoreAndTellsTheClientNothing) {
  Fault cut;
  cut.verb = "create";
  cut.resource = "jobs";
  cut.kind = FaultKind::kApplyThenCut;
  int id = sim_->InjectFault(cut);

  Reply reply = CreateJob(JobJson("job", {"true"}));

  EXPECT_NE(reply.curl, CURLE_OK);
  EXPECT_EQ(sim_->FaultHits(id), 1);
  EXPECT_FALSE(sim_->Get("jobs", kNamespace, "job").is_null());
  ASSERT_THAT(sim_->Audit(), SizeIs(1));
  EXPECT_TRUE(sim_->Audit()[0].reply_cut);
  EXPECT_EQ(sim_->Audit()[0].code, 201);
}

TEST_F(KubeSimTest, ResetBeforeApplyChangesNothing) {
  Fault reset;
  reset.verb = "create";
  reset.nth = 2;
  reset.kind = FaultKind::kResetBeforeApply;
  sim_->InjectFault(reset);

  Reply first = CreateJob(JobJson("one", {"true"}));
  Reply second = CreateJob(JobJson("two", {"true"}));

  EXPECT_EQ(first.code, 201);
  EXPECT_NE(second.curl, CURLE_OK);
  EXPECT_TRUE(sim_->Get("jobs", kNamespace, "two").is_null());
}

TEST_F(KubeSimTest, ADelayedCallIsAppliedOnlyAfterItsRelease) {
  Fault delay;
  delay.verb = "create";
  delay.kind = FaultKind::kDelay;
  int id = sim_->InjectFault(delay);
  auto call = std::async(std::launch::async, [&] { return CreateJob(JobJson("job", {"true"})); });
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->FaultHits(id) == 1; }));
  EXPECT_TRUE(sim_->Get("jobs", kNamespace, "job").is_null());

  sim_->ReleaseFault(id);

  EXPECT_EQ(call.get().code, 201);
}

TEST_F(KubeSimTest, TooManyRequestsCarriesRetryAfterAndPlainText) {
  sim_->InjectFault(TooManyRequests("list", "jobs", 1));

  Reply reply = Get(kJobs);

  EXPECT_EQ(reply.code, 429);
  EXPECT_THAT(reply.headers, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(reply.text, StartsWith("Too many requests"));
  EXPECT_EQ(Get(kJobs).code, 200);
}

TEST_F(KubeSimTest, AnAdmissionPolicyDenialNamesTheObject) {
  sim_->InjectFault(AdmissionPolicyDenied("pin-images", "image is not ours"));

  Reply reply = CreateJob(JobJson("job", {"true"}));

  EXPECT_EQ(reply.code, 422);
  EXPECT_THAT(
      reply.json()["message"].get<std::string>(),
      StartsWith("jobs.batch \"job\" is forbidden: ValidatingAdmissionPolicy 'pin-images'"));
}

TEST_F(KubeSimTest, AForbiddenVerbAnswersTheRbacMessageAndTheReviewSaysNo) {
  sim_->Forbid("create", "jobs", kNamespace);
  Json review = {{"spec",
                  {{"resourceAttributes",
                    {{"verb", "create"}, {"resource", "jobs"}, {"namespace", kNamespace}}}}}};

  Reply create = CreateJob(JobJson("job", {"true"}));
  Reply answer =
      Call("POST", Url("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), review.dump());

  EXPECT_EQ(create.code, 403);
  EXPECT_THAT(create.json()["message"].get<std::string>(),
              HasSubstr("cannot create resource \"jobs\" in API group \"batch\" in the namespace"));
  EXPECT_EQ(answer.json()["status"]["allowed"], false);
}

TEST_F(KubeSimTest, AnotherTokenIsUnauthorized) {
  sim_->SetToken("secret");

  EXPECT_EQ(Get(kJobs).code, 401);
  EXPECT_EQ(Call("GET", Url(kJobs), "", "application/json", "Authorization: Bearer secret").code,
            200);
}

TEST_F(KubeSimTest, AFollowedLogStreamsUntilTheContainerEnds) {
  sim_->HoldJobs();
  CreateJob(JobJson("job", {"true"}, false));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun("job") == 1; }));
  ASSERT_TRUE(sim_->WaitFor(
      [&] { return sim_->PodsOfJob(kNamespace, "job")[0]["status"]["phase"] == "Running"; }));
  std::string pod = sim_->PodsOfJob(kNamespace, "job")[0]["metadata"]["name"];
  auto follow = std::async(
      std::launch::async,
      [url = Url(Cat(kPods, "/", pod, "/log?follow=true"))] { return Call("GET", url); });
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->CountCalls("get", "pods", "", "log") == 1; }));

  sim_->FinishPod("job", 0, "one\ntwo\n");

  EXPECT_EQ(follow.get().text, "one\ntwo\n");
  EXPECT_EQ(Get(Cat(kPods, "/", pod, "/log?tailLines=1")).text, "two\n");
}

TEST_F(KubeSimTest, PausedControllersLeaveAnArmedJobPending) {
  sim_->PauseControllers();
  CreateJob(JobJson("job", {"true"}, false));
  EXPECT_EQ(Get(Cat(kJobs, "/job")).json()["status"], Json::object());

  sim_->ResumeControllers();

  EXPECT_TRUE(WaitForCondition("job", "Complete"));
}

TEST_F(KubeSimTest, AJobWhoseAccountIsMissingGetsNoPodUntilItExists) {
  KubeSimOptions options;
  options.require_service_accounts = true;
  StartSim(options);
  Json job = JobJson("job", {"true"}, false);
  job["spec"]["template"]["spec"]["serviceAccountName"] = "scaler";
  CreateJob(job);
  ASSERT_TRUE(sim_->WaitFor([&] { return !sim_->List("events").empty(); }));
  EXPECT_EQ(sim_->PodsRun("job"), 0);

  sim_->AddServiceAccount(kNamespace, "scaler");

  EXPECT_TRUE(WaitForCondition("job", "Complete"));
}

TEST_F(KubeSimTest, FaultsComeInOverTheAdminEndpoint) {
  Reply injected =
      Call("POST", Url("/_sim/faults"),
           R"({"verb":"get","resource":"jobs","kind":"status","code":503,"count":-1})");
  Reply wrong = Call("POST", Url("/_sim/faults"), R"({"kind":"sometimes"})");

  EXPECT_EQ(injected.code, 200);
  EXPECT_EQ(Get(Cat(kJobs, "/job")).code, 503);
  EXPECT_EQ(Get("/_sim/faults").json()["faults"][0]["hits"], 1);
  EXPECT_EQ(Call("DELETE", Url("/_sim/faults")).code, 200);
  EXPECT_EQ(Get(Cat(kJobs, "/job")).code, 404);
  EXPECT_EQ(wrong.code, 400);
  EXPECT_THAT(wrong.text, HasSubstr("fault.kind"));
}

TEST_F(KubeSimTest, TheAuditFileHasALinePerCall) {
  std::string path = ::testing::TempDir() + "/kubesim_audit.jsonl";
  KubeSimOptions options;
  options.audit_file = path;
  StartSim(options);
  CreateJob(JobJson("job", {"true"}));
  Get(Cat(kJobs, "/job"));

  std::ifstream file(path);
  std::vector<std::string> verbs;
  for (std::string line; std::getline(file, line);) verbs.push_back(Json::parse(line)["verb"]);

  EXPECT_THAT(verbs, ElementsAre("create", "get"));
  std::remove(path.c_str());
}

TEST_F(KubeSimTest, AThousandJobsComplete) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(sim_->Create("jobs", kNamespace, JobJson(Cat("job-", i), {"true"}, false)));
  }

  EXPECT_TRUE(sim_->WaitFor([&] { return sim_->JobHas(kNamespace, "job-999", "Complete"); }));
  EXPECT_THAT(sim_->PodRuns(), SizeIs(1000));
}

}  // namespace
}  // namespace capstan::kubesim
