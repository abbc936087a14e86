#include "server/catalog_service.h"

#include "core/catalog/action_proto.h"
#include "core/text.h"
#include "server/methods.h"
#include "server/rpc.h"
#include "server/workflow_calls.h"

namespace capstan::server {
namespace {

constexpr std::string_view kActionPrefix = "actions/";
constexpr std::size_t kMaxNameBytes = 253;  // of a name repeated in an error

absl::Status FindAction(const catalog::Catalog& catalog, std::string_view name,
                        v1::Action& action) {
  if (name.substr(0, kActionPrefix.size()) != kActionPrefix || name.size() > kMaxNameBytes) {
    return InvalidField(
        "name", Cat("got ", std::string(name.substr(0, kMaxNameBytes)), ", want actions/{name}"));
  }
  const catalog::ActionDefinition* found = catalog.Find(name.substr(kActionPrefix.size()));
  if (found == nullptr) {
    return Error(
        absl::StatusCode::kNotFound, "ACTION_NOT_FOUND",
        Cat("name: got ", std::string(name), ", want actions/ and one of: ", catalog.KnownNames()),
        {{"action", std::string(name)}});
  }
  action = catalog::ToProto(*found);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* CatalogServiceImpl::ListActions(grpc::CallbackServerContext* context,
                                                          const v1::ListActionsRequest*,
                                                          v1::ListActionsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Rpc rpc(parts_, kListActions, *context);
  if (Refused(parts_, reactor, rpc)) return reactor;
  for (const catalog::ActionDefinition& action : parts_.catalog.List()) {
    *response->add_actions() = catalog::ToProto(action);
  }
  Answer(reactor, rpc, absl::OkStatus());
  return reactor;
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetAction(grpc::CallbackServerContext* context,
                                                        const v1::GetActionRequest* request,
                                                        v1::GetActionResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Rpc rpc(parts_, kGetAction, *context);
  if (Refused(parts_, reactor, rpc)) return reactor;
  Answer(reactor, rpc, FindAction(parts_.catalog, request->name(), *response->mutable_action()));
  return reactor;
}

grpc::ServerUnaryReactor* CatalogServiceImpl::ListWorkflows(grpc::CallbackServerContext* context,
                                                            const v1::ListWorkflowsRequest*,
                                                            v1::ListWorkflowsResponse* response) {
  return AnswerOnPool(parts_, kListWorkflows, context,
                      [this, response](Rpc&) { return ListWorkflowsNow(parts_, *response); });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::GetWorkflow(grpc::CallbackServerContext* context,
                                                          const v1::GetWorkflowRequest* request,
                                                          v1::GetWorkflowResponse* response) {
  return AnswerOnPool(parts_, kGetWorkflow, context, [this, request, response](Rpc&) {
    return GetWorkflowNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* CatalogServiceImpl::PutWorkflow(grpc::CallbackServerContext* context,
                                                          const v1::PutWorkflowRequest* request,
                                                          v1::PutWorkflowResponse* response) {
  return AnswerOnPool(parts_, kPutWorkflow, context, [this, request, response](Rpc& rpc) {
    return PutWorkflowNow(parts_, rpc.caller(), *request, *response);
  });
}

}  // namespace capstan::server
