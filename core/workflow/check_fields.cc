#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/workflow/outcome.h"
#include "core/workflow/path.h"
#include "core/workflow/problems.h"
#include "nlohmann/json.hpp"

namespace capstan::workflow {
namespace {

constexpr std::int64_t kMaxSeconds = 7 * 24 * 3600;
constexpr std::int64_t kMaxCost = 1'000'000'000'000;  // a million dollars
constexpr int kMaxCounter = 1000;                     // iterations, turns, retries, loops
constexpr int kMaxThinkingTokens = 128 * 1024;
constexpr int kMaxQuorum = 20;
constexpr int kMaxExitCode = 255;
constexpr std::size_t kMaxDescription = 4 * 1024;
constexpr std::size_t kMaxPattern = 1024;
constexpr std::size_t kMaxPrompt = 256 * 1024;
constexpr std::string_view kEngines[] = {"claude_cli", "messages_api", "scripted"};
constexpr std::string_view kStepNameForm = "[a-z][a-z0-9_]{0,62}";

bool IsWorkflowName(std::string_view text) {
  return !text.empty() && text.size() <= 63 && absl::ascii_islower(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

std::string Quoted(std::string_view text) { return Cat("\"", text, "\""); }

template <class Texts>
void CheckTexts(const Texts& texts, const std::string& path, Problems& problems) {
  CheckCount(texts.size(), 0, kMaxListed, path, problems);
  for (int i = 0; i < texts.size(); ++i) {
    problems.Expect(!texts[i].empty() && texts[i].size() <= kMaxNameBytes, ItemPath(path, i),
                    texts[i], Cat("1 to ", kMaxNameBytes, " bytes"));
  }
}

template <class Texts>
void CheckArguments(const Texts& argv, const std::string& path, Problems& problems) {
  CheckCount(argv.size(), 1, kMaxArguments, path, problems);
  for (int i = 0; i < argv.size(); ++i) {
    CheckSize(argv[i], kMaxArgument, ItemPath(path, i), problems);
  }
  if (!argv.empty()) problems.Expect(!argv[0].empty(), ItemPath(path, 0), "", "a program");
}

// A folder under the workspace.
bool IsInside(std::string_view directory) {
  if (directory.substr(0, 1) == "/" || directory.size() > kMaxPattern) return false;
  const std::vector<std::string> parts = absl::StrSplit(AbslView(directory), '/');
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

bool HasProperty(const nlohmann::json& schema, const char* name) {
  return schema.is_object() && schema.contains("properties") && schema["properties"].is_object() &&
         schema["properties"].contains(name);
}

// The schema, and that it has room for what an answer of this step must bring.
void CheckAnswerSchema(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  if (step.llm().schema().empty()) return problems.Add(path, "got none, want a JSON schema");
  if (absl::Status status = CheckSchema(step.llm().schema()); !status.ok()) {
    return problems.Add(path, std::string(status.message()));
  }
  const nlohmann::json schema = nlohmann::json::parse(step.llm().schema(), nullptr, false);
  const auto want = [&](bool needed, const char* property, std::string_view field) {
    if (!needed || HasProperty(schema, property)) return;
    problems.Add(path,
                 Cat("got no property \"", property, "\", want one since ", field, " is set"));
  };
  want(!step.artifact().empty(), "artifact", "artifact");
  want(step.llm().evidence_required(), "tests", "evidence_required");
  want(step.llm().evidence_required(), "success_criteria", "evidence_required");
}

void CheckModelAndEngine(const std::string& model, const std::string& engine,
                         const std::string& path, Problems& problems) {
  CheckSize(model, kMaxNameBytes, path + ".model", problems);
  const bool known = engine.empty() || std::find(std::begin(kEngines), std::end(kEngines),
                                                 engine) != std::end(kEngines);
  problems.Expect(known, path + ".engine", engine, "claude_cli, messages_api or scripted");
}

void CheckJudgement(const v1::ModelJudgement& judge, const std::string& path, Problems& problems) {
  if (judge.prompt().empty()) problems.Add(path + ".prompt", "got none, want a template");
  CheckSize(judge.prompt(), kMaxPrompt, path + ".prompt", problems);
  CheckModelAndEngine(judge.model(), judge.engine(), path, problems);
  problems.ExpectWithin(judge.max_cost_microusd(), kMaxCost, path + ".max_cost_microusd");
}

void CheckModelStep(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  const v1::ModelStep& model = step.llm();
  if (model.prompt().empty()) problems.Add(path + ".prompt", "got none, want a template");
  CheckSize(model.prompt(), kMaxPrompt, path + ".prompt", problems);
  CheckSize(model.system_prompt(), kMaxPrompt, path + ".system_prompt", problems);
  CheckAnswerSchema(step, path + ".schema", problems);
  CheckModelAndEngine(model.model(), model.engine(), path, problems);
  problems.ExpectWithin(model.thinking_tokens(), kMaxThinkingTokens, path + ".thinking_tokens");
  problems.ExpectWithin(model.max_turns(), kMaxCounter, path + ".max_turns");
  CheckTexts(model.tools(), path + ".tools", problems);
}

// Its checks, its text and its iterations are those of the execution that it submits.
void CheckActionStep(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  const v1::ActionStep& action = step.action();
  const std::string at = path + ".action";
  problems.Expect(!action.action().empty() && action.action().size() <= kMaxNameBytes,
                  at + ".action", action.action(), "an action of the catalog");
  for (const auto& [name, value] : action.parameters().fields()) {
    const std::string parameter = Cat(at, ".parameters.", name);
    if (value.has_list_value() || value.has_struct_value() || value.has_null_value()) {
      const char* const got = value.has_list_value()     ? "a list"
                              : value.has_struct_value() ? "keys with values"
                                                         : "nothing";
      problems.Add(parameter, Cat("got ", got, ", want a text, a number or a boolean"));
    }
    CheckSize(value.string_value(), kMaxArgument, parameter, problems);
  }
  CheckDuration(action.timeout(), at + ".timeout", problems);
  if (step.checks_size() > 0) problems.Add(path + ".checks", "got some, want none on an action");
  if (step.max_iterations() > 1) {
    problems.Add(path + ".max_iterations",
                 Cat("got ", step.max_iterations(), ", want none: an action is submitted once"));
  }
  if (step.has_turn_timeout()) {
    problems.Add(path + ".turn_timeout", "got one, want none on an action: its timeout is all");
  }
}

void CheckQualityCheck(const v1::QualityCheck& check, const std::string& path, Problems& problems) {
  problems.Expect(IsStepName(check.name()), path + ".name", check.name(), kStepNameForm);
  const int kinds = (check.argv().empty() ? 0 : 1) + (check.command().empty() ? 0 : 1) +
                    (check.has_judge() ? 1 : 0);
  if (kinds != 1) {
    problems.Add(path, Cat("got ", kinds == 0 ? "none" : "more than one",
                           " of argv, command and judge, want one of them"));
  } else if (check.has_judge()) {
    CheckJudgement(check.judge(), path + ".judge", problems);
  } else if (!check.argv().empty()) {
    CheckArguments(check.argv(), path + ".argv", problems);
  } else {
    problems.Expect(IsStepName(check.command()), path + ".command", check.command(),
                    Cat("the name of a command that the task brings, ", kStepNameForm));
  }
  CheckDuration(check.timeout(), path + ".timeout", problems);
}

void CheckQualityChecks(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  CheckCount(step.checks_size(), 0, kMaxListed, path, problems);
  std::set<std::string> names;
  for (int i = 0; i < std::min(step.checks_size(), kMaxListed); ++i) {
    const std::string at = ItemPath(path, i);
    CheckQualityCheck(step.checks(i), at, problems);
    problems.Expect(names.insert(step.checks(i).name()).second, at + ".name", step.checks(i).name(),
                    "a name that no other check of the step has");
  }
}

// What happens when it is not passed fits the gate, and has what it needs.
void CheckRefusal(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  const v1::StepGate& gate = step.gate();
  const bool beside = gate.mode() == v1::StepGate::MODE_REACTION;
  const bool runs_script = gate.on_reject() == v1::StepGate::ON_REJECT_RUN_SCRIPT;
  const std::string at = path + ".on_reject";
  if (gate.on_reject() == v1::StepGate::ON_REJECT_RETRY && step.retry_from().empty())
    problems.Add(at, "got retry, want something else or a retry_from");
  if (beside && gate.on_reject() == v1::StepGate::ON_REJECT_SKIP_STEP)
    problems.Add(at,
                 "got skip_step, want fail, retry or run_script: in mode reaction it has begun");
  if (beside && gate.on_reject() == v1::StepGate::ON_REJECT_CONTINUE)
    problems.Add(at, "got continue, want fail, retry or run_script: in mode reaction it goes on");
  if (runs_script != gate.has_script()) {
    problems.Add(path + ".script", runs_script
                                       ? "got none, want one since on_reject is run_script"
                                       : "got one, want none unless on_reject is run_script");
  }
  if (!runs_script || !gate.has_script()) return;
  CheckCommand(gate.script(), path + ".script", problems);
  if (!gate.script().repeatable()) {
    problems.Add(path + ".script.repeatable",
                 "got false, want true: it is run again when its worker was lost");
  }
  problems.Expect(gate.script().output_variable().empty(), path + ".script.output_variable",
                  gate.script().output_variable(), "none: no step can use it");
}

void CheckGate(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  const v1::StepGate& gate = step.gate();
  const bool human = gate.kind() == v1::StepGate::KIND_HUMAN;
  const bool model = gate.kind() == v1::StepGate::KIND_MODEL;
  const bool skip = gate.kind() == v1::StepGate::KIND_SKIP;
  const auto only = [&](bool set, bool fits, const char* field, const char* kind) {
    if (set && !fits)
      problems.Add(Cat(path, ".", field), Cat("got one, want none unless kind is ", kind));
  };
  if (!v1::StepGate::Kind_IsValid(gate.kind()) || gate.kind() == v1::StepGate::KIND_UNSPECIFIED) {
    problems.Add(path + ".kind", "got none, want auto, human, model or skip");
  }
  only(gate.has_criteria(), gate.kind() == v1::StepGate::KIND_AUTO, "criteria", "auto");
  only(gate.has_timeout(), human, "timeout", "human");
  only(gate.quorum() != 0, human, "quorum", "human");
  only(!gate.groups().empty(), human, "groups", "human");
  only(gate.has_judge(), model, "judge", "model");
  only(gate.on_reject() != v1::StepGate::ON_REJECT_UNSPECIFIED, !skip, "on_reject",
       "auto, human or model");
  only(gate.mode() == v1::StepGate::MODE_REACTION, !skip, "mode", "auto, human or model");
  if (model && !gate.has_judge()) {
    problems.Add(path + ".judge", "got none, want one since kind is model");
  }
  if (gate.has_judge()) CheckJudgement(gate.judge(), path + ".judge", problems);
  CheckRefusal(step, path, problems);
  CheckDuration(gate.timeout(), path + ".timeout", problems);
  problems.ExpectWithin(gate.quorum(), kMaxQuorum, path + ".quorum");
  CheckTexts(gate.groups(), path + ".groups", problems);
  if (gate.has_criteria()) CheckCondition(gate.criteria(), path + ".criteria", problems);
}

void CheckKind(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  switch (step.kind_case()) {
    case v1::WorkflowStep::kLlm:
      return CheckModelStep(step, path + ".llm", problems);
    case v1::WorkflowStep::kCommand:
      return CheckCommand(step.command(), path + ".command", problems);
    case v1::WorkflowStep::kHttp:
      return CheckHttpCall(step.http(), path + ".http", problems);
    case v1::WorkflowStep::kGateOnly:
      if (!step.has_gate())
        problems.Add(path + ".gate", "got none, want one: the step is its gate");
      if (step.checks_size() > 0) problems.Add(path + ".checks", "got some, want none on a gate");
      break;
    case v1::WorkflowStep::kCheck:
      if (step.checks().empty()) {
        problems.Add(path + ".checks", "got none, want one or more: the step is its checks");
      }
      break;
    case v1::WorkflowStep::kAction:
      CheckActionStep(step, path, problems);
      break;
    default:
      return problems.Add(path,
                          "got no kind, want one of llm, command, http, action, gate_only, check");
  }
  if (!step.artifact().empty()) {
    problems.Add(path + ".artifact",
                 Cat("got ", Quoted(step.artifact()), ", want none: the step has no text"));
  }
}

void CheckLoop(const v1::StepLoop& loop, const std::string& path, Problems& problems) {
  problems.ExpectWithin(loop.max_loops(), kMaxCounter, path + ".max_loops");
  if (!loop.has_condition()) {
    return problems.Add(path + ".condition", "got none, want one: it would never end");
  }
  CheckCondition(loop.condition(), path + ".condition", problems);
}

void CheckStep(const v1::WorkflowStep& step, const std::string& path, Problems& problems) {
  problems.Expect(IsStepName(step.name()), path + ".name", step.name(), kStepNameForm);
  CheckSize(step.description(), kMaxDescription, path + ".description", problems);
  if (step.has_condition()) CheckCondition(step.condition(), path + ".condition", problems);
  if (step.has_gate()) CheckGate(step, path + ".gate", problems);
  CheckDuration(step.timeout(), path + ".timeout", problems);
  CheckDuration(step.turn_timeout(), path + ".turn_timeout", problems);
  problems.ExpectWithin(step.max_iterations(), kMaxCounter, path + ".max_iterations");
  if (step.has_loop()) CheckLoop(step.loop(), path + ".loop", problems);
  CheckQualityChecks(step, path + ".checks", problems);
  problems.Expect(step.artifact().empty() || IsStepName(step.artifact()), path + ".artifact",
                  step.artifact(), kStepNameForm);
  CheckKind(step, path, problems);
}

void CheckVariable(const v1::WorkflowVariable& variable, const std::string& path,
                   Problems& problems) {
  problems.Expect(IsVariableName(variable.name()), path + ".name", variable.name(),
                  "[A-Z][A-Z0-9_]{0,62}");
  CheckSize(variable.text(), kMaxPrompt, path + ".text", problems);
  CheckSize(variable.fragment(), kMaxPrompt, path + ".fragment", problems);
  CheckSize(variable.default_value(), kMaxPrompt, path + ".default_value", problems);
  const auto named = [&](bool set, const std::string& name, const char* field) {
    problems.Expect(!set || (!name.empty() && name.size() <= kMaxNameBytes), Cat(path, ".", field),
                    name, Cat("1 to ", kMaxNameBytes, " bytes"));
  };
  named(variable.has_input(), variable.input(), "input");
  named(variable.has_env(), variable.env(), "env");
  CheckFetched(variable, path, problems);
  if (variable.source_case() == v1::WorkflowVariable::SOURCE_NOT_SET &&
      !variable.has_default_value()) {
    problems.Add(path,
                 "got no source, want one of text, input, env, step_output, fragment, "
                 "script, http");
  }
}

}  // namespace

void CheckDuration(const google::protobuf::Duration& duration, const std::string& path,
                   Problems& problems) {
  if (duration.seconds() < 0 || duration.nanos() < 0 || duration.seconds() > kMaxSeconds) {
    problems.Add(path, Cat("got ", duration.seconds(), " s, want 0 to ", kMaxSeconds, " s"));
  }
}

void CheckSize(std::string_view text, std::size_t most, const std::string& path,
               Problems& problems) {
  if (text.size() > most) {
    problems.Add(path, Cat("got ", text.size(), " bytes, want at most ", most));
  }
}

void CheckCount(int count, int least, int most, const std::string& path, Problems& problems) {
  if (count < least || count > most) {
    problems.Add(path, Cat("got ", count, " of them, want ", least, " to ", most));
  }
}

void CheckPattern(const std::string& pattern, const std::string& path, Problems& problems) {
  CheckSize(pattern, kMaxPattern, path, problems);
  const re2::RE2 compiled(pattern.substr(0, kMaxPattern), re2::RE2::Quiet);
  problems.Expect(compiled.ok(), path, pattern, Cat("a regular expression: ", compiled.error()));
}

void CheckCommand(const v1::CommandStep& command, const std::string& path, Problems& problems) {
  CheckArguments(command.argv(), path + ".argv", problems);
  problems.Expect(IsInside(command.directory()), path + ".directory", command.directory(),
                  "a folder under the workspace");
  CheckPattern(command.success_pattern(), path + ".success_pattern", problems);
  CheckCount(command.success_codes_size(), 0, kMaxListed, path + ".success_codes", problems);
  for (int i = 0; i < command.success_codes_size(); ++i) {
    problems.ExpectWithin(command.success_codes(i), kMaxExitCode,
                          ItemPath(path + ".success_codes", i));
  }
}

void CheckFields(const v1::Workflow& workflow, Problems& problems) {
  problems.Expect(IsWorkflowName(workflow.name()), "name", workflow.name(), "[a-z][a-z0-9-]{0,62}");
  CheckSize(workflow.description(), kMaxDescription, "description", problems);
  CheckSize(workflow.model(), kMaxNameBytes, "model", problems);
  problems.ExpectWithin(workflow.max_retries(), kMaxCounter, "max_retries");
  problems.ExpectWithin(workflow.max_cost_microusd(), kMaxCost, "max_cost_microusd");
  CheckDuration(workflow.timeout(), "timeout", problems);
  for (int i = 0; i < workflow.steps_size(); ++i) {
    CheckStep(workflow.steps(i), ItemPath("steps", i), problems);
  }
  for (int i = 0; i < workflow.variables_size(); ++i) {
    CheckVariable(workflow.variables(i), ItemPath("variables", i), problems);
  }
  CheckTriggers(workflow, problems);
}

}  // namespace capstan::workflow
