#include "storage/target_queue.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace capstan::storage {
namespace {

using Line = std::vector<TargetWaiter>;

Line::const_iterator Find(const Line& line, const ExecutionId& id) {
  return std::find_if(line.begin(), line.end(),
                      [&](const TargetWaiter& waiter) { return waiter.id == id; });
}

bool InCooldown(const TargetRow& target, const TargetClaim& claim, absl::Time now) {
  return claim.cooldown > absl::ZeroDuration() && target.last_action == claim.action &&
         now < target.last_success_at + claim.cooldown;
}

// Nobody holds it and nothing is in the way: the first in line does from now on.
std::vector<ExecutionId> HandOver(TargetRow& target, absl::Time now) {
  if (!target.holder.IsNone() || !target.blocked_by.IsNone() || target.waiting.empty()) return {};
  target.holder = target.waiting.front().id;
  target.held_at = now;
  target.waiting.erase(target.waiting.begin());
  return {target.holder};
}

std::vector<ExecutionId> Everybody(const TargetRow& target) {
  std::vector<ExecutionId> all;
  for (const TargetWaiter& waiter : target.waiting) all.push_back(waiter.id);
  return all;
}

void Block(TargetRow& target, const ExecutionId& id, std::string message, absl::Time now) {
  target.blocked_by = id;
  target.blocked_at = now;
  target.block_message = std::move(message);
}

std::vector<ExecutionId> Leave(TargetRow& target, const TargetStep& step, const ExecutionId& id,
                               absl::Time now) {
  const bool held = target.holder == id;
  if (held) target.holder = ExecutionId();
  std::erase_if(target.waiting, [&](const TargetWaiter& waiter) { return waiter.id == id; });
  const bool was_blocked = !target.blocked_by.IsNone();
  // Only who held it has learnt something about it.
  switch (held ? step.result : TargetResult::kNeutral) {
    case TargetResult::kNeutral:
      break;
    case TargetResult::kSucceeded:
      target.failures = 0;
      target.backoff_until = absl::InfinitePast();
      target.last_action = step.claim.action;
      target.last_success_at = now;
      break;
    case TargetResult::kFailedToStart:
      ++target.failures;
      target.backoff_until = now + StartBackoff(target.failures);
      if (target.failures >= kMaxStartFailures) {
        Block(
            target, id,
            absl::StrCat(target.failures, " failures to start in a row; the last: ", step.message),
            now);
      }
      break;
    case TargetResult::kBlocks:
      Block(target, id, step.message, now);
      break;
  }
  if (!target.blocked_by.IsNone())
    return was_blocked ? std::vector<ExecutionId>() : Everybody(target);
  return HandOver(target, now);
}

}  // namespace

absl::Duration StartBackoff(int failures) {
  const int doublings = std::clamp(failures - 1, 0, 4);
  return std::min(absl::Minutes(10), absl::Minutes(1) * (1 << doublings));
}

ExecutionId SupersededBy(const TargetRow& target, const TargetClaim& claim, const ExecutionId& id) {
  if (!claim.coalesce) return ExecutionId();
  auto place = Find(target.waiting, id);
  if (place != target.waiting.end()) {
    ++place;
  } else if (target.holder == id) {  // it has left the line to hold the target
    place = target.waiting.begin();
  }
  ExecutionId latest;
  for (; place != target.waiting.end(); ++place) {
    if (place->coalesces == claim.action) latest = place->id;
  }
  return latest;
}

TargetStanding StandingOf(const TargetRow& target, const TargetClaim& claim, const ExecutionId& id,
                          absl::Time now) {
  if (!SupersededBy(target, claim, id).IsNone()) return TargetStanding::kSuperseded;
  if (!target.blocked_by.IsNone()) return TargetStanding::kBlocked;
  if (now < target.backoff_until) return TargetStanding::kBackoff;
  if (!target.holder.IsNone() && target.holder != id) return TargetStanding::kBusy;
  if (InCooldown(target, claim, now)) return TargetStanding::kCooldown;
  if (target.holder == id || target.waiting.empty() || target.waiting.front().id == id) {
    return TargetStanding::kFree;
  }
  return TargetStanding::kBusy;
}

absl::Time StandsUntil(const TargetRow& target, const TargetClaim& claim, absl::Time now) {
  if (!target.blocked_by.IsNone()) return absl::InfiniteFuture();
  if (now < target.backoff_until) return target.backoff_until;
  if (InCooldown(target, claim, now)) return target.last_success_at + claim.cooldown;
  return absl::InfiniteFuture();
}

std::vector<ExecutionId> Apply(TargetRow& target, const TargetStep& step, const ExecutionId& id,
                               absl::Time now) {
  switch (step.kind) {
    case TargetStep::Kind::kTake:
      if (target.holder != id) target.held_at = now;
      target.holder = id;
      std::erase_if(target.waiting, [&](const TargetWaiter& waiter) { return waiter.id == id; });
      return {};
    case TargetStep::Kind::kWait: {
      const bool in_line =
          step.expected == TargetStanding::kBusy || step.expected == TargetStanding::kBlocked;
      if (!in_line) {  // waits for time, and lets others go first meanwhile
        TargetStep leave = step;
        leave.result = TargetResult::kNeutral;
        return Leave(target, leave, id, now);
      }
      if (target.holder == id) target.holder = ExecutionId();  // blocked after it was handed over
      if (Find(target.waiting, id) == target.waiting.end()) {
        target.waiting.push_back({id, step.claim.coalesce ? step.claim.action : ""});
      }
      return HandOver(target, now);
    }
    case TargetStep::Kind::kLeave:
      return Leave(target, step, id, now);
  }
  return {};
}

std::vector<ExecutionId> ClearBlock(TargetRow& target, absl::Time now) {
  target.blocked_by = ExecutionId();
  target.block_message.clear();
  target.failures = 0;
  target.backoff_until = absl::InfinitePast();
  return HandOver(target, now);
}

}  // namespace capstan::storage
