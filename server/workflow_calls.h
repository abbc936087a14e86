// The calls about workflows of CatalogService, and what RunTask needs of them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "capstan/v1/catalog_service.pb.h"
#include "server/parts.h"

namespace capstan::server {

// The current definition, or the one with a digest. NOT_FOUND (WORKFLOW_NOT_FOUND). Blocks.
absl::StatusOr<v1::WorkflowVersion> FindWorkflow(const Parts& parts, const std::string& name,
                                                 const std::string& digest);

// Each blocks.
absl::Status ListWorkflowsNow(const Parts& parts, v1::ListWorkflowsResponse& response);
absl::Status GetWorkflowNow(const Parts& parts, const v1::GetWorkflowRequest& request,
                            v1::GetWorkflowResponse& response);
absl::Status PutWorkflowNow(const Parts& parts, const std::string& caller,
                            const v1::PutWorkflowRequest& request,
                            v1::PutWorkflowResponse& response);

// Stores the definitions that come with the program, those that were never stored. Blocks.
absl::Status StoreBuiltIn(storage::TaskStore& tasks, const std::string& catalog_dir);

}  // namespace capstan::server
