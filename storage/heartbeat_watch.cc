#include "storage/heartbeat_watch.h"

namespace capstan::storage {

std::vector<HeartbeatWatch::Seen> HeartbeatWatch::Look(const std::vector<Seen>& living,
                                                       absl::Duration now, absl::Duration ttl) {
  if (now - last_look_ > ttl / 3) Forget();
  last_look_ = now;
  absl::flat_hash_map<WorkerId, Watched> watched;
  std::vector<Seen> lost;
  for (const Seen& seen : living) {
    const auto before = watched_.find(seen.worker);
    const bool moved = before == watched_.end() || before->second.heartbeat != seen.heartbeat;
    const Watched current = moved ? Watched{seen.heartbeat, now} : before->second;
    watched[seen.worker] = current;
    if (now - current.since >= ttl) lost.push_back(seen);
  }
  watched_ = std::move(watched);  // those that are gone are forgotten
  return lost;
}

}  // namespace capstan::storage
