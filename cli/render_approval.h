// Approvals as text for people. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "capstan/v1/approval_service.pb.h"
#include "capstan/v1/event.pb.h"
#include "cli/render_words.h"

namespace capstan::cli {

// A line for each open approval.
std::string ApprovalTable(const google::protobuf::RepeatedPtrField<v1::Approval>& approvals);

// What is to be approved: the execution, what the rules want, the plan, and how to decide.
std::string ApprovalDetails(const v1::Execution& execution, const v1::ApprovalRequested& requested,
                            const Invocation& invocation);

}  // namespace capstan::cli
