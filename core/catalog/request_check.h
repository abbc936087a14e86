// Checks a request for an action by its definition, wherever it comes from: a call, or a step of a
// task. Pure.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"
#include "core/catalog/action_definition.h"
#include "core/catalog/parameters.h"

namespace capstan::catalog {

inline constexpr int kDefaultPriority = 3;
inline constexpr int kDefaultRetries = 2;

struct RequestCheck {
  absl::Duration timeout;                  // in force
  v1::Target target;                       // what it would change
  std::vector<FieldViolation> violations;  // empty when all is well
};

// `timeout` zero: what the action says.
RequestCheck CheckRequest(const ActionDefinition& action,
                          const google::protobuf::Struct& parameters, absl::Duration timeout);

}  // namespace capstan::catalog
