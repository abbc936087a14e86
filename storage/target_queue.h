// Who may change a target, and in which order: pure functions on a row of `target` that the
// transaction has locked. Locks never expire by time.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "storage/types.h"

namespace capstan::storage {

// After so many failures to start in a row a target is blocked until somebody has looked.
inline constexpr int kMaxStartFailures = 5;

// The pause after a failure to start, the n-th in a row: 1, 2, 4, 8, then 10 minutes.
absl::Duration StartBackoff(int failures);

// How the target stands for an execution.
TargetStanding StandingOf(const TargetRow& target, const TargetClaim& claim, const ExecutionId& id,
                          absl::Time now);

// The latest claim in line that `id` gives up for; none when it does not.
ExecutionId SupersededBy(const TargetRow& target, const TargetClaim& claim, const ExecutionId& id);

// When it stands otherwise by itself: the end of a backoff or cooldown; InfiniteFuture when only
// others can change that.
absl::Time StandsUntil(const TargetRow& target, const TargetClaim& claim, absl::Time now);

// Applies a step that is allowed (StandingOf is kFree for kTake, `expected` for kWait) and returns
// who has to be woken: the next in line, who holds the target from now on, or everybody in line
// when it has become blocked, to say so.
std::vector<ExecutionId> Apply(TargetRow& target, const TargetStep& step, const ExecutionId& id,
                               absl::Time now);

// Takes the block away and returns who has to be woken.
std::vector<ExecutionId> ClearBlock(TargetRow& target, absl::Time now);

}  // namespace capstan::storage
