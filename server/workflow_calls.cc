#include "server/workflow_calls.h"

#include <utility>

#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/loader.h"
#include "server/audit_text.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/validate_task.h"

namespace capstan::server {
namespace {

constexpr char kCatalogCaller[] = "catalog";

absl::StatusOr<v1::WorkflowVersion> VersionOf(const storage::DefinitionRow& row) {
  v1::WorkflowVersion version;
  version.set_name(Cat("workflows/", row.name));
  version.set_version(row.version);
  version.set_digest(row.digest);
  version.set_caller(row.caller);
  *version.mutable_create_time() = ToProto(row.created_at);
  if (!version.mutable_workflow()->ParseFromString(row.body))
    return absl::InternalError(Cat("definition ", row.name, "@", row.digest, " does not parse"));
  return version;
}

// Names, kinds and what depends on what.
void LeaveOutTexts(v1::Workflow& workflow) {
  workflow.clear_variables();
  workflow.clear_triggers();
  for (v1::WorkflowStep& step : *workflow.mutable_steps()) {
    v1::WorkflowStep shown;
    shown.set_name(step.name());
    shown.set_description(step.description());
    *shown.mutable_depends_on() = step.depends_on();
    switch (step.kind_case()) {
      case v1::WorkflowStep::kLlm:
        shown.mutable_llm()->set_model(step.llm().model());
        break;
      case v1::WorkflowStep::kCommand:
        shown.mutable_command();
        break;
      case v1::WorkflowStep::kGateOnly:
        shown.mutable_gate_only();
        break;
      case v1::WorkflowStep::kCheck:
        shown.mutable_check();
        break;
      case v1::WorkflowStep::kAction:
        shown.mutable_action()->set_action(step.action().action());
        break;
      case v1::WorkflowStep::kHttp:
        shown.mutable_http()->set_method(step.http().method());
        break;
      case v1::WorkflowStep::KIND_NOT_SET:
        break;
    }
    step = std::move(shown);
  }
}

// A definition that comes over the wire brings its texts with it.
absl::StatusOr<std::string> NoFiles(std::string_view kind, std::string_view name) {
  return absl::InvalidArgumentError(Cat("got the file ", std::string(kind), "/", std::string(name),
                                        ", want its text here: no files come with this call"));
}

storage::NewDefinition DefinitionOf(const v1::Workflow& workflow, const std::string& caller) {
  storage::NewDefinition definition;
  definition.name = workflow.name();
  definition.digest = workflow::Digest(workflow);
  definition.body = workflow.SerializeAsString();
  definition.caller = caller;
  definition.audit = AuditText({{"kind", "put_workflow"},
                                {"caller", caller},
                                {"workflow", definition.name},
                                {"workflow_digest", definition.digest}});
  return definition;
}

}  // namespace

absl::StatusOr<v1::WorkflowVersion> FindWorkflow(const Parts& parts, const std::string& name,
                                                 const std::string& digest) {
  absl::StatusOr<storage::DefinitionRow> row = parts.tasks.ReadDefinition(name, digest);
  if (!absl::IsNotFound(row.status())) {
    CAPSTAN_RETURN_IF_ERROR(row.status());
    return VersionOf(*row);
  }
  CAPSTAN_ASSIGN_OR_RETURN(const auto all, parts.tasks.ListDefinitions());
  std::string known;
  for (const storage::DefinitionRow& one : all) Append(&known, known.empty() ? "" : ", ", one.name);
  return Error(
      absl::StatusCode::kNotFound, "WORKFLOW_NOT_FOUND",
      Cat("workflow: got \"", name, digest.empty() ? "" : "@", digest, "\", want one of: ", known),
      {{"workflow", name}});
}

absl::Status ListWorkflowsNow(const Parts& parts, v1::ListWorkflowsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const auto rows, parts.tasks.ListDefinitions());
  for (const storage::DefinitionRow& row : rows) {
    CAPSTAN_ASSIGN_OR_RETURN(*response.add_workflows(), VersionOf(row));
    LeaveOutTexts(*response.mutable_workflows()->rbegin()->mutable_workflow());
  }
  return absl::OkStatus();
}

absl::Status GetWorkflowNow(const Parts& parts, const v1::GetWorkflowRequest& request,
                            v1::GetWorkflowResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const WorkflowName name, CheckWorkflowName(request.name()));
  CAPSTAN_ASSIGN_OR_RETURN(*response.mutable_workflow(),
                           FindWorkflow(parts, name.name, name.digest));
  return absl::OkStatus();
}

absl::Status PutWorkflowNow(const Parts& parts, const std::string& caller,
                            const v1::PutWorkflowRequest& request,
                            v1::PutWorkflowResponse& response) {
  CAPSTAN_RETURN_IF_ERROR(CheckPutWorkflow(request.yaml(), request.file()));
  const std::string file = request.file().empty() ? "yaml" : request.file();
  absl::StatusOr<v1::Workflow> workflow = workflow::Load(request.yaml(), file, NoFiles);
  if (!workflow.ok()) {
    return InvalidField("yaml", std::string(workflow.status().message()), "INVALID_WORKFLOW");
  }
  CAPSTAN_RETURN_IF_ERROR(CheckActions(*workflow, parts.catalog));
  if (request.validate_only()) {
    v1::WorkflowVersion& version = *response.mutable_workflow();
    version.set_name(Cat("workflows/", workflow->name()));
    version.set_digest(workflow::Digest(*workflow));
    *version.mutable_workflow() = *std::move(workflow);
    return absl::OkStatus();
  }
  CAPSTAN_ASSIGN_OR_RETURN(const storage::TaskStore::Put put,
                           parts.tasks.PutDefinition(DefinitionOf(*workflow, caller)));
  CAPSTAN_ASSIGN_OR_RETURN(*response.mutable_workflow(), VersionOf(put.row));
  response.set_unchanged(!put.made);
  return absl::OkStatus();
}

absl::Status StoreBuiltIn(storage::TaskStore& tasks, const std::string& catalog_dir) {
  CAPSTAN_ASSIGN_OR_RETURN(const auto workflows, workflow::LoadAll(catalog_dir));
  for (const v1::Workflow& one : workflows) {
    storage::NewDefinition definition = DefinitionOf(one, kCatalogCaller);
    definition.comes_with_program = true;
    CAPSTAN_RETURN_IF_ERROR(tasks.PutDefinition(definition).status());
  }
  return absl::OkStatus();
}

}  // namespace capstan::server
