#include "tests/support/model_stub/model_stub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/text.h"
#include "tests/support/model_stub/message_frames.h"

namespace capstan::testing {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxRequestBytes = 32 << 20;
constexpr std::size_t kMaxHeadBytes = 64 << 10;

// A socket that is closed with it.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

  bool Send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // The client sees a reset, not an end.
  void Reset() const {
    const linger now = {1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }

 private:
  const int fd_;
};

bool ReadHead(const Socket& socket, std::string* head, std::string* rest) {
  std::string text;
  char buffer[16 << 10];
  while (text.size() < kMaxHeadBytes) {
    const ssize_t got = recv(socket.fd(), buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(got));
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    *rest = text.substr(end + 4);
    *head = text.substr(0, end + 2);
    return true;
  }
  return false;
}

bool ReadRequest(const Socket& socket, StubRequest* request) {
  std::string head;
  std::string body;
  if (!ReadHead(socket, &head, &body)) return false;
  const std::size_t path = head.find(' ') + 1;
  request->path = head.substr(path, head.find(' ', path) - path);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::string line = head.substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) {
      request->headers[absl::AsciiStrToLower(line.substr(0, colon))] =
          std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
    at = end + 2;
  }
  std::size_t length = 0;
  if (auto found = request->headers.find("content-length"); found != request->headers.end()) {
    if (!absl::SimpleAtoi(found->second, &length) || length > kMaxRequestBytes) return false;
  }
  char buffer[64 << 10];
  while (body.size() < length) {
    const ssize_t got = recv(socket.fd(), buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    body.append(buffer, static_cast<std::size_t>(got));
  }
  request->body = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  return true;
}

std::string JsonAnswer(int status, const Json& body,
                       const std::map<std::string, std::string>& headers) {
  const std::string text = body.dump();
  std::string answer = Cat("HTTP/1.1 ", status, " Scripted\r\nContent-Type: application/json\r\n",
                           "Content-Length: ", text.size(), "\r\nConnection: close\r\n");
  for (const auto& [name, value] : headers) Append(&answer, name, ": ", value, "\r\n");
  return Cat(answer, "\r\n", text);
}

std::string Chunk(const std::string& text) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", text.size());
  return Cat(size, text, "\r\n");
}

}  // namespace

class ModelStub::Impl {
 public:
  ~Impl() {
    if (listener_ >= 0) {
      eventfd_write(stop_, 1);
      acceptor_.join();
      close(listener_);
    }
    if (stop_ >= 0) close(stop_);
  }

  absl::Status Start(int port) {
    stop_ = eventfd(0, EFD_CLOEXEC);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 64) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      close(listener_);
      listener_ = -1;
      return absl::UnavailableError(Cat("port: got ", port, ", want one that is free"));
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Push(StubReply reply) {
    absl::MutexLock lock(&mu_);
    replies_.push_back(std::move(reply));
  }

  void SetDefault(StubReply reply) {
    absl::MutexLock lock(&mu_);
    default_ = std::move(reply);
  }

  void SetCountedTokens(std::int64_t tokens) {
    absl::MutexLock lock(&mu_);
    counted_tokens_ = tokens;
  }

  std::vector<StubRequest> Requests() const {
    absl::MutexLock lock(&mu_);
    return requests_;
  }

  std::vector<StubRequest> CountRequests() const {
    absl::MutexLock lock(&mu_);
    return count_requests_;
  }

  StubUsage Billed() const {
    absl::MutexLock lock(&mu_);
    return billed_;
  }

  std::vector<StubAnswer> Answers() const {
    absl::MutexLock lock(&mu_);
    return answers_;
  }

  enum class What { kRequests, kStalls, kHangUps };

