// capstan-supervisor: started by a worker for one child process; not for people. What it is told
// stands in worker/process/wire.h.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "worker/process/supervisor/supervisor.h"

namespace capstan::process {
namespace {

std::string ReadOrder() {
  struct stat status{};
  if (fstat(kOrderFd, &status) != 0) return "";
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  const ssize_t size = pread(kOrderFd, bytes.data(), bytes.size(), 0);
  close(kOrderFd);
  return size == status.st_size ? bytes : "";
}

void Report(const Result& result) {
  const std::string bytes = Encode(result);
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t size = write(kReportFd, bytes.data() + sent, bytes.size() - sent);
    if (size <= 0) return;
    sent += static_cast<size_t>(size);
  }
}

int Main() {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // which ends everything; so does the end of kControlFd
  const absl::StatusOr<Order> order = DecodeOrder(ReadOrder());
  if (!order.ok()) {
    std::fprintf(stderr, "capstan-supervisor is started by a worker, with an order\n");
    return 2;
  }
  Report(Supervise(*order));
  return 0;
}

}  // namespace
}  // namespace capstan::process

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--version") {
    std::puts(CAPSTAN_VERSION);
    std::fflush(stdout);
    _exit(0);  // run in a sandbox as its trial, where a leak checker could not do its work
  }
  return capstan::process::Main();
}
