// What a model's structured answer means. Judged by the answer alone, validated with our own copy
// of the schema; never by exit codes or text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "capstan/v1/workflow.pb.h"
#include "nlohmann/json.hpp"

namespace capstan::workflow {

struct Answer {
  enum class Status {
    kComplete,  // also a review or test answer with status "pass"
    kContinue,  // another iteration
    kBlocked,   // cannot go on without somebody; also "needs_user_input", "needs_attention"
    kFailed,  // did its work and found that earlier work is not good enough: "fail", needs_changes
  };
  Status status = Status::kContinue;
  std::string reason;  // for a person
  std::string summary;
  std::string artifact;     // its text, when the schema has one
  nlohmann::json document;  // all of it
};

// Limits of what is parsed at all.
inline constexpr std::size_t kMaxAnswerBytes = 4 * 1024 * 1024;
inline constexpr int kMaxAnswerDepth = 64;

// Reads an answer: one JSON object, which may come after prose or between ```json and ```; nothing
// else in the text is looked at. INVALID_ARGUMENT: it is not JSON within the limits, does not fit
// the schema, has a status that means nothing, or says complete without the evidence or the
// artifact that the step requires, or beside failed tests or open gaps; the message says what to
// change, so that it can be given to the model for one repair. Never counts as complete then.
// `criteria`: ids of the success criteria that the task names.
absl::StatusOr<Answer> ReadAnswer(std::string_view text, const v1::WorkflowStep& step,
                                  const std::vector<std::string>& criteria);

// Whether `schema` is a JSON schema that can be used here: draft 7, no references but to its own
// definitions and none in a circle, no regular expressions, nothing else that would not be checked,
// at most 64 KiB, with a property "status". INVALID_ARGUMENT otherwise.
absl::Status CheckSchema(std::string_view schema);

}  // namespace capstan::workflow
