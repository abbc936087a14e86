// What the machines share when they write events.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/event.pb.h"

namespace capstan::machine {

absl::Time ToTime(const google::protobuf::Timestamp& t);
google::protobuf::Timestamp ToProto(absl::Time t);

// Adds the next event of a step to `events`. It is caused by `cause`, and causes the one after it.
// `seq`: of the last stored event.
v1::ExecutionEvent& AddEvent(const std::string& correlation_id, int seq, std::string& cause,
                             std::vector<v1::ExecutionEvent>& events);

}  // namespace capstan::machine
