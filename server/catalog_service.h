// capstan.v1.CatalogService: the actions in memory and the workflows in the
// store, as its proto says.
#pragma once

#include "capstan/v1/catalog_service.grpc.pb.h"
#include "server/parts.h"

namespace capstan::server {

class CatalogServiceImpl final : public v1::CatalogService::CallbackService {
 public:
  explicit CatalogServiceImpl(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* ListActions(grpc::CallbackServerContext* context,
                                        const v1::ListActionsRequest* request,
                                        v1::ListActionsResponse* response) override;
  grpc::ServerUnaryReactor* GetAction(grpc::CallbackServerContext* context,
                                      const v1::GetActionRequest* request,
                                      v1::GetActionResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkflows(grpc::CallbackServerContext* context,
                                          const v1::ListWorkflowsRequest* request,
                                          v1::ListWorkflowsResponse* response) override;
  grpc::ServerUnaryReactor* GetWorkflow(grpc::CallbackServerContext* context,
                                        const v1::GetWorkflowRequest* request,
                                        v1::GetWorkflowResponse* response) override;
  grpc::ServerUnaryReactor* PutWorkflow(grpc::CallbackServerContext* context,
                                        const v1::PutWorkflowRequest* request,
                                        v1::PutWorkflowResponse* response) override;

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
