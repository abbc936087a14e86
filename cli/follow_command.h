// Following an execution from the command line: what `action run`, `execution watch`,
// `retry` and `rollback` share.
#pragma once

#include <functional>
#include <string>

#include "cli/follow.h"
#include "cli/session.h"
#include "cli/watch_output.h"

namespace capstan::cli {

// How a command that makes an execution shows it: with -o json or --no-wait only its end.
WatchMode SubmitMode(const Session& session);

// How progress is shown to a person: drawn in place on a terminal, otherwise, and with --plain, in
// lines.
WatchMode TextMode(const Session& session);

// Follows by `follow` (Submit, Start or Watch of the follower it is given), shows the progress in
// `mode`, then prints the end or how to go on, and returns the exit code. With -o json the last
// thing printed in kQuiet is the Execution.
int FollowToTheEnd(Session& session, WatchMode mode,
                   const std::function<FollowResult(Follower&)>& follow);

// The request id that the command line gives, or a new one.
std::string RequestId(const Options& options);

// Where no server answered (`code` says so), how to find out whether the request was stored.
// Returns the code.
int AdviseOnLostAnswer(Session& session, int code, const std::string& request_id);

}  // namespace capstan::cli
