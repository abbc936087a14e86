#include "cli/interrupt.h"

#include <pthread.h>

#include "core/status_macros.h"

namespace capstan::cli {
namespace {

constexpr int kWakeSignal = SIGUSR1;  // from the destructor, to this thread alone

}  // namespace

InterruptListener::InterruptListener() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, kWakeSignal);
  CAPSTAN_CHECK(pthread_sigmask(SIG_BLOCK, &signals_, nullptr) == 0);
  thread_ = std::thread([this] {
    int signal = 0;
    while (sigwait(&signals_, &signal) == 0 && signal != kWakeSignal) stop_.request_stop();
  });
}

InterruptListener::~InterruptListener() {
  pthread_kill(thread_.native_handle(), kWakeSignal);
  thread_.join();
}

}  // namespace capstan::cli
