// What is read out of a real API server's audit log.
#include "tests/proof/apiserver_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/text.h"

namespace capstan::proof {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

constexpr char kJob[] = "capstan-0123";
constexpr char kPod[] = "capstan-0123-abcde";
constexpr char kWorker[] = "system:serviceaccount:capstan-system:capstan-worker";
constexpr char kExecutor[] = "system:serviceaccount:capstan-actions:kubernetes-executor-scale";

class ApiserverAuditTest : public ::testing::Test {
 protected:
  // A finished call that took from `second` to half a second later.
  Json& Call(int second, const std::string& user, const std::string& verb,
             const std::string& resource, const std::string& name_space, const std::string& name,
             const Json& answer = {}) {
    Json reference = {{"resource", resource}, {"namespace", name_space}, {"name", name}};
    if (const std::size_t slash = resource.find('/'); slash != std::string::npos) {
      reference["resource"] = resource.substr(0, slash);
      reference["subresource"] = resource.substr(slash + 1);
    }
    return log_.emplace_back(
        Json{{"stage", "ResponseComplete"},
             {"verb", verb},
             {"requestURI", "/"},
             {"user", {{"username", user}}},
             {"objectRef", reference},
             {"responseStatus", {{"code", 200}}},
             {"responseObject", answer},
             {"requestReceivedTimestamp", Cat("2026-01-01T00:00:0", second, ".000000Z")},
             {"stageTimestamp", Cat("2026-01-01T00:00:0", second, ".500000Z")}});
  }
  void ArmAt(int second) {
    Call(second, kWorker, "patch", "jobs", "capstan-actions", kJob,
         {{"spec", {{"suspend", false}}}});
  }

  History Read() {
    std::stringstream log;
    for (const Json& event : log_) log << event << "\n";
    History history;
    ReadApiserverAudit(log, "capstan-actions", "capstan-system", history);
    return history;
  }
  static absl::Time At(double second) {
    return absl::FromCivil(absl::CivilSecond(2026, 1, 1), absl::UTCTimeZone()) +
           absl::Seconds(second);
  }

