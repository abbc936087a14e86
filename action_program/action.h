// The verbs of capstan-action. Each may be run again, whole or from where it was cut off: what has
// been done already is found done.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "action_program/command_line.h"
#include "action_program/host.h"

namespace capstan::action_program {

enum class Progress {
  kDone,
  kWaiting,  // for the cluster: call again after kPollInterval, or when something has changed
};

inline constexpr absl::Duration kPollInterval = absl::Seconds(1);

// Goes on with `command` as far as it can without waiting; keeps nothing between calls.
//   NOT_FOUND            the target is not there
//   PERMISSION_DENIED    the account may not do it; says which verb on which resource
//   ABORTED              the target changed meanwhile; nothing was changed by us
//   FAILED_PRECONDITION  the target's state forbids it: paused, immutable, another object in the
//                        backup's place, a patch that does not apply
//   INVALID_ARGUMENT     the patch file is no patch, or the server finds the change invalid
//   UNKNOWN              sent and not answered: it may or may not have happened
// No message holds a value of a Secret.
absl::StatusOr<Progress> Advance(const Command& command, Host& host);

// An error for a person, as kubectl words it when it is the server's: "Error from server
// (Forbidden): …". The worker tells a refusal by RBAC from that word.
std::string Explain(const absl::Status& status);

}  // namespace capstan::action_program
