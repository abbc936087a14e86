#include "core/workflow/loader.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "core/config/yaml.h"
#include "core/ids.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/problems.h"

namespace capstan::workflow {
namespace {

constexpr int kMaxSteps = 64;
constexpr int kMaxVariables = 128;
constexpr std::size_t kMaxDefinitionBytes = 2 * 1024 * 1024;  // below what one call may carry
constexpr std::size_t kMaxFileBytes = 1024 * 1024;
constexpr std::size_t kMaxWorkflows = 256;
constexpr int kDefaultModelIterations = 20;
constexpr int kDefaultRetries = 5;
constexpr int kDefaultLoops = 3;

std::vector<Problem> FindProblems(const v1::Workflow& workflow) {
  Problems problems;
  CheckSizes(workflow, problems);
  if (!problems.list().empty()) return problems.list();
  CheckFields(workflow, problems);
  CheckGraph(workflow, problems);
  CheckReferences(workflow, problems);
  return problems.list();
}

// The line of what is written at `path`, or of what it would stand in.
int LineOf(const config::YamlFindings& findings, std::string path) {
  while (!path.empty()) {
    const auto found = findings.lines.find(path);
    if (found != findings.lines.end()) return found->second;
    const std::size_t end = path.find_last_of(".[");
    path.resize(end == std::string::npos ? 0 : end);
  }
  return 1;
}

// Puts the texts of named files in their place, and remembers what went wrong.
class Parts {
 public:
  Parts(std::string_view file, const ReadPart& read, config::YamlFindings& findings)
      : file_(file), read_(read), findings_(findings) {}

  void PutInto(v1::Workflow& workflow) {
    for (int i = 0; i < workflow.steps_size(); ++i) {
      PutIntoStep(*workflow.mutable_steps(i), ItemPath("steps", i));
    }
    for (int i = 0; i < workflow.variables_size(); ++i) {
      if (!workflow.variables(i).has_fragment()) continue;
      Put("prompts/fragments", ItemPath("variables", i) + ".fragment",
          *workflow.mutable_variables(i)->mutable_fragment());
    }
  }

 private:
  void PutIntoStep(v1::WorkflowStep& step, const std::string& at) {
    if (step.has_llm()) {
      v1::ModelStep& model = *step.mutable_llm();
      const std::string path = at + ".llm";
      PutIfFile("prompts", path + ".prompt_file", *model.mutable_prompt());
      PutIfFile("prompts", path + ".system_prompt_file", *model.mutable_system_prompt());
      PutIfFile("schemas", path + ".schema_file", *model.mutable_schema());
    }
    if (step.gate().has_judge()) {
      PutIfFile("prompts", at + ".gate.judge.prompt_file",
                *step.mutable_gate()->mutable_judge()->mutable_prompt());
    }
    for (int i = 0; i < step.checks_size(); ++i) {
      if (!step.checks(i).has_judge()) continue;
      PutIfFile("prompts", ItemPath(at + ".checks", i) + ".judge.prompt_file",
                *step.mutable_checks(i)->mutable_judge()->mutable_prompt());
    }
  }

  void PutIfFile(std::string_view kind, const std::string& path, std::string& text) {
    if (findings_.lines.count(path) != 0) Put(kind, path, text);
  }

  void Put(std::string_view kind, const std::string& path, std::string& text) {
    absl::StatusOr<std::string> part = read_(kind, text);
    if (part.ok()) {
      text = *std::move(part);
      return;
    }
    findings_.errors.push_back(Cat(file_, ":", LineOf(findings_, path), ": ", path, ": got \"",
                                   text, "\": ", part.status().message()));
  }

  const std::string_view file_;
  const ReadPart& read_;
  config::YamlFindings& findings_;
};

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(Cat(path.string(), ": cannot be read, or is empty"));
  }
  if (text.tellp() > static_cast<std::streamoff>(kMaxFileBytes)) {
    return absl::InvalidArgumentError(
        Cat(path.string(), ": want at most ", kMaxFileBytes, " bytes"));
  }
  return text.str();
}

// A name of a file in its folder, nothing that leads out of it.
bool IsFileName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' &&
         name.find_first_of("/\\") == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

ReadPart PartsOf(const std::filesystem::path& catalog) {
  return [catalog](std::string_view kind, std::string_view name) -> absl::StatusOr<std::string> {
    if (!IsFileName(name)) return absl::InvalidArgumentError(Cat("want a file of ", kind, "/"));
    return ReadFile(catalog / std::filesystem::path(kind) / std::filesystem::path(name));
  };
}

