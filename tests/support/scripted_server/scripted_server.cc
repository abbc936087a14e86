#include "tests/support/scripted_server/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

bool SendAll(int socket, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

// Reads until `buffer` holds a whole request; false when the client left.
bool ReadRequest(int socket, std::string* buffer, ReceivedRequest* request) {
  while (true) {
    const size_t head_end = buffer->find("\r\n\r\n");
    if (head_end != std::string::npos) {
      const std::string head = buffer->substr(0, head_end + 4);
      const size_t length_at = head.find("Content-Length: ");
      const size_t length = length_at == std::string::npos
                                ? 0
                                : std::strtoul(head.c_str() + length_at + 16, nullptr, 10);
      if (buffer->size() >= head.size() + length) {
        request->head = head;
        request->body = buffer->substr(head.size(), length);
        request->method = head.substr(0, head.find(' '));
        const size_t target_at = request->method.size() + 1;
        request->target = head.substr(target_at, head.find(' ', target_at) - target_at);
        buffer->erase(0, head.size() + length);
        return true;
      }
    }
    char bytes[4096];
    const ssize_t n = recv(socket, bytes, sizeof(bytes), 0);
    if (n <= 0) return false;
    buffer->append(bytes, static_cast<size_t>(n));
  }
}

}  // namespace

ScriptedReply Answer(int code, const std::string& body, const std::string& extra_headers) {
  return {{absl::StrCat("HTTP/1.1 ", code, " X\r\nContent-Type: application/json\r\n",
                        extra_headers, "Content-Length: ", body.size(), "\r\n\r\n", body)}};
}

ScriptedReply StreamOf(const std::vector<std::string>& pieces, bool ends) {
  ScriptedReply reply;
  reply.pieces.push_back("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const std::string& piece : pieces) {
    reply.pieces.push_back(absl::StrFormat("%x\r\n%s\r\n", piece.size(), piece));
  }
  if (ends) reply.pieces.push_back("0\r\n\r\n");
  reply.close = true;
  return reply;
}

ScriptedReply CutWithoutAnswer() {
  ScriptedReply reply;
  reply.close = true;
  return reply;
}

ScriptedReply Silence() { return {}; }

ScriptedServer::ScriptedServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CAPSTAN_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  CAPSTAN_CHECK(listen(listener_, 64) == 0);
  socklen_t length = sizeof(address);
  CAPSTAN_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { AcceptLoop(); });
}

ScriptedServer::~ScriptedServer() {
  std::vector<std::thread> connections;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    absl::MutexLock lock(&mu_);
    connections.swap(connections_);
  }
  for (std::thread& connection : connections) connection.join();
  for (const int socket : sockets_) close(socket);
  close(listener_);
}

std::string ScriptedServer::Url() const { return absl::StrCat("http://127.0.0.1:", port_); }

std::vector<ReceivedRequest> ScriptedServer::Requests() {
  absl::MutexLock lock(&mu_);
  return requests_;
}

void ScriptedServer::WaitForRequests(size_t count) {
  absl::MutexLock lock(&mu_);
  const auto arrived = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return requests_.size() >= count; };
  CAPSTAN_CHECK(mu_.AwaitWithTimeout(absl::Condition(&arrived), absl::Seconds(30)));
}

void ScriptedServer::AcceptLoop() {
  while (true) {
    const int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) return;
    absl::MutexLock lock(&mu_);
    if (stopping_) {
      close(socket);
      return;
    }
    const int connection = static_cast<int>(sockets_.size());
    sockets_.push_back(socket);
    connections_.emplace_back([this, socket, connection] { Serve(socket, connection); });
  }
}

void ScriptedServer::Serve(int socket, int connection) {
  std::string buffer;
  ReceivedRequest request;
  request.connection = connection;
  while (ReadRequest(socket, &buffer, &request)) {
    absl::MutexLock one_at_a_time(&handler_mu_);
    {
      absl::MutexLock lock(&mu_);
      request.number = static_cast<int>(requests_.size());
      requests_.push_back(request);
    }
    const ScriptedReply reply = handler_(request);
    for (const std::string& piece : reply.pieces) SendAll(socket, piece);
    if (reply.close) {
      shutdown(socket, SHUT_RDWR);
      return;
    }
  }
}

}  // namespace capstan::testing
