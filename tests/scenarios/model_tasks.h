// Tasks whose models are reached as in production: a real engine, and the Messages API as a script
// (tests/support/model_stub). What is scripted is what the model says; all else is the system.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/scenarios/tasks.h"
#include "tests/support/model_stub/model_stub.h"

namespace capstan::testing {

// Puts the schema of an answer, with status, reason and summary, in place of BASE.
std::string WithSchema(std::string yaml);

// A server, a repository, a model, and workers of one engine ("messages_api", or "claude_cli" with
// the program that CAPSTAN_CLAUDE names). The model is "fast".
struct ModelSystem {
  explicit ModelSystem(std::string engine, const std::string& worker_program = "");

  // The last one that was started; all end with this.
  Process& StartWorker(const std::map<std::string, std::string>& env = {},
                       const std::vector<std::string>& flags = {});
  std::vector<std::string> WorkerFlags() const;

  const std::string engine;
  TaskRoom room;
  std::unique_ptr<ModelStub> stub;
  std::unique_ptr<System> system;
  Server server;
  std::vector<std::unique_ptr<Process>> workers;
};

// ---- what the model says

// An answer of messages_api: `text`, then the structured answer.
StubReply Says(const nlohmann::json& answer, const std::string& text = "");
// A refusal: an HTTP status and the message of an API error.
StubReply Refuses(int status, const std::string& type, const std::string& message = "scripted");

// What a call of the model "fast" costs, by catalog/models.yaml; in millionths of a dollar.
std::int64_t CostOf(const StubUsage& usage);

// ---- what came of it

// "write 1.2 COMPLETE" or "write 1.1 ERROR TRANSIENT": step, attempt, iteration, and how it ended.
std::vector<std::string> IterationsOf(const std::vector<v1::ExecutionEvent>& events);
std::vector<v1::UsageRecorded> UsageOf(const std::vector<v1::ExecutionEvent>& events);
// The texts of a role, joined; `attempt` 0: of all.
std::string Said(const std::vector<v1::TranscriptEntry>& transcript, v1::TranscriptEntry::Role role,
                 const std::string& step = "", int attempt = 0);
int CountOf(const std::vector<v1::TranscriptEntry>& transcript, v1::TranscriptEntry::Role role);

}  // namespace capstan::testing
