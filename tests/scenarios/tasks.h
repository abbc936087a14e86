// Tasks on the whole system: a worker with the scripted engine, a git repository, workflows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capstan/v1/workflow.pb.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {

// A folder for workspaces, a git repository with one commit (README.md), and a script file.
class TaskRoom {
 public:
  TaskRoom();
  ~TaskRoom();

  const std::string& repository() const { return repository_; }
  const std::string& workspaces() const { return workspaces_; }
  const std::string& script() const { return script_; }
  // What the scripted engine says and does: YAML, worker/phases/script.h.
  void SetScript(const std::string& yaml) const;
  // Of a worker that takes tasks.
  std::vector<std::string> WorkerFlags() const;
  // What git says of the repository; without the last line break.
  std::string Git(const std::vector<std::string>& arguments) const;

 private:
  std::string directory_, repository_, workspaces_, script_;
};

// Stores a definition; fails the test when it is refused.
void PutWorkflow(Server& server, const std::string& yaml);

v1::RunTaskRequest Task(const std::string& workflow, const TaskRoom* room = nullptr);

// Submits and returns the execution's name.
absl::StatusOr<std::string> Submit(Server& server, v1::RunTaskRequest request,
                                   const std::string& caller = "");
// Runs to the end of the stream.
Streamed RunToEnd(Server& server, const v1::RunTaskRequest& request,
                  const std::string& caller = "");

// Decides the open approval of a task.
grpc::Status DecideGate(Server& server, const std::string& name, bool approve,
                        const std::string& reason, const std::string& caller);

std::vector<v1::TranscriptEntry> ReadTranscript(Server& server, const std::string& name,
                                                std::int64_t after = 0);

// "spec:SUCCEEDED implement:FAILED", in order of their ends.
std::string EndsOf(const std::vector<v1::ExecutionEvent>& events);

}  // namespace capstan::testing
