// From a request to run a task to a stored execution, and from an ended one to its successor.
#pragma once

#include <memory>
#include <string>

#include "capstan/v1/execution_service.pb.h"
#include "server/event_list.h"
#include "server/parts.h"
#include "server/rpc.h"
#include "server/submission.h"

namespace capstan::server {

// Checks and stores one request; `done` as in CheckAndSubmit. Reads the definition on the pool.
void CheckAndSubmitTask(const Parts& parts, const std::shared_ptr<Rpc>& rpc,
                        const v1::RunTaskRequest& request, SubmitDone done);

inline bool IsTask(const EventList& list) { return list.at(1).accepted().has_task(); }

// Runs an ended task again: with `from_step`, what that step does not depend on being run again is
// taken over. `rpc` as above. Errors as RetryExecution.
void RetryTask(const Parts& parts, const std::shared_ptr<Rpc>& rpc,
               const v1::RetryExecutionRequest& request, const EventList& original,
               SubmitDone done);

}  // namespace capstan::server
