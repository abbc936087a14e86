// What AdminService does about targets. Everything blocks on the store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "capstan/v1/admin_service.pb.h"
#include "server/parts.h"

namespace capstan::server {

absl::Status ListTargetsNow(const Parts& parts, const v1::ListTargetsRequest& request,
                            v1::ListTargetsResponse& response);
absl::Status ClearNow(const Parts& parts, const std::string& caller,
                      const v1::ClearTargetBlockRequest& request,
                      v1::ClearTargetBlockResponse& response);

}  // namespace capstan::server
