// YAML into a message, strictly. Knows nothing of defaults or of where the text comes from.
//
// Keys are field names. An enum value is written by its short name in small letters: OPERATOR_EQ of
// enum Operator is eq. Of a oneof one field may be written. A google.protobuf.Value takes any YAML,
// a Struct keys with any YAML.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

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

// What was found while a definition was read.
struct YamlFindings {
  // "<file>:<line>: <path>: …" each, in the order of the text.
  std::vector<std::string> errors;
  // Where a value is written: line by path, such as "steps[2].retry_from".
  std::map<std::string, int> lines;
};

// As MergeYaml, for what people write as many files: goes on after an error, so that all of them
// are found at once, and remembers the lines for checks of its own. A text field `x` may be written
// as `x_file` with the name of a file: the field then holds that name, and lines has "….x_file".
// At most 100,000 values in 64 levels.
YamlFindings ReadYaml(std::string_view yaml, std::string_view file,
                      google::protobuf::Message& message);

// Sets one field that is not a message (durations are allowed) from text, as an environment
// variable spells it: a number, true or false, a duration such as "15s", "a,b" for a list,
// "key=value,key=value" for a map. INVALID_ARGUMENT with "got …, want …".
absl::Status SetFromText(std::string_view text, const google::protobuf::FieldDescriptor& field,
                         google::protobuf::Message& message);

}  // namespace capstan::config
