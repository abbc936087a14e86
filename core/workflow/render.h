// The one renderer of prompts, system prompts and command arguments.
//
//   {{NAME}}                    a variable
//   {{steps.review.output.summary}}  an answer by path; objects and lists are put in as JSON
//   {{#if NAME}} … {{/if}}      there only when NAME is resolved and not empty, "false" or "0"; may
//   nest
//   {{#unless NAME}} … {{/unless}}
//   {{#if REVIEW_ROUND = 2}} … {{/if}}  when it is that text
//
// Values are put in as they are: nothing in them is ever interpreted again. A tag of a block that
// stands alone on its line takes the line with it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/workflow/values.h"

namespace capstan::workflow {

// Limit of what comes out.
inline constexpr std::size_t kMaxRenderedBytes = 8 * 1024 * 1024;

// What is made of values that are put in, so that each stays one part of the whole.
enum class Escape {
  kNone,
  kUrl,   // one part of a path or query: all but letters, digits and -._~ as %XX
  kJson,  // texts as the inside of a JSON string; anything else as JSON
};

// FAILED_PRECONDITION: it uses something that is not resolved; the message names all of it: no
// model may be called. Also when the text would be larger than the limit. INVALID_ARGUMENT: not a
// template.
absl::StatusOr<std::string> Render(std::string_view text, const Values& values,
                                   Escape escape = Escape::kNone);

// Names and paths that a template uses, also in blocks that may not be rendered. INVALID_ARGUMENT
// with the line: not a template.
absl::StatusOr<std::vector<std::string>> References(std::string_view text);

// The value at a path such as steps.review.output.issues[0].file or a variable's name; null when it
// is not resolved.
const nlohmann::json* Find(const nlohmann::json& root, std::string_view path);

}  // namespace capstan::workflow
