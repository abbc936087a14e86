// What the commands share: the connection, and how answers and errors are printed.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/render_words.h"

namespace capstan::cli {

inline constexpr absl::Duration kCallTimeout = absl::Seconds(30);  // of a call that is not a stream
inline constexpr int kMaxAttempts = 3;  // of a call that may be made again
inline constexpr absl::Duration kAttemptDelay = absl::Milliseconds(500);

// One command's. Not thread-safe.
class Session {
 public:
  Session(const Options& options, Environment& environment, std::shared_ptr<grpc::Channel> channel)
      : options(options), environment(environment), channel(std::move(channel)) {}

  // Makes one unary call: `call(context)` with a deadline, cancelled by Ctrl-C.
  template <class Call>
  grpc::Status Unary(const Call& call, absl::Duration timeout = kCallTimeout) const;

  // The same for a call that may be made again, which it is while no server answers.
  template <class Call>
  grpc::Status UnaryIdempotent(const Call& call) const;

  // The message itself with -o json, otherwise the text.
  void Print(const google::protobuf::Message& message, const std::string& text) const;

  // Prints the error and returns the exit code for it.
  int Fail(const grpc::Status& status) const;

  // After a listing that --limit cut: that it did.
  void SayThereAreMore() const;

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

// The execution that the command line names.
std::string ExecutionName(const Session& session);

template <class Call>
grpc::Status Session::Unary(const Call& call, absl::Duration timeout) const {
  grpc::ClientContext context;
  if (timeout != absl::InfiniteDuration()) {
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
  }
  std::stop_callback cancel(environment.stop, [&] { context.TryCancel(); });
  return call(context);
}

template <class Call>
grpc::Status Session::UnaryIdempotent(const Call& call) const {
  grpc::Status status = Unary(call);
  for (int attempt = 1; attempt < kMaxAttempts; ++attempt) {
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE ||
        !environment.clock.SleepFor(kAttemptDelay, environment.stop)) {
      break;
    }
    status = Unary(call);
  }
  return status;
}

}  // namespace capstan::cli
