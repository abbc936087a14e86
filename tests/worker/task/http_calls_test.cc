#include "worker/task/http_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/temporary_directory.h"
#include "worker/http/http_call.h"

namespace capstan::worker {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::CutWithoutAnswer;
using ::capstan::testing::ReceivedRequest;
using ::capstan::testing::ScriptedReply;
using ::capstan::testing::ScriptedServer;
using ::capstan::testing::Silence;
using ::capstan::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;
using End = HttpOutcome::End;

constexpr char kSecret[] = "Bearer s3cr3t-of-the-test";

class HttpCallsTest : public ::testing::Test {
 protected:
  HttpCallsTest() : service_([this](const ReceivedRequest& request) { return reply_(request); }) {
    options_.allowed = {ParseAllowedHost(service_.Url()).value()};
    options_.secret_files["token"] = directory_.Write("token", absl::StrCat(kSecret, "\n"));
  }

  v1::HttpStep To(const std::string& method, const std::string& path) const {
    v1::HttpStep call;
    call.set_method(method);
    call.set_url(absl::StrCat(service_.Url(), path));
    return call;
  }

  HttpOutcome Call(const v1::HttpStep& call, absl::Duration timeout = absl::Seconds(20),
                   std::stop_token stop = {}) const {
    return HttpCalls(options_, redactor_, const_cast<SystemClock&>(clock_))
        .Call(call, values_, timeout, stop);
  }

