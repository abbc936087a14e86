#include "cli/action_commands.h"

#include <utility>

#include "capstan/v1/catalog_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/file_input.h"
#include "cli/follow_command.h"
#include "cli/parameters_input.h"
#include "cli/render_catalog.h"
#include "cli/submission.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

absl::StatusOr<google::protobuf::Struct> ReadParametersFile(Session& session) {
  const std::string& path = session.options.parameters_file;
  if (path.empty()) return google::protobuf::Struct();
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, ReadInput(path, session.environment.in));
  absl::StatusOr<google::protobuf::Struct> parameters = ParseParametersJson(text);
  if (!parameters.ok()) return Annotate(parameters.status(), path);
  return parameters;
}

grpc::Status GetAction(Session& session, v1::Action* action) {
  auto stub = v1::CatalogService::NewStub(session.channel);
  v1::GetActionRequest request;
  request.set_name(WithCollection("actions", session.options.name));
  v1::GetActionResponse response;
  grpc::Status status = session.Unary(
      [&](grpc::ClientContext& context) { return stub->GetAction(&context, request, &response); });
  *action = response.action();
  return status;
}

// --require and --no-require. INVALID_ARGUMENT for a condition named twice.
absl::Status AddOverrides(const Options& options, v1::ExecuteActionRequest* request) {
  auto& overrides = *request->mutable_condition_overrides();
  for (const bool required : {true, false}) {
    for (const std::string& name : required ? options.require : options.no_require) {
      if (!overrides.insert({name, required}).second) {
        return absl::InvalidArgumentError(
            Cat("--require and --no-require: \"", name, "\" is given twice"));
      }
    }
  }
  return absl::OkStatus();
}

// Everything but the parameters.
absl::StatusOr<v1::ExecuteActionRequest> MakeRequest(const Options& options) {
  v1::ExecuteActionRequest request;
  CAPSTAN_RETURN_IF_ERROR(FillSubmission(options, &request));
  request.set_action(options.name);
  request.set_on_conflict(options.on_conflict);
  if (options.max_retries) request.set_max_retries(*options.max_retries);
  CAPSTAN_RETURN_IF_ERROR(AddOverrides(options, &request));
  return request;
}

}  // namespace

int ActionRun(Session& session) {
  absl::StatusOr<v1::ExecuteActionRequest> request = MakeRequest(session.options);
  if (!request.ok())
    return UsageError(session.environment, std::string(request.status().message()));
  absl::StatusOr<google::protobuf::Struct> parameters = ReadParametersFile(session);
  if (!parameters.ok())
    return UsageError(session.environment, std::string(parameters.status().message()));
  v1::Action action;
  if (!session.options.parameters.empty()) {
    // An action that there is not is refused by the server when it is submitted.
    grpc::Status status = GetAction(session, &action);
    if (!status.ok() && status.error_code() != grpc::StatusCode::NOT_FOUND)
      return session.Fail(status);
  }
  absl::Status added = AddParameters(session.options.parameters, action, &*parameters);
  if (!added.ok()) return UsageError(session.environment, std::string(added.message()));
  *request->mutable_parameters() = *std::move(parameters);

  const int code = FollowToTheEnd(session, SubmitMode(session),
                                  [&](Follower& follower) { return follower.Submit(*request); });
  return AdviseOnLostAnswer(session, code, request->request_id());
}

int ActionList(Session& session) {
  auto stub = v1::CatalogService::NewStub(session.channel);
  v1::ListActionsResponse response;
  grpc::Status status = session.Unary(
      [&](grpc::ClientContext& context) { return stub->ListActions(&context, {}, &response); });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, ActionTable(response.actions()));
  return kOk;
}

int ActionShow(Session& session) {
  v1::Action action;
  grpc::Status status = GetAction(session, &action);
  if (!status.ok()) return session.Fail(status);
  session.Print(action, ActionDetails(action));
  return kOk;
}

}  // namespace capstan::cli
