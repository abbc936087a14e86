#include "tests/support/kubesim/connection.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <functional>

#include "core/status_macros.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr size_t kReadBytes = 16 << 10;

// civetweb hides its sockets, so they are found among the process's own descriptors. `visit` gets
// each with its local and remote port (0 while unconnected).
void VisitSockets(const std::function<void(int fd, int local, int remote)>& visit) {
  DIR* directory = opendir("/proc/self/fd");
  CAPSTAN_CHECK(directory != nullptr);
  while (dirent* entry = readdir(directory)) {
    int fd = std::atoi(entry->d_name);
    sockaddr_in local{};
    sockaddr_in remote{};
    socklen_t length = sizeof(local);
    if (fd <= 2 || getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0 ||
        local.sin_family != AF_INET) {
      continue;
    }
    length = sizeof(remote);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &length) != 0) remote.sin_port = 0;
    visit(fd, ntohs(local.sin_port), ntohs(remote.sin_port));
  }
  closedir(directory);
}

std::string Decode(std::string_view text, bool form) {
  std::string decoded(text.size() + 1, '\0');
  int length = mg_url_decode(text.data(), static_cast<int>(text.size()), decoded.data(),
                             static_cast<int>(decoded.size()), form ? 1 : 0);
  decoded.resize(length < 0 ? 0 : length);
  return decoded;
}

std::string Header(const mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value == nullptr ? "" : value;
}

}  // namespace

Connection::Connection(mg_connection* connection) : connection_(connection) {}

int Connection::Fd() {
  if (fd_ >= 0) return fd_;
  const mg_request_info* info = mg_get_request_info(connection_);
  int server_port = info->server_port;
  int client_port = info->remote_port;
  VisitSockets([&](int fd, int local, int remote) {
    if (local == server_port && remote == client_port) fd_ = fd;
  });
  return fd_;
}

bool Connection::ReadRequest(ApiRequest* request, std::string* bearer_token) {
  const mg_request_info* info = mg_get_request_info(connection_);
  request->method = info->request_method;
  request->path = info->local_uri;
  request->content_type = Header(connection_, "Content-Type");
  request->user_agent = Header(connection_, "User-Agent");
  std::string authorization = Header(connection_, "Authorization");
  std::string_view token = authorization;
  if (Consume(token, "Bearer ")) *bearer_token = std::string(token);
  if (info->query_string != nullptr) {
    for (const std::string& pair : Split(info->query_string, '&')) {
      size_t equals = pair.find('=');
      if (pair.empty()) continue;
      request->query[Decode(pair.substr(0, equals), true)] =
          equals == std::string::npos ? "" : Decode(pair.substr(equals + 1), true);
    }
  }
  bool fits = true;
  std::string buffer(kReadBytes, '\0');
  for (int n = 0; (n = mg_read(connection_, buffer.data(), buffer.size())) > 0;) {
    if (request->body.size() + n > kMaxBodyBytes) fits = false;
    if (fits) request->body.append(buffer, 0, n);
  }
  return fits;
}

void Connection::Send(const ApiReply& reply) {
  const std::string body = reply.text.has_value()
                               ? *reply.text
                               : reply.body.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string head = Cat("HTTP/1.1 ", reply.code, " ",
                         mg_get_response_code_text(connection_, reply.code), "\r\nContent-Type: ",
                         reply.text.has_value() ? "text/plain; charset=utf-8" : "application/json",
                         "\r\nContent-Length: ", body.size(), "\r\n");
  for (const auto& [name, value] : reply.headers) head += Cat(name, ": ", value, "\r\n");
  head += "\r\n";
  head += body;
  mg_write(connection_, head.data(), head.size());
}

void Connection::Reset() {
  // Dissolving the association of a connected TCP socket sends RST.
  sockaddr nothing{};
  nothing.sa_family = AF_UNSPEC;
  connect(Fd(), &nothing, sizeof(nothing));
}

void Connection::CutReply(int code) {
  const std::string head = Cat("HTTP/1.1 ", code, " ", mg_get_response_code_text(connection_, code),
                               "\r\nContent-Type: application/json\r\nContent-Le");
  mg_write(connection_, head.data(), head.size());
  Reset();
}

bool Connection::StartStream(std::string_view content_type) {
  const std::string head = Cat("HTTP/1.1 200 OK\r\nContent-Type: ", content_type,
                               "\r\nTransfer-Encoding: chunked\r\n\r\n");
  return mg_write(connection_, head.data(), head.size()) > 0;
}

bool Connection::Chunk(std::string_view bytes) {
  if (bytes.empty()) return true;
  return mg_send_chunk(connection_, bytes.data(), bytes.size()) > 0;
}

void Connection::EndStream() { mg_send_chunk(connection_, "", 0); }

Connection::Wake Connection::Wait(int eventfd, absl::Duration timeout) {
  pollfd fds[2] = {{eventfd, POLLIN, 0}, {Fd(), POLLRDHUP, 0}};
  int milliseconds = timeout == absl::InfiniteDuration()
                         ? -1
                         : static_cast<int>(absl::ToInt64Milliseconds(
                               std::max(timeout + absl::Milliseconds(1), absl::ZeroDuration())));
  if (poll(fds, 2, milliseconds) <= 0) return Wake::kTimeout;
  return fds[1].revents != 0 ? Wake::kClientGone : Wake::kSignal;
}

void ShutDownSockets(int local_port) {
  VisitSockets([&](int fd, int local, int /*remote*/) {
    if (local == local_port) shutdown(fd, SHUT_RDWR);
  });
}

}  // namespace capstan::kubesim
