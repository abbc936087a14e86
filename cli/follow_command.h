// Following an execution from the command line: what `action run` and `execution watch` share.
#pragma once

#include <functional>

#include "cli/follow.h"
#include "cli/session.h"
#include "cli/watch_output.h"

namespace capstan::cli {

// Follows by `follow` (Submit or Watch of the follower it is given), shows the progress in `mode`,
// then prints the end or how to go on, and returns the exit code. With -o json the last thing
// printed in kQuiet is the Execution.
int FollowToTheEnd(Session& session, WatchMode mode,
                   const std::function<FollowResult(Follower&)>& follow);

}  // namespace capstan::cli
