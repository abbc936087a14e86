// RetryExecution and RollbackExecution: executions that follow from ended ones. Pure: from the
// events of the old one to the request for the new one.
#pragma once

#include "absl/status/statusor.h"
#include "core/catalog/catalog.h"
#include "server/event_list.h"
#include "server/submission.h"

namespace capstan::server {

struct Successor {
  v1::ExecuteActionRequest request;
  Links links;
};

// FAILED_PRECONDITION (NOT_ENDED).
absl::Status CheckEnded(const v1::Execution& execution);

// The retry of a rollback is one too, and held to the same state of the target; unless the caller
// has looked at it (accept_repeated_effect), since the first try may have changed it.
// FAILED_PRECONDITION, with the reason: NOT_ENDED, ALREADY_SUCCEEDED, EFFECT_POSSIBLE.
absl::StatusOr<Successor> MakeRetry(const v1::RetryExecutionRequest& request,
                                    const EventList& original, const catalog::Catalog& catalog);

// FAILED_PRECONDITION, with the reason: NOT_ENDED, NOTHING_TO_UNDO, NO_INVERSE, STATE_UNKNOWN.
absl::StatusOr<Successor> MakeRollback(const v1::RollbackExecutionRequest& request,
                                       const EventList& original);

}  // namespace capstan::server
