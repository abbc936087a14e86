// Server-sent events from pieces of a stream: total (any bytes, split anywhere), bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace capstan::phases {

// Not thread-safe.
class SseParser {
 public:
  static constexpr std::size_t kMaxEventBytes = 8 << 20;

  // Gets an event when its empty line has come. `event` is "message" when the stream names none.
  // Both are valid for the call.
  using Sink = std::function<void(std::string_view event, std::string_view data)>;
  explicit SseParser(Sink sink) : sink_(std::move(sink)) {}

  // False: an event larger than kMaxEventBytes. Nothing more is parsed then.
  bool Add(std::string_view piece);

 private:
  void Line(std::string_view line);
  void Dispatch();

  const Sink sink_;
  std::string line_;
  std::string event_;
  std::string data_;
  bool has_data_ = false;
  bool after_return_ = false;  // the last byte was '\r': a '\n' now belongs to it
  bool overflown_ = false;
};

}  // namespace capstan::phases
