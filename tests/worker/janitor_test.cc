// Jobs of executions that have ended are deleted, whoever died before doing so.
#include "worker/janitor.h"

#include "absl/strings/str_cat.h"
#include "capstan/v1/event.pb.h"
#include "core/catalog/job_spec.h"
#include "core/kubernetes_names.h"
#include "core/telemetry/worker_metrics.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/kubesim/kubesim.h"

namespace capstan::worker {
namespace {

using ::capstan::testing::IsOkAndHolds;
using v1::Execution;

constexpr char kNamespace[] = "capstan-actions";

class JanitorTest : public storage::StoreTest {
 protected:
  JanitorTest() {
    sim_ = *kubesim::KubeSim::Start({.namespaces = {kNamespace}});
    kubernetes::ClusterConfig cluster;
    cluster.server = sim_->Url();
    client_ = *kubernetes::Client::Create(cluster, clock_);
  }

  // An execution that has ended so, with a Job that nobody has deleted.
  std::string Leave(Execution::State state) {
    const storage::HeldExecution held = SubmitAndClaim(NewWorker());
    v1::ExecutionEvent event;
    event.mutable_state_changed()->set_to(state);
    storage::Commit commit = MakeStep(held, state);
    commit.events = {event.SerializeAsString()};
    if (state == Execution::STATE_FAILED)
      commit.failure_reason = Execution::FAILURE_REASON_JOB_FAILED;
    EXPECT_THAT(Commit(std::move(commit)), IsOkAndHolds(storage::CommitResult::kCommitted));
    const std::string name = catalog::JobNameOf(held.id);
    const nlohmann::json job = {
        {"apiVersion", "batch/v1"},
        {"kind", "Job"},
        {"metadata",
         {{"name", name},
          {"namespace", kNamespace},
          {"labels",
           {{std::string(kExecutionLabel), held.id.ToString()},
            {std::string(kInstallationLabel), "capstan"}}}}},
        {"spec",
         {{"suspend", true},
          {"template",
           {{"spec",
             {{"restartPolicy", "Never"},
              {"containers", nlohmann::json::array({{{"name", "c"}, {"image", "i:1"}}})}}}}}}}};
    EXPECT_OK(sim_->Create("jobs", kNamespace, job));
    return name;
  }
  bool Exists(const std::string& job) { return !sim_->Get("jobs", kNamespace, job).is_null(); }

  absl::StatusOr<int> Look(absl::Duration grace, absl::Duration failed_grace) {
    Janitor janitor(reader(), *client_, clock_, metrics_,
                    {.grace = grace, .failed_grace = failed_grace});
    return janitor.RunOnce();
  }

  std::unique_ptr<kubesim::KubeSim> sim_;
  std::unique_ptr<kubernetes::Client> client_;
  telemetry::MetricsRegistry registry_;
  telemetry::WorkerMetrics metrics_{registry_, {}};
};

TEST_F(JanitorTest, S2_20_TheJobOfAnEndedExecutionIsDeletedAndThatOfALiveOneIsNot) {
  const std::string ended = Leave(Execution::STATE_SUCCEEDED);
  const std::string live = Leave(Execution::STATE_RUNNING);
  EXPECT_THAT(Look(absl::Hours(1), absl::Hours(1)), IsOkAndHolds(0)) << "its holder does it itself";
  EXPECT_THAT(Look(absl::ZeroDuration(), absl::ZeroDuration()), IsOkAndHolds(1));
  EXPECT_FALSE(Exists(ended));
  EXPECT_TRUE(Exists(live));
}

TEST_F(JanitorTest, S2_20_ADeleteThatIsForbiddenIsCountedAndTriedAgain) {
  const std::string ended = Leave(Execution::STATE_SUCCEEDED);
  sim_->Forbid("delete", "jobs");
  EXPECT_THAT(Look(absl::ZeroDuration(), absl::ZeroDuration()), IsOkAndHolds(0));
  EXPECT_EQ(metrics_.cleanup_failures.Value(), 1);
  EXPECT_TRUE(Exists(ended));
}

TEST_F(JanitorTest, S2_68_TheJobOfAFailedExecutionIsKeptAsLongAsConfigured) {
  const std::string failed = Leave(Execution::STATE_FAILED);
  const std::string succeeded = Leave(Execution::STATE_SUCCEEDED);
  EXPECT_THAT(Look(absl::ZeroDuration(), absl::Minutes(10)), IsOkAndHolds(1));
  EXPECT_TRUE(Exists(failed));
  EXPECT_FALSE(Exists(succeeded));
  EXPECT_THAT(Look(absl::ZeroDuration(), absl::ZeroDuration()), IsOkAndHolds(1));
  EXPECT_FALSE(Exists(failed));
}

}  // namespace
}  // namespace capstan::worker
