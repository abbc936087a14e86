// Reads workflow definitions from YAML and checks them. Strict: a key nobody knows, a value of the
// wrong type, a step that does not exist, a cycle, a way back to a step that is no ancestor, or a
// variable that nothing defines is an error with file and line; all of them are reported at once.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "capstan/v1/workflow.pb.h"

namespace capstan::workflow {

// Gives the text of a file that a definition names: kind is "prompts", "prompts/fragments" or
// "schemas".
using ReadPart =
    std::function<absl::StatusOr<std::string>(std::string_view kind, std::string_view name)>;

// One definition, with the texts of prompts, schemas and fragments put in. INVALID_ARGUMENT with a
// line "file:line: …" for each error.
absl::StatusOr<v1::Workflow> Load(std::string_view yaml, std::string_view file,
                                  const ReadPart& read);

// Every definition in `catalog_dir`/workflows, by name. NOT_FOUND: there is no such folder.
absl::StatusOr<std::vector<v1::Workflow>> LoadAll(const std::string& catalog_dir);

// Checks a definition that came by another way; errors name fields ("steps[2].retry_from: got …,
// want …") instead of lines.
absl::Status Check(const v1::Workflow& workflow);

// SHA-256, in hex, over the definition's deterministic serialisation: its version.
std::string Digest(const v1::Workflow& workflow);

// Whether a task must bring a specification: one is required and no step writes it (artifact spec).
bool TaskMustBringSpec(const v1::Workflow& workflow);

// The values in force where the definition says nothing.
int MaxIterations(const v1::WorkflowStep& step);
int MaxRetries(const v1::Workflow& workflow);
int MaxLoops(const v1::StepLoop& loop);

// Whether it may be sent twice.
bool IsRepeatable(const v1::HttpStep& http);
// Whether it may run again when nobody knows how far it came: what changes nothing but the
// workspace, and what says so of itself.
bool IsRepeatable(const v1::WorkflowStep& step);

// The variable that gets what it gives; empty: none does.
const std::string& OutputVariable(const v1::WorkflowStep& step);

// It has triggers for this moment; for BEFORE_STEP, before any step.
bool HasTriggers(const v1::Workflow& workflow, v1::WorkflowTrigger::When when);

// The call that gives a variable its value.
v1::HttpStep CallOf(const v1::HttpVariable& variable);

}  // namespace capstan::workflow
