#include "server/admin_service.h"

#include "core/status_macros.h"
#include "server/audit_check.h"
#include "server/emergency_stops.h"
#include "server/methods.h"
#include "server/policy_decisions.h"
#include "server/project_budgets.h"
#include "server/proto_time.h"
#include "server/rpc.h"
#include "server/targets.h"

namespace capstan::server {
namespace {

v1::Worker ToProto(const storage::WorkerRow& row) {
  v1::Worker worker;
  worker.set_name(WorkerName(row.id));
  worker.set_host(row.info.host);
  worker.set_version(row.info.version);
  worker.set_state(row.dead       ? v1::Worker::STATE_DEAD
                   : row.draining ? v1::Worker::STATE_DRAINING
                                  : v1::Worker::STATE_LIVE);
  *worker.mutable_start_time() = server::ToProto(row.started_at);
  *worker.mutable_heartbeat_time() = server::ToProto(row.heartbeat_at);
  worker.set_executions_held(row.executions_held);
  return worker;
}

absl::Status ListWorkersNow(storage::Reader& reader, v1::ListWorkersResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::WorkerRow> rows, reader.ListWorkers());
  for (const storage::WorkerRow& row : rows) *response.add_workers() = ToProto(row);
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* AdminServiceImpl::ListWorkers(grpc::CallbackServerContext* context,
                                                        const v1::ListWorkersRequest*,
                                                        v1::ListWorkersResponse* response) {
  return AnswerOnPool(parts_, kListWorkers, context,
                      [this, response](Rpc&) { return ListWorkersNow(parts_.reader, *response); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::EmergencyStop(grpc::CallbackServerContext* context,
                                                          const v1::EmergencyStopRequest* request,
                                                          v1::EmergencyStopResponse* response) {
  return AnswerOnPool(parts_, kEmergencyStop, context, [this, request, response](Rpc& rpc) {
    return StopNow(parts_, rpc.caller(), *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListEmergencyStops(
    grpc::CallbackServerContext* context, const v1::ListEmergencyStopsRequest*,
    v1::ListEmergencyStopsResponse* response) {
  return AnswerOnPool(parts_, kListEmergencyStops, context,
                      [this, response](Rpc&) { return ListStopsNow(parts_, *response); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::LiftEmergencyStop(
    grpc::CallbackServerContext* context, const v1::LiftEmergencyStopRequest* request,
    v1::LiftEmergencyStopResponse* response) {
  return AnswerOnPool(parts_, kLiftEmergencyStop, context, [this, request, response](Rpc& rpc) {
    return LiftNow(parts_, rpc.caller(), *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListTargets(grpc::CallbackServerContext* context,
                                                        const v1::ListTargetsRequest* request,
                                                        v1::ListTargetsResponse* response) {
  return AnswerOnPool(parts_, kListTargets, context, [this, request, response](Rpc&) {
    return ListTargetsNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ClearTargetBlock(
    grpc::CallbackServerContext* context, const v1::ClearTargetBlockRequest* request,
    v1::ClearTargetBlockResponse* response) {
  return AnswerOnPool(parts_, kClearTargetBlock, context, [this, request, response](Rpc& rpc) {
    return ClearNow(parts_, rpc.caller(), *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListPolicyDecisions(
    grpc::CallbackServerContext* context, const v1::ListPolicyDecisionsRequest* request,
    v1::ListPolicyDecisionsResponse* response) {
  return AnswerOnPool(parts_, kListPolicyDecisions, context, [this, request, response](Rpc&) {
    return ListDecisionsNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::SetProjectBudget(
    grpc::CallbackServerContext* context, const v1::SetProjectBudgetRequest* request,
    v1::SetProjectBudgetResponse* response) {
  return AnswerOnPool(parts_, kSetProjectBudget, context, [this, request, response](Rpc& rpc) {
    return SetBudgetNow(parts_, rpc.caller(), *request, *response);
  });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ListProjectBudgets(
    grpc::CallbackServerContext* context, const v1::ListProjectBudgetsRequest*,
    v1::ListProjectBudgetsResponse* response) {
  return AnswerOnPool(parts_, kListProjectBudgets, context,
                      [this, response](Rpc&) { return ListBudgetsNow(parts_, *response); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::VerifyAudit(grpc::CallbackServerContext* context,
                                                        const v1::VerifyAuditRequest*,
                                                        v1::VerifyAuditResponse* response) {
  return AnswerOnPool(parts_, kVerifyAudit, context,
                      [this, response](Rpc&) { return VerifyAuditNow(parts_.admin, *response); });
}

}  // namespace capstan::server
