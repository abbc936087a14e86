#include "worker/kubernetes/client.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/instant_clock.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::CutWithoutAnswer;
using ::capstan::testing::IsOk;
using ::capstan::testing::ReceivedRequest;
using ::capstan::testing::ScriptedServer;
using ::capstan::testing::Silence;
using ::capstan::testing::StatusIs;
using ::capstan::testing::StreamOf;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;
using ::testing::SizeIs;

std::string StatusBody(int code, const std::string& reason, const std::string& message) {
  return Json{{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}}.dump();
}

class ClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<Client> ClientOf(const ScriptedServer& server, ClusterConfig config = {}) {
    config.server = server.Url();
    ClientOptions options;
    options.attempt_timeout = absl::Milliseconds(300);
    return Client::Create(config, clock_, options).value();
  }

  InstantClock clock_;
};

TEST_F(ClientTest, GetAnswersTheObject) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(200, R"({"kind":"Job"})"); });
  auto client = ClientOf(server);

  absl::StatusOr<Json> job = client->Get(kJobs, "actions", "x y");

  ASSERT_OK(job);
  EXPECT_EQ((*job)["kind"], "Job");
  EXPECT_EQ(server.Requests()[0].target, "/apis/batch/v1/namespaces/actions/jobs/x%20y");
  EXPECT_THAT(server.Requests()[0].head, HasSubstr("User-Agent: capstan"));
}

TEST_F(ClientTest, ConnectionsAreKeptBetweenCalls) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(200, "{}"); });
  auto client = ClientOf(server);

  ASSERT_OK(client->Get(kPods, "a", "b"));
  ASSERT_OK(client->Create(kJobs, "a", "{}"));

  EXPECT_EQ(server.Requests()[1].connection, 0);
}

TEST_F(ClientTest, AnErrorCarriesWhatTheServerSaid) {
  ScriptedServer server([](const ReceivedRequest&) {
    return Answer(422, R"({"kind":"Status","code":422,"reason":"Invalid","message":"bad spec",
        "details":{"causes":[{"reason":"FieldValueInvalid","field":"spec.x","message":"no"}]}})");
  });
  auto client = ClientOf(server);

  const absl::Status status = client->Create(kJobs, "actions", "{}").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bad spec")));
  const std::optional<ApiError> error = ApiErrorOf(status);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->http_code, 422);
  EXPECT_EQ(error->reason, "Invalid");
  EXPECT_FALSE(error->outcome_unknown);
  EXPECT_THAT(error->causes, ElementsAre(Field(&ApiError::Cause::field, "spec.x")));
}

TEST_F(ClientTest, TooManyRequestsIsRepeatedAfterTheTimeTheServerAsksFor) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number == 0 ? Answer(429, "slow down", "Retry-After: 7\r\n") : Answer(201, "{}");
  });
  auto client = ClientOf(server);

  EXPECT_OK(client->Create(kJobs, "actions", "{}"));

  EXPECT_THAT(clock_.Sleeps(), ElementsAre(Ge(absl::Seconds(7))));
}

TEST_F(ClientTest, TooManyRequestsEndsWhenTheRetryAfterPassesTheDeadline) {
  ScriptedServer server(
      [](const ReceivedRequest&) { return Answer(429, "slow down", "Retry-After: 60\r\n"); });
  auto client = ClientOf(server);

  const absl::Status status = client->Create(kJobs, "actions", "{}").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(ApiErrorOf(status)->retry_after, absl::Seconds(60));
  EXPECT_THAT(server.Requests(), SizeIs(1));
}

TEST_F(ClientTest, ReadsAreRepeatedAfterServerErrors) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number < 3 ? Answer(503, "no") : Answer(200, "{}");
  });
  auto client = ClientOf(server);

  EXPECT_OK(client->Get(kJobs, "actions", "x"));
  EXPECT_THAT(server.Requests(), SizeIs(4));
}

TEST_F(ClientTest, ReadsGiveUpAfterTheAttemptsAreUsed) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(500, "no"); });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Get(kJobs, "actions", "x"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server.Requests(), SizeIs(5));
}

TEST_F(ClientTest, AWriteAnsweredByAServerErrorIsUnknownAndNotRepeated) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(504, "timeout"); });
  auto client = ClientOf(server);

  const absl::Status status = client->Create(kJobs, "actions", "{}").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown));
  EXPECT_TRUE(ApiErrorOf(status)->outcome_unknown);
  EXPECT_THAT(server.Requests(), SizeIs(1));
}

TEST_F(ClientTest, AWriteWhoseReplyIsLostIsUnknownAndNotRepeated) {
  ScriptedServer server([](const ReceivedRequest&) { return CutWithoutAnswer(); });
  auto client = ClientOf(server);

  const absl::Status status = client->Create(kJobs, "actions", "{}").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown));
  EXPECT_THAT(server.Requests(), SizeIs(1));
}

