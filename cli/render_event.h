// Events as lines of text for people. Pure.
#pragma once

#include <string>

#include "capstan/v1/event.pb.h"

namespace capstan::cli {

// "3  2026-11-21T02:45:00.123Z  policy        denied: …", without a line break.
std::string EventLine(const v1::ExecutionEvent& event);

}  // namespace capstan::cli
