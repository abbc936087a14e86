// Clients that use a system while it breaks, and write down what they saw: a handful of executions
// of every kind, each submitted until it is accepted, cancelled where that belongs to its kind, and
// watched to its end. What they saw, with what the store and the cluster say, is a History.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "tests/proof/history.h"
#include "tests/scenarios/system.h"

namespace capstan::proof {

// Notes from now on under which lease and epoch each write to an execution was let in.
void NoteWrites(testing::System& system);
// What the store says, its audit log included.
History CollectStored(testing::System& system);
// And what the simulated cluster says. Clients' shares are missing.
History CollectFrom(testing::System& system);

struct WorkloadOptions {
  bool only_one = false;                            // one that succeeds, and no others
  absl::Duration call_deadline = absl::Seconds(3);  // of one submit or cancel; then it is unknown
  absl::Duration patience = absl::Seconds(60);      // then an execution counts as stranded
};

// Not thread-safe, except AddServer().
class Workload {
 public:
  // Prepares the cluster (Deployments, a rollout that hangs, a quota error) and the database (a
  // trigger that notes under which lease and epoch each write was let in).
  Workload(testing::System& system, WorkloadOptions options);
  // Waits for its clients: at most `patience`.
  ~Workload();

  // Clients turn to the server that was added last. Its process stays with the caller.
  void AddServer(const testing::Server& server);

  // Starts the clients.
  void Start();
  // All were accepted (and the early cancel is through).
  absl::Notification& submitted() { return submitted_; }
  // Every execution has ended as its watcher sees it, or patience is over.
  bool Done() const { return done_.HasBeenNotified(); }
  void Wait() { done_.WaitForNotification(); }

  // After Wait() and after the workers have ended: what all parties say.
  History Collect();
  // Executions that did not end as their kind has to, in words.
  std::vector<std::string> WrongEnds(const History& history) const;

 private:
  enum class Cancel { kNo, kAtOnce, kWhenArmed };
  struct Kind {
    std::string title;
    v1::ExecuteActionRequest request;
    Cancel cancel = Cancel::kNo;
    v1::Execution::State end = v1::Execution::STATE_SUCCEEDED;
    v1::Execution::FailureReason reason = v1::Execution::FAILURE_REASON_UNSPECIFIED;
    std::string execution{};  // once accepted
  };

  std::shared_ptr<v1::ExecutionService::Stub> CurrentServer();
  bool PatienceIsOver() const { return absl::Now() > until_; }
  void SubmitAll();
  // Until it is accepted.
  void Submit(Kind& kind);
  void RequestCancel(const std::string& execution);
  void Watch(const Kind& kind);

  testing::System& system_;
  const WorkloadOptions options_;
  absl::Time until_;
  std::vector<Kind> kinds_;
  std::thread clients_;
  absl::Notification submitted_;
  absl::Notification done_;
  absl::Mutex mu_;
  std::shared_ptr<v1::ExecutionService::Stub> server_ ABSL_GUARDED_BY(mu_);
  History history_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::proof
