#include "core/workflow/condition.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace capstan::workflow {
namespace {

using Op = v1::ConditionTest;
using google::protobuf::Value;
using nlohmann::json;

// One value of each type, and some that are nearly alike.
const json& Samples() {
  static const json samples = json::parse(
      R"([null, true, false, 0, 1, -1, 1.5, 2, 9007199254740991, "", "1", "true", "abc", "b",
          [], [1], ["b", 2], [[1]], {}, {"a": 1}, {"a": 1.0}])");
  return samples;
}

Value ToValue(const json& value) {
  Value result;
  if (value.is_null()) result.set_null_value(google::protobuf::NULL_VALUE);
  if (value.is_boolean()) result.set_bool_value(value.get<bool>());
  if (value.is_number()) result.set_number_value(value.get<double>());
  if (value.is_string()) result.set_string_value(value.get<std::string>());
  if (value.is_array()) {
    result.mutable_list_value();
    for (const json& item : value) *result.mutable_list_value()->add_values() = ToValue(item);
  }
  if (value.is_object()) {
    result.mutable_struct_value();
    for (const auto& [key, item] : value.items()) {
      (*result.mutable_struct_value()->mutable_fields())[key] = ToValue(item);
    }
  }
  return result;
}

v1::StepCondition Compare(const std::string& field, Op::Operator op, const json& value) {
  v1::StepCondition condition;
  condition.mutable_test()->set_field(field);
  condition.mutable_test()->set_op(op);
  if (op != Op::OPERATOR_EXISTS) *condition.mutable_test()->mutable_value() = ToValue(value);
  return condition;
}

Values With(const json& field) {
  Values values;
  values.variables["ROUND"] = "2";
  values.steps = {{"s", {{"state", "succeeded"}, {"output", {{"f", field}}}}}};
  return values;
}

bool HoldsOf(const json& field, Op::Operator op, const json& value) {
  return Holds(Compare("steps.s.output.f", op, value), With(field));
}

bool HoldsOfNothing(Op::Operator op, const json& value) {
  return Holds(Compare("steps.s.output.other", op, value), With(1));
}

// Calls `check` for each pair of samples.
template <class Check>
void ForEachPair(Check check) {
  for (const json& field : Samples()) {
    for (const json& value : Samples()) {
      SCOPED_TRACE(field.dump() + " and " + value.dump());
      check(field, value);
    }
  }
}

TEST(ConditionTest, S4_32_EqualIsByTypeAndValue) {
  ForEachPair([](const json& field, const json& value) {
    EXPECT_EQ(HoldsOf(field, Op::OPERATOR_EQ, value), field == value);
  });
  EXPECT_TRUE(HoldsOf(1, Op::OPERATOR_EQ, 1.0));
  EXPECT_FALSE(HoldsOf("1", Op::OPERATOR_EQ, 1));
  EXPECT_FALSE(HoldsOf(1, Op::OPERATOR_EQ, true));
}

TEST(ConditionTest, S4_32_NotEqualIsTheOppositeOfEqual) {
  ForEachPair([](const json& field, const json& value) {
    EXPECT_NE(HoldsOf(field, Op::OPERATOR_NEQ, value), HoldsOf(field, Op::OPERATOR_EQ, value));
  });
}

TEST(ConditionTest, S4_32_OnlyNumbersAreOrdered) {
  ForEachPair([](const json& field, const json& value) {
    const bool numbers = field.is_number() && value.is_number();
    EXPECT_EQ(HoldsOf(field, Op::OPERATOR_GT, value), numbers && field > value);
    EXPECT_EQ(HoldsOf(field, Op::OPERATOR_LT, value), numbers && field < value);
    EXPECT_EQ(HoldsOf(field, Op::OPERATOR_GT, value), HoldsOf(value, Op::OPERATOR_LT, field));
  });
}

TEST(ConditionTest, S4_32_InIsEqualToOneOfAList) {
  ForEachPair([](const json& field, const json& value) {
    EXPECT_TRUE(HoldsOf(field, Op::OPERATOR_IN, json::array({value, field})));
    EXPECT_EQ(HoldsOf(field, Op::OPERATOR_IN, json::array({value})),
              HoldsOf(field, Op::OPERATOR_EQ, value));
  });
  EXPECT_FALSE(HoldsOf("b", Op::OPERATOR_IN, "abc"));
}

