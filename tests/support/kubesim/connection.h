// One HTTP call under way on a civetweb connection, with what civetweb does not offer: waiting for
// the client to leave, and ending a connection badly.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/api_server.h"

struct mg_connection;

namespace capstan::kubesim {

// Used by the thread that serves the call.
class Connection {
 public:
  static constexpr size_t kMaxBodyBytes = 3 << 20;  // as the real server's

  explicit Connection(mg_connection* connection);

  // False when the body is larger than kMaxBodyBytes; it is read and thrown away then.
  bool ReadRequest(ApiRequest* request, std::string* bearer_token);

  void Send(const ApiReply& reply);
  // TCP reset, with nothing more said.
  void Reset();
  // The beginning of the header of this reply, then a TCP reset.
  void CutReply(int code);

  // A chunked reply of status 200. Chunk() is false when the client is gone.
  bool StartStream(std::string_view content_type);
  bool Chunk(std::string_view bytes);
  void EndStream();

  enum class Wake { kSignal, kClientGone, kTimeout };
  // Waits until `eventfd` is readable or the client hangs up.
  Wake Wait(int eventfd, absl::Duration timeout);

 private:
  int Fd();

  mg_connection* connection_;
  int fd_ = -1;
};

// Shuts down every socket of this process that is bound to this local port, the listening one too:
// whoever waits on them wakes up. For stopping, where civetweb would wait for its poll interval.
void ShutDownSockets(int local_port);

}  // namespace capstan::kubesim
