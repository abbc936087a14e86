// capstan.v1.ApprovalService, as its proto says.
#pragma once

#include "capstan/v1/approval_service.grpc.pb.h"
#include "server/parts.h"

namespace capstan::server {

class ApprovalServiceImpl final : public v1::ApprovalService::CallbackService {
 public:
  explicit ApprovalServiceImpl(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* ListApprovals(grpc::CallbackServerContext* context,
                                          const v1::ListApprovalsRequest* request,
                                          v1::ListApprovalsResponse* response) override;
  grpc::ServerUnaryReactor* DecideApproval(grpc::CallbackServerContext* context,
                                           const v1::DecideApprovalRequest* request,
                                           v1::DecideApprovalResponse* response) override;

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
