// What prompts, commands and conditions of a task can refer to.
#pragma once

#include <map>
#include <string>

#include "nlohmann/json.hpp"

namespace capstan::workflow {

// Variables by name (TASK_ID, SPEC_CONTENT, …), and under "steps" what is known of steps:
//   steps.<name>.state     "succeeded", "skipped", …
//   steps.<name>.output    the structured answer of its last iteration
//   steps.<name>.artifact  its text
// A variable that is not resolved is absent.
struct Values {
  std::map<std::string, std::string> variables;
  nlohmann::json steps = nlohmann::json::object();
};

}  // namespace capstan::workflow
