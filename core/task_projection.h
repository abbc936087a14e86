// The part of a snapshot that tasks have: steps, usage, workspace. Inside of core/projection.h.
#pragma once

#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"

namespace capstan {

// The request of a task: what it is about, and its steps, none of which has begun.
void ApplyTaskAccepted(const v1::TaskRequest& request, v1::Execution& execution);

// Folds an event of a task's course; others change nothing.
void ApplyTaskEvent(const v1::ExecutionEvent& event, v1::Execution& execution);

}  // namespace capstan
