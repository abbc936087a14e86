#include "cli/workflow_commands.h"

#include <filesystem>
#include <utility>

#include "capstan/v1/catalog_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/file_input.h"
#include "cli/render_workflow.h"
#include "cli/workflow_file.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr size_t kMaxFileNameBytes = 256;  // that the server takes

// catalog/ of catalog/workflows/medium.yaml.
std::string CatalogOf(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  return (folder.empty() ? std::filesystem::path("..") : folder / "..").string();
}

absl::StatusOr<v1::PutWorkflowRequest> ReadRequest(const Session& session) {
  const Options& options = session.options;
  const std::string& file = options.name;
  CAPSTAN_ASSIGN_OR_RETURN(const std::string yaml, ReadInput(file, session.environment.in));
  const workflow::ReadPart read =
      PartsOf(options.catalog.empty() ? CatalogOf(file) : options.catalog);
  CAPSTAN_RETURN_IF_ERROR(workflow::Load(yaml, file, read).status());
  v1::PutWorkflowRequest request;
  CAPSTAN_ASSIGN_OR_RETURN(*request.mutable_yaml(), WithTexts(yaml, file, read));
  request.set_file(file.size() <= kMaxFileNameBytes ? file : "");
  request.set_validate_only(options.validate_only);
  return request;
}

}  // namespace

int WorkflowList(Session& session) {
  auto stub = v1::CatalogService::NewStub(session.channel);
  v1::ListWorkflowsResponse response;
  const grpc::Status status = session.Unary(
      [&](grpc::ClientContext& context) { return stub->ListWorkflows(&context, {}, &response); });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, WorkflowTable(response.workflows()));
  return kOk;
}

int WorkflowShow(Session& session) {
  auto stub = v1::CatalogService::NewStub(session.channel);
  v1::GetWorkflowRequest request;
  request.set_name(WithCollection("workflows", session.options.name));
  v1::GetWorkflowResponse response;
  const grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->GetWorkflow(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response.workflow(), WorkflowDetails(response.workflow()));
  return kOk;
}

int WorkflowPut(Session& session) {
  absl::StatusOr<v1::PutWorkflowRequest> request = ReadRequest(session);
  if (!request.ok())
    return UsageError(session.environment, std::string(request.status().message()));
  auto stub = v1::CatalogService::NewStub(session.channel);
  v1::PutWorkflowResponse response;
  // The same definition again changes nothing.
  const grpc::Status status = session.UnaryIdempotent([&](grpc::ClientContext& context) {
    return stub->PutWorkflow(&context, *request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  session.Print(response, StoredText(response, request->validate_only()));
  return kOk;
}

}  // namespace capstan::cli
