#include "core/http_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<HttpHost> Allowed(const std::vector<std::string>& entries) {
  std::vector<HttpHost> hosts;
  for (const std::string& entry : entries) hosts.push_back(ParseAllowedHost(entry).value());
  return hosts;
}

bool MayCall(const std::string& url, const std::vector<std::string>& entries) {
  const absl::StatusOr<HttpHost> host = ParseHttpUrl(url);
  return host.ok() && IsAllowed(*host, Allowed(entries));
}

TEST(HttpRulesTest, TheHostOfAUrlIsTheOneThatIsAllowed) {
  for (const char* url :
       {"https://api.internal", "https://api.internal/", "https://api.internal?x=1",
        "https://api.internal/a/b?c=d&e=%20", "https://api.internal:443/", "https://API.Internal/",
        "https://api.internal/a..b/...", "https://api.internal/?next=https://elsewhere/../"}) {
    EXPECT_TRUE(MayCall(url, {"api.internal"})) << url;
  }
  EXPECT_TRUE(MayCall("https://[::1]:8443/x", {"[::1]:8443"}));
  EXPECT_TRUE(MayCall("https://10.0.0.7/x", {"10.0.0.7"}));
}

// What one program reads as an allowed host and another as a different one is no URL here.
TEST(HttpRulesTest, S4_35_NothingLeadsToAnotherHost) {
  const std::vector<std::string> hostile = {
      "https://api.internal.evil.example/",
      "https://evil.example/api.internal",
      "https://evil.example?api.internal",
      "https://evil.example#api.internal",
      "https://api.internal@evil.example/",
      "https://api.internal:443@evil.example/",
      "https://user@api.internal/",
      "https://user:word@api.internal/",
      "https://@api.internal/",
      "https://evil.example\\@api.internal/",
      "https://api.internal\\.evil.example/",
      "https:\\\\api.internal/",
      "https:/\\api.internal/",
      "https:///api.internal/",
      "https:api.internal/",
      "//api.internal/",
      "api.internal/",
      "HTTPS://api.internal/",
      "ftp://api.internal/",
      "file:///etc/passwd",
      "gopher://api.internal:443/_x",
      "javascript://api.internal/",
      "http://api.internal/",
      "http://api.internal:443/",
      "https://api.internal./",
      "https://.api.internal/",
      "https://api..internal/",
      "https://api%2einternal/",
      "https://%61pi.internal/",
      "https://api.internal%00.evil.example/",
      "https://api.internal%2f@evil.example/",
      "https://api.internal:0/",
      "https://api.internal:8443/",
      "https://api.internal:00443/",
      "https://api.internal:+443/",
      "https://api.internal:65979/",
      "https://api.internal:/",
      "https://api.internal:443:443/",
      "https://api.internal:http/",
      "https://api.internal /",
      " https://api.internal/",
      "https://api.internal/ x",
      "https://api.internal\t/",
      "https://api.\tinternal/",
      "https://api.internal\n/",
      "https://api.internal/\r\nHost: evil.example",
      std::string("https://api.internal\0.evil.example/", 36),
      "https://api.internal/#fragment",
      "https://\xD0\xB0pi.internal/",
      "https://api\xE3\x80\x82internal/",
      "https://api.internal/\xC3\xA4",
      "https://[::ffff:api.internal]/",
      "https://[api.internal]/",
      "https://[::1/",
      "https://[::1]api.internal/",
      "https://[::1%25eth0]/",
      "https://2130706433/",
      "https://0x7f000001/",
      "https://0x7f.1/",
      "https://127.1/",
      "https://0177.0.0.1/",
      "https://127.0.0.01/",
      "https://127.0.0.1.1/",
      "https://256.0.0.1/",
      "https://api.internal/../admin",
      "https://api.internal/a/./b",
      "https://api.internal/a/%2e%2E/b",
      "https://api.internal/a/.%2e",
      "https://api.internal/a\\..\\b",
      "https://",
      "https:///",
      "",
  };
  std::vector<std::string> passed;
  for (const std::string& url : hostile) {
    if (MayCall(url, {"api.internal"})) passed.push_back(url);
  }
  EXPECT_THAT(passed, IsEmpty());
}

