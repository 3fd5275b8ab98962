#pragma once

#include <bnq/error.h>

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace bnq::test {

/// Does `call` throw a bnq::Error of this kind whose message holds every fragment?
inline ::testing::AssertionResult throws_error(const std::function<void()>& call, ErrorKind kind,
                                               std::initializer_list<std::string_view> fragments) {
  try {
    call();
  } catch (const Error& error) {
    const std::string text = error.what();
    if (error.kind() != kind) {
      return ::testing::AssertionFailure() << "error of kind " << static_cast<int>(error.kind()) << ", expected "
                                           << static_cast<int>(kind) << ": " << text;
    }
    for (const std::string_view fragment : fragments) {
      if (text.find(fragment) == std::string::npos) {
        return ::testing::AssertionFailure() << "the message lacks '" << fragment << "': " << text;
      }
    }
    return ::testing::AssertionSuccess();
  } catch (const std::exception& other) {
    return ::testing::AssertionFailure() << "not a bnq::Error: " << other.what();
  }
  return ::testing::AssertionFailure() << "no error";
}

}  // namespace bnq::test

/// EXPECT_BNQ_ERROR(quantize(view, scheme), ErrorKind::bad_content, "NaN", "[3, 1]")
#define EXPECT_BNQ_ERROR(expression, kind, ...) \
  EXPECT_TRUE(::bnq::test::throws_error([&] { (void)(expression); }, kind, {__VA_ARGS__}))

#define ASSERT_BNQ_ERROR(expression, kind, ...) \
  ASSERT_TRUE(::bnq::test::throws_error([&] { (void)(expression); }, kind, {__VA_ARGS__}))
