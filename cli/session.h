// What the commands share: the connection, and how answers and errors are printed.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/render_execution.h"

namespace capstan::cli {

inline constexpr absl::Duration kCallTimeout = absl::Seconds(30);  // of a call that is not a stream

// One command's. Not thread-safe.
class Session {
 public:
  Session(const Options& options, Environment& environment, std::shared_ptr<grpc::Channel> channel)
      : options(options), environment(environment), channel(std::move(channel)) {}

  // Makes one unary call: `call(context)` with a deadline, cancelled by Ctrl-C.
  template <class Call>
  grpc::Status Unary(const Call& call) const;

  // The message itself with -o json, otherwise the text.
  void Print(const google::protobuf::Message& message, const std::string& text) const;

  // Prints the error and returns the exit code for it.
  int Fail(const grpc::Status& status) const;

  // How this program has to be called to reach the same server.
  Invocation invocation() const;

  const Options& options;
  Environment& environment;
  const std::shared_ptr<grpc::Channel> channel;
};

// "2b1c…" -> "executions/2b1c…"; a name that has a slash is left alone.
std::string WithCollection(const std::string& collection, const std::string& name);

// Prints a mistake of the command line or a file and returns kUsage.
int UsageError(Environment& environment, const std::string& message);

template <class Call>
grpc::Status Session::Unary(const Call& call) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(kCallTimeout));
  std::stop_callback cancel(environment.stop, [&] { context.TryCancel(); });
  return call(context);
}

}  // namespace capstan::cli
