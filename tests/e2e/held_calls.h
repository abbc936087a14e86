// Calls to the real API server that somebody keeps from being done: an admission webhook whose
// listener never answers, or is not there.
#pragma once

#include <string>

namespace capstan::testing {

struct HeldCallsOptions {
  std::string which;       // CEL about `request`
  int seconds = 30;        // for so long; 30 is the most that Kubernetes knows
  bool done_then = false;  // afterwards it is done; otherwise refused with 500
  bool at_once = false;    // refused without waiting
};

// In force from the constructor to the destructor.
class HeldCalls {
 public:
  explicit HeldCalls(const HeldCallsOptions& options);
  ~HeldCalls();
  HeldCalls(const HeldCalls&) = delete;
  HeldCalls& operator=(const HeldCalls&) = delete;

  // Until one of them is held; not with `at_once`.
  void WaitForOne();

 private:
  int probes_ = 0;
};

// Writes of the actions' pods, for HeldCallsOptions::which.
inline constexpr char kWritesOfActions[] =
    "request.userInfo.username.startsWith('system:serviceaccount:capstan-actions:')";

}  // namespace capstan::testing
