// HTTP calls, variables that scripts and services give, and triggers, each for itself.
#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/ascii.h"
#include "core/http_rules.h"
#include "core/workflow/loader.h"
#include "core/workflow/path.h"
#include "core/workflow/problems.h"

namespace capstan::workflow {
namespace {

constexpr int kMaxTriggers = 16;
constexpr int kMaxHeaders = 32;
constexpr std::int64_t kMaxTriggerSeconds = 600;  // the end of a task waits for them
constexpr std::size_t kMaxUrl = 8 * 1024;
constexpr std::size_t kMaxBody = 256 * 1024;
constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD",  "POST",
                                                      "PUT", "PATCH", "DELETE"};
// Headers whose values are credentials: a definition is stored and shown.
constexpr std::array<std::string_view, 3> kSecretHeaders = {"authorization", "cookie", "x-api-key"};

bool HasTags(std::string_view text) { return text.find("{{") != std::string_view::npos; }

// Whom it calls has to be written out: so policy sees it, and no value can change it.
void CheckUrl(const std::string& url, const std::string& path, Problems& problems) {
  CheckSize(url, kMaxUrl, path, problems);
  const std::size_t tag = url.find("{{");
  const std::size_t scheme = std::min(url.find("://"), tag);
  const std::size_t end =
      scheme == std::string::npos ? scheme : url.find_first_of("/?", scheme + 3);
  if (tag != std::string::npos && (end == std::string::npos || end > tag)) {
    return problems.Add(path, "got a host that a variable gives, want it written out");
  }
  const absl::StatusOr<HttpHost> host =
      ParseHttpUrl(tag == std::string::npos ? url : url.substr(0, end) + "/");
  if (!host.ok()) problems.Add(path, std::string(host.status().message()));
}

void CheckHeaders(const v1::HttpStep& http, const std::string& path, Problems& problems) {
  CheckCount(static_cast<int>(http.headers_size() + http.secret_headers_size()), 0, kMaxHeaders,
             path + ".headers", problems);
  std::set<std::string> names;
  const auto check_name = [&](const std::string& name, const std::string& at) {
    problems.Expect(IsHeaderName(name), at, name, "a header that is not of the transfer itself");
    problems.Expect(names.insert(absl::AsciiStrToLower(name)).second, at, name, "each header once");
  };
  for (const auto& [name, value] : http.headers()) {
    const std::string at = Cat(path, ".headers.", name);
    check_name(name, at);
    const bool is_secret = std::find(kSecretHeaders.begin(), kSecretHeaders.end(),
                                     absl::AsciiStrToLower(name)) != kSecretHeaders.end();
    if (is_secret) problems.Add(at, "got a value that all can read, want it in secret_headers");
    if (!HasTags(value) && !IsHeaderValue(value))
      problems.Add(at, "got a value with control characters or of more than 8 KiB, want neither");
  }
  for (const auto& [name, secret] : http.secret_headers()) {
    const std::string at = Cat(path, ".secret_headers.", name);
    check_name(name, at);
    problems.Expect(!secret.empty() && secret.size() <= kMaxNameBytes, at, secret,
                    "the name of a secret of the worker's configuration");
  }
}

// A script's name leads nowhere but into its folder.
bool IsScriptName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

void CheckTriggerWork(const v1::WorkflowTrigger& trigger, const std::string& path,
                      Problems& problems) {
  const auto& command = trigger.command();
  const auto& http = trigger.http();
  const std::string at = path + (trigger.has_http() ? ".http" : ".command");
  if (trigger.kind_case() == v1::WorkflowTrigger::KIND_NOT_SET) {
    return problems.Add(path, "got no kind, want one of command, http");
  }
  if (trigger.has_http()) {
    CheckHttpCall(http, at, problems);
  } else {
    CheckCommand(command, at, problems);
  }
  if (!(trigger.has_http() ? IsRepeatable(http) : command.repeatable())) {
    problems.Add(at + ".repeatable",
                 "got false, want true: it is run again when its worker is lost");
  }
  if (!(trigger.has_http() ? http.output_variable() : command.output_variable()).empty())
    problems.Add(at + ".output_variable", "got one, want none: nothing reads it");
}

void CheckTrigger(const v1::Workflow& workflow, const v1::WorkflowTrigger& trigger,
                  const std::string& path, Problems& problems) {
  problems.Expect(IsStepName(trigger.name()), path + ".name", trigger.name(),
                  "[a-z][a-z0-9_]{0,62}");
  if (!v1::WorkflowTrigger::When_IsValid(trigger.when()) ||
      trigger.when() == v1::WorkflowTrigger::WHEN_UNSPECIFIED) {
    problems.Add(path + ".when", "got none, want created, before_step, completed or failed");
  }
  const std::int64_t seconds = trigger.timeout().seconds();
  if (seconds < 0 || trigger.timeout().nanos() < 0 || seconds > kMaxTriggerSeconds) {
    problems.Add(path + ".timeout",
                 Cat("got ", seconds, " s, want 0 to ", kMaxTriggerSeconds, " s"));
  }
  if (!trigger.steps().empty() && trigger.when() != v1::WorkflowTrigger::WHEN_BEFORE_STEP)
    problems.Add(path + ".steps", "got some, want none unless when is before_step");
  for (int i = 0; i < trigger.steps_size(); ++i) {
    const bool runs = std::any_of(workflow.steps().begin(), workflow.steps().end(),
                                  [&](const v1::WorkflowStep& step) {
                                    return step.name() == trigger.steps(i) && !step.has_gate_only();
                                  });
    problems.Expect(runs, ItemPath(path + ".steps", i), trigger.steps(i),
                    "a step that does something");
  }
  CheckTriggerWork(trigger, path, problems);
}

}  // namespace