  std::vector<Json> log_;
};

TEST_F(ApiserverAuditTest, AJobIsArmedFromTheRequestUntilItsEndIsStored) {
  Call(1, kWorker, "create", "jobs", "capstan-actions", kJob, {{"spec", {{"suspend", true}}}});
  ArmAt(2);
  Call(3, "job-controller", "update", "jobs/status", "capstan-actions", kJob,
       {{"status", {{"conditions", {{{"type", "SuccessCriteriaMet"}, {"status", "True"}}}}}}});
  Call(4, "job-controller", "update", "jobs/status", "capstan-actions", kJob,
       {{"status", {{"conditions", {{{"type", "Complete"}, {"status", "True"}}}}}}});
  Call(5, kWorker, "delete", "jobs", "capstan-actions", kJob);

  const History history = Read();

  ASSERT_THAT(history.armed, SizeIs(1));
  EXPECT_EQ(history.armed[0].job, kJob);
  EXPECT_EQ(history.armed[0].from, At(2));
  EXPECT_EQ(history.armed[0].until, At(4.5));
  EXPECT_THAT(history.audit, SizeIs(3));  // the worker's
}

TEST_F(ApiserverAuditTest, ADeletedJobIsArmedUntilItsLastPodIsGone) {
  ArmAt(2);
  Call(3, kWorker, "delete", "jobs", "capstan-actions", kJob);
  Call(4, "kwok", "delete", "pods", "capstan-actions", kPod);

  EXPECT_EQ(Read().armed.at(0).until, At(4.5));
}

TEST_F(ApiserverAuditTest, AnArmThatWasRefusedIsNone) {
  ArmAt(2);
  log_.back()["responseStatus"]["code"] = 422;

  EXPECT_THAT(Read().armed, IsEmpty());
}

TEST_F(ApiserverAuditTest, AnArmWhoseClientWasGoneCountsWhenTheJobIsSeenArmed) {
  ArmAt(2);
  log_.back()["responseStatus"]["code"] = 504;
  log_.back()["responseObject"] = Json();
  ArmAt(4);
  log_.back()["responseStatus"]["code"] = 422;
  EXPECT_THAT(Read().armed, IsEmpty());
  Call(5, "job-controller", "update", "jobs/status", "capstan-actions", kJob,
       {{"metadata", {{"uid", "uid-1"}}}, {"spec", {{"suspend", false}}}});

  const History history = Read();

  ASSERT_THAT(history.armed, SizeIs(1));
  EXPECT_EQ(history.armed[0].from, At(2));
  EXPECT_TRUE(history.audit.back().applied);
  EXPECT_EQ(history.audit.back().uid, "uid-1");
}

TEST_F(ApiserverAuditTest, AnArmWhoseClientWasGoneIsNoneWhenALaterOneIsTheFirstToDoIt) {
  ArmAt(2);
  log_.back()["responseStatus"]["code"] = 504;
  log_.back()["responseObject"] = Json();
  Call(3, "job-controller", "update", "jobs/status", "capstan-actions", kJob,
       {{"spec", {{"suspend", true}}}});
  ArmAt(5);

  const History history = Read();

  ASSERT_THAT(history.armed, SizeIs(1));
  EXPECT_EQ(history.armed[0].from, At(5));
  EXPECT_EQ(std::count_if(history.audit.begin(), history.audit.end(),
                          [](const auto& entry) { return entry.applied; }),
            1);
}

TEST_F(ApiserverAuditTest, WhatAScaleWasBeforeIsNotKnownAfterAnUnansweredOne) {
  Call(1, "admin", "create", "deployments", "shop", "web", {{"spec", {{"replicas", 2}}}});
  Call(2, kExecutor, "patch", "deployments/scale", "shop", "web");
  log_.back()["responseStatus"]["code"] = 504;
  Call(3, kExecutor, "patch", "deployments/scale", "shop", "web", {{"spec", {{"replicas", 5}}}});

  const History history = Read();

  ASSERT_THAT(history.scales, SizeIs(1));
  EXPECT_EQ(history.scales[0].from, kNotKnown);
}

TEST_F(ApiserverAuditTest, AJobWithoutAnEndIsArmedForever) {
  ArmAt(2);

  EXPECT_EQ(Read().armed.at(0).until, std::nullopt);
}

TEST_F(ApiserverAuditTest, AWriteOfAPodIsThatOfItsJob) {
  Call(1, "admin", "create", "deployments", "shop", "web", {{"spec", {{"replicas", 2}}}});
  Call(2, kExecutor, "patch", "deployments/scale", "shop", "web", {{"spec", {{"replicas", 5}}}});
  log_.back()["user"]["extra"]["authentication.kubernetes.io/pod-name"] = {kPod};

  const History history = Read();

  ASSERT_THAT(history.audit, SizeIs(1));
  EXPECT_EQ(history.audit[0].actor_job, kJob);
  ASSERT_THAT(history.scales, SizeIs(1));
  EXPECT_EQ(history.scales[0].from, 2);
  EXPECT_EQ(history.scales[0].to, 5);
  EXPECT_EQ(history.scales[0].job, kJob);
}

TEST_F(ApiserverAuditTest, AWriteWithAnExecutorsTokenOfNoPodBelongsToNobody) {
  Call(2, kExecutor, "patch", "deployments/scale", "shop", "web", {{"spec", {{"replicas", 5}}}});

  EXPECT_EQ(Read().audit.at(0).actor_job, "nobody");
}

TEST_F(ApiserverAuditTest, APodRanOnceHoweverOftenThatIsWritten) {
  const Json running = {{"metadata", {{"ownerReferences", {{{"uid", "uid-1"}}}}}},
                        {"status", {{"phase", "Running"}}}};
  Call(2, "kwok", "patch", "pods/status", "capstan-actions", kPod, running);
  Call(3, "admin", "patch", "pods", "capstan-actions", kPod, running);

  const History history = Read();

  ASSERT_THAT(history.pod_runs, SizeIs(1));
  EXPECT_EQ(history.pod_runs[0].job, kJob);
  EXPECT_EQ(history.pod_runs[0].job_uid, "uid-1");
}

TEST_F(ApiserverAuditTest, WhatWasOnlyTriedChangedNothing) {
  ArmAt(2);
  log_.back()["requestURI"] = "/apis/batch/v1/jobs?dryRun=All";

  const History history = Read();

  EXPECT_THAT(history.armed, IsEmpty());
  EXPECT_TRUE(history.audit.at(0).dry_run);
}

}  // namespace
}  // namespace capstan::proof