  std::function<ScriptedReply(const ReceivedRequest&)> reply_ = [](const auto&) {
    return Answer(200, "here");
  };
  ScriptedServer service_;
  TemporaryDirectory directory_;
  HttpCallOptions options_;
  const Redactor redactor_;
  SystemClock clock_;
  workflow::Values values_;
};

// What is compared with the list is what is called.
TEST(HttpUrlTest, S4_35_LibcurlCallsWhomTheUrlNames) {
  for (const std::string url :
       {"https://api.internal", "https://api.internal/", "https://API.internal?x=1",
        "http://api.internal/a%2e%2e/b", "https://api.internal:8443/?next=https://elsewhere/",
        "https://10.0.0.7/x", "https://[::1]/", "https://[2001:DB8::7]:8443/x", "http://a_b-c.d:1/",
        "https://api.internal/@elsewhere", "https://api.internal/x?y@elsewhere:80/",
        "https://api.internal//elsewhere/", "https://api.internal/a;b=c/d,e"}) {
    const absl::StatusOr<HttpHost> host = ParseHttpUrl(url);
    ASSERT_TRUE(host.ok()) << url << " " << host.status();
    EXPECT_EQ(http::WhomCurlCalls(url), HttpHostText(*host)) << url;
  }
}

TEST_F(HttpCallsTest, S4_35_AValueStaysOnePartOfTheUrl) {
  const std::vector<std::string> values = {"../../admin", "//elsewhere/", "@elsewhere/",
                                           "a b?c=d#e",   "\r\nX: y",     "%2e%2e",
                                           "\\elsewhere", "\xC3\xA4",     std::string("a\0b", 3)};
  for (const std::string& value : values) {
    values_.variables["X"] = value;
    EXPECT_EQ(Call(To("GET", "/of/{{X}}/x?y={{X}}")).end, End::kAnswered) << value;
  }
  const std::vector<ReceivedRequest> requests = service_.Requests();
  ASSERT_THAT(requests, SizeIs(values.size()));
  EXPECT_EQ(requests[0].target, "/of/..%2F..%2Fadmin/x?y=..%2F..%2Fadmin");
  EXPECT_EQ(requests[3].target, "/of/a%20b%3Fc%3Dd%23e/x?y=a%20b%3Fc%3Dd%23e");
  for (const ReceivedRequest& request : requests) {
    EXPECT_EQ(request.target.rfind("/of/", 0), 0u) << request.target;
    EXPECT_THAT(request.head, Not(HasSubstr("X: y")));
  }
}

// A whole segment of dots is a path that somebody may go up by.
TEST_F(HttpCallsTest, AValueDoesNotGoUp) {
  values_.variables["X"] = "..";

  const HttpOutcome outcome = Call(To("GET", "/of/{{X}}/x"));

  EXPECT_EQ(outcome.end, End::kRefused);
  EXPECT_EQ(outcome.error, "INVALID_CALL");
  EXPECT_THAT(service_.Requests(), IsEmpty());
}

TEST_F(HttpCallsTest, ABodyThatIsJsonStaysTheSameJson) {
  values_.variables["X"] = "a\"}, {\"b\": \"\n\\";
  values_.steps["s"]["output"]["list"] = {1, "two"};
  v1::HttpStep call = To("POST", "/");
  call.set_body(R"({"x": "{{X}}", "list": {{steps.s.output.list}}})");
  Call(call);
  call.set_body("{{X}}");
  Call(call);

  const auto json = nlohmann::json::parse(service_.Requests()[0].body);
  EXPECT_EQ(json["x"], values_.variables["X"]);
  EXPECT_EQ(json["list"], values_.steps["s"]["output"]["list"]);
  EXPECT_EQ(service_.Requests()[1].body, values_.variables["X"]) << "any other is as it is";
}

TEST_F(HttpCallsTest, EveryMethodIsSentAsItIs) {
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}) {
    reply_ = [&](const ReceivedRequest&) {
      return std::string(method) == "HEAD"
                 ? ScriptedReply{{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"}}
                 : Answer(200, "here");
    };
    const HttpOutcome outcome = Call(To(method, "/"));
    EXPECT_EQ(outcome.code, 200) << method << " " << outcome.message;
    EXPECT_EQ(service_.Requests().back().method, method);
    EXPECT_THAT(service_.Requests().back().head, Not(HasSubstr("Content-Type")));
  }
}

TEST_F(HttpCallsTest, S4_35_ALineEndInAHeaderIsRefused) {
  v1::HttpStep call = To("GET", "/");
  (*call.mutable_headers())["X-Made"] = "{{X}}";
  for (const std::string value : {"a\r\nX-Evil: yes", "a\nb", "a\rb", "\x7F", "\x1B[0m"}) {
    values_.variables["X"] = value;
    const HttpOutcome outcome = Call(call);
    EXPECT_EQ(outcome.error, "INVALID_CALL");
    EXPECT_THAT(outcome.message, HasSubstr("headers.X-Made: got a value with line ends"));
  }
  EXPECT_THAT(service_.Requests(), IsEmpty());
}

TEST_F(HttpCallsTest, WhatIsNotResolvedIsNotSent) {
  const HttpOutcome outcome = Call(To("GET", "/{{NOWHERE}}"));

  EXPECT_EQ(outcome.error, "UNRESOLVED");
  EXPECT_THAT(outcome.message, HasSubstr("NOWHERE"));
}

TEST_F(HttpCallsTest, S4_35_ASecretIsReadForEveryCallAndKeptOutOfTheAnswer) {
  std::string secret = kSecret;
  reply_ = [&](const ReceivedRequest&) {
    return Answer(200, absl::StrCat("you are ", secret.substr(7), " ", secret),
                  absl::StrCat("X-You: ", secret, "\r\nSet-Cookie: id=1\r\n"));
  };
  v1::HttpStep call = To("GET", "/");
  (*call.mutable_secret_headers())["Authorization"] = "token";

  const HttpOutcome first = Call(call);
  directory_.Write("token", secret = "Bearer another-one");
  const HttpOutcome second = Call(call);

  EXPECT_THAT(service_.Requests()[0].head, HasSubstr(absl::StrCat("Authorization: ", kSecret)));
  EXPECT_THAT(service_.Requests()[1].head, HasSubstr("Authorization: Bearer another-one"));
  EXPECT_EQ(first.body, "you are [redacted] [redacted]");
  EXPECT_EQ(second.body, "you are [redacted] [redacted]");
  EXPECT_EQ(second.headers.at("x-you"), "[redacted]");
  EXPECT_THAT(second.headers, Not(Contains(Key("set-cookie"))));
}

TEST_F(HttpCallsTest, ASecretThatCannotBeAHeaderIsNotSaidAndNothingIsSent) {
  v1::HttpStep call = To("GET", "/");
  (*call.mutable_secret_headers())["X-Token"] = "token";
  for (const std::string text : {"", "abc", "first line\nsecond line"}) {
    directory_.Write("token", text);
    const HttpOutcome outcome = Call(call);
    EXPECT_EQ(outcome.end, End::kRefused);
    EXPECT_THAT(outcome.message, AllOf(HasSubstr("tasks.http.secret_files.token: got a value that "
                                                 "cannot be a header"),
                                       Not(HasSubstr("second"))));
  }
  (*call.mutable_secret_headers())["X-Token"] = "other";
  EXPECT_EQ(Call(call).message,
            "secret_headers.X-Token: got other, want a name of tasks.http.secret_files");
  EXPECT_THAT(service_.Requests(), IsEmpty());
}

TEST_F(HttpCallsTest, S4_35_WhetherItWasSentIsKnown) {
  reply_ = [](const ReceivedRequest& request) {
    return request.number == 0 ? CutWithoutAnswer() : Silence();
  };
  EXPECT_EQ(Call(To("POST", "/")).end, End::kUnknown);
  const HttpOutcome late = Call(To("POST", "/"), absl::Milliseconds(200));
  EXPECT_EQ(late.end, End::kUnknown);
  EXPECT_THAT(late.message, HasSubstr("no answer within 200ms"));
  EXPECT_THAT(service_.Requests(), SizeIs(2)) << "something was sent twice";

  v1::HttpStep nobody = To("POST", "/");
  {
    const ScriptedServer gone([](const auto&) { return Silence(); });
    nobody.set_url(gone.Url());
    options_.allowed.push_back(ParseAllowedHost(gone.Url()).value());
  }
  EXPECT_EQ(Call(nobody).end, End::kNotSent);
  EXPECT_TRUE(IsTransient(Call(nobody)));
}

TEST_F(HttpCallsTest, AStopEndsItAtOnce) {
  reply_ = [](const auto&) { return Silence(); };
  std::stop_source stop;
  std::thread stopper([&] {
    service_.WaitForRequests(1);
    stop.request_stop();
  });

  EXPECT_EQ(Call(To("GET", "/"), absl::Hours(1), stop.get_token()).end, End::kStopped);
  stopper.join();
}

TEST_F(HttpCallsTest, TheEnvironmentsProxyIsNotUsed) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  const HttpOutcome outcome = Call(To("GET", "/"));
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");

  EXPECT_EQ(outcome.code, 200) << outcome.message;
}

