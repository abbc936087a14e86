// The whole system as its users see it: real server and worker processes over sockets, a real
// Postgres, and a simulated cluster in this process. Tests kill, stop and restart the processes and
// look at what a client, the store and the cluster say. Waiting is always for a signal: a stream's
// message, a process's end, a change in the cluster.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "capstan/v1/admin_service.grpc.pb.h"
#include "capstan/v1/approval_service.grpc.pb.h"
#include "capstan/v1/catalog_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "tests/support/kubesim/kubesim.h"
#include "tests/support/postgres/postgres.h"

namespace capstan::testing {

// A child process. Dies with this one; killed by the destructor.
class Process {
 public:
  // Starts `argv` with `env` added to the environment; standard error goes to `log`.
  static absl::StatusOr<std::unique_ptr<Process>> Start(
      const std::vector<std::string>& argv, const std::map<std::string, std::string>& env,
      const std::string& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Waits for the end; the exit status as from waitpid.
  int Wait();
  // Waits until it is stopped by a signal; false when it ended instead.
  bool WaitStopped();
  bool Running();
  // Everything it has logged so far.
  std::string Log() const;
  // Waits until `text` is in the log; false when it ended first.
  bool WaitForLog(const std::string& text);

 private:
  Process(pid_t pid, std::string log) : pid_(pid), log_(std::move(log)) {}
  pid_t pid_;
  std::string log_;
  std::optional<int> status_;
};

struct Server {
  std::unique_ptr<Process> process;
  std::string address;
  std::string http;
  std::unique_ptr<v1::ExecutionService::Stub> executions;
  std::unique_ptr<v1::CatalogService::Stub> catalog;
  std::unique_ptr<v1::AdminService::Stub> admin;
  std::unique_ptr<v1::ApprovalService::Stub> approvals;
};

// Asks `done` after every change of `file` until it is true or `process` has ended; a process that
// is stopped has not ended. Also asked now and then without a change. The last answer.
bool WaitForFile(const std::string& file, Process& process, const std::function<bool()>& done);

struct SystemOptions {
  absl::Duration lease_ttl = absl::Seconds(2);
  absl::Duration heartbeat = absl::Milliseconds(500);
  std::string
      worker_program;  // empty: capstan-worker; tests of failpoints use capstan-worker-faults
  std::string server_program;        // empty: capstan-server; or capstan-server-faults
  std::string kubeconfig;            // of a real cluster; empty: a simulated one in this process
  TestPostgres* postgres = nullptr;  // for tests that harm it; null: the one all tests share
  // Callers are who they say they are: "bob" is "unauthenticated:bob".
  bool named_callers = false;
};

class System {
 public:
  // Postgres (this process's), a fresh database, a simulated cluster with Deployment default/web of
  // one replica. Neither server nor worker runs yet.
  static std::unique_ptr<System> Make(SystemOptions options = {});
  ~System();

  // Does not wait until it has started, for those that will not get so far.
  std::unique_ptr<Process> LaunchServer(const std::map<std::string, std::string>& env,
                                        const std::vector<std::string>& flags = {});
  Server StartServer(const std::map<std::string, std::string>& env = {},
                     const std::vector<std::string>& flags = {});
  // Does not wait until it has started, for those that will not get so far.
  std::unique_ptr<Process> LaunchWorker(const std::map<std::string, std::string>& env,
                                        const std::vector<std::string>& flags = {});
  std::unique_ptr<Process> StartWorker(const std::map<std::string, std::string>& env = {},
                                       const std::vector<std::string>& flags = {});

  kubesim::KubeSim& kube() { return *kube_; }  // the simulated cluster
  const std::string& dsn() const { return dsn_; }
  // Copies that a test may change; the catalog before the processes start.
  const std::string& catalog() const { return catalog_; }
  const std::string& policies() const { return policies_; }
  std::string LogFile(const std::string& name) const;

 private:
  explicit System(SystemOptions options);

  std::string PortFile(int number) const;

  const SystemOptions options_;
  std::string directory_;
  std::string catalog_;
  std::string policies_;
  std::string dsn_;
  std::unique_ptr<kubesim::KubeSim> kube_;
  int processes_ = 0;
};

// A request to scale default/web.
v1::ExecuteActionRequest Scale(int replicas, const std::string& name_space = "default",
                               const std::string& deployment = "web");

// Submits and returns the execution's name without waiting for its end. `caller` counts where
// callers are who they say they are.
absl::StatusOr<std::string> Submit(Server& server, v1::ExecuteActionRequest request,
                                   const std::string& caller = "");

// What a stream delivered.
struct Streamed {
  std::optional<v1::Execution> snapshot;
  std::vector<v1::ExecutionEvent> events;
  grpc::Status status;

  const v1::StateChanged& End() const { return events.back().state_changed(); }
};
// Runs to the end of the stream.
Streamed Execute(Server& server, const v1::ExecuteActionRequest& request,
                 const std::string& caller = "");
Streamed Watch(Server& server, const std::string& name, std::int64_t after_seq = 0);
// Until an event of this kind has come; the stream is then left.
Streamed WatchUntil(Server& server, const std::string& name, v1::ExecutionEvent::PayloadCase kind);
// Until one that `is_it` says yes to.
Streamed WatchUntil(Server& server, const std::string& name,
                    const std::function<bool(const v1::ExecutionEvent&)>& is_it);

// All stored events, by pages.
std::vector<v1::ExecutionEvent> ListEvents(Server& server, const std::string& name);

bool SameEvents(const std::vector<v1::ExecutionEvent>& a, const std::vector<v1::ExecutionEvent>& b);

// Runs one request to its end from many clients at once; the names each of them saw.
std::vector<std::string> ExecuteFromMany(Server& server, const v1::ExecuteActionRequest& request,
                                         int clients);

// What CancelExecution answers.
absl::StatusOr<v1::Execution> Cancel(Server& server, const std::string& name,
                                     const std::string& reason);

// The stored log from its beginning.
std::string ReadLog(Server& server, const std::string& name);

// "capstan-<hex>": the Job of an execution.
std::string JobOf(const std::string& execution);

}  // namespace capstan::testing
