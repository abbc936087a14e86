// Parameters of an action as a command line and a file give them. Pure.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "capstan/v1/catalog_service.pb.h"

namespace capstan::cli {

// INVALID_ARGUMENT unless the text is one JSON object.
absl::StatusOr<google::protobuf::Struct> ParseParametersJson(std::string_view json);

// Puts "name=value" pairs over `parameters`. A value becomes a JSON number or boolean only where
// the action says so and the text is one; everything else is sent as a string and the server says
// what it wanted. INVALID_ARGUMENT for a pair without "=", or a name given twice.
absl::Status AddParameters(const std::vector<std::string>& pairs, const v1::Action& action,
                           google::protobuf::Struct* parameters);

// "key=value" pairs of any other flag. INVALID_ARGUMENT as above, naming `flag`.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SplitPairs(
    std::string_view flag, const std::vector<std::string>& pairs);

void SetDuration(absl::Duration duration, google::protobuf::Duration* field);

}  // namespace capstan::cli
