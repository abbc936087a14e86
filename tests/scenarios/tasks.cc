#include "tests/scenarios/tasks.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/ids.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

namespace fs = std::filesystem;

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string Output(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  CAPSTAN_CHECK(pipe != nullptr);
  std::string text;
  char buffer[4096];
  while (const std::size_t size = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, size);
  EXPECT_EQ(pclose(pipe), 0) << command;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

TaskRoom::TaskRoom() {
  char name[] = "/tmp/capstan-tasks.XXXXXX";
  CAPSTAN_CHECK(mkdtemp(name) != nullptr);
  directory_ = name;
  fs::permissions(directory_, fs::perms(0755));
  repository_ = directory_ + "/repository";
  workspaces_ = directory_ + "/workspaces";
  script_ = directory_ + "/script.yaml";
  fs::create_directories(repository_);
  fs::create_directories(workspaces_);
  SetScript("default: {answer: {status: complete, summary: done}}\n");
  Git({"init", "--quiet", "--initial-branch=main"});
  std::ofstream(repository_ + "/README.md") << "A repository.\n";
  Git({"add", "README.md"});
  Git({"commit", "--quiet", "-m", "First"});
}

TaskRoom::~TaskRoom() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void TaskRoom::SetScript(const std::string& yaml) const { std::ofstream(script_) << yaml; }

std::vector<std::string> TaskRoom::WorkerFlags() const {
  return {absl::StrCat("--tasks.workspace_dir=", workspaces_),
          absl::StrCat("--tasks.repositories=", directory_), "--tasks.engine=scripted",
          absl::StrCat("--tasks.script_file=", script_)};
}

std::string TaskRoom::Git(const std::vector<std::string>& arguments) const {
  std::vector<std::string> quoted;
  for (const std::string& one : arguments) quoted.push_back(Quoted(one));
  return Output(absl::StrCat("git -C ", Quoted(repository_),
                             " -c user.name=Test -c user.email=test@localhost ",
                             absl::StrJoin(quoted, " ")));
}

void PutWorkflow(Server& server, const std::string& yaml) {
  grpc::ClientContext context;
  v1::PutWorkflowRequest request;
  request.set_yaml(yaml);
  v1::PutWorkflowResponse response;
  const grpc::Status status = server.catalog->PutWorkflow(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

v1::RunTaskRequest Task(const std::string& workflow, const TaskRoom* room) {
  v1::RunTaskRequest request;
  request.set_request_id(RandomUuid());
  request.set_workflow(workflow);
  request.mutable_task()->set_id("T-1");
  request.mutable_task()->set_title("Try it");
  request.mutable_task()->set_description("Something to be done.");
  if (room != nullptr) request.mutable_repository()->set_path(room->repository());
  return request;
}

absl::StatusOr<std::string> Submit(Server& server, v1::RunTaskRequest request,
                                   const std::string& caller) {
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  const Streamed streamed = RunToEnd(server, request, caller);
  if (!streamed.status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(streamed.status.error_code()),
                        streamed.status.error_message());
  }
  return streamed.snapshot->name();
}

Streamed RunToEnd(Server& server, const v1::RunTaskRequest& request, const std::string& caller) {
  Streamed streamed;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(100));
  if (!caller.empty()) context.AddMetadata("capstan-caller", caller);
  const auto reader = server.executions->RunTask(&context, request);
  v1::RunTaskResponse response;
  while (reader->Read(&response)) {
    if (response.update().has_snapshot() && !streamed.snapshot.has_value())
      streamed.snapshot = response.update().snapshot();
    if (response.update().has_event()) streamed.events.push_back(response.update().event());
  }
  streamed.status = reader->Finish();
  return streamed;
}

grpc::Status DecideGate(Server& server, const std::string& name, bool approve,
                        const std::string& reason, const std::string& caller) {
  grpc::ClientContext context;
  context.AddMetadata("capstan-caller", caller);
  v1::DecideApprovalRequest request;
  request.set_execution(name);
  request.set_plan_digest(Get(server, name).approval().plan_digest());
  request.set_decision(approve ? v1::DecideApprovalRequest::DECISION_APPROVE
                               : v1::DecideApprovalRequest::DECISION_REJECT);
  request.set_reason(reason);
  v1::DecideApprovalResponse response;
  return server.approvals->DecideApproval(&context, request, &response);
}

std::vector<v1::TranscriptEntry> ReadTranscript(Server& server, const std::string& name,
                                                std::int64_t after) {
  grpc::ClientContext context;
  v1::ReadTranscriptRequest request;
  request.set_name(name);
  request.set_after(after);
  const auto reader = server.executions->ReadTranscript(&context, request);
  std::vector<v1::TranscriptEntry> entries;
  v1::ReadTranscriptResponse response;
  while (reader->Read(&response)) {
    if (response.has_entry()) entries.push_back(response.entry());
  }
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return entries;
}

std::string EndsOf(const std::vector<v1::ExecutionEvent>& events) {
  std::string ends;
  for (const v1::ExecutionEvent& event : events) {
    if (!event.has_step_finished()) continue;
    const std::string state = v1::StepStatus::State_Name(event.step_finished().state());
    absl::StrAppend(&ends, ends.empty() ? "" : " ", event.step_finished().step(), ":",
                    state.substr(sizeof("STATE_") - 1));
  }
  return ends;
}

}  // namespace capstan::testing
