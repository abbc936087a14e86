#include "core/telemetry/trace_context.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace capstan::telemetry {
namespace {

constexpr size_t kTraceparentLength = 55;
constexpr size_t kMaxTracestate = 512;

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

template <size_t N>
void FromHex(std::string_view hex, std::array<uint8_t, N>& out) {
  std::string bytes = absl::HexStringToBytes(std::string(hex));
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

template <size_t N>
std::string ToHex(const std::array<uint8_t, N>& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

template <size_t N>
bool IsZero(const std::array<uint8_t, N>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

bool TraceContext::IsValid() const { return !IsZero(trace_id) && !IsZero(span_id); }

std::string TraceContext::TraceIdHex() const { return ToHex(trace_id); }

std::string TraceContext::SpanIdHex() const { return ToHex(span_id); }

TraceContext ParseTraceparent(std::string_view traceparent, std::string_view tracestate) {
  if (traceparent.size() < kTraceparentLength || traceparent[2] != '-' || traceparent[35] != '-' ||
      traceparent[52] != '-') {
    return {};
  }
  std::string_view version = traceparent.substr(0, 2);
  std::string_view trace_id = traceparent.substr(3, 32);
  std::string_view span_id = traceparent.substr(36, 16);
  std::string_view flags = traceparent.substr(53, 2);
  if (!IsLowerHex(version) || !IsLowerHex(trace_id) || !IsLowerHex(span_id) || !IsLowerHex(flags)) {
    return {};
  }
  // Version ff is forbidden; a later version than ours may append fields after another dash.
  if (version == "ff") return {};
  if (traceparent.size() > kTraceparentLength &&
      (version == "00" || traceparent[kTraceparentLength] != '-')) {
    return {};
  }
  TraceContext context;
  FromHex(trace_id, context.trace_id);
  FromHex(span_id, context.span_id);
  std::array<uint8_t, 1> flag_byte;
  FromHex(flags, flag_byte);
  context.flags = flag_byte[0];
  if (!context.IsValid()) return {};
  if (tracestate.size() <= kMaxTracestate) context.tracestate = std::string(tracestate);
  return context;
}

std::string FormatTraceparent(const TraceContext& context) {
  if (!context.IsValid()) return "";
  return absl::StrCat("00-", context.TraceIdHex(), "-", context.SpanIdHex(), "-",
                      ToHex(std::array<uint8_t, 1>{context.flags}));
}

}  // namespace capstan::telemetry
