#include "cli/rpc_error.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "cli/text_format.h"
#include "core/text.h"
#include "google/rpc/code.pb.h"
#include "google/rpc/error_details.pb.h"

namespace capstan::cli {
namespace {

// What the details say, ready to print.
struct Findings {
  std::string reason;
  std::string lines;  // each with a line break
  bool names_fields = false;
};

// A description of several lines, such as all that is wrong with a file, keeps them.
std::string Indented(const std::string& description) {
  if (description.find('\n') == std::string::npos) return Cat(" ", OneLine(description));
  std::string text;
  for (absl::string_view line : absl::StrSplit(description, '\n', absl::SkipEmpty()))
    Append(&text, "\n    ", OneLine(std::string_view(line.data(), line.size())));
  return text;
}

Findings Read(const google::rpc::Status& details) {
  Findings findings;
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::PreconditionFailure precondition;
  std::map<std::string, std::string> metadata;
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&info)) {
      findings.reason = OneLine(info.reason());
      metadata.insert(info.metadata().begin(), info.metadata().end());
    } else if (any.UnpackTo(&bad_request)) {
      findings.names_fields = bad_request.field_violations_size() > 0;
      for (const auto& violation : bad_request.field_violations()) {
        Append(&findings.lines, "  ", OneLine(violation.field()), ":",
               Indented(violation.description()), "\n");
      }
    } else if (any.UnpackTo(&precondition)) {
      for (const auto& violation : precondition.violations()) {
        Append(&findings.lines, "  ", OneLine(violation.subject()), ": ",
               OneLine(violation.description()), "\n");
      }
    }
  }
  if (findings.names_fields) metadata.erase("field");  // named by its line
  for (const auto& [key, value] : metadata) {
    Append(&findings.lines, "  ", OneLine(key), ": ", OneLine(value), "\n");
  }
  return findings;
}

// What to do about an error of this reason.
struct Advice {
  std::string_view reason;
  std::string_view text;
};

constexpr Advice kAdvice[] = {
    {"SELF_APPROVAL", "Somebody else has to decide."},
    {"NOT_AN_APPROVER", "Ask a member of such a group; the setting groups of the server has them."},
    {"NO_PENDING_APPROVAL", "capstan approval list shows what waits for a decision."},
    {"PLAN_CHANGED", "Look at the plan as it is now: capstan approval show EXECUTION."},
    {"NOT_ENDED", "Wait for its end with capstan execution watch, or cancel it first."},
    {"EFFECT_POSSIBLE", "Look at the target; --accept-repeated-effect then runs it all the same."},
    {"NOTHING_TO_UNDO", "capstan execution get shows what is known about its effect."},
    {"NO_INVERSE", "Undo it by hand, with an action of your choice."},
    {"STATE_UNKNOWN",
     "Look at the target; capstan execution get shows the action that would undo it."},
    {"NOT_BLOCKED", "capstan target list shows which targets are blocked."},
    {"NOT_A_TASK", "Actions are cancelled, or kept from starting with capstan stop create."},
    {"SPEC_REQUIRED", "--spec-file gives one."},
    {"ALREADY_SUCCEEDED", "For a task --from-step names the step to begin with again."},
    {"STEP_NOT_DONE", "capstan execution get shows which steps were done."},
    {"STOP_NOT_FOUND", "capstan stop list shows the stops in force."},
};

std::string Hint(const grpc::Status& status, const std::string& reason,
                 const std::string& address) {
  std::string text;
  const auto* advice =
      std::find_if(std::begin(kAdvice), std::end(kAdvice),
                   [&](const Advice& candidate) { return candidate.reason == reason; });
  if (advice != std::end(kAdvice)) return Cat(advice->text, "\n");
  if (std::optional<absl::Duration> delay = RetryDelayOf(status)) {
    text = Cat("Try again in ", absl::FormatDuration(*delay), ".\n");
  } else if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    text = Cat("Is a server running at ", OneLine(address),
               "? --address or CAPSTAN_ADDRESS names another one.\n");
  }
  return text;
}

}  // namespace

std::string CodeName(grpc::StatusCode code) {
  return EnumWord(*google::rpc::Code_descriptor(), code, "");
}

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) {
    details.Clear();
  }
  details.set_code(status.error_code());
  details.set_message(status.error_message());
  return details;
}

std::optional<absl::Duration> RetryDelayOf(const grpc::Status& status) {
  google::rpc::RetryInfo retry;
  const google::rpc::Status details = DetailsOf(status);
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&retry)) {
      return absl::Seconds(retry.retry_delay().seconds()) +
             absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return std::nullopt;
}

std::string ErrorText(const grpc::Status& status, const std::string& address) {
  const Findings findings = Read(DetailsOf(status));
  std::string text = Cat("Error: ", CodeName(status.error_code()),
                         findings.reason.empty() ? "" : " ", findings.reason);
  // The message only repeats what the fields say.
  if (!findings.names_fields) Append(&text, ": ", OneLine(status.error_message()));
  return Cat(text, "\n", findings.lines, Hint(status, findings.reason, address));
}

std::string ErrorJson(const grpc::Status& status) {
  google::rpc::Status details = DetailsOf(status);
  // Of types that this program does not know nothing can be printed.
  auto unknown = [](const google::protobuf::Any& any) {
    const std::string type = any.type_url().substr(any.type_url().rfind('/') + 1);
    return google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type) ==
           nullptr;
  };
  auto* list = details.mutable_details();
  list->erase(std::remove_if(list->begin(), list->end(), unknown), list->end());
  return Cat("{\"error\":", absl::StripTrailingAsciiWhitespace(ToJson(details, JsonLayout::kLine)),
             "}\n");
}

}  // namespace capstan::cli
