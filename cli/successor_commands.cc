#include "cli/successor_commands.h"

#include <utility>

#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/follow_command.h"
#include "cli/render_explain.h"

namespace capstan::cli {
namespace {

// Makes the new execution by `call(context, request, response)` and follows it.
template <class Response, class Request, class Call>
int FollowNew(Session& session, const Request& request, const Call& call) {
  const auto begin = [&](grpc::ClientContext& context, v1::Execution* execution,
                         bool* deduplicated) {
    Response response;
    grpc::Status status = call(&context, request, &response);
    *execution = std::move(*response.mutable_execution());
    *deduplicated = response.deduplicated();
    return status;
  };
  const int code = FollowToTheEnd(session, SubmitMode(session), [&](Follower& follower) {
    return follower.Start(begin, session.options.no_wait);
  });
  return AdviseOnLostAnswer(session, code, request.request_id());
}

}  // namespace

int ExecutionRetry(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::RetryExecutionRequest request;
  request.set_name(ExecutionName(session));
  request.set_request_id(RequestId(session.options));
  request.set_accept_repeated_effect(session.options.accept_repeated_effect);
  request.set_from_step(session.options.from_step);
  return FollowNew<v1::RetryExecutionResponse>(
      session, request, [&](auto&&... arguments) { return stub->RetryExecution(arguments...); });
}

int ExecutionRollback(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::RollbackExecutionRequest request;
  request.set_name(ExecutionName(session));
  request.set_request_id(RequestId(session.options));
  request.set_dry_run(session.options.dry_run);
  return FollowNew<v1::RollbackExecutionResponse>(
      session, request, [&](auto&&... arguments) { return stub->RollbackExecution(arguments...); });
}

int ExecutionExplain(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::ExplainExecutionRequest request;
  request.set_name(ExecutionName(session));
  v1::ExplainExecutionResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->ExplainExecution(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, ExplainText(response, session.environment.clock.Now()));
  return kOk;
}

}  // namespace capstan::cli
