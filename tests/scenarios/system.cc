#include "tests/scenarios/system.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/ids.h"
#include "core/status_macros.h"
#include "google/protobuf/util/message_differencer.h"

namespace capstan::testing {
namespace {

namespace fs = std::filesystem;

constexpr char kNamespace[] = "capstan-actions";

// The programs lie in bin/ beside the folder of this one.
std::string Bin(const std::string& program) {
  return (fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / program)
      .string();
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

bool WaitForFile(const std::string& file, Process& process, const std::function<bool()>& done) {
  const int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  inotify_add_watch(inotify, fs::path(file).parent_path().c_str(),
                    IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  bool found = done();
  while (!found && process.Running()) {
    pollfd poll_fd{.fd = inotify, .events = POLLIN, .revents = 0};
    poll(&poll_fd, 1, /*timeout_ms=*/200);  // also to notice the end of the process
    char buffer[4096];
    while (read(inotify, buffer, sizeof buffer) > 0) {
    }
    found = done();
  }
  close(inotify);
  return found || done();
}

// ---- Process

absl::StatusOr<std::unique_ptr<Process>> Process::Start(
    const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
    const std::string& log) {
  const int log_fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) return absl::InternalError(absl::StrCat("cannot open ", log));
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    for (const auto& [key, value] : env) setenv(key.c_str(), value.c_str(), 1);
    execv(args[0], args.data());
    _exit(127);
  }
  close(log_fd);
  if (pid < 0) return absl::InternalError("fork failed");
  return std::unique_ptr<Process>(new Process(pid, log));
}

Process::~Process() {
  if (status_.has_value()) return;
  kill(pid_, SIGKILL);
  Wait();
}

void Process::Signal(int signal) {
  if (!status_.has_value()) kill(pid_, signal);
}

int Process::Wait() {
  if (!status_.has_value()) {
    int status = 0;
    CAPSTAN_CHECK(waitpid(pid_, &status, 0) == pid_);
    status_ = status;
  }
  return *status_;
}

bool Process::WaitStopped() {
  if (status_.has_value()) return false;
  int status = 0;
  CAPSTAN_CHECK(waitpid(pid_, &status, WUNTRACED) == pid_);
  if (WIFSTOPPED(status)) return true;
  status_ = status;
  return false;
}

bool Process::Running() {
  if (status_.has_value()) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return !status_.has_value();
}

std::string Process::Log() const { return ReadFile(log_); }

bool Process::WaitForLog(const std::string& text) {
  return WaitForFile(log_, *this, [&] { return Log().find(text) != std::string::npos; });
}

// ---- System

System::System(SystemOptions options) : options_(std::move(options)) {
  char name[] = "/tmp/capstan-scenario.XXXXXX";
  CAPSTAN_CHECK(mkdtemp(name) != nullptr);
  directory_ = name;
  catalog_ = absl::StrCat(directory_, "/catalog");
  policies_ = absl::StrCat(catalog_, "/policies");
  fs::copy(absl::StrCat(CAPSTAN_SOURCE_DIR, "/catalog"), catalog_, fs::copy_options::recursive);
}

System::~System() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

std::unique_ptr<System> System::Make(SystemOptions options) {
  std::unique_ptr<System> system(new System(std::move(options)));
  TestPostgres* own = system->options_.postgres;
  system->dsn_ = (own != nullptr ? *own : TestPostgres::Shared()).NewDatabase();
  if (!system->options_.kubeconfig.empty()) {
    fs::copy_file(system->options_.kubeconfig, system->LogFile("kubeconfig"));
    return system;
  }
  auto kube = kubesim::KubeSim::Start({.namespaces = {kNamespace}});
  CAPSTAN_CHECK(kube.ok());
  system->kube_ = *std::move(kube);
  system->kube_->AddDeployment("default", "web", 1);
  CAPSTAN_CHECK(system->kube_->WriteKubeconfig(system->LogFile("kubeconfig"), kNamespace).ok());
  return system;
}

std::string System::LogFile(const std::string& name) const {
  return absl::StrCat(directory_, "/", name);
}

std::string System::PortFile(int number) const { return LogFile(absl::StrCat("ports-", number)); }

std::unique_ptr<Process> System::LaunchServer(const std::map<std::string, std::string>& env,
                                              const std::vector<std::string>& flags) {
  const int number = ++processes_;
  const std::string program =
      options_.server_program.empty() ? "capstan-server" : options_.server_program;
  std::vector<std::string> argv = {Bin(program),
                                   absl::StrCat("--store.dsn=", dsn_),
                                   "--listen.address=127.0.0.1:0",
                                   "--http.address=127.0.0.1:0",
                                   absl::StrCat("--catalog_dir=", catalog_),
                                   absl::StrCat("--port-file=", PortFile(number))};
  if (options_.named_callers) argv.push_back("--listen.development_identity=true");
  argv.insert(argv.end(), flags.begin(), flags.end());
  return *Process::Start(argv, env, LogFile(absl::StrCat("server-", number, ".log")));
}

Server System::StartServer(const std::map<std::string, std::string>& env,
                           const std::vector<std::string>& flags) {
  Server server;
  server.process = LaunchServer(env, flags);
  const std::string ports = PortFile(processes_);
  std::string text;
  const bool up = WaitForFile(ports, *server.process, [&] {
    text = ReadFile(ports);
    return !text.empty() && text.back() == '\n';
  });
  if (!up) std::fprintf(stderr, "%s\n", server.process->Log().c_str());
  CAPSTAN_CHECK(up);
  std::istringstream numbers(text);
  int grpc_port = 0, http_port = 0;
  numbers >> grpc_port >> http_port;
  server.address = absl::StrCat("127.0.0.1:", grpc_port);
  server.http = absl::StrCat("http://127.0.0.1:", http_port);
  const auto channel = grpc::CreateChannel(server.address, grpc::InsecureChannelCredentials());
  server.executions = v1::ExecutionService::NewStub(channel);
  server.catalog = v1::CatalogService::NewStub(channel);
  server.admin = v1::AdminService::NewStub(channel);
  server.approvals = v1::ApprovalService::NewStub(channel);
  return server;
}

std::unique_ptr<Process> System::LaunchWorker(const std::map<std::string, std::string>& env,
                                              const std::vector<std::string>& flags) {
  const int number = ++processes_;
  const std::string program =
      options_.worker_program.empty() ? "capstan-worker" : options_.worker_program;
  std::vector<std::string> argv = {
      Bin(program),
      absl::StrCat("--store.dsn=", dsn_),
      "--store.idle_in_transaction_timeout=500ms",
      "--http.address=127.0.0.1:0",
      absl::StrCat("--catalog_dir=", catalog_),
      absl::StrCat("--policy.dir=", policies_),
      absl::StrCat("--policy.check_program=", Bin("capstan-policy-check")),
      absl::StrCat("--kubernetes.kubeconfig=", LogFile("kubeconfig")),
      absl::StrCat("--kubernetes.namespace=", kNamespace),
      absl::StrCat("--lease.ttl=", absl::FormatDuration(options_.lease_ttl)),
      absl::StrCat("--lease.heartbeat=", absl::FormatDuration(options_.heartbeat))};
  argv.insert(argv.end(), flags.begin(), flags.end());
  return *Process::Start(argv, env, LogFile(absl::StrCat("worker-", number, ".log")));
}

std::unique_ptr<Process> System::StartWorker(const std::map<std::string, std::string>& env,
                                             const std::vector<std::string>& flags) {
  auto process = LaunchWorker(env, flags);
  const bool up = process->WaitForLog("worker started");
  if (!up && env.empty()) {
    std::fprintf(stderr, "%s\n", process->Log().c_str());
    CAPSTAN_CHECK(up);
  }
  return process;
}

// ---- clients

v1::ExecuteActionRequest Scale(int replicas, const std::string& name_space,
                               const std::string& deployment) {
  v1::ExecuteActionRequest request;
  request.set_request_id(RandomUuid());
  request.set_action("ScaleDeployment");
  auto& fields = *request.mutable_parameters()->mutable_fields();
  fields["namespace"].set_string_value(name_space);
  fields["deployment"].set_string_value(deployment);
  fields["replicas"].set_number_value(replicas);
  return request;
}

namespace {

void Take(const v1::ExecutionUpdate& update, Streamed& into) {
  if (update.has_snapshot() && !into.snapshot.has_value()) into.snapshot = update.snapshot();
  if (update.has_event()) into.events.push_back(update.event());
}

}  // namespace

absl::StatusOr<std::string> Submit(Server& server, v1::ExecuteActionRequest request,
                                   const std::string& caller) {
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  const Streamed streamed = Execute(server, request, caller);
  if (!streamed.status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(streamed.status.error_code()),
                        streamed.status.error_message());
  }
  return streamed.snapshot->name();
}

Streamed Execute(Server& server, const v1::ExecuteActionRequest& request,
                 const std::string& caller) {
  Streamed streamed;
  grpc::ClientContext context;
  if (!caller.empty()) context.AddMetadata("capstan-caller", caller);
  const auto reader = server.executions->ExecuteAction(&context, request);
  v1::ExecuteActionResponse response;
  while (reader->Read(&response)) Take(response.update(), streamed);
  streamed.status = reader->Finish();
  return streamed;
}

Streamed Watch(Server& server, const std::string& name, std::int64_t after_seq) {
  Streamed streamed;
  grpc::ClientContext context;
  // Less than the worker's slowest look at a Job (jobs.start_deadline): a missed signal is no end.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(100));
  v1::WatchExecutionRequest request;
  request.set_name(name);
  request.set_after_seq(after_seq);
  const auto reader = server.executions->WatchExecution(&context, request);
  v1::WatchExecutionResponse response;
  while (reader->Read(&response)) Take(response.update(), streamed);
  streamed.status = reader->Finish();
  return streamed;
}

Streamed WatchUntil(Server& server, const std::string& name, v1::ExecutionEvent::PayloadCase kind) {
  return WatchUntil(server, name, [kind](const v1::ExecutionEvent& event) {
    return event.payload_case() == kind;
  });
}

Streamed WatchUntil(Server& server, const std::string& name,
                    const std::function<bool(const v1::ExecutionEvent&)>& is_it) {
  Streamed streamed;
  grpc::ClientContext context;
  v1::WatchExecutionRequest request;
  request.set_name(name);
  const auto reader = server.executions->WatchExecution(&context, request);
  v1::WatchExecutionResponse response;
  while (reader->Read(&response)) {
    Take(response.update(), streamed);
    if (response.update().has_event() && is_it(response.update().event())) {
      context.TryCancel();
      break;
    }
  }
  streamed.status = reader->Finish();
  return streamed;
}

std::vector<v1::ExecutionEvent> ListEvents(Server& server, const std::string& name) {
  std::vector<v1::ExecutionEvent> events;
  v1::ListEventsRequest request;
  request.set_name(name);
  request.set_page_size(3);
  do {
    grpc::ClientContext context;
    v1::ListEventsResponse response;
    if (!server.executions->ListEvents(&context, request, &response).ok()) break;
    events.insert(events.end(), response.events().begin(), response.events().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return events;
}

bool SameEvents(const std::vector<v1::ExecutionEvent>& a,
                const std::vector<v1::ExecutionEvent>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return google::protobuf::util::MessageDifferencer::Equals(x, y);
  });
}

std::vector<std::string> ExecuteFromMany(Server& server, const v1::ExecuteActionRequest& request,
                                         int clients) {
  std::vector<std::string> names(clients);
  std::vector<std::thread> threads;
  for (std::string& name : names) {
    threads.emplace_back([&] {
      if (const Streamed run = Execute(server, request); run.snapshot.has_value())
        name = run.snapshot->name();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return names;
}

absl::StatusOr<v1::Execution> Cancel(Server& server, const std::string& name,
                                     const std::string& reason) {
  v1::CancelExecutionRequest request;
  request.set_name(name);
  request.set_reason(reason);
  v1::CancelExecutionResponse response;
  grpc::ClientContext context;
  const grpc::Status status = server.executions->CancelExecution(&context, request, &response);
  if (!status.ok())
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  return response.execution();
}

std::string ReadLog(Server& server, const std::string& name) {
  v1::ReadLogRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  const auto reader = server.executions->ReadLog(&context, request);
  std::string log;
  v1::ReadLogResponse piece;
  while (reader->Read(&piece)) log += piece.data();
  return log;
}

std::string JobOf(const std::string& execution) {
  return absl::StrCat("capstan-", ParseExecutionName(execution)->ToHex());
}

}  // namespace capstan::testing
