// Executions as text for people. Pure: messages of the API in, text out.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"
#include "cli/render_words.h"

namespace capstan::cli {

// One line that is drawn over and over while an execution goes on: at most `width` columns.
std::string LiveLine(const v1::Execution& execution, absl::Duration elapsed, size_t width);

// How an execution ended and what to do next.
std::string EndText(const v1::Execution& execution, const Invocation& invocation);

// After Ctrl-C or --wait-timeout: that it goes on, how to watch it, to ask what it waits for and to
// cancel it.
std::string DetachedText(const std::string& name, const Invocation& invocation);

// That it waits for an approval or an answer, how to see the plan and how to decide.
std::string AwaitsApprovalText(const v1::Execution& execution, const Invocation& invocation);

// Everything about one execution.
std::string Details(const v1::Execution& execution, const Invocation& invocation);

// A line for each execution.
std::string ExecutionTable(const google::protobuf::RepeatedPtrField<v1::Execution>& executions);

}  // namespace capstan::cli
