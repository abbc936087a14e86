// Deletes Jobs that nobody needs any more: their execution has ended and whoever held it could not
// delete them (its process was lost, the API refused), or a late create of a lost worker left a
// suspended one behind. Level-triggered: it looks at the Jobs that exist, never at what should have
// happened. Jobs of executions that this database does not know are left alone.
#pragma once

#include <stop_token>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/reader.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_launch.h"

namespace capstan::worker {

struct JanitorOptions {
  std::string actions_namespace = "capstan-actions";
  std::string installation = "capstan";
  absl::Duration interval = absl::Minutes(1);
  // An execution must have ended this long ago: its last holder deletes the Job itself.
  absl::Duration grace = absl::Minutes(1);
  // The same for those that failed: their Jobs may be kept for people to look at.
  absl::Duration failed_grace = absl::Minutes(1);
};

// Owned by main.cc; one thread between Start and Stop.
class Janitor {
 public:
  Janitor(storage::Reader& reader, kubernetes::Client& client, Clock& clock,
          telemetry::WorkerMetrics& metrics, JanitorOptions options);
  ~Janitor();  // as Stop

  void Start();
  void Stop();  // idempotent, joins

  // One look at all Jobs; returns how many were deleted. An error: could not look; the next round
  // does.
  absl::StatusOr<int> RunOnce();

 private:
  storage::Reader& reader_;
  kubernetes::Client& client_;
  kubernetes::JobLauncher launcher_;
  Clock& clock_;
  telemetry::WorkerMetrics& metrics_;
  const JanitorOptions options_;
  std::jthread thread_;
};

}  // namespace capstan::worker