TEST_F(ClientTest, AWriteOnAKeptConnectionThatDiesIsNotSentTwiceBehindOurBack) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number == 0 ? Answer(200, "{}") : CutWithoutAnswer();
  });
  auto client = ClientOf(server);
  ASSERT_OK(client->Get(kJobs, "actions", "x"));

  const absl::Status status =
      client->Patch(kJobs, "actions", "x", PatchType::kJson, Json::array()).status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown));
  EXPECT_THAT(server.Requests(), SizeIs(2));
  EXPECT_EQ(server.Requests()[1].connection, 0);
}

TEST_F(ClientTest, AWriteThatNeverGetsAnAnswerIsUnknown) {
  ScriptedServer server([](const ReceivedRequest&) { return Silence(); });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Create(kJobs, "actions", "{}"), StatusIs(absl::StatusCode::kUnknown));
}

TEST_F(ClientTest, AWriteThatCouldNotBeSentIsUnavailable) {
  std::string url;
  {
    ScriptedServer server([](const ReceivedRequest&) { return Silence(); });
    url = server.Url();
  }
  auto client = Client::Create({.server = url}, clock_).value();

  const absl::Status status = client->Create(kJobs, "actions", "{}").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(ApiErrorOf(status)->outcome_unknown);
}

TEST_F(ClientTest, ARepeatableWriteIsSentAgainAfterALostReply) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number == 0 ? CutWithoutAnswer()
                               : Answer(409, StatusBody(409, "AlreadyExists", "it exists"));
  });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Create(kJobs, "actions", "{}", {.repeat = Repeat::kAlways}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(ClientTest, ARefusalAfterALostReplyStaysUnknown) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number == 0 ? CutWithoutAnswer()
                               : Answer(403, StatusBody(403, "Forbidden", "exceeded quota"));
  });
  auto client = ClientOf(server);

  const absl::Status status =
      client->Create(kJobs, "actions", "{}", {.repeat = Repeat::kAlways}).status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnknown, HasSubstr("exceeded quota")));
  EXPECT_TRUE(ApiErrorOf(status)->outcome_unknown);
}

TEST_F(ClientTest, StoppingDuringAWriteLeavesItUnknown) {
  std::stop_source stop;
  ScriptedServer server([&](const ReceivedRequest&) {
    stop.request_stop();
    return Silence();
  });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Create(kJobs, "actions", "{}", {.stop = stop.get_token()}),
              StatusIs(absl::StatusCode::kUnknown));
}

TEST_F(ClientTest, StoppingDuringAReadCancelsIt) {
  std::stop_source stop;
  ScriptedServer server([&](const ReceivedRequest&) {
    stop.request_stop();
    return Silence();
  });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Get(kJobs, "actions", "x", {.stop = stop.get_token()}),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(ClientTest, AnUnauthorizedAnswerReadsTheTokenAgain) {
  const std::string path = ::testing::TempDir() + "/capstan_client_test_token";
  std::ofstream(path) << "old\n";
  ScriptedServer server([&](const ReceivedRequest& request) {
    if (request.number > 0) return Answer(200, "{}");
    std::ofstream(path) << "new\n";
    return Answer(401, StatusBody(401, "Unauthorized", "Unauthorized"));
  });
  auto client = ClientOf(server, {.token_file = path});

  EXPECT_OK(client->Get(kJobs, "actions", "x"));

  EXPECT_THAT(server.Requests()[0].head, HasSubstr("Authorization: Bearer old\r\n"));
  EXPECT_THAT(server.Requests()[1].head, HasSubstr("Authorization: Bearer new\r\n"));
  std::remove(path.c_str());
}

TEST_F(ClientTest, AnUnauthorizedAnswerToAConstantTokenIsFinal) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(401, "no"); });
  auto client = ClientOf(server, {.token = "t"});

  const absl::Status status = client->Get(kJobs, "actions", "x").status();

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnauthenticated, Not(HasSubstr("Bearer"))));
  EXPECT_THAT(server.Requests(), SizeIs(1));
}

TEST_F(ClientTest, ListReadsAllPages) {
  ScriptedServer server([](const ReceivedRequest& request) {
    return request.number == 0
               ? Answer(200, R"({"metadata":{"continue":"c/1","resourceVersion":"5"},
                                 "items":[{"a":1}]})")
               : Answer(200, R"({"metadata":{"resourceVersion":"5"},"items":[{"a":2}]})");
  });
  auto client = ClientOf(server);

  absl::StatusOr<ListResult> list = client->List(
      {.resource = kPods, .name_space = "actions", .label_selector = "x=y", .page_size = 1});

  ASSERT_OK(list);
  EXPECT_THAT(list->items, SizeIs(2));
  EXPECT_EQ(list->resource_version, "5");
  EXPECT_EQ(server.Requests()[1].target,
            "/api/v1/namespaces/actions/pods?limit=1&labelSelector=x%3Dy&continue=c%2F1");
}

