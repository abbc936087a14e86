#include "server/validate_task.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "core/catalog/parameters.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/loader.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/validate_fields.h"

namespace capstan::server {
namespace {

constexpr std::string_view kWorkflowPrefix = "workflows/";
constexpr std::size_t kDigestBytes = 64;
constexpr std::size_t kMaxYamlBytes = 512 * 1024;
constexpr std::size_t kMaxFileNameBytes = 256;
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::size_t kMaxRefBytes = 256;
constexpr int kMaxArguments = 64;
constexpr const char* kWeights[] = {"trivial", "small", "medium", "large", "greenfield"};

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && absl::ascii_islower(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

bool IsDigest(std::string_view digest) {
  return digest.size() == kDigestBytes && std::all_of(digest.begin(), digest.end(), [](char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

// nullopt: neither "{name}" nor "{name}@{digest}".
std::optional<WorkflowName> ParseWorkflow(std::string_view text) {
  WorkflowName out;
  const std::size_t at = text.find('@');
  out.name = std::string(text.substr(0, at));
  if (at != std::string_view::npos) {
    out.digest = std::string(text.substr(at + 1));
    if (!IsDigest(out.digest)) return std::nullopt;
  }
  if (!IsName(out.name)) return std::nullopt;
  return out;
}

// [a-z0-9][a-z0-9._-]{0,62}.
void CheckProject(const std::string& project, Violations& violations) {
  const auto fits = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '-';
  };
  const bool begins =
      !project.empty() && (absl::ascii_islower(project[0]) || absl::ascii_isdigit(project[0]));
  if (begins && project.size() <= 63 && std::all_of(project.begin(), project.end(), fits)) return;
  violations.Add("project", Cat("got ", Quote(project), ", want [a-z0-9][a-z0-9._-]{0,62}"));
}

void AtMost(const char* field, const std::string& text, std::size_t most, Violations& violations) {
  if (text.size() <= most) return;
  violations.Add(field, Cat("got ", text.size(), " bytes, want at most ", most));
}

// Ids are repeated in prompts, answers and messages.
bool IsCriterionId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

void CheckDescription(const v1::TaskDescription& task, Violations& violations) {
  if (task.title().empty()) violations.Add("task.title", "got nothing, want 1 to 512 bytes");
  AtMost("task.id", task.id(), kMaxTaskIdBytes, violations);
  AtMost("task.title", task.title(), kMaxTaskTitleBytes, violations);
  AtMost("task.description", task.description(), kMaxTaskTextBytes, violations);
  AtMost("task.category", task.category(), 64, violations);
  AtMost("task.spec", task.spec(), kMaxTaskSpecBytes, violations);
  AtMost("task.initiative", task.initiative(), kMaxTaskTextBytes, violations);
  if (task.criteria_size() > kMaxTaskCriteria) {
    violations.Add("task.criteria",
                   Cat("got ", task.criteria_size(), ", want at most ", kMaxTaskCriteria));
    return;
  }
  std::set<std::string> seen;
  for (int i = 0; i < task.criteria_size(); ++i) {
    const v1::SuccessCriterion& one = task.criteria(i);
    const std::string field = Cat("task.criteria[", i, "]");
    if (!IsCriterionId(one.id())) {
      violations.Add(Cat(field, ".id"),
                     Cat("got ", Quote(one.id()), ", want [A-Za-z0-9._-]{1,64}"));
    } else if (!seen.insert(one.id()).second) {
      violations.Add(Cat(field, ".id"), Cat("got ", Quote(one.id()), " again, want each once"));
    }
    if (one.text().empty() || one.text().size() > 2048) {
      violations.Add(Cat(field, ".text"), Cat("got ", one.text().size(), " bytes, want 1 to 2048"));
    }
  }
}

void CheckCommands(const v1::RunTaskRequest& request, Violations& violations) {
  if (request.commands_size() > kMaxTaskCommands) {
    violations.Add("commands",
                   Cat("got ", request.commands_size(), ", want at most ", kMaxTaskCommands));
    return;
  }
  for (const auto& [name, line] : request.commands()) {
    if (name.empty() || name.size() > 63) {
      violations.Add("commands", Cat("got the name ", Quote(name), ", want 1 to 63 bytes"));
    }
    for (const std::string& argument : line.argv()) {
      if (argument.size() <= kMaxTaskTextBytes) continue;
      violations.Add(
          Cat("commands.", name, ".argv"),
          Cat("got an argument of ", argument.size(), " bytes, want at most ", kMaxTaskTextBytes));
    }
    if (line.argv_size() < 1 || line.argv_size() > kMaxArguments || line.argv(0).empty()) {
      violations.Add(Cat("commands.", name, ".argv"),
                     Cat("got ", line.argv_size(), " arguments, want a program and at most ",
                         kMaxArguments - 1, " arguments"));
    }
  }
}

void CheckInputs(const v1::RunTaskRequest& request, Violations& violations) {
  if (request.inputs_size() > kMaxTaskInputs) {
    violations.Add("inputs", Cat("got ", request.inputs_size(), ", want at most ", kMaxTaskInputs));
    return;
  }
  for (const auto& [name, value] : request.inputs()) {
    if (name.empty() || name.size() > 63) {
      violations.Add("inputs", Cat("got the name ", Quote(name), ", want 1 to 63 bytes"));
    } else if (value.size() > kMaxTaskTextBytes) {
      violations.Add(Cat("inputs.", name),
                     Cat("got ", value.size(), " bytes, want at most ", kMaxTaskTextBytes));
    }
  }
}

void CheckRepository(const v1::Repository& repository, Violations& violations) {
  const std::string& path = repository.path();
  const bool tricky = path.find("/../") != std::string::npos ||
                      path.find('\0') != std::string::npos ||
                      (path.size() >= 3 && path.compare(path.size() - 3, 3, "/..") == 0);
  if (path.empty() || path[0] != '/' || path.size() > kMaxPathBytes || tricky) {
    violations.Add("repository.path",
                   Cat("got ", Quote(path), ", want an absolute path without .., at most ",
                       kMaxPathBytes, " bytes"));
  }
  const std::string& ref = repository.base_ref();
  const bool fits = ref.size() <= kMaxRefBytes && (ref.empty() || ref[0] != '-') &&
                    std::all_of(ref.begin(), ref.end(), [](char c) {
                      return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '/';
                    });
  if (!fits || ref.find("..") != std::string::npos) {
    violations.Add("repository.base_ref",
                   Cat("got ", Quote(ref), ", want a branch, a tag or a commit"));
  }
}

// A branch as people name it; what git makes of other names is a commit, or nothing.
bool IsBranchName(const std::string& name) {
  const auto is_hex = [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
  };
  const bool commit =
      (name.size() == 40 || name.size() == 64) && std::all_of(name.begin(), name.end(), is_hex);
  return !name.empty() && !commit && name != "HEAD" && name.rfind("refs/", 0) != 0;
}

void CheckContext(const v1::RunTaskRequest& request, Violations& violations) {
  const v1::ContextKind context = request.context();
  if (!v1::ContextKind_IsValid(context)) {
    violations.Add("context", Cat("got ", static_cast<int>(context),
                                  ", want CONTEXT_KIND_TASK, CONTEXT_KIND_BRANCH or "
                                  "CONTEXT_KIND_STANDALONE"));
    return;
  }
  const bool needs_none = context == v1::CONTEXT_KIND_STANDALONE;
  if (needs_none && request.has_repository()) {
    violations.Add("repository",
                   "got one, want none: the context is STANDALONE, which begins with nothing");
  } else if (!needs_none && context != v1::CONTEXT_KIND_UNSPECIFIED && !request.has_repository()) {
    violations.Add("repository", Cat("got nothing, want one: the context is ",
                                     v1::ContextKind_Name(context).substr(13)));
  } else if (context == v1::CONTEXT_KIND_BRANCH && !IsBranchName(request.repository().base_ref())) {
    violations.Add("repository.base_ref", Cat("got ", Quote(request.repository().base_ref()),
                                              ", want the name of a branch, as in main: the "
                                              "context is BRANCH"));
  }
}

void CheckTimeout(const v1::RunTaskRequest& request, Violations& violations) {
  if (!request.has_timeout()) return;
  if (!IsValid(request.timeout())) {
    violations.Add("timeout",
                   "got a Duration out of range, want seconds and nanos as in "
                   "google.protobuf.Duration");
    return;
  }
  const absl::Duration timeout = FromProto(request.timeout());
  if (timeout < absl::ZeroDuration() || timeout > kMaxTaskTimeout) {
    violations.Add("timeout", Cat("got ", absl::FormatDuration(timeout), ", want 0 to ",
                                  absl::FormatDuration(kMaxTaskTimeout)));
  }
}

absl::Status TooLongReason(const std::string& reason) {
  return InvalidField("reason",
                      Cat("got ", reason.size(), " bytes, want at most ", kMaxReasonBytes));
}

}  // namespace

absl::StatusOr<WorkflowName> CheckRunTask(const v1::RunTaskRequest& request) {
  Violations violations;
  CheckSubmitFields(request, violations);
  std::optional<WorkflowName> workflow;
  const bool both = !request.workflow().empty() && !request.weight().empty();
  if (both || (request.workflow().empty() && request.weight().empty())) {
    violations.Add("workflow", both ? "got both workflow and weight, want one of them"
                                    : "got nothing, want a workflow's name, or a weight");
  } else if (!request.workflow().empty()) {
    workflow = ParseWorkflow(request.workflow());
    if (!workflow) {
      violations.Add("workflow",
                     Cat("got ", Quote(request.workflow()), ", want {name} or {name}@{digest}"));
    }
  } else if (std::find(std::begin(kWeights), std::end(kWeights), request.weight()) ==
             std::end(kWeights)) {
    violations.Add("weight", Cat("got ", Quote(request.weight()),
                                 ", want trivial, small, medium, large or greenfield"));
  } else {
    workflow = WorkflowName{request.weight(), ""};
  }
  CheckDescription(request.task(), violations);
  CheckInputs(request, violations);
  CheckCommands(request, violations);
  if (request.has_repository()) CheckRepository(request.repository(), violations);
  CheckContext(request, violations);
  CheckTimeout(request, violations);
  if (request.max_cost_microusd() < 0) {
    violations.Add("max_cost_microusd",
                   Cat("got ", request.max_cost_microusd(), ", want 0 or more"));
  }
  if (!request.project().empty()) CheckProject(request.project(), violations);
  AtMost("budget_override", request.budget_override(), kMaxReasonBytes, violations);
  if (!request.budget_override().empty() && request.project().empty()) {
    violations.Add("project",
                   "got nothing, want the project whose budget budget_override is about");
  }
  if (!v1::Profile_IsValid(request.profile())) {
    violations.Add("profile", Cat("got ", static_cast<int>(request.profile()),
                                  ", want PROFILE_AUTO, PROFILE_FAST, PROFILE_SAFE or "
                                  "PROFILE_STRICT"));
  }
  CAPSTAN_RETURN_IF_ERROR(violations.ToStatus());
  return *std::move(workflow);
}

absl::Status CheckAgainst(const v1::RunTaskRequest& request, const v1::Workflow& workflow) {
  if (workflow::TaskMustBringSpec(workflow) && request.task().spec().empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "SPEC_REQUIRED",
                 Cat("task.spec: got nothing, want a specification: the workflow ", workflow.name(),
                     " needs one and has no step that writes it"),
                 {{"workflow", workflow.name()}});
  }
  Violations violations;
  for (const v1::WorkflowVariable& variable : workflow.variables()) {
    if (variable.source_case() != v1::WorkflowVariable::kInput || variable.has_default_value())
      continue;
    if (!request.inputs().contains(variable.input())) {
      violations.Add(Cat("inputs.", variable.input()),
                     Cat("got nothing, want a value: the workflow's variable ", variable.name(),
                         " has no default"));
    }
  }
  return violations.ToStatus();
}

absl::Status CheckActions(const v1::Workflow& workflow, const catalog::Catalog& catalog) {
  Violations violations;
  for (const v1::WorkflowStep& step : workflow.steps()) {
    if (!step.has_action()) continue;
    const std::string field = Cat("steps.", step.name(), ".action");
    const catalog::ActionDefinition* const action = catalog.Find(step.action().action());
    if (action == nullptr) {
      violations.Add(Cat(field, ".action"), Cat("got ", Quote(step.action().action()),
                                                ", want one of: ", catalog.KnownNames()));
      continue;
    }
    const auto& given = step.action().parameters().fields();
    std::set<std::string> known;
    for (const catalog::ParameterDefinition& parameter : action->parameters) {
      known.insert(parameter.name);
      if (!parameter.required || given.contains(parameter.name)) continue;
      violations.Add(Cat(field, ".parameters.", parameter.name),
                     Cat("got nothing, want ", catalog::Expectation(parameter)));
    }
    for (const auto& [name, value] : given) {
      if (known.contains(name)) continue;
      violations.Add(Cat(field, ".parameters"),
                     Cat("got ", Quote(name), ", want a parameter of ", action->name));
    }
  }
  return violations.ToStatus();
}

absl::StatusOr<WorkflowName> CheckWorkflowName(std::string_view name) {
  std::optional<WorkflowName> found;
  if (name.substr(0, kWorkflowPrefix.size()) == kWorkflowPrefix)
    found = ParseWorkflow(name.substr(kWorkflowPrefix.size()));
  if (found) return *found;
  return InvalidField(
      "name", Cat("got ", Quote(name), ", want workflows/{name} or workflows/{name}@{digest}"));
}

absl::Status CheckPause(const std::string& reason) {
  return reason.size() <= kMaxReasonBytes ? absl::OkStatus() : TooLongReason(reason);
}

absl::Status CheckReadTranscript(const v1::ReadTranscriptRequest& request) {
  Violations violations;
  if (request.after() < 0)
    violations.Add("after", Cat("got ", request.after(), ", want 0 or more"));
  if (request.step().size() > 63)
    violations.Add("step", Cat("got ", Quote(request.step()), ", want a step's name"));
  return violations.ToStatus();
}

absl::Status CheckSetProjectBudget(const v1::SetProjectBudgetRequest& request) {
  Violations violations;
  CheckProject(request.project(), violations);
  if (request.monthly_limit_microusd() < 0) {
    violations.Add("monthly_limit_microusd",
                   Cat("got ", request.monthly_limit_microusd(), ", want 0 or more"));
  }
  CAPSTAN_RETURN_IF_ERROR(violations.ToStatus());
  return CheckReason(request.reason());
}

absl::Status CheckPutWorkflow(const std::string& yaml, const std::string& file) {
  Violations violations;
  if (yaml.empty() || yaml.size() > kMaxYamlBytes)
    violations.Add("yaml", Cat("got ", yaml.size(), " bytes, want 1 to ", kMaxYamlBytes));
  AtMost("file", file, kMaxFileNameBytes, violations);
  return violations.ToStatus();
}

}  // namespace capstan::server
