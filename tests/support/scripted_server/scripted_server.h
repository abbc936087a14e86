// An HTTP server on loopback that answers with the exact bytes a test wants: also what a
// well-behaved one does not do, such as cut streams, odd framing, kept connections that die.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace capstan::testing {

struct ReceivedRequest {
  int number = 0;      // 0 for the first one this server got
  int connection = 0;  // 0 for the first connection
  std::string method;
  std::string target;
  std::string head;  // request line and headers
  std::string body;
};

struct ScriptedReply {
  std::vector<std::string> pieces;  // sent one by one, as they are
  bool close = false;               // then the connection is closed; otherwise it is kept
};

// "HTTP/1.1 200 OK" and the like with a body, kept open.
ScriptedReply Answer(int code, const std::string& body, const std::string& extra_headers = "");
// A chunked 200 stream of these pieces; `ends` tells whether the last chunk is sent.
ScriptedReply StreamOf(const std::vector<std::string>& pieces, bool ends);
// The connection is closed instead of answering.
ScriptedReply CutWithoutAnswer();
// No answer and no end.
ScriptedReply Silence();

class ScriptedServer {
 public:
  using Handler = std::function<ScriptedReply(const ReceivedRequest&)>;

  // `handler` runs on the connections' threads, one call at a time.
  explicit ScriptedServer(Handler handler);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string Url() const;  // http://127.0.0.1:PORT
  std::vector<ReceivedRequest> Requests() ABSL_LOCKS_EXCLUDED(mu_);
  // Blocks until this many requests have arrived.
  void WaitForRequests(size_t count) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void AcceptLoop() ABSL_LOCKS_EXCLUDED(mu_);
  void Serve(int socket, int connection) ABSL_LOCKS_EXCLUDED(mu_);

  const Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  absl::Mutex mu_;
  absl::Mutex handler_mu_;
  std::vector<ReceivedRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<int> sockets_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> connections_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread acceptor_;
};

}  // namespace capstan::testing
