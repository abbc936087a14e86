#include "worker/kubernetes/line_splitter.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;

class LineSplitterTest : public ::testing::Test {
 protected:
  absl::Status Push(std::string_view piece) {
    return splitter_.Push(piece, [this](std::string_view line) {
      lines_.emplace_back(line);
      return absl::OkStatus();
    });
  }

  LineSplitter splitter_{8};
  std::vector<std::string> lines_;
};

TEST_F(LineSplitterTest, PiecesMakeLines) {
  EXPECT_OK(Push("ab"));
  EXPECT_OK(Push("c\nd\r\n\ne"));
  EXPECT_OK(Push("f\n"));

  EXPECT_THAT(lines_, ElementsAre("abc", "d", "ef"));
}

TEST_F(LineSplitterTest, AnUnfinishedLineIsKeptBack) {
  EXPECT_OK(Push("a\nhalf"));

  EXPECT_THAT(lines_, ElementsAre("a"));
}

TEST_F(LineSplitterTest, ALineBeyondTheLimitIsRefused) {
  EXPECT_OK(Push("12345678"));
  EXPECT_THAT(Push("9"), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(LineSplitterTest, TheFirstErrorEndsIt) {
  int calls = 0;

  EXPECT_THAT(splitter_.Push("a\nb\n",
                             [&](std::string_view) {
                               ++calls;
                               return absl::OutOfRangeError("enough");
                             }),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace capstan::kubernetes
