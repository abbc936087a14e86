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
  grpc::ServerUnaryReactor* EmergencyStop(grpc::CallbackServerContext* context,
                                          const v1::EmergencyStopRequest* request,
                                          v1::EmergencyStopResponse* response) override;
  grpc::ServerUnaryReactor* ListEmergencyStops(grpc::CallbackServerContext* context,
                                               const v1::ListEmergencyStopsRequest* request,
                                               v1::ListEmergencyStopsResponse* response) override;
  grpc::ServerUnaryReactor* LiftEmergencyStop(grpc::CallbackServerContext* context,
                                              const v1::LiftEmergencyStopRequest* request,
                                              v1::LiftEmergencyStopResponse* response) override;
  grpc::ServerUnaryReactor* ListTargets(grpc::CallbackServerContext* context,
                                        const v1::ListTargetsRequest* request,
                                        v1::ListTargetsResponse* response) override;
  grpc::ServerUnaryReactor* ClearTargetBlock(grpc::CallbackServerContext* context,
                                             const v1::ClearTargetBlockRequest* request,
                                             v1::ClearTargetBlockResponse* response) override;
  grpc::ServerUnaryReactor* ListPolicyDecisions(grpc::CallbackServerContext* context,
                                                const v1::ListPolicyDecisionsRequest* request,
                                                v1::ListPolicyDecisionsResponse* response) override;
  grpc::ServerUnaryReactor* SetProjectBudget(grpc::CallbackServerContext* context,
                                             const v1::SetProjectBudgetRequest* request,
                                             v1::SetProjectBudgetResponse* response) override;
  grpc::ServerUnaryReactor* ListProjectBudgets(grpc::CallbackServerContext* context,
                                               const v1::ListProjectBudgetsRequest* request,
                                               v1::ListProjectBudgetsResponse* response) override;
  grpc::ServerUnaryReactor* VerifyAudit(grpc::CallbackServerContext* context,
                                        const v1::VerifyAuditRequest* request,
                                        v1::VerifyAuditResponse* response) override;

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