TEST_F(HttpCallsTest, ALargeAnswerIsKeptWholeOrNotAtAll) {
  v1::HttpStep call = To("GET", "/");
  for (const int code : {200, 500}) {
    reply_ = [&](const ReceivedRequest& request) {
      return Answer(code, std::string((1 << 20) + request.number % 2, 'x'));
    };
    const HttpOutcome whole = Call(call);
    EXPECT_EQ(whole.body.size(), std::size_t{1} << 20);
    EXPECT_FALSE(whole.too_large);
    const HttpOutcome more = Call(call);
    EXPECT_TRUE(more.too_large);
    EXPECT_THAT(more.body, IsEmpty());
    call.add_success_codes(code);
    EXPECT_THAT(Complaint(call, more), HasSubstr("a body of more than 1048576 bytes"));
  }
}

TEST_F(HttpCallsTest, SuccessIsACodeAndAPattern) {
  HttpOutcome outcome{.end = End::kAnswered, .message = "GET x: HTTP 204", .code = 204};
  v1::HttpStep call;
  EXPECT_EQ(Complaint(call, outcome), "");
  call.set_success_pattern("^ok");
  EXPECT_EQ(Complaint(call, outcome), "GET x: HTTP 204, and its body does not match ^ok");
  call.add_success_codes(404);
  EXPECT_EQ(Complaint(call, outcome), "GET x: HTTP 204");
  outcome.code = 404;
  outcome.body = "ok";
  EXPECT_EQ(Complaint(call, outcome), "");
}

TEST_F(HttpCallsTest, WhatMayGoBetterAnotherTime) {
  for (const int code : {429, 502, 503, 504})
    EXPECT_TRUE(IsTransient({.end = End::kAnswered, .code = code})) << code;
  for (const int code : {200, 302, 400, 404, 408, 500, 501})
    EXPECT_FALSE(IsTransient({.end = End::kAnswered, .code = code})) << code;
  reply_ = [](const auto&) { return Answer(503, "busy", "Retry-After: 7\r\n"); };
  EXPECT_EQ(Call(To("GET", "/")).retry_after, absl::Seconds(7));
  reply_ = [](const auto&) { return Answer(503, "busy", "Retry-After: 1e300\r\n"); };
  EXPECT_EQ(Call(To("GET", "/")).retry_after, absl::Hours(1));
}

}  // namespace
}  // namespace capstan::worker
