#include "cli/render_explain.h"

#include "cli/render_words.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {

std::string ExplainText(const v1::ExplainExecutionResponse& response, absl::Time now) {
  const v1::Execution& execution = response.execution();
  std::string text = Cat(StateText(execution), "  ", SubjectText(execution), "  ",
                         OneLine(execution.name()), "\n");
  int number = 0;
  for (const v1::ExplainExecutionResponse::Reason& reason : response.reasons()) {
    Append(&text, ++number, ". ", OneLine(reason.code()), ": ", OneLine(reason.message()), "\n");
    if (reason.has_since()) {
      Append(&text, "   for:     ", Age(reason.since(), now), ", since ", Time(reason.since()),
             "\n");
    }
    if (!reason.holder().empty()) Append(&text, "   holder:  ", OneLine(reason.holder()), "\n");
    if (!reason.clears().empty()) Append(&text, "   clears:  ", OneLine(reason.clears()), "\n");
  }
  if (response.has_next_time()) {
    Append(&text, "Next: something happens by itself at ", Time(response.next_time()));
    const absl::Duration left = ToTime(response.next_time()) - now;
    if (left > absl::ZeroDuration()) Append(&text, ", in ", Elapsed(left));
    Append(&text, ".\n");
  }
  return text;
}

}  // namespace capstan::cli
