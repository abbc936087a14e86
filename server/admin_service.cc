#include "server/admin_service.h"

#include "core/status_macros.h"
#include "server/methods.h"
#include "server/proto_time.h"
#include "server/rpc.h"

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

}  // namespace capstan::server
