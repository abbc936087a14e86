#include "core/machine/event_writer.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"

namespace capstan::machine {

absl::Time ToTime(const google::protobuf::Timestamp& t) {
  return absl::FromUnixSeconds(t.seconds()) + absl::Nanoseconds(t.nanos());
}

google::protobuf::Timestamp ToProto(absl::Time t) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(t));
}

v1::ExecutionEvent& AddEvent(const std::string& correlation_id, int seq, std::string& cause,
                             std::vector<v1::ExecutionEvent>& events) {
  v1::ExecutionEvent& event = events.emplace_back();
  event.set_correlation_id(correlation_id);
  event.set_causation_id(cause);
  cause = absl::StrCat("event/", seq + static_cast<int>(events.size()));
  return event;
}

}  // namespace capstan::machine
