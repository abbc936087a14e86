// The view of a task on a terminal, and how it is drawn in place.
#include "cli/task_view.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "cli/live_area.h"
#include "cli/text_format.h"
#include "tests/cli/task_messages.h"

namespace capstan::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;
using ::testing::StartsWith;

absl::Time At(int64_t seconds) { return absl::FromUnixSeconds(kCreated + seconds); }

std::string View(const v1::Execution& execution, int64_t seconds, int64_t frame,
                 TerminalSize size = {}) {
  return absl::StrJoin(TaskView(execution, At(seconds), frame, size), "\n");
}

// A task of this many steps, of which the first `done` have succeeded and the next one runs.
v1::Execution Long(int count, int done) {
  v1::Execution execution = Project({TaskAccepted()});
  execution.clear_steps();
  for (int i = 0; i < count; ++i) {
    v1::StepStatus& step = *execution.add_steps();
    step.set_name("step_" + std::to_string(i));
    step.set_state(i < done    ? v1::StepStatus::STATE_SUCCEEDED
                   : i == done ? v1::StepStatus::STATE_RUNNING
                               : v1::StepStatus::STATE_PENDING);
    step.set_attempt(i <= done ? 1 : 0);
  }
  return execution;
}

TEST(TaskViewTest, S1_28_ShowsEachStepWithElapsedTokensAndCost) {
  EXPECT_EQ(View(Project(RunningTaskEvents()), 134, 0, {.columns = 100, .rows = 24}),
            "⠋ 2:14  RUNNING  medium: Add a limit\n"
            "  ✓ spec       1/1     0:03  in  321k out  4.2k   $0.21\n"
            "  ⠋ implement  1/2     2:07\n"
            "  · review\n"
            "  1/3 steps  in 321k, out 4.2k tokens, $0.21 of $5.00");
}

TEST(TaskViewTest, TheSpinnerTurnsWithTheFrameAndStopsWhenNothingRuns) {
  EXPECT_THAT(View(Project(RunningTaskEvents()), 134, 13), StartsWith("⠸ 2:14  RUNNING"));
  EXPECT_EQ(View(Project(GoodTaskEvents()), 14, 3),
            "· 0:14  SUCCEEDED  medium: Add a limit\n"
            "  ✓ spec       1/1     0:03  in  321k out  4.2k   $0.21\n"
            "  ✓ implement  1/2     0:03\n"
            "  – review     its condition does not hold\n"
            "  3/3 steps  in 321k, out 4.2k tokens, $0.21 of $5.00");
}

TEST(TaskViewTest, AStepThatWaitsIsMarkedAndSaysForWhat) {
  EXPECT_EQ(View(Project(WaitingTaskEvents(true)), 20, 0),
            "· 0:20  BLOCKED(USER_INPUT)  medium: Add a limit\n"
            "  ✓ spec       1/1     0:03  in  321k out  4.2k   $0.21\n"
            "  ⠋ implement  1/2     0:13\n"
            "  ? review     Which table?\n"
            "  1/3 steps  in 321k, out 4.2k tokens, $0.21 of $5.00  step review waits");
}

TEST(TaskViewTest, AStepThatWaitsForAnExecutionNamesIt) {
  EXPECT_THAT(View(Project(ChildTaskEvents()), 20, 0),
              HasSubstr("2/1     0:10  waits for executions/c1\n"));
}

TEST(TaskViewTest, NoLineIsWiderThanTheTerminal) {
  v1::Execution execution = Project(FailedTaskEvents());
  execution.mutable_task()->set_title("Größere Grenzen für 日本語 und alles, was sonst noch kommt");
  execution.mutable_steps(1)->set_name("a_step_with_a_name_that_is_far_too_long_to_be_shown");

  EXPECT_EQ(View(execution, 14, 0, {.columns = 60, .rows = 24}),
            "· 0:14  FAILED(STEP_FAILED)  medium: Größere Grenzen für 日…\n"
            "  ✓ spec            1/1     0:03  in  321k out  4.2k   $0.21\n"
            "  ✗ a_step_with_a…  1/2     0:03  it does not build\n"
            "  · review\n"
            "  1/3 steps  in 321k, out 4.2k tokens, $0.21 of $5.00  step…");
  for (const std::string& line : TaskView(execution, At(14), 0, {.columns = 20, .rows = 24}))
    EXPECT_THAT(DisplayWidth(line), Le(20u)) << line;
}

