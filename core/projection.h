// What an execution looks like after its first events: the snapshot that the API shows. Computed
// from events alone, so it never says anything that they do not. Pure.
#pragma once

#include <string_view>

#include "absl/types/span.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"
#include "core/machine/states.h"

namespace capstan {

using machine::IsTerminal;

// The state this event leads to when it is a StateChanged, otherwise STATE_UNSPECIFIED.
v1::Execution::State StateAfter(const v1::ExecutionEvent& event);

// Folds the next event into `execution`. Events of kinds or states that this program does not know
// (written by a newer one) only move seq and update_time. Conditions are upserted by type.
void Apply(const v1::ExecutionEvent& event, v1::Execution& execution);

// Folds events 1..n, in order; an empty Execution for none.
v1::Execution Project(absl::Span<const v1::ExecutionEvent> events);

}  // namespace capstan
