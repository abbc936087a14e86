#include "worker/kubernetes/token_source.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "core/text.h"
#include "worker/kubernetes/file.h"

namespace capstan::kubernetes {

TokenSource::TokenSource(const ClusterConfig& config, Clock& clock)
    : file_(config.token_file), clock_(clock), token_(config.token) {}

absl::StatusOr<std::string> TokenSource::Token() {
  absl::MutexLock lock(&mu_);
  if (file_.empty()) return token_;
  const absl::Duration now = clock_.BootTime();
  if (fresh_ && now - read_at_ < kTokenRereadPeriod) return token_;

  absl::StatusOr<std::string> text = ReadSmallFile(file_, kMaxTokenBytes);
  std::string token(text.ok() ? absl::StripAsciiWhitespace(*text) : "");
  if (!token.empty()) {
    token_ = std::move(token);
    fresh_ = true;
    read_at_ = now;
    return token_;
  }
  if (token_.empty()) {
    return absl::UnavailableError(Cat("no token in ", file_));
  }
  return token_;
}

bool TokenSource::Drop() {
  absl::MutexLock lock(&mu_);
  fresh_ = false;
  return !file_.empty();
}

}  // namespace capstan::kubernetes
