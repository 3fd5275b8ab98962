#include "core/fail.h"

#include "support/expect_error.h"

#include <gtest/gtest.h>

#include <string>

namespace bnq::test {
namespace {

using detail::printable;

TEST(ErrorText, Grammar) {
  EXPECT_EQ(detail::text_of({.where = "f", .what = "w"}), "f: w");
  EXPECT_EQ(detail::text_of({.where = "f", .what = "w", .got = "1"}), "f: w (got 1)");
  EXPECT_EQ(detail::text_of({.where = "f", .what = "w", .need = "2"}), "f: w (need 2)");
  EXPECT_EQ(detail::text_of({.where = "f", .what = "w", .got = "1", .need = "2", .cure = "c"}),
            "f: w (got 1, need 2); c");
  EXPECT_EQ(detail::text_of({.where = "f", .what = "w", .cure = "c"}), "f: w; c");
}

TEST(ErrorText, FailThrowsKindAndText) {
  EXPECT_BNQ_ERROR((detail::fail(ErrorKind::io, {.where = "here", .what = "no"}), 0), ErrorKind::io, "here: no");
}

TEST(Printable, KeepsText) {
  for (const char* text : {"", "model.layers.0.weight", "größe", "重み", "🎈", "a b~"}) EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\x0ab\\x09c\\x0d");
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\xc2\\x9b31m");                    // C1 control: CSI
  EXPECT_EQ(printable("\xC2\xA0"), "\xC2\xA0");  // the first that is not
  EXPECT_EQ(printable("\xE2\x80\xAE"
                      "cod.exe"),
            "\\xe2\\x80\\xaecod.exe");                      // right-to-left override
  EXPECT_EQ(printable("\xE2\x81\xA6"), "\\xe2\\x81\\xa6");  // left-to-right isolate
  EXPECT_EQ(printable("\xE2\x82\xAC"), "\xE2\x82\xAC");     // the euro sign
}

TEST(Printable, EscapesBadUtf8) {
  EXPECT_EQ(printable("\xFF"), "\\xff");
  EXPECT_EQ(printable("\x80"), "\\x80");
  EXPECT_EQ(printable("\xC3"), "\\xc3");                             // cut off
  EXPECT_EQ(printable("\xE2\x82"), "\\xe2\\x82");                    // cut off
  EXPECT_EQ(printable("\xF0\x9F\x8E"), "\\xf0\\x9f\\x8e");           // cut off
  EXPECT_EQ(printable("\xC0\x80"), "\\xc0\\x80");                    // overlong
  EXPECT_EQ(printable("\xE0\x9F\xBF"), "\\xe0\\x9f\\xbf");           // overlong
  EXPECT_EQ(printable("\xF0\x8F\xBF\xBF"), "\\xf0\\x8f\\xbf\\xbf");  // overlong
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // past U+10FFFF
  EXPECT_EQ(printable("\xC3(x"), "\\xc3(x");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(printable(std::string(201, 'x')), std::string(200, 'x') + "…");
  EXPECT_LT(printable(std::string(1'000'000, '\n')).size(), 210U);
  std::string euros;
  for (int i = 0; i < 1000; ++i) euros += "\xE2\x82\xAC";
  const std::string cut = printable(euros);  // never in the middle of a character
  EXPECT_EQ(cut, euros.substr(0, 201) + "…");
}

}  // namespace
}  // namespace bnq::test
