#include "cli/stop_commands.h"

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/follow_command.h"
#include "cli/render_admin.h"

namespace capstan::cli {
namespace {

v1::StopScope ScopeOf(const Options& options) {
  v1::StopScope scope;
  if (options.stop_all) scope.set_all(true);
  if (!options.stop_namespace.empty()) scope.set_namespace_(options.stop_namespace);
  if (!options.stop_action.empty()) scope.set_action(options.stop_action);
  if (!options.stop_worker.empty())
    scope.set_worker(WithCollection("workers", options.stop_worker));
  return scope;
}

}  // namespace

int StopCreate(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::EmergencyStopRequest request;
  request.set_request_id(RequestId(session.options));
  *request.mutable_scope() = ScopeOf(session.options);
  request.set_reason(session.options.reason);
  request.set_cancel_running(session.options.cancel_running);
  v1::EmergencyStopResponse response;
  grpc::Status status = session.UnaryIdempotent([&](grpc::ClientContext& context) {
    return stub->EmergencyStop(&context, request, &response);
  });
  if (!status.ok()) return AdviseOnLostAnswer(session, session.Fail(status), request.request_id());
  session.Print(response,
                StoppedText(response, session.options.cancel_running, session.invocation()));
  return kOk;
}

int StopList(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListEmergencyStopsResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->ListEmergencyStops(&context, {}, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, StopTable(response.stops()));
  return kOk;
}

int StopLift(Session& session) {
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::LiftEmergencyStopRequest request;
  request.set_name(WithCollection("stops", session.options.name));
  request.set_reason(session.options.reason);
  request.set_validate_only(session.options.dry_run);
  v1::LiftEmergencyStopResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->LiftEmergencyStop(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, LiftedText(response, session.options.dry_run));
  return kOk;
}

}  // namespace capstan::cli
