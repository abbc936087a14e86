#include "worker/policy/bundle_check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace capstan::policy {
namespace {

constexpr std::size_t kMaxOutputBytes = 16 << 10;

absl::Status SystemError(std::string_view what, int error) {
  return absl::InternalError(
      absl::StrCat(absl::string_view(what.data(), what.size()), ": ", std::strerror(error)));
}

std::vector<std::string> Arguments(const BundleCheck& check) {
  std::vector<std::string> arguments = {check.program, "--expect-digest", check.digest};
  for (const std::string& bundle : check.required) {
    arguments.insert(arguments.end(), {"--required", bundle});
  }
  if (check.conditions) arguments.emplace_back("--conditions");
  arguments.insert(arguments.end(), {"--", check.directory});
  return arguments;
}

// Starts the child with its output on `output`; standard error goes where ours goes.
absl::StatusOr<pid_t> Spawn(const BundleCheck& check, int output) {
  std::vector<std::string> arguments = Arguments(check);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const absl::Cleanup destroy = [&actions] { posix_spawn_file_actions_destroy(&actions); };
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, check.program.c_str(), &actions, nullptr, argv.data(), environ);
  if (error != 0) return SystemError(check.program, error);
  return child;
}

// Reads to the end, keeping the first kMaxOutputBytes; false when `deadline` came first.
bool ReadOutput(int fd, absl::Time deadline, std::string& output) {
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd ready{fd, POLLIN, 0};
    const int polled = poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (polled < 0 && errno != EINTR) return false;
    if (polled <= 0) continue;
    char chunk[4096];
    const ssize_t count = read(fd, chunk, sizeof(chunk));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    output.append(chunk,
                  std::min(static_cast<std::size_t>(count), kMaxOutputBytes - output.size()));
  }
}

int Wait(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

absl::Status ToStatus(int status, const std::string& output) {
  if (WIFSIGNALED(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the policies crashed the engine (signal ", WTERMSIG(status),
                     "): rules that nest or recurse too deep do this"));
  }
  const std::string text(absl::StripAsciiWhitespace(output));
  switch (WEXITSTATUS(status)) {
    case kCheckGood:
      return absl::OkStatus();
    case kCheckBad:
      return absl::InvalidArgumentError(text.empty() ? "the policy check failed without a word"
                                                     : text);
    case kCheckOtherFiles:
      return absl::AbortedError("the policies changed while they were checked");
    default:
      return absl::InternalError(
          absl::StrCat("policy check ended with ", WEXITSTATUS(status), ": ", text));
  }
}

}  // namespace

absl::Status CheckInChild(const BundleCheck& check) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return SystemError("pipe", errno);
  const absl::Cleanup close_read = [&fds] { close(fds[0]); };
  const absl::StatusOr<pid_t> child = Spawn(check, fds[1]);
  close(fds[1]);
  if (!child.ok()) return child.status();

  std::string output;
  const bool ended = ReadOutput(fds[0], absl::Now() + check.timeout, output);
  if (!ended) kill(*child, SIGKILL);
  const int status = Wait(*child);
  if (!ended) {
    return absl::DeadlineExceededError(
        absl::StrCat("the policies were not checked within ", absl::FormatDuration(check.timeout)));
  }
  return ToStatus(status, output);
}

}  // namespace capstan::policy
