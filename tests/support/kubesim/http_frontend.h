// The sockets of the API server: HTTP/1.1 on loopback, faults, watch and log streams, and /_sim/
// for other processes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/api_server.h"
#include "tests/support/kubesim/audit_log.h"
#include "tests/support/kubesim/change_signal.h"
#include "tests/support/kubesim/connection.h"
#include "tests/support/kubesim/fault.h"
#include "tests/support/kubesim/watch_stream.h"

struct mg_context;

namespace capstan::kubesim {

class HttpFrontend {
 public:
  // Answers a request below /_sim/.
  using AdminHandler = std::function<ApiReply(const ApiRequest&)>;

  // All borrowed.
  HttpFrontend(ApiServer& api, ObjectStore& store, PodLogs& logs, FaultBoard& faults,
               AuditLog& audit, ChangeSignal& signal, Clock& clock, AdminHandler admin);
  ~HttpFrontend();

  // Listens on 127.0.0.1. UNAVAILABLE when the port is taken.
  absl::Status Start(int port, int threads);
  // Ends every call and joins the threads.
  void Stop();

  int port() const { return port_; }
  void SetToken(const std::string& token);
  void CloseWatches();
  void SendBookmarks();
  int OpenWatches(const std::string& resource) const;

 private:
  static int OnRequest(struct mg_connection* connection, void* self);
  void Serve(Connection& connection);
  void ServeCall(Connection& connection, const ApiCall& call, const ApiRequest& request);
  void ServeFault(Connection& connection, const ApiCall& call, const ApiRequest& request,
                  const FaultBoard::Hit& hit);
  void Answer(Connection& connection, const ApiCall& call, const ApiRequest& request,
              bool replay_stale = false);
  void Watch(Connection& connection, const ApiCall& call, const ApiRequest& request,
             bool replay_stale);
  // The epochs are those from before the watch counted as open.
  void StreamWatch(Connection& connection, WatchStream& stream, absl::Time end, int close_epoch,
                   int bookmark_epoch);
  void FollowLog(Connection& connection, const ApiCall& call, const ApiRequest& request);
  // False when the client left or the server stops.
  bool AwaitRelease(Connection& connection, int fault_id);
  void Audit(const ApiCall& call, const ApiRequest& request, const ApiReply& reply,
             bool reply_cut = false);

  ApiServer& api_;
  ObjectStore& store_;
  PodLogs& logs_;
  FaultBoard& faults_;
  AuditLog& audit_;
  ChangeSignal& signal_;
  Clock& clock_;
  const AdminHandler admin_;
  mg_context* context_ = nullptr;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> close_epoch_ = 0;     // raised to end the open watches
  std::atomic<int> bookmark_epoch_ = 0;  // raised to send bookmarks
  mutable absl::Mutex mu_;
  std::string token_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int> open_watches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubesim
