// The small text forms of the catalog: DNS names, quantities, texts with references, YAML output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/catalog/action_proto.h"
#include "core/catalog/dns_name.h"
#include "core/catalog/image_reference.h"
#include "core/catalog/quantity.h"
#include "core/catalog/text_template.h"
#include "core/catalog/yaml_writer.h"
#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::DoubleEq;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(DnsNameTest, ALabelHas1To63SmallLettersDigitsAndDashes) {
  EXPECT_TRUE(IsDnsLabel("web-1"));
  EXPECT_TRUE(IsDnsLabel(std::string(63, 'a')));
  EXPECT_FALSE(IsDnsLabel(std::string(64, 'a')));
  EXPECT_FALSE(IsDnsLabel(""));
  EXPECT_FALSE(IsDnsLabel("-a"));
  EXPECT_FALSE(IsDnsLabel("a-"));
  EXPECT_FALSE(IsDnsLabel("a.b"));
  EXPECT_FALSE(IsDnsLabel("A"));
  EXPECT_FALSE(IsDnsLabel("a\n"));
}

TEST(DnsNameTest, ASubdomainIsLabelsJoinedByDots) {
  EXPECT_TRUE(IsDnsSubdomain("web.v2"));
  EXPECT_TRUE(IsDnsSubdomain(std::string(253, 'a')));
  EXPECT_FALSE(IsDnsSubdomain(std::string(254, 'a')));
  EXPECT_FALSE(IsDnsSubdomain("web..v2"));
  EXPECT_FALSE(IsDnsSubdomain(".web"));
  EXPECT_FALSE(IsDnsSubdomain("a,b"));
  EXPECT_FALSE(IsDnsSubdomain("a/b"));
}

TEST(ImageReferenceTest, AnImageHasATagOrADigest) {
  const std::string digest = "@sha256:" + std::string(64, 'a');

  EXPECT_OK(CheckImageReference("nginx:1.27"));
  EXPECT_OK(CheckImageReference("nginx" + digest));
  EXPECT_OK(CheckImageReference("library/nginx:1.27" + digest));
  EXPECT_OK(CheckImageReference("registry.example.com:5000/a/b__c/d-e.f:v1_2-3"));
  EXPECT_OK(CheckImageReference("localhost/a:1"));
  for (const char* none : {"nginx", "localhost:5000/nginx", "registry.example.com/a/b"}) {
    EXPECT_THAT(CheckImageReference(none), StatusIs(kInvalid, "it has neither a tag nor a digest"));
  }
  EXPECT_THAT(CheckImageReference("nginx:latest"), StatusIs(kInvalid, "its tag is latest"));
  EXPECT_THAT(CheckImageReference("nginx:latest" + digest),
              StatusIs(kInvalid, "its tag is latest"));
}

TEST(ImageReferenceTest, RefusesWhatIsNoReference) {
  for (const std::string& text : {std::string(),
                                  std::string(":1"),
                                  std::string("a:"),
                                  std::string("/a:1"),
                                  std::string("a//b:1"),
                                  std::string("a/:1"),
                                  std::string("Nginx:1"),
                                  std::string("a b:1"),
                                  std::string("a:1 "),
                                  std::string("a:1\n"),
                                  std::string("a:1=b"),
                                  std::string("-a:1"),
                                  std::string("a:-1"),
                                  std::string("a@sha256:abc"),
                                  "a@sha512:" + std::string(64, 'a'),
                                  "a@sha256:" + std::string(64, 'A'),
                                  std::string("a@b@c:1"),
                                  std::string("https://a/b:1"),
                                  std::string("a___b:1"),
                                  std::string("a..b:1"),
                                  std::string("a:1,b:2"),
                                  "a:" + std::string(129, 'x'),
                                  std::string(513, 'a') + ":1",
                                  std::string("host:port/a:1"),
                                  std::string("-host.x/a:1")}) {
    EXPECT_THAT(CheckImageReference(text), StatusIs(kInvalid, "it is not an image reference"))
        << text;
  }
}

TEST(QuantityTest, ReadsEverySuffix) {
  EXPECT_THAT(ParseQuantity("500m"), IsOkAndHolds(DoubleEq(0.5)));
  EXPECT_THAT(ParseQuantity("0.5"), IsOkAndHolds(DoubleEq(0.5)));
  EXPECT_THAT(ParseQuantity("128Mi"), IsOkAndHolds(DoubleEq(134217728)));
  EXPECT_THAT(ParseQuantity("1G"), IsOkAndHolds(DoubleEq(1e9)));
  EXPECT_THAT(ParseQuantity("1e3"), IsOkAndHolds(DoubleEq(1000)));
  EXPECT_THAT(ParseQuantity("1E"), IsOkAndHolds(DoubleEq(1e18)));
}

TEST(QuantityTest, RefusesEverythingElse) {
  EXPECT_THAT(ParseQuantity(""), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("-1"), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("1 Mi"), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("1mi"), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("."), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("1e99"), StatusIs(kInvalid));
  EXPECT_THAT(ParseQuantity("inf"), StatusIs(kInvalid));
}

TEST(TextTemplateTest, ExpandsReferencesOnce) {
  EXPECT_EQ(ExpandText("a${x.y}b${z}",
                       [](const TextPiece& r) { return "${" + r.scope + "|" + r.name + "}"; }),
            "a${x|y}b${|z}");
  EXPECT_EQ(ExpandText("plain $ }", [](const TextPiece&) { return ""; }), "plain $ }");
  EXPECT_EQ(ExpandText("", [](const TextPiece&) { return "x"; }), "");
}

TEST(TextTemplateTest, RefusesWhatIsNoReference) {
  EXPECT_THAT(SplitText("${x"), StatusIs(kInvalid, HasSubstr("closing")));
  EXPECT_THAT(SplitText("${}"), StatusIs(kInvalid));
  EXPECT_THAT(SplitText("${a.}"), StatusIs(kInvalid));
  EXPECT_THAT(SplitText("${.a}"), StatusIs(kInvalid));
  EXPECT_THAT(SplitText("${a.b.c}"), StatusIs(kInvalid));
  EXPECT_THAT(SplitText("${A}"), StatusIs(kInvalid));
}

TEST(YamlWriterTest, WritesBlocksAndQuotesWhatWouldBeReadOtherwise) {
  nlohmann::ordered_json value = {
      {"z", "plain"},
      {"a", {{"list", {1, "two", nlohmann::ordered_json::object()}}}},
      {"objects", nlohmann::ordered_json::array({{{"k", "v"}, {"l", true}}})},
      {"quoted", {"true", "1", "", "a b", "1e3", "no", "x:"}},
      {"empty", nlohmann::ordered_json::array()}};

  EXPECT_EQ(ToYaml(value),
            "z: plain\n"
            "a:\n"
            "  list:\n"
            "  - 1\n"
            "  - two\n"
            "  - {}\n"
            "objects:\n"
            "- k: v\n"
            "  l: true\n"
            "quoted:\n"
            "- \"true\"\n"
            "- \"1\"\n"
            "- \"\"\n"
            "- \"a b\"\n"
            "- \"1e3\"\n"
            "- \"no\"\n"
            "- \"x:\"\n"
            "empty: []\n");
}

TEST(ActionProtoTest, TheApiShowsWhatTheFileSays) {
  v1::Action action = ToProto(ScaleDeployment());

  EXPECT_EQ(action.name(), "actions/ScaleDeployment");
  EXPECT_EQ(action.effect_class(), v1::Action::EFFECT_CLASS_REVERSIBLE);
  EXPECT_EQ(action.service_account(), "kubernetes-executor-scale-deployment");
  EXPECT_EQ(action.default_timeout().seconds(), 300);
  EXPECT_EQ(action.parameters(2).name(), "replicas");
  EXPECT_EQ(action.parameters(2).type(), "integer");
  EXPECT_EQ(action.parameters(2).minimum(), 0);
  EXPECT_TRUE(action.parameters(2).has_minimum());
  EXPECT_FALSE(action.parameters(0).has_minimum());
  EXPECT_EQ(action.parameters(0).format(), "dns_subdomain");
  EXPECT_EQ(action.preconditions_size(), 5);
  EXPECT_EQ(action.preconditions(2).name(), "current_replicas_match");
  EXPECT_FALSE(action.preconditions(2).required());
  EXPECT_EQ(action.preconditions(2).timeout().seconds(), 5);
  EXPECT_NE(action.preconditions(2).description(), "");
  EXPECT_EQ(action.postconditions_size(), 4);
  EXPECT_TRUE(action.has_cooldown());
  EXPECT_FALSE(action.blocks_after_failure());
  EXPECT_TRUE(ToProto(Shipped("DrainNode")).blocks_after_failure());
  EXPECT_EQ(ToProto(Shipped("UpdateImage")).parameters(3).format(), "image");
}

}  // namespace
}  // namespace capstan::catalog
