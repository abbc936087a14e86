#include "core/telemetry/http_endpoints.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace capstan::telemetry {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

struct Reply {
  long code = 0;
  std::string type;
  std::string body;
};

Reply Fetch(int port, const std::string& path, const std::string& method = "GET") {
  Reply reply;
  CURL* curl = curl_easy_init();
  const std::string url = absl::StrCat("http://127.0.0.1:", port, path);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl, CURLOPT_NOBODY, method == "HEAD" ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  curl_easy_setopt(
      curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* to) {
        static_cast<std::string*>(to)->append(data, size * count);
        return size * count;
      });
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
  EXPECT_EQ(curl_easy_perform(curl), CURLE_OK) << path;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.code);
  const char* type = nullptr;
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) reply.type = type;
  curl_easy_cleanup(curl);
  return reply;
}

// One server for the suite: stopping one takes up to two seconds.
class HttpEndpointsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    registry_ = new MetricsRegistry();
    registry_->AddCounter("capstan_things_total", "Things.").Increment();
    endpoints_ = HttpEndpoints::Start(
        "localhost:0", *registry_,
        {{"policy", [] { return absl::OkStatus(); }},
         {"store",
          [] { return connected_ ? absl::OkStatus() : absl::UnavailableError("no connection"); }}});
    ASSERT_OK(endpoints_);
  }

  static void TearDownTestSuite() {
    endpoints_ = absl::UnknownError("stopped");
    delete registry_;
  }

  static Reply Get(const std::string& path, const std::string& method = "GET") {
    return Fetch((*endpoints_)->port(), path, method);
  }

  static MetricsRegistry* registry_;
  static absl::StatusOr<std::unique_ptr<HttpEndpoints>> endpoints_;
  static std::atomic<bool> connected_;
};

MetricsRegistry* HttpEndpointsTest::registry_ = nullptr;
absl::StatusOr<std::unique_ptr<HttpEndpoints>> HttpEndpointsTest::endpoints_ =
    absl::UnknownError("not started");
std::atomic<bool> HttpEndpointsTest::connected_ = false;

TEST_F(HttpEndpointsTest, ServesMetricsOnAFreePort) {
  Reply reply = Get("/metrics");

  EXPECT_EQ(reply.code, 200);
  EXPECT_EQ(reply.type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(reply.body, HasSubstr("capstan_things_total 1\n"));
}

TEST_F(HttpEndpointsTest, IsHealthyAsLongAsItAnswers) {
  connected_ = false;

  EXPECT_EQ(Get("/healthz").code, 200);
}

TEST_F(HttpEndpointsTest, IsReadyWhenEveryCheckPassesAndSaysWhichDoesNot) {
  connected_ = false;
  Reply before = Get("/readyz");
  connected_ = true;
  Reply after = Get("/readyz");

  EXPECT_EQ(before.code, 503);
  EXPECT_EQ(before.body, "policy: ok\nstore: UNAVAILABLE: no connection\n");
  EXPECT_EQ(after.code, 200);
  EXPECT_EQ(after.body, "policy: ok\nstore: ok\n");
}

TEST_F(HttpEndpointsTest, AnswersNothingElse) {
  EXPECT_EQ(Get("/").code, 404);
  EXPECT_EQ(Get("/metrics/more").code, 404);
  EXPECT_EQ(Get("/../../etc/passwd").code, 404);
  EXPECT_EQ(Get("/metrics", "POST").code, 405);
  EXPECT_EQ(Get("/metrics", "HEAD").body, "");
}

TEST_F(HttpEndpointsTest, SaysThatAnAddressIsInUse) {
  const std::string address = absl::StrCat("127.0.0.1:", (*endpoints_)->port());

  EXPECT_THAT(HttpEndpoints::Start(address, *registry_, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

TEST_F(HttpEndpointsTest, FreesItsAddressWhenItEnds) {
  absl::StatusOr<std::unique_ptr<HttpEndpoints>> first =
      HttpEndpoints::Start("127.0.0.1:0", *registry_, {});
  ASSERT_OK(first);
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());

  first->reset();

  EXPECT_OK(HttpEndpoints::Start(address, *registry_, {}));
}

TEST_F(HttpEndpointsTest, RefusesWhatIsNoIpv4Address) {
  for (const char* address : {"9464", ":9464", "127.0.0.1:99999", "127.0.0.1:9464s", "[::1]:9464",
                              "127.0.0.1:9464,127.0.0.1:9465", "example.com:80"}) {
    EXPECT_THAT(HttpEndpoints::Start(address, *registry_, {}),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << address;
  }
}

}  // namespace
}  // namespace capstan::telemetry
