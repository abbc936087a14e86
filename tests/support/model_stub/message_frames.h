// An answer of the Messages API in both of its forms.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/support/model_stub/model_stub.h"

namespace capstan::testing {

struct StubFrame {
  std::string event;
  std::string data;
  bool bills_input = false;
  bool bills_output = false;
};

// The frames of a stream, with the faults of its content (garbage, error) in their place.
std::vector<StubFrame> StreamFrames(const StubReply& reply, const std::string& model,
                                    int message_number);
std::string FrameText(const StubFrame& frame);

nlohmann::json WholeMessage(const StubReply& reply, const std::string& model, int message_number);
nlohmann::json ErrorBody(const StubReply& reply);

}  // namespace capstan::testing
