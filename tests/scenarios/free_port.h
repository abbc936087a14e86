// TCP ports of the loopback device for programs that cannot say which one they chose.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/status_macros.h"

namespace capstan::testing {

// Bound as long as this lives, so that nobody else is given it; not listening, so that who connects
// is refused. A program may listen on it meanwhile or soon after.
class FreePort {
 public:
  FreePort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;  // lets a program that sets this too have the port
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    CAPSTAN_CHECK(bind(socket_, generic, size) == 0);
    CAPSTAN_CHECK(getsockname(socket_, generic, &size) == 0);
    number_ = ntohs(address.sin_port);
  }
  ~FreePort() { close(socket_); }
  FreePort(const FreePort&) = delete;
  FreePort& operator=(const FreePort&) = delete;

  int number() const { return number_; }
  // From now on connections are made, by the kernel, and nobody ever answers.
  void ListenWithoutAnswer() { CAPSTAN_CHECK(listen(socket_, 16) == 0); }

 private:
  const int socket_;
  int number_ = 0;
};

}  // namespace capstan::testing
