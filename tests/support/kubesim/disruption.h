// PodDisruptionBudgets and the eviction of pods under them.
#pragma once

#include "absl/time/time.h"
#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// Writes a budget's status: how many of its pods are healthy, and how many more may be disrupted.
void ReconcileBudget(ObjectStore& store, const ObjectKey& key);

// POST of an Eviction. 429 with the cause DisruptionBudget while a budget forbids it; 409 when a
// precondition fails; 500 when two budgets match, as the real server.
ApiReply EvictPod(ObjectStore& store, absl::Time now, const ObjectKey& key, const Json& eviction,
                  bool dry_run);

}  // namespace capstan::kubesim
