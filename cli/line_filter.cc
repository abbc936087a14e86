#include "cli/line_filter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"

namespace capstan::cli {
namespace {

constexpr absl::Duration kStopInterval = absl::Milliseconds(100);  // between looks at the stop
constexpr std::size_t kMaxComplaint = 4096;

absl::Status SystemError(const std::string& what, int error) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LineFilter>> LineFilter::Start(const std::string& program,
                                                              std::vector<std::string> arguments,
                                                              absl::Duration silence) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  // Its input is a socket, so that writing to a child that has ended is an error and no signal.
  int in[2], out[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0)
    return SystemError("socketpair", errno);
  const absl::Cleanup close_in = [&in] { close(in[0]); };
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[1]);
    return SystemError("pipe", errno);
  }
  const absl::Cleanup close_out = [&out] { close(out[1]); };

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const absl::Cleanup destroy = [&actions] { posix_spawn_file_actions_destroy(&actions); };
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  if (error != 0) {
    close(in[1]);
    close(out[0]);
    return SystemError(program, error);
  }
  return std::unique_ptr<LineFilter>(new LineFilter(child, in[1], out[0], silence));
}

LineFilter::~LineFilter() {
  close(input_);
  close(output_);
  if (child_ == 0) return;
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::StatusOr<std::vector<std::string>> LineFilter::Ask(const std::vector<std::string>& lines,
                                                         std::stop_token stop) {
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, line, "\n");
  std::size_t sent = 0;
  std::vector<std::string> answers;
  while (answers.size() < lines.size()) {
    const std::size_t end = received_.find('\n');
    if (end == std::string::npos) {
      CAPSTAN_RETURN_IF_ERROR(Exchange(text, sent, stop));
      continue;
    }
    answers.push_back(received_.substr(0, end));
    received_.erase(0, end + 1);
    // Answers are objects; anything else is a complaint, and the end.
    if (answers.back().empty() || answers.back().front() != '{') {
      received_ = absl::StrCat(answers.back(), "\n", received_);
      while (true) CAPSTAN_RETURN_IF_ERROR(Exchange(text, sent, stop));
    }
  }
  return answers;
}

absl::Status LineFilter::Finish(std::stop_token stop) {
  shutdown(input_, SHUT_WR);
  std::size_t sent = 0;
  absl::Status status;
  while (status.ok() && child_ != 0) status = Exchange("", sent, stop);
  return ended_well_ && received_.empty() ? absl::OkStatus() : status;
}

// Writes what can be written, reads what can be read. An error at the end of the child's output.
absl::Status LineFilter::Exchange(const std::string& text, std::size_t& sent,
                                  std::stop_token stop) {
  const absl::Time silent_until = absl::Now() + silence_;
  while (!stop.stop_requested()) {
    if (absl::Now() > silent_until) {
      return absl::DeadlineExceededError(
          absl::StrCat("it was silent for ", absl::FormatDuration(silence_)));
    }
    pollfd ready[2] = {{output_, POLLIN, 0}, {sent < text.size() ? input_ : -1, POLLOUT, 0}};
    const int polled = poll(ready, 2, static_cast<int>(absl::ToInt64Milliseconds(kStopInterval)));
    if (polled <= 0) continue;
    if (ready[0].revents != 0) {
      char chunk[1 << 16];
      const ssize_t count = read(output_, chunk, sizeof(chunk));
      if (count == 0) return Ended();
      if (count > 0) {
        received_.append(chunk, static_cast<std::size_t>(count));
        return absl::OkStatus();
      }
    }
    if (ready[1].revents != 0) {
      const ssize_t count =
          send(input_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        sent += static_cast<std::size_t>(count);
        return absl::OkStatus();
      }
      // A child that takes no more has ended, or is about to: its output says so.
      if (count < 0 && errno != EAGAIN && errno != EINTR) sent = text.size();
    }
  }
  return absl::CancelledError("interrupted");
}

// The child has closed its output, which is mostly the moment of its end.
absl::Status LineFilter::Ended() {
  int status = 0;
  const absl::Time patience_ends = absl::Now() + silence_;
  while (waitpid(child_, &status, WNOHANG) <= 0) {
    if (absl::Now() > patience_ends) kill(child_, SIGKILL);
    poll(nullptr, 0, 1);
  }
  child_ = 0;
  ended_well_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  std::string said(absl::StripAsciiWhitespace(received_.substr(0, kMaxComplaint)));
  if (!said.empty()) return absl::FailedPreconditionError(said);
  return absl::FailedPreconditionError(
      WIFSIGNALED(status) ? absl::StrCat("it died of signal ", WTERMSIG(status))
                          : absl::StrCat("it ended early with code ", WEXITSTATUS(status)));
}

}  // namespace capstan::cli
