#include "cli/follow_command.h"

#include "cli/exit_code.h"
#include "cli/render_execution.h"
#include "cli/rpc_error.h"
#include "cli/text_format.h"
#include "core/ids.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

std::string RetryLine(const grpc::Status& status, absl::Duration delay) {
  if (status.ok())
    return Cat("The stream ended early; going on in ", absl::FormatDuration(delay), ".");
  return Cat("Connection lost (", CodeName(status.error_code()), ": ",
             OneLine(status.error_message()), "); going on in ", absl::FormatDuration(delay), ".");
}

void PrintEnd(Session& session, WatchMode mode, const WatchOutput& output) {
  const v1::Execution execution = output.execution();
  if (session.options.output == Output::kText) {
    session.environment.out << EndText(execution, session.invocation()) << std::flush;
  } else if (mode == WatchMode::kQuiet) {
    session.environment.out << ToJson(execution, JsonLayout::kPretty) << std::flush;
  }
}

}  // namespace

WatchMode SubmitMode(const Session& session) {
  if (session.options.no_wait || session.options.output == Output::kJson) return WatchMode::kQuiet;
  return TextMode(session);
}

WatchMode TextMode(const Session& session) {
  return session.environment.out_is_terminal && !session.options.plain ? WatchMode::kLive
                                                                       : WatchMode::kLines;
}

int FollowToTheEnd(Session& session, WatchMode mode,
                   const std::function<FollowResult(Follower&)>& follow) {
  Environment& environment = session.environment;
  WatchOutput output(environment.out, environment.err, environment.clock, mode,
                     environment.terminal_size, session.invocation());
  auto stub = v1::ExecutionService::NewStub(session.channel);
  Follower follower(
      *stub, environment.clock, environment.stop, {.wait_timeout = session.options.wait_timeout},
      [&](const v1::ExecutionUpdate& update) { output.Update(update); },
      [&](const grpc::Status& status, absl::Duration delay) {
        output.Say(RetryLine(status, delay));
      });
  const FollowResult result = follow(follower);
  output.Stop();
  if (result.deduplicated) {
    environment.err << "This request had been submitted before: " << OneLine(result.name) << "\n";
  }
  switch (result.how) {
    case FollowResult::How::kEnded:
      PrintEnd(session, mode, output);
      return ExitCodeOf(output.execution());
    case FollowResult::How::kAccepted:
      session.Print(output.execution(), Cat(OneLine(result.name), "\n"));
      return kOk;
    case FollowResult::How::kInterrupted:
      environment.err << DetachedText(result.name, session.invocation()) << std::flush;
      return kInterrupted;
    case FollowResult::How::kTimedOut:
      environment.err << "Stopped waiting after "
                      << absl::FormatDuration(session.options.wait_timeout) << ". "
                      << DetachedText(result.name, session.invocation()) << std::flush;
      return kWaitTimedOut;
    case FollowResult::How::kFailed:
      break;
  }
  const int code = session.Fail(result.status);
  if (!output.execution().name().empty() && session.options.output == Output::kText) {
    environment.err << DetachedText(result.name, session.invocation()) << std::flush;
  }
  return code;
}

std::string RequestId(const Options& options) {
  return options.request_id.empty() ? RandomUuid() : options.request_id;
}

int AdviseOnLostAnswer(Session& session, int code, const std::string& request_id) {
  if (code == ExitCodeOf(grpc::StatusCode::UNAVAILABLE) &&
      session.options.output == Output::kText) {
    session.environment.err
        << "The request may have been stored. The same command with --request-id=" << request_id
        << " finds it, or runs it once.\n"
        << std::flush;
  }
  return code;
}

}  // namespace capstan::cli
