// Workflows as text for people. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "capstan/v1/catalog_service.pb.h"

namespace capstan::cli {

// A line for each workflow.
std::string WorkflowTable(const google::protobuf::RepeatedPtrField<v1::WorkflowVersion>& workflows);

// One definition with its steps and a command line to run it. Prompts are shown with -o json only.
std::string WorkflowDetails(const v1::WorkflowVersion& version);

// That it is stored, was stored already, or would be.
std::string StoredText(const v1::PutWorkflowResponse& response, bool validate_only);

}  // namespace capstan::cli
