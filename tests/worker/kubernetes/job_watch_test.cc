#include "worker/kubernetes/job_watch.h"

#include <gmock/gmock.h>

#include <functional>
#include <memory>

#include "absl/synchronization/notification.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::kubesim::Fault;
using ::capstan::kubesim::FaultKind;

// Collects what one subscription hears and lets a test wait for it. The watch may outlive it.
class Listener {
 public:
  JobWatch::Callback Callback() {
    return [heard = heard_](const JobObservation& observation) {
      absl::MutexLock lock(&heard->mu);
      heard->observations.push_back(observation);
    };
  }
  bool WaitFor(const std::function<bool(const JobObservation&)>& predicate) {
    absl::MutexLock lock(&heard_->mu);
    const auto met = [&] {
      return !heard_->observations.empty() && predicate(heard_->observations.back());
    };
    return heard_->mu.AwaitWithTimeout(absl::Condition(&met), absl::Seconds(30));
  }
  size_t Count() {
    absl::MutexLock lock(&heard_->mu);
    return heard_->observations.size();
  }

 private:
  struct Heard {
    absl::Mutex mu;
    std::vector<JobObservation> observations;  // guarded by mu
  };
  const std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
};

bool IsFinished(const JobObservation& observation) { return OutcomeOf(observation).finished; }
bool IsGone(const JobObservation& observation) { return !observation.found; }
bool HasPod(const JobObservation& observation) { return !observation.pods.empty(); }
bool IsKnown(const JobObservation& observation) { return observation.found; }

class JobWatchTest : public ClusterTest {
 protected:
  JobWatchTest() {
    options_.name_space = kNamespace;
    options_.installation = "test";
    options_.reflector.backoff_min = absl::Milliseconds(1);
    options_.reflector.backoff_max = absl::Milliseconds(20);
  }

  void StartWatch() {
    watch_ = std::make_unique<JobWatch>(*client_, clock_, options_);
    watch_->Start();
    ASSERT_TRUE(sim_->WaitFor([&] { return sim_->OpenWatches() >= 2; }));
  }

  // Both streams have been opened again since `earlier` calls.
  bool WaitForCalls(const std::string& verb, const std::string& resource, int count) {
    return sim_->WaitFor([&] { return sim_->CountCalls(verb, resource) >= count; });
  }

  Fault WatchFault(FaultKind kind, int count = 1) {
    Fault fault;
    fault.verb = "watch";
    fault.resource = "jobs";
    fault.kind = kind;
    fault.count = count;
    return fault;
  }

  JobWatchOptions options_;
  std::unique_ptr<JobWatch> watch_;
};

TEST_F(JobWatchTest, S2_16_TheEndOfAJobIsHeard) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));

  sim_->FinishPod(kName, 0);

  EXPECT_TRUE(listener.WaitFor(IsFinished));
}

TEST_F(JobWatchTest, ALateSubscriberHearsWhatIsKnown) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener first;
  watch_->Subscribe(ref, first.Callback());
  sim_->FinishPod(kName, 0);
  ASSERT_TRUE(first.WaitFor(IsFinished));

  Listener second;
  watch_->Subscribe(ref, second.Callback());

  EXPECT_TRUE(second.WaitFor(IsFinished));
}

TEST_F(JobWatchTest, ASubscriptionMadeBeforeTheStartIsServed) {
  const JobRef ref = RunningJob();
  watch_ = std::make_unique<JobWatch>(*client_, clock_, options_);
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());

  watch_->Start();

  EXPECT_TRUE(listener.WaitFor(HasPod));
}

TEST_F(JobWatchTest, S2_19_ADeletedJobIsReportedGone) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(IsKnown));

  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));

  EXPECT_TRUE(listener.WaitFor(IsGone));
}

TEST_F(JobWatchTest, S2_19_AJobReplacedUnderItsNameIsReportedGone) {
  StartWatch();
  const JobRef ref = CreateJob().value().ref;
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(IsKnown));

  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));
  const JobRef replacement = CreateJob().value().ref;
  Listener other;
  watch_->Subscribe(replacement, other.Callback());

  EXPECT_TRUE(other.WaitFor(IsKnown));
  EXPECT_TRUE(listener.WaitFor(IsGone));
}

TEST_F(JobWatchTest, S2_19_AJobThatWasGoneBeforeAnybodyLookedIsReportedByTheNextList) {
  options_.reflector.relist_period = absl::Seconds(1);
  const JobRef ref = CreateJob().value().ref;
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));
  StartWatch();
  Listener listener;

  watch_->Subscribe(ref, listener.Callback());

  EXPECT_TRUE(listener.WaitFor(IsGone));
}

TEST_F(JobWatchTest, AnotherInstallationsJobsAreNotSeen) {
  StartWatch();
  Json job = RenderedJob("capstan-9999");
  job["metadata"]["labels"][std::string(kInstallationLabel)] = "other";
  ASSERT_OK(sim_->Create("jobs", kNamespace, job));
  Listener listener;
  const JobRef ref = CreateJob().value().ref;
  watch_->Subscribe(ref, listener.Callback());

  ASSERT_TRUE(listener.WaitFor(IsKnown));

  EXPECT_EQ(watch_->Stats().jobs, 1);
}

