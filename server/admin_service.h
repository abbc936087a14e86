// capstan.v1.AdminService, as its proto says.
#pragma once

#include "capstan/v1/admin_service.grpc.pb.h"
#include "server/parts.h"

namespace capstan::server {

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
