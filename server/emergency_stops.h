// What AdminService does about emergency stops. Everything blocks on the store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "capstan/v1/admin_service.pb.h"
#include "server/parts.h"

namespace capstan::server {

absl::Status StopNow(const Parts& parts, const std::string& caller,
                     const v1::EmergencyStopRequest& request, v1::EmergencyStopResponse& response);
absl::Status ListStopsNow(const Parts& parts, v1::ListEmergencyStopsResponse& response);
absl::Status LiftNow(const Parts& parts, const std::string& caller,
                     const v1::LiftEmergencyStopRequest& request,
                     v1::LiftEmergencyStopResponse& response);

}  // namespace capstan::server