TEST(TaskViewTest, OfMoreStepsThanThereAreRowsThoseThatRunAreShown) {
  EXPECT_THAT(TaskView(Long(12, 6), At(0), 0, {.columns = 80, .rows = 8}),
              ElementsAre(StartsWith("⠋"), "  … 5 before", HasSubstr("✓ step_5"),
                          HasSubstr("⠋ step_6"), HasSubstr("· step_7"), HasSubstr("· step_8"),
                          "  … 3 more", HasSubstr("6/12 steps")));
  EXPECT_THAT(TaskView(Long(12, 0), At(0), 0, {.columns = 80, .rows = 8}), SizeIs(Le(8u)));
  EXPECT_THAT(TaskView(Long(12, 12), At(0), 0, {.columns = 80, .rows = 8}), SizeIs(Le(8u)));
  EXPECT_THAT(TaskView(Long(12, 6), At(0), 0, {.columns = 80, .rows = 1}),
              ElementsAre(StartsWith("⠋"), HasSubstr("step_5"), HasSubstr("6/12 steps")));
}

TEST(LiveAreaTest, LinesAreDrawnInThePlaceOfThoseBefore) {
  LiveArea area;

  EXPECT_EQ(area.Draw({"one", "two"}, 80), "\033[?25l\rone\033[K\r\ntwo\033[K\033[J");
  EXPECT_EQ(area.Draw({"one", "three"}, 80), "\r\033[1Aone\033[K\r\nthree\033[K\033[J");
  EXPECT_EQ(area.Draw({"last"}, 80), "\r\033[1Alast\033[K\033[J");
  EXPECT_EQ(area.Clear(80), "\r\033[J\033[?25h");
}

// What a terminal makes of what is written to it: the characters on its rows, as far as this
// program steers one. (One column a byte: the texts here are ASCII.)
std::vector<std::string> ScreenAfter(const std::string& written) {
  std::vector<std::string> rows = {""};
  std::size_t row = 0, column = 0;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const char c = written[i];
    if (c == '\r') {
      column = 0;
    } else if (c == '\n') {
      if (++row == rows.size()) rows.emplace_back();
    } else if (c == '\033') {
      const std::size_t end = written.find_first_of("AJKhl", i);
      if (written[end] == 'A') row -= std::stoul(written.substr(i + 2));
      if (written[end] == 'K' || written[end] == 'J') rows[row].resize(column);
      if (written[end] == 'J') rows.resize(row + 1);
      i = end;
    } else {
      rows[row].resize(std::max(rows[row].size(), column + 1));
      rows[row][column++] = c;
    }
  }
  return rows;
}

TEST(LiveAreaTest, OnlyTheLatestLinesAreOnTheScreenBelowWhatWasSaid) {
  LiveArea area;
  std::string written = area.Draw({"a long first line", "second", "third"}, 80);
  EXPECT_THAT(ScreenAfter(written), ElementsAre("a long first line", "second", "third"));

  written += area.Draw({"short", "second"}, 80);
  EXPECT_THAT(ScreenAfter(written), ElementsAre("short", "second"));

  written += area.Clear(80) + "said\r\n";
  written += area.Draw({"short", "second", "x", "y"}, 80);
  EXPECT_THAT(ScreenAfter(written), ElementsAre("said", "short", "second", "x", "y"));

  written += area.Clear(80) + "end";
  EXPECT_THAT(ScreenAfter(written), ElementsAre("said", "end"));
}

TEST(LiveAreaTest, NothingIsWrittenWhenNothingChanges) {
  LiveArea area;
  area.Draw({"one"}, 80);

  EXPECT_EQ(area.Draw({"one"}, 80), "");
  EXPECT_EQ(area.Draw({"one"}, 40), "\rone\033[K\033[J");
}

TEST(LiveAreaTest, AnAreaWithoutLinesHasNothingToClear) {
  LiveArea area;

  EXPECT_EQ(area.Clear(80), "");
  EXPECT_FALSE(area.drawn());
}

TEST(LiveAreaTest, ANarrowerTerminalHasWrappedTheLines) {
  LiveArea area;
  area.Draw({std::string(70, 'a'), std::string(20, 'b')}, 80);

  EXPECT_THAT(area.Draw({"c"}, 40), StartsWith("\r\033[2A"));
}

}  // namespace
}  // namespace capstan::cli
