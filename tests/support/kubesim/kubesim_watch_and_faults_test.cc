#include "tests/support/kubesim/kubesim_fixture.h"

namespace capstan::kubesim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

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

TEST_F(KubeSimTest, ReviewsAboutAUserGoByWhatWasGrantedToHim) {
  constexpr char kPath[] = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  const auto allowed = [&](const std::string& user, const std::string& name_space) {
    const Json review = {{"spec",
                          {{"user", user},
                           {"resourceAttributes",
                            {{"verb", "get"},
                             {"resource", "pods"},
                             {"subresource", "log"},
                             {"namespace", name_space}}}}}};
    return Call("POST", Url(kPath), review.dump()).json()["status"]["allowed"].get<bool>();
  };
  EXPECT_TRUE(allowed("ann", "a")) << "nothing was granted to anybody";

  sim_->Grant("ann", {"get", "", "pods/log", "a"});
  sim_->Grant("bob", {"get", "", "pods/log", ""});

  EXPECT_TRUE(allowed("ann", "a"));
  EXPECT_FALSE(allowed("ann", "b"));
  EXPECT_FALSE(allowed("ann", ""));
  EXPECT_TRUE(allowed("bob", "b"));
  sim_->Forbid("create", "subjectaccessreviews");
  EXPECT_EQ(Call("POST", Url(kPath), "{}").code, 403);
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
