// What a test demands of a refusal: what kind it is, where in which message, and what it says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct Refused {
  Category category;
  std::string text;          // a part of it
  std::string payload = {};  // with the clause, where a message is to blame
  std::string clause = {};
  std::optional<ErrorNo> number = {};  // that the refusal sets
};

template <class T>
void expect_refused(const Result<T>& result, const Refused& expected) {
  ASSERT_FALSE(result.has_value()) << expected.text;
  const Error& error = result.error();
  EXPECT_EQ(error.category(), expected.category) << error.describe();
  EXPECT_THAT(error.text(), ::testing::HasSubstr(expected.text));
  if (!expected.payload.empty()) {
    ASSERT_TRUE(error.place().has_value()) << error.describe();
    EXPECT_EQ(error.place()->payload, expected.payload) << error.describe();
    EXPECT_EQ(error.place()->clause, expected.clause) << error.describe();
  }
  std::optional<std::uint8_t> number;
  if (expected.number) number = static_cast<std::uint8_t>(*expected.number);
  EXPECT_EQ(error.mikey_error_no(), number) << error.describe();
}

}  // namespace keystub::mikey
