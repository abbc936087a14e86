// Emergency stops, targets and the audit log as text for people. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "absl/time/time.h"
#include "capstan/v1/admin_service.pb.h"
#include "cli/render_words.h"

namespace capstan::cli {

// A line for each stop in force.
std::string StopTable(const google::protobuf::RepeatedPtrField<v1::Stop>& stops);

// That the stop is in force, what was cancelled, and how to lift it.
std::string StoppedText(const v1::EmergencyStopResponse& response, bool cancel_running,
                        const Invocation& invocation);

// What starts now, or would start.
std::string LiftedText(const v1::LiftEmergencyStopResponse& response, bool validate_only);

// A line for each target; ages as of `now`.
std::string TargetTable(const google::protobuf::RepeatedPtrField<v1::TargetStatus>& targets,
                        absl::Time now);

// That the block is gone, and who is next.
std::string ClearedText(const v1::TargetStatus& target);

// A line for each project.
std::string BudgetTable(const google::protobuf::RepeatedPtrField<v1::ProjectBudget>& budgets);

// What a project may cost now, and has cost.
std::string BudgetText(const v1::ProjectBudget& budget);

// That the audit log is whole, or what is not as it was written; and the ends of its chains.
std::string AuditText(const v1::VerifyAuditResponse& response);

}  // namespace capstan::cli
