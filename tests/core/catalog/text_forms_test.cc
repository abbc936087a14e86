// The small text forms of the catalog: DNS names, quantities, texts with references, YAML output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/catalog/action_proto.h"
#include "core/catalog/dns_name.h"
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
}

}  // namespace
}  // namespace capstan::catalog
