// capstan.v1.CatalogService: the catalog in memory, as its proto says.
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

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
