// YAML into a message, strictly. Knows nothing of defaults or of where the text comes from.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace capstan::config {

// Sets the fields of `message` that `yaml` names and leaves the others. Lists and maps are replaced
// as a whole. INVALID_ARGUMENT with "<file>:<line>: <path>: got …, want …" for an unknown or
// repeated key, a value of the wrong type or text that is not one YAML document.
absl::Status MergeYaml(std::string_view yaml, std::string_view file,
                       google::protobuf::Message& message);

// Sets one field that is not a message (durations are allowed) from text, as an environment
// variable spells it: a number, true or false, a duration such as "15s", "a,b" for a list,
// "key=value,key=value" for a map. INVALID_ARGUMENT with "got …, want …".
absl::Status SetFromText(std::string_view text, const google::protobuf::FieldDescriptor& field,
                         google::protobuf::Message& message);

}  // namespace capstan::config
