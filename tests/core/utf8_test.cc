#include "core/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "nlohmann/json.hpp"

namespace capstan {
namespace {

constexpr char kBad[] = "\xEF\xBF\xBD";

TEST(Utf8Test, ValidTextStaysAsItIs) {
  const std::string text = "a\n\t\x7f ü € 😀 \xF4\x8F\xBF\xBF \xED\x9F\xBF \xEE\x80\x80";

  EXPECT_EQ(MendUtf8(text), text);
  EXPECT_EQ(MendUtf8(""), "");
}

TEST(Utf8Test, EachByteThatDoesNotFitIsReplaced) {
  const std::string bad = kBad;

  EXPECT_EQ(MendUtf8("a\xFF z"), "a" + bad + " z");
  EXPECT_EQ(MendUtf8("\x80"), bad) << "a continuation without a beginning";
  EXPECT_EQ(MendUtf8("\xE2\x82"), bad + bad) << "cut off";
  EXPECT_EQ(MendUtf8("\xE2\x82z"), bad + bad + "z");
  EXPECT_EQ(MendUtf8("\xC3\xC3\xBC"), bad + "ü") << "what follows is whole";
}

TEST(Utf8Test, NulIsReplaced) {
  EXPECT_EQ(MendUtf8(std::string("a\0b", 3)), std::string("a") + kBad + "b");
}

TEST(Utf8Test, OverlongFormsSurrogatesAndWhatIsBeyondTheLastCharacterAreNotText) {
  const std::string bad = kBad;

  EXPECT_EQ(MendUtf8("\xC0\x80"), bad + bad);
  EXPECT_EQ(MendUtf8("\xC1\xBF"), bad + bad);
  EXPECT_EQ(MendUtf8("\xE0\x9F\xBF"), bad + bad + bad);
  EXPECT_EQ(MendUtf8("\xF0\x8F\xBF\xBF"), bad + bad + bad + bad);
  EXPECT_EQ(MendUtf8("\xED\xA0\x80"), bad + bad + bad);
  EXPECT_EQ(MendUtf8("\xF4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(MendUtf8("\xF5\x80\x80\x80"), bad + bad + bad + bad);
}

TEST(Utf8Test, AnyBytesBecomeTextThatJsonTakes) {
  const std::string bytes("a\0\x7f\x80\x8f\x9f\xa0\xbf\xc2\xe0\xed\xf0\xf4\xff", 14);
  std::mt19937 random(1);
  for (int i = 0; i < 5'000; ++i) {
    std::string text;
    for (int n = 0; n < 40; ++n) text += bytes[random() % bytes.size()];
    const std::string mended = MendUtf8(text);
    ASSERT_NO_THROW(nlohmann::json(mended).dump());
    ASSERT_EQ(mended.find('\0'), std::string::npos);
    ASSERT_EQ(MendUtf8(mended), mended);
    ASSERT_NO_THROW(nlohmann::json(std::string(Head(mended, 17))).dump());
    ASSERT_NO_THROW(nlohmann::json(std::string(Tail(mended, 17))).dump());
  }
}

TEST(Utf8Test, AHeadEndsAndATailBeginsBetweenCharacters) {
  EXPECT_EQ(Head("aü€", 10), "aü€");
  EXPECT_EQ(Head("aü€", 6), "aü€");
  EXPECT_EQ(Head("aü€", 5), "aü");
  EXPECT_EQ(Head("aü€", 3), "aü");
  EXPECT_EQ(Head("aü€", 2), "a");
  EXPECT_EQ(Head("ü", 1), "");
  EXPECT_EQ(Head("ü", 0), "");
  EXPECT_EQ(Tail("€üa", 10), "€üa");
  EXPECT_EQ(Tail("€üa", 5), "üa");
  EXPECT_EQ(Tail("€üa", 3), "üa");
  EXPECT_EQ(Tail("€üa", 2), "a");
  EXPECT_EQ(Tail("ü", 1), "");
  EXPECT_EQ(Tail("ü", 0), "");
}

}  // namespace
}  // namespace capstan
