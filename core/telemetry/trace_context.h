// A place in a trace, as callers send it (W3C Trace Context) and as it is stored with an execution.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace capstan::telemetry {

struct TraceContext {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{};
  uint8_t flags = 0;
  std::string tracestate;

  // Neither id is all zeros. An invalid context stands for "no trace".
  bool IsValid() const;
  bool IsSampled() const { return (flags & 1) != 0; }

  // 32 and 16 lower-case hexadecimal digits.
  std::string TraceIdHex() const;
  std::string SpanIdHex() const;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// Reads the headers `traceparent` and `tracestate`. Whatever is malformed gives an invalid context,
// as the W3C asks: a broken trace header never fails a call. A tracestate above 512 characters is
// dropped.
TraceContext ParseTraceparent(std::string_view traceparent, std::string_view tracestate = "");

// "00-<trace id>-<span id>-<flags>"; empty for an invalid context.
std::string FormatTraceparent(const TraceContext& context);

}  // namespace capstan::telemetry
