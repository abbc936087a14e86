// Events of tasks as words. Pure.
#pragma once

#include <optional>
#include <string>

#include "capstan/v1/event.pb.h"

namespace capstan::cli {

struct EventWords {
  std::string what;  // at most 8 characters
  std::string text;
};

// nullopt for an event that actions have too, or that this program does not know.
std::optional<EventWords> TaskEventWords(const v1::ExecutionEvent& event);

// "medium@0123456789ab Add a limit", with what it may cost and the step it begins with.
std::string TaskRequestText(const v1::TaskRequest& request);

}  // namespace capstan::cli
