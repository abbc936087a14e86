// Ctrl-C as a stop token.
#pragma once

#include <signal.h>

#include <stop_token>
#include <thread>

namespace capstan::cli {

// While it lives, SIGINT and SIGTERM request a stop instead of ending the process. Made first thing
// in main(), before any other thread, since threads inherit which signals they leave alone.
class InterruptListener {
 public:
  InterruptListener();
  ~InterruptListener();
  InterruptListener(const InterruptListener&) = delete;
  InterruptListener& operator=(const InterruptListener&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
  sigset_t signals_;
  std::thread thread_;  // waits for signals; ended by kWakeSignal
};

}  // namespace capstan::cli
