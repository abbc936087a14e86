// Checks what a caller submitted against an action's definition. Pure; run by the server before
// anything is stored and again by the worker with its own catalog.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/catalog/action_definition.h"

namespace capstan::catalog {

// Checked values by name, defaults filled in. An optional parameter without a default may be
// absent.
using TypedParameters = std::map<std::string, ParameterValue>;

// One reason why a request is refused, as google.rpc.BadRequest has it.
struct FieldViolation {
  std::string field;        // parameters.replicas
  std::string description;  // got 1001, want an integer from 0 to 1000: it is too large
};

struct ParameterCheck {
  TypedParameters parameters;              // those that are right
  std::vector<FieldViolation> violations;  // empty when all is well; at most kMaxViolations
};

inline constexpr size_t kMaxParameterBytes = 256 << 10;  // of the whole Struct, as encoded
inline constexpr size_t kMaxStringBytes = 4 << 10;       // of one string value
inline constexpr size_t kMaxViolations = 20;

// Checks every parameter and reports all violations. Values of undeclared parameters are not
// repeated anywhere.
ParameterCheck CheckParameters(const ActionDefinition& action,
                               const google::protobuf::Struct& parameters);

// The same as a Status: INVALID_ARGUMENT whose message holds every violation as "field:
// description".
absl::StatusOr<TypedParameters> ValidateParameters(const ActionDefinition& action,
                                                   const google::protobuf::Struct& parameters);

// INVALID_ARGUMENT with all violations, OK when there are none.
absl::Status ToStatus(const std::vector<FieldViolation>& violations);

// The timeout in force: the action's default when `requested` is zero. INVALID_ARGUMENT ("timeout:
// got 20m, want …") when it is negative, below a second or above the action's maximum. Fractions of
// a second are rounded up.
absl::StatusOr<absl::Duration> ValidateTimeout(const ActionDefinition& action,
                                               absl::Duration requested);

// A parameter as text: what argv gets.
std::string ToText(const ParameterValue& value);
// The checked parameters as JSON values, for policy and for storing.
google::protobuf::Struct ToStruct(const TypedParameters& parameters);

// Parses a text (a catalog file's default, a command line's value) by the parameter's type and
// checks its bounds. INVALID_ARGUMENT says "got X, want Y".
absl::StatusOr<ParameterValue> ParseParameterText(const ParameterDefinition& parameter,
                                                  std::string_view text);

// "an integer from 0 to 1000", "a DNS label (…)".
std::string Expectation(const ParameterDefinition& parameter);

}  // namespace capstan::catalog
