// Keeps ended spans in memory, for tests: Tracer::CreateRecording(recorder).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/telemetry/trace_context.h"
#include "core/telemetry/tracing.h"

namespace capstan::telemetry {

struct RecordedSpan {
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  TraceContext context;
  std::string parent_span_id;  // hexadecimal; all zeros for the first span of a trace
  std::vector<TraceContext> links;
  std::map<std::string, std::string> attributes;  // values as text
  absl::Time start;
  absl::Duration duration;
  bool error = false;
  std::string error_message;
};

// Thread-safe. Must outlive the tracer that records into it.
class SpanRecorder {
 public:
  // In the order in which they ended.
  std::vector<RecordedSpan> Spans() const;

  // Waits until `count` spans with this name have ended and returns them, or fewer after `timeout`.
  std::vector<RecordedSpan> WaitFor(std::string_view name, size_t count, absl::Duration timeout);

  void Add(RecordedSpan span);

 private:
  mutable absl::Mutex mu_;
  std::vector<RecordedSpan> spans_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::telemetry
