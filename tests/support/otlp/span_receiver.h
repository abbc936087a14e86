// An OpenTelemetry collector in this process: what programs export to it by OTLP and gRPC.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace capstan::testing {

struct ReceivedSpan {
  std::string service;
  std::string name;
  std::string trace;  // id, bytes
  absl::Duration took;
};

// Thread-safe. Ends with the last exchange when it is destroyed.
class SpanReceiver {
 public:
  SpanReceiver();
  ~SpanReceiver();
  SpanReceiver(const SpanReceiver&) = delete;
  SpanReceiver& operator=(const SpanReceiver&) = delete;

  std::string Endpoint() const;  // http://127.0.0.1:PORT
  std::vector<ReceivedSpan> Spans() const;
  // Everything that was exported, as text.
  std::string Text() const;

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace capstan::testing
