#include "core/catalog/request_check.h"

#include <utility>

#include "absl/strings/strip.h"
#include "core/catalog/target.h"

namespace capstan::catalog {

RequestCheck CheckRequest(const ActionDefinition& action,
                          const google::protobuf::Struct& parameters, absl::Duration timeout) {
  RequestCheck check;
  const absl::StatusOr<absl::Duration> in_force = ValidateTimeout(action, timeout);
  if (in_force.ok()) {
    check.timeout = *in_force;
  } else {
    // It already begins with the field's name.
    absl::string_view message = in_force.status().message();
    absl::ConsumePrefix(&message, "timeout: ");
    check.violations.push_back({"timeout", std::string(message)});
  }
  ParameterCheck checked = CheckParameters(action, parameters);
  for (FieldViolation& violation : checked.violations)
    check.violations.push_back(std::move(violation));
  if (check.violations.empty()) check.target = TargetOf(action, checked.parameters);
  return check;
}

}  // namespace capstan::catalog
