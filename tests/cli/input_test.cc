// The command line, parameters and errors: text in, values out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/options.h"
#include "cli/parameters_input.h"
#include "cli/rpc_error.h"
#include "google/rpc/error_details.pb.h"
#include "tests/cli/sample_messages.h"
#include "tests/support/status_matchers.h"

namespace capstan::cli {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(OptionsTest, ReadsACommandWithItsFlagsInAnyOrder) {
  ParsedOptions parsed =
      ParseOptions({"action", "run", "-p", "a=1", "-p", "b=x y", "ScaleDeployment", "--timeout",
                    "90s", "--dry-run", "-o", "json", "--label", "team=a"},
                   {});

  ASSERT_TRUE(parsed.options.has_value()) << parsed.usage.text;
  EXPECT_EQ(parsed.options->command, Command::kActionRun);
  EXPECT_EQ(parsed.options->name, "ScaleDeployment");
  EXPECT_THAT(parsed.options->parameters, ElementsAre("a=1", "b=x y"));
  EXPECT_THAT(parsed.options->labels, ElementsAre("team=a"));
  EXPECT_EQ(parsed.options->timeout, absl::Seconds(90));
  EXPECT_TRUE(parsed.options->dry_run);
  EXPECT_EQ(parsed.options->output, Output::kJson);
}

TEST(OptionsTest, AFlagGoesOverTheEnvironment) {
  EXPECT_EQ(ParseOptions({"version"}, {}).options->address, "127.0.0.1:50051");
  EXPECT_EQ(ParseOptions({"version"}, {{"CAPSTAN_ADDRESS", "a:1"}}).options->address, "a:1");
  EXPECT_EQ(
      ParseOptions({"--address", "b:2", "version"}, {{"CAPSTAN_ADDRESS", "a:1"}}).options->address,
      "b:2");
  EXPECT_EQ(ParseOptions({"worker", "list", "--address", "b:2"}, {}).options->address, "b:2");
}

TEST(OptionsTest, AWrongCommandLineIsUsage) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {},
           {"action"},
           {"action", "run"},
           {"action", "run", "A", "B"},
           {"action", "run", "A", "--timeout", "soon"},
           {"action", "run", "A", "--timeout", "-1s"},
           {"action", "run", "A", "--priority", "9"},
           {"fly"},
           {"version", "--colour"},
           {"version", "-o", "xml"},
           {"execution", "list", "--limit", "0"},
       }) {
    ParsedOptions parsed = ParseOptions(arguments, {});
    EXPECT_FALSE(parsed.options.has_value());
    EXPECT_EQ(parsed.usage.exit_code, 2);
    EXPECT_THAT(parsed.usage.text, HasSubstr("Error: "));
  }
}

TEST(OptionsTest, AnEmptyValueDoesNotTakeTheNextWord) {
  ParsedOptions parsed =
      ParseOptions({"execution", "list", "--filter=", "--limit=3", "--caller=", "-o", "json"}, {});

  ASSERT_TRUE(parsed.options.has_value()) << parsed.usage.text;
  EXPECT_EQ(parsed.options->filter, "");
  EXPECT_EQ(parsed.options->limit, 3);
  EXPECT_EQ(parsed.options->caller, "");
  EXPECT_EQ(parsed.options->output, Output::kJson);
}

TEST(OptionsTest, HelpIsNoError) {
  ParsedOptions parsed = ParseOptions({"action", "run", "--help"}, {});

  EXPECT_EQ(parsed.usage.exit_code, 0);
  EXPECT_THAT(parsed.usage.text, HasSubstr("--request-id"));
}

TEST(ParametersInputTest, AValueIsANumberOrBooleanWhereTheActionSaysSo) {
  google::protobuf::Struct parameters;

  ASSERT_OK(AddParameters({"deployment=7", "replicas=3", "force=true", "other=4"},
                          ScaleDeploymentAction(), &parameters));

  EXPECT_EQ(parameters.fields().at("deployment").string_value(), "7");
  EXPECT_EQ(parameters.fields().at("replicas").number_value(), 3);
  EXPECT_TRUE(parameters.fields().at("force").bool_value());
  EXPECT_EQ(parameters.fields().at("other").string_value(), "4");
}

TEST(ParametersInputTest, WhatDoesNotParseIsLeftForTheServerToRefuse) {
  google::protobuf::Struct parameters;

  ASSERT_OK(AddParameters({"replicas=many", "force=yes"}, ScaleDeploymentAction(), &parameters));

  EXPECT_EQ(parameters.fields().at("replicas").string_value(), "many");
  EXPECT_EQ(parameters.fields().at("force").string_value(), "yes");
}

TEST(ParametersInputTest, AValueMayHoldEqualsSigns) {
  google::protobuf::Struct parameters;

  ASSERT_OK(AddParameters({"deployment=a=b", "namespace="}, ScaleDeploymentAction(), &parameters));

  EXPECT_EQ(parameters.fields().at("deployment").string_value(), "a=b");
  EXPECT_EQ(parameters.fields().at("namespace").string_value(), "");
}

TEST(ParametersInputTest, RefusesPairsThatAreNone) {
  google::protobuf::Struct parameters;

  EXPECT_THAT(
      AddParameters({"replicas"}, {}, &parameters),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got \"replicas\", want key=value")));
  EXPECT_THAT(AddParameters({"=3"}, {}, &parameters), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(AddParameters({"a=1", "a=2"}, {}, &parameters),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"a\" is given twice")));
}

