// Checks the audit log against its hashes.
#pragma once

#include "absl/status/status.h"
#include "capstan/v1/admin_service.pb.h"
#include "storage/admin_store.h"

namespace capstan::server {

// Reads every row. Blocks for as long as that takes.
absl::Status VerifyAuditNow(storage::AdminStore& admin, v1::VerifyAuditResponse& response);

}  // namespace capstan::server
