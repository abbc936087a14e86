// Each of the ten actions on a real Kubernetes, cancelled before its Job is armed, while its Job
// waits for a pod, and while its pod is at work. Of each stage all run at once, started before its
// first test; each test looks at one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/e2e/action_cases.h"
#include "tests/e2e/held_calls.h"

namespace capstan::testing {
namespace {

using ::testing::IsEmpty;
using v1::Execution;
using v1::ExecutionEvent;

struct Cancelled {
  std::string before;
  Streamed run;
  std::string after;
};

// Those that only read go on only as long as there is something to wait for.
std::string ParametersOf(const ClusterCase& action) {
  return action.action == "RolloutStatus"
             ? R"({"namespace": "actions-e2e", "deployment": "without-image"})"
             : action.parameters;
}

void WaitUntilItsProgramRuns(const std::string& execution) {
  Shell(absl::StrCat("timeout 60 bash -c 'grep -q -m 1 Z < <(", Environment("CAPSTAN_E2E_KUBECTL"),
                     " get pods -n capstan-actions -w -l job-name=", JobOf(execution),
                     " -o jsonpath=\"{..state.running.startedAt}{\\\"\\n\\\"}\" 2> /dev/null)'"));
}

std::string UnfinishedOf(const std::string& execution) {
  return Shell(absl::StrCat(Environment("CAPSTAN_E2E_KUBECTL"),
                            " -n capstan-actions get pods,jobs -o name | grep ", JobOf(execution)),
               /*must=*/false);
}

// One stage: a worker of its own, since a cancelled action may block its target.
class CancelTest : public ::testing::TestWithParam<ClusterCase> {
 protected:
  static void Make() {
    if (made_) return;
    Install();
    MakeTargets();
    Apply(DeploymentOf("without-image", "capstan.test/none:1"));
    made_ = true;
  }

  // Cancels each once `reached` returns.
  template <typename Reached>
  static void CancelAll(const Reached& reached) {
    results_.clear();
    const auto system = MakeSystem();
    Server server = system->StartServer();
    const auto worker = system->StartWorker();
    std::map<std::string, std::string> names;
    for (const ClusterCase& action : TheTenActions()) {
      results_[action.action].before = Look(action);
      names[action.action] = *Submit(server, Request(action.action, ParametersOf(action)));
    }
    for (const auto& [action, name] : names) {
      reached(server, name);
      Cancel(server, name, "not today").IgnoreError();
    }
    for (const auto& [action, name] : names) {
      results_[action].run = Watch(server, name);
      results_[action].after = Look(CaseOf(action));
    }
  }

  // It is cancelled with this effect, changed nothing, and left nothing.
  static void ExpectCancelled(Execution::Effect effect) {
    const Cancelled& result = results_.at(GetParam().action);
    EXPECT_EQ(result.run.End().to(), Execution::STATE_CANCELLED) << result.run.End().DebugString();
    EXPECT_EQ(result.run.End().outcome().effect(), effect);
    EXPECT_EQ(result.after, result.before);
    EXPECT_THAT(UnfinishedOf(result.run.snapshot->name()), IsEmpty());
    EXPECT_EQ(CountAudit("create", "jobs", Job()), 1);
  }
  static std::string Job() { return JobOf(results_.at(GetParam().action).run.snapshot->name()); }

  static inline bool made_ = false;
  static inline std::map<std::string, Cancelled> results_;  // by action
};

class CancelBeforeArmingTest : public CancelTest {
 protected:
  static void SetUpTestSuite() {
    Make();
    const HeldCalls arms({.which = "request.resource.resource == 'jobs' && request.operation == "
                                   "'UPDATE' && request.userInfo.username == "
                                   "'system:serviceaccount:capstan-system:capstan-worker'",
                          .at_once = true});
    CancelAll([](Server& server, const std::string& name) {
      WatchUntil(server, name, ExecutionEvent::kJobCreated);
    });
  }
};

TEST_P(CancelBeforeArmingTest, HasNoEffectAndItsJobIsGone) {
  ExpectCancelled(Execution::EFFECT_NONE);
  EXPECT_EQ(PodsCreatedFor(Job()), 0);
}

INSTANTIATE_TEST_SUITE_P(TheTen, CancelBeforeArmingTest, ::testing::ValuesIn(TheTenActions()),
                         NameOf);

class CancelBeforeItsPodTest : public CancelTest {
 protected:
  static void SetUpTestSuite() {
    Make();
    Apply(R"(
apiVersion: v1
kind: ResourceQuota
metadata: {name: no-pods, namespace: capstan-actions}
spec: {hard: {pods: "0"}}
)");
    CancelAll([](Server& server, const std::string& name) {
      WatchUntil(server, name, ExecutionEvent::kJobArmed);
    });
    Kubectl("-n capstan-actions delete resourcequota no-pods");
  }
};

// That an armed Job never had a pod cannot be shown once it is gone.
TEST_P(CancelBeforeItsPodTest, MayHaveHadAnEffectAndItsJobIsGone) {
  ExpectCancelled(Execution::EFFECT_POSSIBLE);
  EXPECT_EQ(PodsCreatedFor(Job()), 0);
}

INSTANTIATE_TEST_SUITE_P(TheTen, CancelBeforeItsPodTest, ::testing::ValuesIn(TheTenActions()),
                         NameOf);

class CancelAtWorkTest : public CancelTest {
 protected:
  static void SetUpTestSuite() {
    Make();
    const HeldCalls writes({.which = kWritesOfActions});
    CancelAll([](Server&, const std::string& name) { WaitUntilItsProgramRuns(name); });
  }
};

// The write of its pod is on its way.
TEST_P(CancelAtWorkTest, MayHaveHadAnEffectAndItsJobAndItsPodAreGone) {
  ExpectCancelled(Execution::EFFECT_POSSIBLE);
  EXPECT_EQ(PodsCreatedFor(Job()), 1);
}

INSTANTIATE_TEST_SUITE_P(TheTen, CancelAtWorkTest, ::testing::ValuesIn(TheTenActions()), NameOf);

}  // namespace
}  // namespace capstan::testing