absl::StatusOr<std::vector<std::filesystem::path>> ListFiles(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return absl::NotFoundError(Cat("catalog ", folder.string(), ": ", error.message()));
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  if (files.size() > kMaxWorkflows) {
    return absl::InvalidArgumentError(
        Cat("catalog ", folder.string(), ": want at most ", kMaxWorkflows, " workflows"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<v1::Workflow> LoadFile(const std::filesystem::path& path, const ReadPart& read) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return Load(text, path.string(), read);
}

}  // namespace

void CheckSizes(const v1::Workflow& workflow, Problems& problems) {
  const int steps = workflow.steps_size();
  const int variables = workflow.variables_size();
  if (steps < 1 || steps > kMaxSteps) {
    problems.Add("steps", Cat("got ", steps, " of them, want 1 to ", kMaxSteps));
  }
  if (variables > kMaxVariables) {
    problems.Add("variables", Cat("got ", variables, " of them, want at most ", kMaxVariables));
  }
  if (workflow.ByteSizeLong() > kMaxDefinitionBytes) {
    problems.Add("workflow", Cat("got ", workflow.ByteSizeLong(), " bytes, want at most ",
                                 kMaxDefinitionBytes));
  }
}

absl::StatusOr<v1::Workflow> Load(std::string_view yaml, std::string_view file,
                                  const ReadPart& read) {
  if (yaml.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(Cat(file, ": want at most ", kMaxFileBytes, " bytes"));
  }
  v1::Workflow workflow;
  config::YamlFindings findings = config::ReadYaml(yaml, file, workflow);
  if (findings.lines.empty() && !findings.errors.empty()) {  // not YAML at all
    return absl::InvalidArgumentError(absl::StrJoin(findings.errors, "\n"));
  }
  Parts(file, read, findings).PutInto(workflow);
  for (const Problem& problem : FindProblems(workflow)) {
    findings.errors.push_back(
        Cat(file, ":", LineOf(findings, problem.path), ": ", problem.path, ": ", problem.text));
  }
  if (findings.errors.empty()) return workflow;
  return absl::InvalidArgumentError(absl::StrJoin(findings.errors, "\n"));
}

absl::StatusOr<std::vector<v1::Workflow>> LoadAll(const std::string& catalog_dir) {
  const std::filesystem::path catalog(catalog_dir);
  const ReadPart read = PartsOf(catalog);
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files,
                           ListFiles(catalog / "workflows"));
  std::vector<v1::Workflow> workflows;
  std::vector<std::string> errors;
  std::set<std::string> names;
  for (const std::filesystem::path& path : files) {
    absl::StatusOr<v1::Workflow> workflow = LoadFile(path, read);
    if (!workflow.ok()) {
      errors.emplace_back(workflow.status().message());
    } else if (!names.insert(workflow->name()).second) {
      errors.push_back(Cat(path.string(), ": name: got \"", workflow->name(),
                           "\", want a name that no other file has"));
    } else {
      workflows.push_back(*std::move(workflow));
    }
  }
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  std::sort(workflows.begin(), workflows.end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  return workflows;
}

absl::Status Check(const v1::Workflow& workflow) {
  const std::vector<Problem> problems = FindProblems(workflow);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(problems, "\n", [](std::string* out, const Problem& problem) {
        Append(out, problem.path, ": ", problem.text);
      }));
}

std::string Digest(const v1::Workflow& workflow) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    workflow.SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

bool TaskMustBringSpec(const v1::Workflow& workflow) {
  return workflow.requires_spec() &&
         std::none_of(workflow.steps().begin(), workflow.steps().end(),
                      [](const v1::WorkflowStep& step) { return step.artifact() == "spec"; });
}

int MaxIterations(const v1::WorkflowStep& step) {
  if (step.max_iterations() > 0) return step.max_iterations();
  return step.has_llm() ? kDefaultModelIterations : 1;
}

int MaxRetries(const v1::Workflow& workflow) {
  return workflow.max_retries() > 0 ? workflow.max_retries() : kDefaultRetries;
}

int MaxLoops(const v1::StepLoop& loop) {
  return loop.max_loops() > 0 ? loop.max_loops() : kDefaultLoops;
}

bool IsRepeatable(const v1::HttpStep& http) {
  return http.repeatable() || http.method() == "GET" || http.method() == "HEAD";
}

bool IsRepeatable(const v1::WorkflowStep& step) {
  if (step.has_command()) return step.command().repeatable();
  return !step.has_http() || IsRepeatable(step.http());
}

const std::string& OutputVariable(const v1::WorkflowStep& step) {
  return step.has_http() ? step.http().output_variable() : step.command().output_variable();
}

bool HasTriggers(const v1::Workflow& workflow, v1::WorkflowTrigger::When when) {
  return std::any_of(workflow.triggers().begin(), workflow.triggers().end(),
                     [&](const v1::WorkflowTrigger& trigger) { return trigger.when() == when; });
}

v1::HttpStep CallOf(const v1::HttpVariable& variable) {
  v1::HttpStep call;
  call.set_method("GET");
  call.set_url(variable.url());
  *call.mutable_headers() = variable.headers();
  *call.mutable_secret_headers() = variable.secret_headers();
  return call;
}

}  // namespace capstan::workflow
