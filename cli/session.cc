#include "cli/session.h"

#include "cli/exit_code.h"
#include "cli/rpc_error.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {

void Session::Print(const google::protobuf::Message& message, const std::string& text) const {
  environment.out << (options.output == Output::kJson ? ToJson(message, JsonLayout::kPretty) : text)
                  << std::flush;
}

int Session::Fail(const grpc::Status& status) const {
  if (environment.stop.stop_requested()) return kInterrupted;
  environment.err << (options.output == Output::kJson ? ErrorJson(status)
                                                      : ErrorText(status, options.address))
                  << std::flush;
  return ExitCodeOf(status.error_code());
}

void Session::SayThereAreMore() const {
  if (options.output == Output::kText)
    environment.err << "There are more; --limit shows them.\n" << std::flush;
}

Invocation Session::invocation() const {
  if (!options.address_given) return {};
  return {.program = Cat("capstan --address=", ShellQuoted(options.address))};
}

std::string WithCollection(const std::string& collection, const std::string& name) {
  return name.find('/') == std::string::npos ? Cat(collection, "/", name) : name;
}

std::string ExecutionName(const Session& session) {
  return WithCollection("executions", session.options.name);
}

int UsageError(Environment& environment, const std::string& message) {
  environment.err << "Error: " << message << "\n" << std::flush;
  return kUsage;
}

}  // namespace capstan::cli