TEST_F(ClientTest, ListStartsAgainWhenItsContinueTokenExpires) {
  ScriptedServer server([](const ReceivedRequest& request) {
    if (request.number == 0) return Answer(200, R"({"metadata":{"continue":"c"},"items":[{}]})");
    if (request.number == 1) return Answer(410, StatusBody(410, "Expired", "too old"));
    return Answer(200, R"({"metadata":{"resourceVersion":"9"},"items":[{},{}]})");
  });
  auto client = ClientOf(server);

  absl::StatusOr<ListResult> list = client->List({.resource = kPods, .name_space = "actions"});

  ASSERT_OK(list);
  EXPECT_THAT(list->items, SizeIs(2));
}

TEST_F(ClientTest, ListRefusesMoreThanItsLimit) {
  ScriptedServer server([](const ReceivedRequest&) {
    return Answer(200, R"({"metadata":{"continue":"c"},"items":[{},{}]})");
  });
  auto client = ClientOf(server);

  EXPECT_THAT(client->List({.resource = kPods, .name_space = "actions", .max_items = 3}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ClientTest, DeleteSendsItsPreconditions) {
  ScriptedServer server([](const ReceivedRequest&) { return Answer(200, "{}"); });
  auto client = ClientOf(server);

  ASSERT_OK(client->Delete(kJobs, "actions", "x", Propagation::kForeground, {"u-1", "42"}));

  const Json body = Json::parse(server.Requests()[0].body);
  EXPECT_EQ(server.Requests()[0].method, "DELETE");
  EXPECT_EQ(body["propagationPolicy"], "Foreground");
  EXPECT_EQ(body["preconditions"], (Json{{"uid", "u-1"}, {"resourceVersion", "42"}}));
}

TEST_F(ClientTest, WatchPutsEventsTogetherThatArriveInPieces) {
  ScriptedServer server([](const ReceivedRequest&) {
    return StreamOf({R"({"type":"ADDED","object":{"metadata":{"na)", R"(me":"a"}}}
{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}})",
                     "\n"},
                    true);
  });
  auto client = ClientOf(server);
  std::vector<WatchEvent> events;

  EXPECT_OK(client->Watch({.resource = kJobs, .name_space = "actions", .resource_version = "3"},
                          [&](WatchEvent event) { events.push_back(std::move(event)); }, {}));

  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].type, WatchEventType::kAdded);
  EXPECT_EQ(events[0].object["metadata"]["name"], "a");
  EXPECT_EQ(events[1].type, WatchEventType::kBookmark);
}

TEST_F(ClientTest, WatchReportsAnErrorEventAsItsCode) {
  ScriptedServer server([](const ReceivedRequest&) {
    return StreamOf(
        {R"({"type":"ERROR","object":)" + StatusBody(410, "Expired", "too old") + "}\n"}, true);
  });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Watch({.resource = kJobs}, [](WatchEvent) { ADD_FAILURE(); }, {}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("too old")));
}

TEST_F(ClientTest, WatchReportsACutStream) {
  ScriptedServer server([](const ReceivedRequest&) { return StreamOf({"{\"type\":"}, false); });
  auto client = ClientOf(server);

  EXPECT_THAT(client->Watch({.resource = kJobs}, [](WatchEvent) { ADD_FAILURE(); }, {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClientTest, WatchEndsAtOnceWhenStopped) {
  ScriptedServer server([](const ReceivedRequest&) { return Silence(); });
  auto client = ClientOf(server);
  absl::Status status;
  {
    std::jthread watching([&](std::stop_token stop) {
      status = client->Watch({.resource = kJobs}, [](WatchEvent) {}, stop);
    });
    server.WaitForRequests(1);
  }

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(ClientTest, ReadLogStopsWhenItsReaderHasEnough) {
  ScriptedServer server(
      [](const ReceivedRequest&) { return StreamOf({"first", "second", "third"}, false); });
  auto client = ClientOf(server);
  std::string log;

  EXPECT_OK(client->ReadLog({.name_space = "actions", .pod = "p", .container = "c"},
                            [&](std::string_view bytes) {
                              log.append(bytes);
                              return false;
                            }));

  EXPECT_THAT(log, ::testing::StartsWith("first"));
  EXPECT_EQ(server.Requests()[0].target, "/api/v1/namespaces/actions/pods/p/log?container=c");
}

TEST_F(ClientTest, AnAddressWithoutSchemeIsRefused) {
  EXPECT_THAT(Client::Create({.server = "10.0.0.1:6443"}, clock_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("server")));
}

}  // namespace
}  // namespace capstan::kubernetes
