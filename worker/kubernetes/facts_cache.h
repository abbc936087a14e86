// Facts of the whole cluster, kept for a moment: they are the same for every target and cost the
// reading of all pods.
#pragma once

#include <memory>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "worker/kubernetes/facts.h"

namespace capstan::kubernetes {

inline constexpr absl::Duration kClusterFactTtl = absl::Seconds(5);

struct ClusterSnapshot;

// Thread-safe. Borrows both, owned by whoever owns them. No thread of its own.
class FactsCache {
 public:
  FactsCache(Client& client, Clock& clock);
  ~FactsCache();
  FactsCache(const FactsCache&) = delete;
  FactsCache& operator=(const FactsCache&) = delete;

  // As ReadFact. Only `cluster` may be as old as kClusterFactTtl; a target is always read. What
  // could not be read is not kept.
  absl::StatusOr<Json> Read(std::string_view fact, const FactTarget& target,
                            const CallOptions& options = {}) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Client& client_;
  Clock& clock_;
  absl::Mutex mu_;
  std::shared_ptr<const ClusterSnapshot> cluster_ ABSL_GUARDED_BY(mu_);  // shared with readers
  absl::Duration read_at_ ABSL_GUARDED_BY(mu_);  // boot time, before reading
};

}  // namespace capstan::kubernetes
