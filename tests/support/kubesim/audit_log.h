// The independent witness: every call the API server saw, and what really happened in the cluster.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/kubesim/json.h"

namespace capstan::kubesim {

// One finished call (a watch: one call, recorded when it starts).
struct AuditEntry {
  absl::Time time;
  std::string verb;  // get, list, watch, create, update, patch, delete, deletecollection
  std::string resource;
  std::string subresource;
  std::string namespace_name;
  std::string name;
  std::string uid;  // of the object answered or changed; "" when there was none
  std::string user_agent;
  int code = 0;            // 0: a fault ended the call before anything was applied
  bool applied = false;    // the call changed the store
  bool reply_cut = false;  // it changed the store but the client was not told
  bool dry_run = false;
  std::string actor_job;  // the Job whose pod made the call; "" for calls from outside
};

Json AuditEntryToJson(const AuditEntry& entry);

// A pod that started its first container.
struct PodRun {
  std::string namespace_name;
  std::string pod;
  std::string job;  // "" when no Job owns it
  std::string job_uid;
};

// A write of a Deployment's scale, also when the number stayed the same.
struct ScaleRecord {
  std::string namespace_name;
  std::string deployment;
  int from = 0;
  int to = 0;
  std::string job;  // of the pod that did it; "" from outside
  std::string job_uid;
};

// Append only, thread-safe. Owned by KubeSim.
class AuditLog {
 public:
  AuditLog() = default;
  ~AuditLog();

  // Also writes one JSON line an entry to this file, truncated first. UNAVAILABLE when it cannot be
  // opened.
  absl::Status OpenFile(const std::string& path);

  void Add(AuditEntry entry);
  void AddPodRun(PodRun run);
  void AddScale(ScaleRecord record);

  std::vector<AuditEntry> Entries() const;
  std::vector<PodRun> PodRuns() const;
  std::vector<ScaleRecord> Scales() const;

 private:
  mutable absl::Mutex mu_;
  std::vector<AuditEntry> entries_ ABSL_GUARDED_BY(mu_);
  std::vector<PodRun> pod_runs_ ABSL_GUARDED_BY(mu_);
  std::vector<ScaleRecord> scales_ ABSL_GUARDED_BY(mu_);
  std::FILE* file_ ABSL_GUARDED_BY(mu_) = nullptr;
};

}  // namespace capstan::kubesim