TEST(ConditionTest, S4_32_ContainsIsForTextsAndLists) {
  EXPECT_TRUE(HoldsOf("abc", Op::OPERATOR_CONTAINS, "bc"));
  EXPECT_TRUE(HoldsOf("abc", Op::OPERATOR_CONTAINS, ""));
  EXPECT_FALSE(HoldsOf("abc", Op::OPERATOR_CONTAINS, "x"));
  EXPECT_TRUE(HoldsOf({"a", 2}, Op::OPERATOR_CONTAINS, 2));
  EXPECT_FALSE(HoldsOf({"a", 2}, Op::OPERATOR_CONTAINS, "2"));
  EXPECT_FALSE(HoldsOf("12", Op::OPERATOR_CONTAINS, 1));
  EXPECT_FALSE(HoldsOf({{"a", 1}}, Op::OPERATOR_CONTAINS, "a"));
  EXPECT_FALSE(HoldsOf(12, Op::OPERATOR_CONTAINS, 1));
}

TEST(ConditionTest, S4_32_WhatExistsExistsWhateverItIs) {
  for (const json& field : Samples()) EXPECT_TRUE(HoldsOf(field, Op::OPERATOR_EXISTS, {}));
}

TEST(ConditionTest, OnlyNotEqualHoldsOfWhatDoesNotExist) {
  for (const json& value : Samples()) {
    EXPECT_TRUE(HoldsOfNothing(Op::OPERATOR_NEQ, value));
    for (const auto op : {Op::OPERATOR_EQ, Op::OPERATOR_IN, Op::OPERATOR_CONTAINS,
                          Op::OPERATOR_EXISTS, Op::OPERATOR_GT, Op::OPERATOR_LT}) {
      EXPECT_FALSE(HoldsOfNothing(op, value)) << value << " " << op;
    }
  }
}

TEST(ConditionTest, AVariableIsAText) {
  EXPECT_TRUE(Holds(Compare("ROUND", Op::OPERATOR_EQ, "2"), With(1)));
  EXPECT_FALSE(Holds(Compare("ROUND", Op::OPERATOR_EQ, 2), With(1)));
  EXPECT_FALSE(Holds(Compare("ROUND", Op::OPERATOR_GT, 1), With(1)));
}

TEST(ConditionTest, AnUnknownOperatorHoldsOfNothing) {
  EXPECT_FALSE(HoldsOf(1, Op::OPERATOR_UNSPECIFIED, 1));
  EXPECT_FALSE(HoldsOf(1, static_cast<Op::Operator>(99), 1));
}

TEST(ConditionTest, S4_32_AnEmptyConditionHolds) { EXPECT_TRUE(Holds({}, {})); }

v1::StepCondition Combine(bool all, std::initializer_list<bool> parts) {
  v1::StepCondition condition;
  for (bool part : parts) {
    v1::StepCondition test = Compare("steps.s.output.f", Op::OPERATOR_EQ, part);
    *(all ? condition.add_all() : condition.add_any()) = test;
  }
  return condition;
}

TEST(ConditionTest, S4_32_AllAndAnyOfTheirParts) {
  const Values values = With(true);

  EXPECT_TRUE(Holds(Combine(true, {true, true}), values));
  EXPECT_FALSE(Holds(Combine(true, {true, false}), values));
  EXPECT_TRUE(Holds(Combine(false, {false, true}), values));
  EXPECT_FALSE(Holds(Combine(false, {false, false}), values));
}

TEST(ConditionTest, AllAndAnyNest) {
  v1::StepCondition condition;
  *condition.add_all() = Combine(false, {false, true});
  *condition.add_all() = Combine(true, {true});

  EXPECT_TRUE(Holds(condition, With(true)));
  EXPECT_FALSE(Holds(condition, With(false)));
}

}  // namespace
}  // namespace capstan::workflow