TEST(ParametersInputTest, AFileIsOneJsonObject) {
  EXPECT_EQ(ParseParametersJson(R"({"replicas": 3})")->fields().at("replicas").number_value(), 3);
  EXPECT_THAT(ParseParametersJson("[1]"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseParametersJson(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

template <class... Details>
grpc::Status WithDetails(grpc::StatusCode code, const std::string& message,
                         const Details&... details) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  (status.add_details()->PackFrom(details), ...);
  return {code, message, status.SerializeAsString()};
}

TEST(RpcErrorTest, NamesTheFieldsThatAreWrong) {
  auto info = Parse<google::rpc::ErrorInfo>("domain: 'capstan.dev' reason: 'INVALID_REQUEST'");
  auto bad_request = Parse<google::rpc::BadRequest>(
      "field_violations { field: 'parameters.replicas' description: 'got 1001, want 0 to 1000' }");

  EXPECT_EQ(ErrorText(WithDetails(grpc::StatusCode::INVALID_ARGUMENT, "all of it again", info,
                                  bad_request),
                      "a:1"),
            "Error: INVALID_ARGUMENT INVALID_REQUEST\n"
            "  parameters.replicas: got 1001, want 0 to 1000\n");
}

TEST(RpcErrorTest, NamesAFieldOnceAndTheRestInOrder) {
  auto info = Parse<google::rpc::ErrorInfo>(
      "reason: 'INVALID_REQUEST' metadata { key: 'zone' value: 'b' } metadata { key: 'field' "
      "value: "
      "'action' } metadata { key: 'action' value: 'Scale' } metadata { key: 'limit' value: '3' }");
  auto bad_request = Parse<google::rpc::BadRequest>(
      "field_violations { field: 'action' description: 'got nothing' }");

  EXPECT_EQ(
      ErrorText(WithDetails(grpc::StatusCode::INVALID_ARGUMENT, "no", info, bad_request), "a:1"),
      "Error: INVALID_ARGUMENT INVALID_REQUEST\n"
      "  action: got nothing\n"
      "  action: Scale\n"
      "  limit: 3\n"
      "  zone: b\n");
}

TEST(RpcErrorTest, ShowsMetadataAndWhenToComeBack) {
  auto info = Parse<google::rpc::ErrorInfo>(
      "reason: 'REQUEST_ID_REUSED' metadata { key: 'execution' value: 'executions/1' }");
  auto retry = Parse<google::rpc::RetryInfo>("retry_delay { seconds: 1 nanos: 500000000 }");

  EXPECT_EQ(
      ErrorText(WithDetails(grpc::StatusCode::ALREADY_EXISTS, "used before", info, retry), "a:1"),
      "Error: ALREADY_EXISTS REQUEST_ID_REUSED: used before\n"
      "  execution: executions/1\n"
      "Try again in 1.5s.\n");
}

TEST(RpcErrorTest, ShowsPreconditions) {
  auto failure = Parse<google::rpc::PreconditionFailure>(
      "violations { subject: 'state' description: 'has ended' }");

  EXPECT_THAT(ErrorText(WithDetails(grpc::StatusCode::FAILED_PRECONDITION, "no", failure), "a:1"),
              HasSubstr("  state: has ended\n"));
}

TEST(RpcErrorTest, AnErrorWithoutDetailsIsCodeAndMessage) {
  EXPECT_EQ(ErrorText({grpc::StatusCode::NOT_FOUND, "no such\x1b thing"}, "a:1"),
            "Error: NOT_FOUND: no such  thing\n");
  EXPECT_THAT(ErrorText({grpc::StatusCode::UNAVAILABLE, "refused"}, "a:1"),
              HasSubstr("Is a server running at a:1? --address or CAPSTAN_ADDRESS"));
}

TEST(RpcErrorTest, DetailsThatDoNotParseAreLeftOut) {
  EXPECT_EQ(ErrorText({grpc::StatusCode::INTERNAL, "boom", "\xff\xff"}, "a:1"),
            "Error: INTERNAL: boom\n");
}

TEST(RpcErrorTest, JsonHoldsTheWholeStatus) {
  auto info = Parse<google::rpc::ErrorInfo>("domain: 'capstan.dev' reason: 'INVALID_REQUEST'");

  EXPECT_EQ(
      ErrorJson(WithDetails(grpc::StatusCode::INVALID_ARGUMENT, "bad", info)),
      R"({"error":{"code":3,"message":"bad","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",)"
      R"("reason":"INVALID_REQUEST","domain":"capstan.dev"}]}})"
      "\n");
}

TEST(RpcErrorTest, JsonLeavesOutDetailsOfUnknownTypes) {
  google::rpc::Status status;
  status.add_details()->set_type_url("type.googleapis.com/no.such.Type");
  status.mutable_details(0)->set_value("\x08\x01");

  EXPECT_EQ(ErrorJson({grpc::StatusCode::INTERNAL, "boom", status.SerializeAsString()}),
            "{\"error\":{\"code\":13,\"message\":\"boom\"}}\n");
}

}  // namespace
}  // namespace capstan::cli
