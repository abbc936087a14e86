// grpc.health.v1.Health from HealthMonitor. Ours and not gRPC's own, which reflection cannot find.
// The names are "" (the process) and that of each service; all have the same state.
#pragma once

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/health.h"
#include "server/parts.h"

namespace capstan::server {

class HealthServiceImpl final : public grpc::health::v1::Health::CallbackService {
 public:
  HealthServiceImpl(const Parts& parts, HealthMonitor& monitor)
      : parts_(parts), monitor_(monitor) {}

  // NOT_FOUND: no such service.
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  const Parts& parts_;
  HealthMonitor& monitor_;
};

}  // namespace capstan::server