// The numbers of an address have one form.
TEST(HttpRulesTest, AnAddressHasOneForm) {
  const std::vector<std::string> entries = {"http://127.0.0.1:8080", "[::1]:8443"};
  for (const char* url :
       {"http://127.1:8080/", "http://0x7f.0.0.1:8080/", "http://2130706433:8080/",
        "http://127.000.000.001:8080/", "http://0177.0.0.1:8080/", "http://localhost:8080/",
        "http://[::ffff:127.0.0.1]:8080/", "https://[0:0:0:0:0:0:0:1]:8443/",
        "https://[::0001]:8443/", "https://[::1]/"}) {
    EXPECT_FALSE(MayCall(url, entries)) << url;
  }
  EXPECT_TRUE(MayCall("http://127.0.0.1:8080/", entries));
}

TEST(HttpRulesTest, PlainTextIsOnlyForThoseThatAreNamedForIt) {
  EXPECT_FALSE(MayCall("http://api.internal:443/", {"api.internal"}));
  EXPECT_TRUE(MayCall("http://api.internal:80/", {"http://api.internal:80"}));
  EXPECT_TRUE(MayCall("http://api.internal/", {"http://api.internal:80"}));
  EXPECT_TRUE(MayCall("https://api.internal:80/", {"http://api.internal:80"}));
  EXPECT_FALSE(MayCall("https://api.internal/", {}));
}

TEST(HttpRulesTest, AnAllowedHostIsNamedInFull) {
  for (const char* entry :
       {"", "*", "*.internal", "https://api.internal", "http://api.internal", "api.internal/",
        "api.internal/path", "user@api.internal", "api.internal:", "api.internal:0", ".internal",
        "api.internal.", "10.0.0.0/8", "127.1", "::1", "a b"}) {
    EXPECT_THAT(ParseAllowedHost(entry), StatusIs(kInvalid)) << entry;
  }
  EXPECT_EQ(ParseAllowedHost("API.internal")->host, "api.internal");
  EXPECT_EQ(ParseAllowedHost("api.internal")->port, 443);
  EXPECT_EQ(HttpHostText(*ParseAllowedHost("http://[::1]:81")), "http://[::1]:81");
}

TEST(HttpRulesTest, AnErrorSaysNothingOfWhatIsBehindTheHost) {
  const absl::Status status = ParseHttpUrl("https://api.internal/hunter2 x").status();
  EXPECT_EQ(status.message().find("hunter2"), absl::string_view::npos) << status;
}

TEST(HttpRulesTest, HeadersHaveNamesAndValuesThatStayInTheirLine) {
  for (const char* name : {"Accept", "X-Team", "x_1", "If-None-Match"})
    EXPECT_TRUE(IsHeaderName(name)) << name;
  for (const char* name :
       {"", "X Team", "X:Team", "X\r\nTeam", "X\tTeam", "\xC3\xA4", "(x)", "Host", "HOST",
        "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "TE"}) {
    EXPECT_FALSE(IsHeaderName(name)) << name;
  }
  for (const char* value : {"", "plain", "a, b; c=\"d\"", "tab\tin it", "\xC3\xA4"})
    EXPECT_TRUE(IsHeaderValue(value)) << value;
  for (const char* value : {"a\r\nHost: evil.example", "a\nb", "a\rb", "a\x7F", "a\x1B[0m"})
    EXPECT_FALSE(IsHeaderValue(value)) << value;
  EXPECT_FALSE(IsHeaderValue(std::string("a\0b", 3)));
  EXPECT_FALSE(IsHeaderValue(std::string(9000, 'a')));
}

}  // namespace
}  // namespace capstan
