// One streamed answer of the Messages API, put together from its events.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// Not thread-safe.
class MessageStream {
 public:
  static constexpr std::size_t kMaxTextBytes = 4 << 20;

  enum class Health {
    kGood,
    kBroken,    // an event that is not JSON
    kTooLarge,  // more text than kMaxTextBytes
    kError,     // the provider sent an error: error_body()
  };

  // `on_text` gets each piece of text, never of thinking.
  explicit MessageStream(std::function<void(std::string_view)> on_text)
      : on_text_(std::move(on_text)) {}

  // An event as SseParser gives it. Unknown ones are passed over. When it is not kGood the stream
  // is of no more use.
  Health OnEvent(std::string_view data);

  Health health() const { return health_; }
  bool started() const { return started_; }  // usage() has the input
  bool has_output_usage() const { return has_output_usage_; }
  bool ended() const { return ended_; }  // it said that it was over
  const std::string& text() const { return text_; }
  const std::string& stop_reason() const { return stop_reason_; }
  const std::string& error_body() const { return error_body_; }
  const Usage& usage() const { return usage_; }  // with the model that answered; no cost

 private:
  void AddText(const std::string& text);

  const std::function<void(std::string_view)> on_text_;
  Health health_ = Health::kGood;
  bool started_ = false;
  bool has_output_usage_ = false;
  bool ended_ = false;
  std::string text_;
  std::string stop_reason_;
  std::string error_body_;
  Usage usage_;
};

}  // namespace capstan::phases