TEST_F(JobWatchTest, S2_18_AClosedStreamGoesOnWhereItEnded) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));
  const int lists = sim_->CountCalls("list", "jobs");
  const int watches = sim_->CountCalls("watch", "jobs");

  sim_->CloseWatches();
  ASSERT_TRUE(WaitForCalls("watch", "jobs", watches + 1));
  sim_->FinishPod(kName, 0);

  EXPECT_TRUE(listener.WaitFor(IsFinished));
  EXPECT_EQ(sim_->CountCalls("list", "jobs"), lists);
}

TEST_F(JobWatchTest, AnErrorEvent410InsideTheStreamListsAgain) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));
  const int lists = sim_->CountCalls("list", "jobs");

  sim_->InjectFault(WatchFault(FaultKind::kWatchGone));
  sim_->FinishPod(kName, 0);

  EXPECT_TRUE(listener.WaitFor(IsFinished));
  EXPECT_GT(sim_->CountCalls("list", "jobs"), lists);
}

TEST_F(JobWatchTest, A410ToTheWatchCallListsAgain) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));
  const int lists = sim_->CountCalls("list", "jobs");

  Fault gone = WatchFault(FaultKind::kStatus);
  gone.code = 410;
  gone.reason = "Expired";
  sim_->InjectFault(gone);
  sim_->CloseWatches();
  ASSERT_TRUE(WaitForCalls("list", "jobs", lists + 1));
  sim_->FinishPod(kName, 0);

  EXPECT_TRUE(listener.WaitFor(IsFinished));
}

TEST_F(JobWatchTest, AMissedEventIsRepairedByTheNextList) {
  options_.reflector.relist_period = absl::Seconds(1);
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));

  sim_->InjectFault(WatchFault(FaultKind::kWatchDrop, -1));
  sim_->FinishPod(kName, 0);

  EXPECT_TRUE(listener.WaitFor(IsFinished));
}

TEST_F(JobWatchTest, AMissedDeletionIsRepairedByTheNextList) {
  options_.reflector.relist_period = absl::Seconds(1);
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));

  sim_->InjectFault(WatchFault(FaultKind::kWatchDrop, -1));
  ASSERT_OK(sim_->DeleteJobExternally(kNamespace, kName));

  EXPECT_TRUE(listener.WaitFor(IsGone));
}

TEST_F(JobWatchTest, StaleEventsAreRepairedByTheNextList) {
  options_.reflector.relist_period = absl::Seconds(1);
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;
  watch_->Subscribe(ref, listener.Callback());
  sim_->FinishPod(kName, 0);
  ASSERT_TRUE(listener.WaitFor(IsFinished));
  const int replay = sim_->InjectFault(WatchFault(FaultKind::kWatchReplayStale));

  sim_->CloseWatches();
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->FaultHits(replay) == 1; }));
  const int lists = sim_->CountCalls("list", "jobs");
  ASSERT_TRUE(WaitForCalls("list", "jobs", lists + 1));

  EXPECT_TRUE(listener.WaitFor(IsFinished));
}

TEST_F(JobWatchTest, AServerThatRefusesForAWhileIsAskedAgain) {
  Inject("list", FaultKind::kStatus, 10);
  StartWatch();
  const JobRef ref = RunningJob();
  Listener listener;

  watch_->Subscribe(ref, listener.Callback());

  EXPECT_TRUE(listener.WaitFor(HasPod));
}

TEST_F(JobWatchTest, AfterUnsubscribeNothingIsHeard) {
  StartWatch();
  const JobRef ref = RunningJob();
  Listener leaver;
  Listener stayer;
  const uint64_t id = watch_->Subscribe(ref, leaver.Callback());
  watch_->Subscribe(ref, stayer.Callback());
  ASSERT_TRUE(leaver.WaitFor(HasPod));
  watch_->Unsubscribe(id);
  const size_t heard = leaver.Count();

  sim_->FinishPod(kName, 0);
  ASSERT_TRUE(stayer.WaitFor(IsFinished));

  EXPECT_EQ(leaver.Count(), heard);
  EXPECT_EQ(watch_->Stats().subscriptions, 1);
}

TEST_F(JobWatchTest, ACallbackMayUnsubscribeItself) {
  StartWatch();
  const JobRef ref = RunningJob();
  absl::Notification called;
  absl::Notification id_known;
  uint64_t id = 0;
  id = watch_->Subscribe(ref, [&](const JobObservation&) {
    if (called.HasBeenNotified()) return;
    id_known.WaitForNotification();
    watch_->Unsubscribe(id);
    called.Notify();
  });
  id_known.Notify();

  called.WaitForNotification();
  watch_->Stop();

  EXPECT_EQ(watch_->Stats().subscriptions, 0);
}

TEST_F(JobWatchTest, StopEndsOpenStreamsAndIsIdempotent) {
  StartWatch();
  Listener listener;
  watch_->Subscribe(RunningJob(), listener.Callback());
  ASSERT_TRUE(listener.WaitFor(HasPod));  // both streams have delivered

  watch_->Stop();
  watch_->Stop();

  EXPECT_TRUE(sim_->WaitFor([&] { return sim_->OpenWatches() == 0; }));
}

}  // namespace
}  // namespace capstan::kubernetes
