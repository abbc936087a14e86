// What AdminService does about stored policy decisions. Everything blocks on the store.
#pragma once

#include "absl/status/status.h"
#include "capstan/v1/admin_service.pb.h"
#include "server/parts.h"

namespace capstan::server {

absl::Status ListDecisionsNow(const Parts& parts, const v1::ListPolicyDecisionsRequest& request,
                              v1::ListPolicyDecisionsResponse& response);

}  // namespace capstan::server
