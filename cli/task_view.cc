#include "cli/task_view.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "cli/render_task.h"
#include "cli/render_words.h"
#include "cli/text_format.h"
#include "core/projection.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::Execution;
using v1::StepStatus;

constexpr const char* kSpinner[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
constexpr size_t kOtherLines = 2;      // beside the steps: state and totals
constexpr size_t kNumberColumns = 46;  // of a step's line beside its name
constexpr size_t kShortestName = 8;    // that a narrow terminal leaves
constexpr size_t kLongestName = 24;

std::string Spinner(int64_t frame) {
  return kSpinner[static_cast<size_t>(frame) % std::size(kSpinner)];
}

std::string Mark(StepStatus::State state, int64_t frame) {
  switch (state) {
    case StepStatus::STATE_RUNNING:
      return Spinner(frame);
    case StepStatus::STATE_WAITING:
      return "?";
    case StepStatus::STATE_SUCCEEDED:
      return "✓";
    case StepStatus::STATE_FAILED:
    case StepStatus::STATE_CANCELLED:
      return "✗";
    case StepStatus::STATE_SKIPPED:
      return "–";
    default:
      return "·";
  }
}

std::string HeadLine(const Execution& execution, absl::Time now, int64_t frame) {
  const bool still = IsTerminal(execution.state()) || execution.state() == Execution::STATE_BLOCKED;
  std::string text =
      Cat(still ? "·" : Spinner(frame), " ", Elapsed(now - ToTime(execution.create_time())), "  ",
          StateText(execution), "  ", SubjectText(execution));
  if (execution.cancel_requested()) Append(&text, "  cancel requested");
  return text;
}

std::string FootLine(const Execution& execution) {
  std::string text = Cat("  ", ProgressText(execution), " steps  ",
                         UsageText(execution.usage(), execution.max_cost_microusd()));
  if (!execution.message().empty()) Append(&text, "  ", OneLine(execution.message()));
  return text;
}

// `text` in a field of its own; numbers stand at the right of it.
std::string Left(const std::string& text, size_t columns) {
  const std::string cut = CutToWidth(text, columns);
  return Cat(cut, std::string(columns - DisplayWidth(cut), ' '));
}

std::string Right(const std::string& text, size_t columns) {
  const size_t width = DisplayWidth(text);
  return width >= columns ? text : Cat(std::string(columns - width, ' '), text);
}

std::string StepLine(const StepStatus& step, absl::Time now, int64_t frame, size_t name_columns) {
  std::string text =
      Cat("  ", Mark(step.state(), frame), " ", Left(OneLine(step.name()), name_columns));
  if (step.attempt() == 0 || step.state() == StepStatus::STATE_PENDING) {
    if (!step.message().empty()) Append(&text, "  ", OneLine(step.message()));
    return text;
  }
  const v1::UsageTotals& usage = step.usage();
  Append(&text, " ", Right(TryText(step), 4), "  ", Right(Elapsed(TimeOf(step, now)), 7));
  if (step.has_usage()) {
    Append(&text, "  in ", Right(Tokens(usage.input_tokens()), 5), " out ",
           Right(Tokens(usage.output_tokens()), 5), " ", Right(CostText(usage), 7));
  }
  if (const std::string said = SaidText(step); !said.empty()) Append(&text, "  ", said);
  return text;
}

size_t NameColumns(const Execution& execution, size_t columns) {
  size_t longest = 0;
  for (const StepStatus& step : execution.steps())
    longest = std::max(longest, DisplayWidth(OneLine(step.name())));
  const size_t room = columns > kNumberColumns ? columns - kNumberColumns : 0;
  return std::min({longest, kLongestName, std::max(room, kShortestName)});
}

// Which steps are shown: all, or those around the first that is not done.
struct Window {
  int begin = 0;
  int end = 0;
};

Window WindowOf(const Execution& execution, int lines) {
  const int count = execution.steps_size();
  if (count <= lines) return {0, count};
  const int shown = std::max(1, lines - 2);  // the others are counted in a line each
  int first = 0;
  while (first < count && (execution.steps(first).state() == StepStatus::STATE_SUCCEEDED ||
                           execution.steps(first).state() == StepStatus::STATE_SKIPPED)) {
    ++first;
  }
  const int begin = std::clamp(first - 1, 0, count - shown);
  return {begin, begin + shown};
}

}  // namespace

std::vector<std::string> TaskView(const Execution& execution, absl::Time now, int64_t frame,
                                  TerminalSize size) {
  const size_t names = NameColumns(execution, size.columns);
  const int lines = static_cast<int>(std::max<size_t>(size.rows, kOtherLines + 1) - kOtherLines);
  const Window window = WindowOf(execution, lines);
  std::vector<std::string> view = {HeadLine(execution, now, frame)};
  if (window.begin > 0 && lines > 2) view.push_back(Cat("  … ", window.begin, " before"));
  for (int i = window.begin; i < window.end; ++i)
    view.push_back(StepLine(execution.steps(i), now, frame, names));
  if (const int rest = execution.steps_size() - window.end; rest > 0 && lines > 2)
    view.push_back(Cat("  … ", rest, " more"));
  view.push_back(FootLine(execution));
  for (std::string& line : view)
    line = CutToWidth(std::string(absl::StripTrailingAsciiWhitespace(line)), size.columns);
  return view;
}

}  // namespace capstan::cli
