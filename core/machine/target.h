// How an action uses what it shares with others: the object it changes, which at most one execution
// at a time may, in order; and the places of its parent.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace capstan::machine {

// How an action asks for its target.
struct TargetClaim {
  std::string key = {};     // kind/namespace/name or kind/name
  std::string action = {};  // for the cooldown and for coalescing
  // Gives up for a later claim of the same action that waits for the same target.
  bool coalesce = false;
  absl::Duration cooldown = {};  // after a success of the same action
};

enum class TargetStanding {
  kFree,        // may be taken, or is held by this execution already
  kBusy,        // another one holds it, or is first in line
  kCooldown,    // the same action succeeded a moment ago
  kBackoff,     // executions failed to start on it
  kBlocked,     // a failure has to be looked at first
  kSuperseded,  // a later coalescing claim waits: give up
};

// How an execution leaves its target.
enum class TargetResult {
  kNeutral,        // nothing was learnt about it
  kSucceeded,      // ends failures in a row, begins the cooldown
  kFailedToStart,  // before the start: backoff, and after a few in a row a block
  kBlocks,         // a failure after the start: nothing else runs until somebody has looked
};

// What a step does with the target, in its own transaction.
struct TargetStep {
  enum class Kind {
    kTake,   // only if it is free; else kTargetRefused, and nothing of the step is stored
    kWait,   // only if it stands as `expected` says; else kTargetRefused. Busy and blocked: in line
    kLeave,  // gives it up, or leaves the line; whoever is next is woken
  };
  Kind kind = Kind::kTake;
  TargetClaim claim;
  TargetStanding expected = TargetStanding::kBusy;  // kWait
  TargetResult result = TargetResult::kNeutral;     // kLeave
  std::string message;                              // kLeave: why it blocks
};

// What a step does among the executions of its parent, of which only some may be in flight at once.
enum class ParentUse {
  kTake,   // is in flight from now on; only if there is a place for it
  kWait,   // in line; only if there is none
  kLeave,  // gives up its place, or leaves the line; whoever is next is woken
};

}  // namespace capstan::machine
