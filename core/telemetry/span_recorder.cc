#include "core/telemetry/span_recorder.h"

#include <algorithm>
#include <utility>

namespace capstan::telemetry {

std::vector<RecordedSpan> SpanRecorder::Spans() const {
  absl::MutexLock lock(&mu_);
  return spans_;
}

std::vector<RecordedSpan> SpanRecorder::WaitFor(std::string_view name, size_t count,
                                                absl::Duration timeout) {
  auto has_name = [name](const RecordedSpan& span) { return span.name == name; };
  auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return static_cast<size_t>(std::count_if(spans_.begin(), spans_.end(), has_name)) >= count;
  };
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&enough), timeout);
  std::vector<RecordedSpan> found;
  std::copy_if(spans_.begin(), spans_.end(), std::back_inserter(found), has_name);
  return found;
}

void SpanRecorder::Add(RecordedSpan span) {
  absl::MutexLock lock(&mu_);
  spans_.push_back(std::move(span));
}

}  // namespace capstan::telemetry
