#include "tests/scenarios/model_tasks.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

constexpr char kSchema[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue","blocked"]},"reason":{"type":"string"},"summary":{"type":"string"}},"additionalProperties":false}')";

std::unique_ptr<ModelStub> StartStub() {
  auto stub = ModelStub::Start();
  CAPSTAN_CHECK(stub.ok());
  return *std::move(stub);
}

SystemOptions OptionsFor(const std::string& worker_program) {
  SystemOptions options;
  options.worker_program = worker_program;
  options.named_callers = true;
  return options;
}

}  // namespace

std::string WithSchema(std::string yaml) {
  const std::string mark = "BASE";
  for (std::size_t at = yaml.find(mark); at != std::string::npos; at = yaml.find(mark, at))
    yaml.replace(at, mark.size(), kSchema);
  return yaml;
}

ModelSystem::ModelSystem(std::string engine_name, const std::string& worker_program)
    : engine(std::move(engine_name)),
      stub(StartStub()),
      system(System::Make(OptionsFor(worker_program))),
      server(system->StartServer()) {}

std::vector<std::string> ModelSystem::WorkerFlags() const {
  std::vector<std::string> flags;
  for (const std::string& flag : room.WorkerFlags()) {
    if (!absl::StartsWith(flag, "--tasks.engine=") &&
        !absl::StartsWith(flag, "--tasks.script_file="))
      flags.push_back(flag);
  }
  flags.push_back(absl::StrCat("--tasks.engine=", engine));
  flags.push_back("--tasks.model=fast");
  flags.push_back(absl::StrCat("--tasks.", engine, ".base_url=", stub->Url()));
  if (engine == "claude_cli") {
    const char* const program = std::getenv("CAPSTAN_CLAUDE");
    CAPSTAN_CHECK(program != nullptr);  // tests/support/model_stub/claude_cli.sh run
    flags.push_back(absl::StrCat("--tasks.claude_cli.program=", program));
  }
  return flags;
}

Process& ModelSystem::StartWorker(const std::map<std::string, std::string>& env,
                                  const std::vector<std::string>& flags) {
  std::vector<std::string> all = WorkerFlags();
  all.insert(all.end(), flags.begin(), flags.end());
  workers.push_back(system->StartWorker(env, all));
  return *workers.back();
}

StubReply Says(const nlohmann::json& answer, const std::string& text) {
  return {.text = text + answer.dump()};
}

StubReply Refuses(int status, const std::string& type, const std::string& message) {
  StubReply reply;
  reply.status = status;
  reply.error_type = type;
  reply.error_message = message;
  return reply;
}

std::int64_t CostOf(const StubUsage& usage) {
  // Prices of the model "fast"; in halves of a hundredth, so that they are whole.
  return (usage.input * 200 + usage.output * 1000 + usage.cache_creation * 250 +
          usage.cache_read * 20) /
         200;
}

std::vector<std::string> IterationsOf(const std::vector<v1::ExecutionEvent>& events) {
  std::vector<std::string> out;
  for (const v1::ExecutionEvent& event : events) {
    if (!event.has_iteration_finished()) continue;
    const v1::IterationFinished& one = event.iteration_finished();
    out.push_back(
        absl::StrCat(one.step(), " ", one.attempt(), ".", one.iteration(), " ",
                     v1::IterationFinished::Status_Name(one.status()).substr(sizeof("STATUS_") - 1),
                     one.error().empty() ? "" : " ", one.error()));
  }
  return out;
}

std::vector<v1::UsageRecorded> UsageOf(const std::vector<v1::ExecutionEvent>& events) {
  std::vector<v1::UsageRecorded> out;
  for (const v1::ExecutionEvent& event : events) {
    if (event.has_usage_recorded()) out.push_back(event.usage_recorded());
  }
  return out;
}

std::string Said(const std::vector<v1::TranscriptEntry>& transcript, v1::TranscriptEntry::Role role,
                 const std::string& step, int attempt) {
  std::string text;
  for (const v1::TranscriptEntry& entry : transcript) {
    const bool asked_for = entry.role() == role && (step.empty() || entry.step() == step) &&
                           (attempt == 0 || entry.attempt() == attempt);
    if (asked_for) text += entry.text();
  }
  return text;
}

int CountOf(const std::vector<v1::TranscriptEntry>& transcript, v1::TranscriptEntry::Role role) {
  int count = 0;
  for (const v1::TranscriptEntry& entry : transcript) count += entry.role() == role ? 1 : 0;
  return count;
}

}  // namespace capstan::testing
