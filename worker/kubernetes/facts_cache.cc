#include "worker/kubernetes/facts_cache.h"

#include <utility>

#include "core/status_macros.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {

FactsCache::FactsCache(Client& client, Clock& clock) : client_(client), clock_(clock) {}

FactsCache::~FactsCache() = default;

absl::StatusOr<Json> FactsCache::Read(std::string_view fact, const FactTarget& target,
                                      const CallOptions& options) {
  if (fact != "cluster") return ReadFact(client_, fact, target, options);
  const absl::Duration now = clock_.BootTime();
  std::shared_ptr<const ClusterSnapshot> cluster;
  {
    absl::MutexLock lock(&mu_);
    if (cluster_ != nullptr && now - read_at_ < kClusterFactTtl) cluster = cluster_;
  }
  if (cluster == nullptr) {
    // Two that come at once both read: it costs a read and blocks nobody behind a slow one.
    CAPSTAN_ASSIGN_OR_RETURN(ClusterSnapshot snapshot, ReadClusterSnapshot(client_, options));
    cluster = std::make_shared<const ClusterSnapshot>(std::move(snapshot));
    absl::MutexLock lock(&mu_);
    cluster_ = cluster;
    read_at_ = now;
  }
  return ClusterFactFor(*cluster, target);
}

}  // namespace capstan::kubernetes
