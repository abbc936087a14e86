// A program that answers each line of its standard input with a line on its standard output, as a
// child of this one.
#pragma once

#include <sys/types.h>

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace capstan::cli {

// Not thread-safe. The child's standard error is this program's; the child ends with this object.
class LineFilter {
 public:
  // `silence`: how long it may take to take or give anything at all.
  // INTERNAL: it cannot be run.
  static absl::StatusOr<std::unique_ptr<LineFilter>> Start(const std::string& program,
                                                           std::vector<std::string> arguments,
                                                           absl::Duration silence);
  ~LineFilter();
  LineFilter(const LineFilter&) = delete;
  LineFilter& operator=(const LineFilter&) = delete;

  // Sends the lines, each without a line break, and returns their answers, in order. Blocks.
  //   FAILED_PRECONDITION  the child ended early: everything it wrote instead, or how it died
  //   DEADLINE_EXCEEDED    it was silent for too long
  //   CANCELLED            stop was requested
  // After an error there is nothing more to ask.
  absl::StatusOr<std::vector<std::string>> Ask(const std::vector<std::string>& lines,
                                               std::stop_token stop);

  // Says that nothing more comes and waits for the child's end. Errors as above; an end with
  // another code than 0, or with something left to say, is one.
  absl::Status Finish(std::stop_token stop);

 private:
  LineFilter(pid_t child, int input, int output, absl::Duration silence)
      : child_(child), input_(input), output_(output), silence_(silence) {}

  absl::Status Exchange(const std::string& text, std::size_t& sent, std::stop_token stop);
  absl::Status Ended();

  pid_t child_;  // 0: waited for
  bool ended_well_ = false;
  const int input_;
  const int output_;
  const absl::Duration silence_;
  std::string received_;  // not yet a line
};

}  // namespace capstan::cli
