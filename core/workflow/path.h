// References, as templates and conditions spell them: a variable, TASK_ID, or a step's answer by
// path, steps.review.output.issues[0].file. Internal to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/workflow/values.h"

namespace capstan::workflow {

inline constexpr std::size_t kMaxReferenceBytes = 512;

// [A-Z][A-Z0-9_]{0,62}: a variable's name.
bool IsVariableName(std::string_view text);
// [a-z][a-z0-9_]{0,62}: the name of a step, check, command or artifact.
bool IsStepName(std::string_view text);

// A part of a path: a key, or an index.
struct PathPart {
  std::string key;
  std::size_t index = 0;  // when key is empty
};

// "review.output.issues[0]" in parts; nullopt when it is not a path.
std::optional<std::vector<PathPart>> SplitPath(std::string_view path);

// INVALID_ARGUMENT when it is neither a variable's name nor steps.<name>.state, .artifact or
// .output with or without a path.
absl::Status CheckReference(std::string_view reference);

// The step that a reference of the second form is about; empty for a variable.
std::string StepOf(std::string_view reference);

// What a reference stands for; nullopt when it is not resolved.
std::optional<nlohmann::json> Lookup(const Values& values, std::string_view reference);

}  // namespace capstan::workflow
