// What an action changes, and how to undo it: a definition and checked parameters, worked out.
// Pure.
#pragma once

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "capstan/v1/execution.pb.h"
#include "core/catalog/action_definition.h"
#include "core/catalog/parameters.h"
#include "core/ids.h"

namespace capstan::catalog {

// The object that the action changes, without its uid, which only the cluster knows.
v1::Target TargetOf(const ActionDefinition& action, const TypedParameters& parameters);

// The facts that the action keeps, by the names its file gives them: {"replicas": 1}. `facts` holds
// an object for each of action.facts: {"deployment": {"replicas": 1, …}}. FAILED_PRECONDITION names
// a path that is not there: before the change that ends the execution (the target does not exist),
// after it the capture is left out.
// `parameters` as submitted: paths may lead through a required one.
absl::StatusOr<google::protobuf::Struct> Capture(const ActionDefinition& action,
                                                 const google::protobuf::Struct& parameters,
                                                 const google::protobuf::Struct& facts);

// How to undo the action, from what was captured before it. Empty (no action) for actions that
// cannot be undone: they name no inverse, what was captured is not what the inverse is for, or a
// captured value that it needs was not kept (null or an empty text). A text that is one reference
// alone keeps the type of what it refers to.
v1::RollbackPlan RollbackOf(const ActionDefinition& action, const TypedParameters& parameters,
                            const google::protobuf::Struct& captured, const ExecutionId& execution);

// A captured value as text: what argv gets. Lists and objects have none.
std::string ToText(const google::protobuf::Value& value);

}  // namespace capstan::catalog
