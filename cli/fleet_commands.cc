#include "cli/fleet_commands.h"

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/render_admin.h"
#include "cli/render_catalog.h"

namespace capstan::cli {

int WorkerList(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListWorkersResponse response;
  grpc::Status status = session.Unary(
      [&](grpc::ClientContext& context) { return stub->ListWorkers(&context, {}, &response); });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, WorkerTable(response.workers()));
  return kOk;
}

int AuditVerify(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::VerifyAuditResponse response;
  grpc::Status status = session.Unary(
      [&](grpc::ClientContext& context) { return stub->VerifyAudit(&context, {}, &response); },
      absl::InfiniteDuration());
  if (!status.ok()) return session.Fail(status);
  session.Print(response, AuditText(response));
  return response.problems().empty() ? kOk : kFindings;
}

}  // namespace capstan::cli