  bool Wait(What what, std::size_t count, absl::Duration most) const {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      if (what == What::kRequests) return requests_.size() >= count;
      return (what == What::kStalls ? stalls_ : hang_ups_) >= count;
    };
    return mu_.AwaitWithTimeout(absl::Condition(&enough), most);
  }

 private:
  void Accept() {
    std::list<std::thread> connections;
    for (;;) {
      pollfd fds[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
      poll(fds, 2, -1);
      if (fds[1].revents != 0) break;
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      {
        absl::MutexLock lock(&mu_);
        open_.push_back(fd);
      }
      connections.emplace_back([this, fd] { Serve(fd); });
    }
    {
      absl::MutexLock lock(&mu_);
      for (int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& connection : connections) connection.join();
  }

  void Serve(int fd) {
    Socket socket(fd);
    StubRequest request;
    if (ReadRequest(socket, &request)) Answer(socket, std::move(request));
    absl::MutexLock lock(&mu_);
    std::erase(open_, fd);
  }

  void Answer(const Socket& socket, StubRequest request) {
    const std::string path = request.path.substr(0, request.path.find('?'));
    if (path == "/v1/messages/count_tokens") {
      socket.Send(JsonAnswer(200, {{"input_tokens", CountTokens(std::move(request))}}, {}));
      return;
    }
    if (path != "/v1/messages") {
      StubReply unknown;
      unknown.error_type = "not_found_error";
      socket.Send(JsonAnswer(404, ErrorBody(unknown), {}));
      return;
    }
    const bool stream = request.body.is_object() && request.body.value("stream", false);
    const std::string asked = request.body.is_object() ? request.body.value("model", "") : "";
    int number = 0;
    const StubReply reply = Take(std::move(request), &number);
    const std::string& model = reply.model.empty() ? asked : reply.model;
    if (reply.status != 200) {
      socket.Send(JsonAnswer(reply.status, ErrorBody(reply), reply.headers));
    } else if (stream) {
      Stream(socket, reply, StreamFrames(reply, model, number), number);
    } else {
      Bill(reply.usage, true, true);
      socket.Send(JsonAnswer(200, WholeMessage(reply, model, number), reply.headers));
    }
  }

  StubReply Take(StubRequest request, int* number) {
    absl::MutexLock lock(&mu_);
    requests_.push_back(std::move(request));
    answers_.push_back({.asked = absl::Now()});
    *number = static_cast<int>(requests_.size());
    if (!replies_.empty()) {
      StubReply reply = std::move(replies_.front());
      replies_.pop_front();
      return reply;
    }
    if (default_.has_value()) return *default_;
    StubReply unexpected;
    unexpected.status = 400;
    unexpected.error_type = "invalid_request_error";
    unexpected.error_message = "the script has no reply for this call";
    return unexpected;
  }

  std::int64_t CountTokens(StubRequest request) {
    absl::MutexLock lock(&mu_);
    const auto quarter = static_cast<std::int64_t>(request.body.dump().size() / 4);
    count_requests_.push_back(std::move(request));
    return counted_tokens_.value_or(quarter);
  }

  void Stream(const Socket& socket, const StubReply& reply, const std::vector<StubFrame>& frames,
              int number) {
    if (reply.cut_after == 0) return socket.Reset();
    std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n";
    for (const auto& [name, value] : reply.headers) Append(&head, name, ": ", value, "\r\n");
    if (!socket.Send(head + "\r\n")) return;
    int sent = 0;
    if (reply.stall_after == 0) return Stall(socket);
    for (const StubFrame& frame : frames) {
      if (sent > 0 && reply.frame_delay > absl::ZeroDuration() &&
          ClientGone(socket, reply.frame_delay)) {
        return;
      }
      Bill(reply.usage, frame.bills_input, frame.bills_output);
      if (!socket.Send(Chunk(FrameText(frame)))) return;
      ++sent;
      NoteFrame(number);
      if (reply.cut_after == sent) return socket.Reset();
      if (reply.stall_after == sent) return Stall(socket);
    }
    socket.Send("0\r\n\r\n");
  }

  void NoteFrame(int number) {
    absl::MutexLock lock(&mu_);
    answers_[static_cast<std::size_t>(number) - 1].frames.push_back(absl::Now());
  }

  void Stall(const Socket& socket) {
    {
      absl::MutexLock lock(&mu_);
      ++stalls_;
    }
    ClientGone(socket, absl::InfiniteDuration());
    absl::MutexLock lock(&mu_);
    ++hang_ups_;
  }

  // Waits; true when the client went away or the stub ends.
  bool ClientGone(const Socket& socket, absl::Duration most) const {
    pollfd fds[] = {{socket.fd(), POLLIN | POLLRDHUP, 0}, {stop_, POLLIN, 0}};
    const int milliseconds =
        most == absl::InfiniteDuration() ? -1 : static_cast<int>(absl::ToInt64Milliseconds(most));
    return poll(fds, 2, milliseconds) > 0;
  }

  void Bill(const StubUsage& usage, bool input, bool output) {
    absl::MutexLock lock(&mu_);
    if (input) {
      billed_.input += usage.input;
      billed_.cache_creation += usage.cache_creation;
      billed_.cache_read += usage.cache_read;
    }
    if (output) billed_.output += usage.output;
  }

  int listener_ = -1;
  int stop_ = -1;
  int port_ = 0;
  std::thread acceptor_;
  mutable absl::Mutex mu_;
  std::vector<int> open_ ABSL_GUARDED_BY(mu_);
  std::deque<StubReply> replies_ ABSL_GUARDED_BY(mu_);
  std::optional<StubReply> default_ ABSL_GUARDED_BY(mu_);
  std::optional<std::int64_t> counted_tokens_ ABSL_GUARDED_BY(mu_);
  std::vector<StubRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<StubAnswer> answers_ ABSL_GUARDED_BY(mu_);
  std::vector<StubRequest> count_requests_ ABSL_GUARDED_BY(mu_);
  StubUsage billed_ ABSL_GUARDED_BY(mu_) = {0, 0, 0, 0};
  std::size_t stalls_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t hang_ups_ ABSL_GUARDED_BY(mu_) = 0;
};

ModelStub::ModelStub(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ModelStub::~ModelStub() = default;

absl::StatusOr<std::unique_ptr<ModelStub>> ModelStub::Start(int port) {
  auto impl = std::make_unique<Impl>();
  if (absl::Status status = impl->Start(port); !status.ok()) return status;
  return std::unique_ptr<ModelStub>(new ModelStub(std::move(impl)));
}

std::string ModelStub::Url() const { return Cat("http://127.0.0.1:", impl_->port()); }
void ModelStub::Push(StubReply reply) { impl_->Push(std::move(reply)); }
void ModelStub::SetDefault(StubReply reply) { impl_->SetDefault(std::move(reply)); }
void ModelStub::SetCountedTokens(std::int64_t tokens) { impl_->SetCountedTokens(tokens); }
std::vector<StubRequest> ModelStub::Requests() const { return impl_->Requests(); }
std::vector<StubRequest> ModelStub::CountRequests() const { return impl_->CountRequests(); }
std::vector<StubAnswer> ModelStub::Answers() const { return impl_->Answers(); }
StubUsage ModelStub::Billed() const { return impl_->Billed(); }

bool ModelStub::WaitForRequests(std::size_t count, absl::Duration most) const {
  return impl_->Wait(Impl::What::kRequests, count, most);
}
bool ModelStub::WaitForStalls(std::size_t count, absl::Duration most) const {
  return impl_->Wait(Impl::What::kStalls, count, most);
}
bool ModelStub::WaitForHangUps(std::size_t count, absl::Duration most) const {
  return impl_->Wait(Impl::What::kHangUps, count, most);
}

}  // namespace capstan::testing
