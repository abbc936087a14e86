// Executions and their events as text for people. Pure: messages of the API in, text out.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "absl/time/time.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"

namespace capstan::cli {

// How this program has to be called so that it reaches the same server: "capstan", or "capstan
// --address=…".
struct Invocation {
  std::string program = "capstan";
};

// FAILED(POLICY_DENIED), RUNNING.
std::string StateText(const v1::Execution& execution);

// "3  2026-11-21T02:45:00.123Z  policy        denied: …", without a line break.
std::string EventLine(const v1::ExecutionEvent& event);

// One line that is drawn over and over while an execution goes on: at most `width` columns.
std::string LiveLine(const v1::Execution& execution, absl::Duration elapsed, size_t width);

// How an execution ended and what to do next. `rollback` is that of the stored artifact, empty when
// there is none.
std::string EndText(const v1::Execution& execution, const v1::RollbackPlan& rollback,
                    const Invocation& invocation);

// After Ctrl-C or --wait-timeout: that it goes on, how to watch and to cancel it.
std::string DetachedText(const std::string& name, const Invocation& invocation);

// Everything about one execution.
std::string Details(const v1::Execution& execution);

// A line for each execution.
std::string ExecutionTable(const google::protobuf::RepeatedPtrField<v1::Execution>& executions);

}  // namespace capstan::cli
