// The bearer token of a cluster: constant, or read from a file that the kubelet renews.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "worker/kubernetes/credentials.h"

namespace capstan::kubernetes {

inline constexpr absl::Duration kTokenRereadPeriod = absl::Seconds(60);
inline constexpr size_t kMaxTokenBytes = 64 * 1024;

// Thread-safe. Owned by Client.
class TokenSource {
 public:
  TokenSource(const ClusterConfig& config, Clock& clock);

  // The current token, empty when the cluster asks for none. A file is read again after a minute;
  // when that fails the last token that was read goes on being used. UNAVAILABLE: the file cannot
  // be read and there is no earlier token: retry.
  absl::StatusOr<std::string> Token() ABSL_LOCKS_EXCLUDED(mu_);

  // The server answered 401: the next Token() reads the file again. True when that may bring
  // another token.
  bool Drop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const std::string file_;
  Clock& clock_;
  absl::Mutex mu_;
  std::string token_ ABSL_GUARDED_BY(mu_);
  bool fresh_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration read_at_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubernetes
