// What an action changes, and how to undo it: a definition and checked parameters, worked out.
// Pure.
#pragma once

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "capstan/v1/execution.pb.h"
#include "core/catalog/action_definition.h"
#include "core/catalog/parameters.h"

namespace capstan::catalog {

// The object that the action changes, without its uid, which only the cluster knows.
v1::Target TargetOf(const ActionDefinition& action, const TypedParameters& parameters);

// The facts that the action keeps, by the names its file gives them: {"replicas": 1}. `facts` holds
// an object for each of action.facts: {"deployment": {"replicas": 1, …}}. FAILED_PRECONDITION names
// a path that is not there: before the change that ends the execution (the target does not exist),
// after it the capture is left out.
absl::StatusOr<google::protobuf::Struct> Capture(const ActionDefinition& action,
                                                 const google::protobuf::Struct& facts);

// How to undo the action, from what was captured before it. Empty (no action) for actions that
// cannot be undone. A text that is one reference alone keeps the type of what it refers to.
v1::RollbackPlan RollbackOf(const ActionDefinition& action, const TypedParameters& parameters,
                            const google::protobuf::Struct& captured);

}  // namespace capstan::catalog
