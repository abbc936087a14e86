// Every verb that an action needs, met by everything that a connection to an API server can do to
// it once: the action ends well, and its Job ran once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/scenarios/system.h"

namespace capstan::testing {
namespace {

using kubesim::Fault;
using kubesim::FaultKind;
using v1::Execution;

constexpr char kActions[] = "capstan-actions";

struct Verb {
  const char* name;
  const char* verb;
  const char* resource;
  const char* subresource;
};
constexpr Verb kVerbs[] = {
    {"Get", "get", "deployments", ""}, {"List", "list", "pods", ""},
    {"Watch", "watch", "jobs", ""},    {"Create", "create", "jobs", ""},
    {"Patch", "patch", "jobs", ""},    {"Delete", "delete", "jobs", ""},
    {"Log", "get", "pods", "log"},
};

struct Trouble {
  const char* name;
  FaultKind kind;
  int code;
  int count;
};
constexpr Trouble kTroubles[] = {
    {"TooManyRequests", FaultKind::kStatus, 429, 1},
    {"Unauthorized", FaultKind::kStatus, 401, 1},
    {"InternalError", FaultKind::kStatus, 500, 1},
    {"BadGateway", FaultKind::kStatus, 502, 1},
    {"Unavailable", FaultKind::kStatus, 503, 1},
    {"GatewayTimeout", FaultKind::kStatus, 504, 1},
    {"ResetBefore", FaultKind::kResetBeforeApply, 0, 2},
    {"AppliedThenCut", FaultKind::kApplyThenCut, 0, 1},
    {"AppliedThenLate", FaultKind::kApplyThenDelay, 0, 1},
};

struct Case {
  Verb verb;
  Trouble trouble;
};

std::vector<Case> Cases() {
  std::vector<Case> all;
  for (const Verb& verb : kVerbs) {
    for (const Trouble& trouble : kTroubles) all.push_back({verb, trouble});
  }
  return all;
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  return std::string(info.param.verb.name) + info.param.trouble.name;
}

class FaultMatrixTest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    system_ = System::Make().release();
    server_ = new Server(system_->StartServer());
    worker_ = system_->StartWorker().release();
  }
  static void TearDownTestSuite() {
    delete worker_;
    delete server_;
    delete system_;
  }

  static inline System* system_ = nullptr;
  static inline Server* server_ = nullptr;
  static inline Process* worker_ = nullptr;
  static inline int replicas_ = 1;
};

TEST_P(FaultMatrixTest, S2_10_F2_EndsWellAndItsJobRanOnce) {
  const auto& [verb, trouble] = GetParam();
  kubesim::KubeSim& kube = system_->kube();
  Fault fault;
  fault.verb = verb.verb;
  fault.resource = verb.resource;
  fault.subresource = verb.subresource;
  fault.user_agent_prefix = "capstan-worker";
  fault.kind = trouble.kind;
  fault.code = trouble.code;
  fault.count = trouble.count;
  const int id = kube.InjectFault(fault);
  if (fault.verb == "watch") kube.CloseWatches();

  replicas_ = replicas_ == 3 ? 2 : 3;
  const absl::StatusOr<std::string> name = Submit(*server_, Scale(replicas_));
  ASSERT_TRUE(name.ok()) << name.status();
  ASSERT_TRUE(kube.WaitFor([&] { return kube.FaultHits(id) >= 1; })) << "it was never met";
  kube.ReleaseFault(id);
  const Streamed run = Watch(*server_, *name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(kube.PodsRun(JobOf(*name)), 1);
  EXPECT_EQ(kube.Replicas("default", "web"), replicas_);
  // A 401 ends a call that has no other token to try: the janitor deletes that Job.
  if (fault.verb != "delete" || fault.code != 401) {
    EXPECT_TRUE(kube.WaitFor([&] { return kube.Get("jobs", kActions, JobOf(*name)).is_null(); }))
        << "its Job was left behind";
  }
  kube.ClearFaults();
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultMatrixTest, ::testing::ValuesIn(Cases()), NameOf);

}  // namespace
}  // namespace capstan::testing