void CheckHttpCall(const v1::HttpStep& http, const std::string& path, Problems& problems) {
  const bool known = std::find(kMethods.begin(), kMethods.end(), http.method()) != kMethods.end();
  problems.Expect(known, path + ".method", http.method(), "GET, HEAD, POST, PUT, PATCH or DELETE");
  CheckUrl(http.url(), path + ".url", problems);
  CheckHeaders(http, path, problems);
  CheckSize(http.body(), kMaxBody, path + ".body", problems);
  if (!http.body().empty() && (http.method() == "GET" || http.method() == "HEAD"))
    problems.Add(path + ".body", Cat("got one, want none with ", http.method()));
  CheckCount(http.success_codes_size(), 0, kMaxListed, path + ".success_codes", problems);
  for (int i = 0; i < http.success_codes_size(); ++i) {
    const int code = http.success_codes(i);
    if (code < 100 || code > 599)
      problems.Add(ItemPath(path + ".success_codes", i), Cat("got ", code, ", want 100 to 599"));
  }
  CheckPattern(http.success_pattern(), path + ".success_pattern", problems);
}

void CheckFetched(const v1::WorkflowVariable& variable, const std::string& path,
                  Problems& problems) {
  if (variable.has_script()) {
    const v1::ScriptVariable& script = variable.script();
    problems.Expect(IsScriptName(script.name()), path + ".script.name", script.name(),
                    "a file's name: letters, digits, '.', '_' and '-'");
    CheckCount(script.arguments_size(), 0, kMaxArguments - 1, path + ".script.arguments", problems);
    for (int i = 0; i < script.arguments_size(); ++i) {
      CheckSize(script.arguments(i), kMaxArgument, ItemPath(path + ".script.arguments", i),
                problems);
    }
    CheckDuration(script.cache_ttl(), path + ".script.cache_ttl", problems);
  }
  if (!variable.has_http()) return;
  CheckHttpCall(CallOf(variable.http()), path + ".http", problems);
  const std::string& field = variable.http().path();
  problems.Expect(field.empty() || SplitPath(field).has_value(), path + ".http.path", field,
                  "a path such as items[0].name");
  CheckDuration(variable.http().cache_ttl(), path + ".http.cache_ttl", problems);
}

void CheckTriggers(const v1::Workflow& workflow, Problems& problems) {
  CheckCount(workflow.triggers_size(), 0, kMaxTriggers, "triggers", problems);
  std::set<std::string> names;
  for (int i = 0; i < std::min(workflow.triggers_size(), kMaxTriggers); ++i) {
    const std::string path = ItemPath("triggers", i);
    CheckTrigger(workflow, workflow.triggers(i), path, problems);
    problems.Expect(names.insert(workflow.triggers(i).name()).second, path + ".name",
                    workflow.triggers(i).name(), "a name that no other trigger has");
  }
}

}  // namespace capstan::workflow
