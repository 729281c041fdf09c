#include "apps/cli/terminal.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace unnoise::cli {
namespace {

TEST(Terminal, CountsColumnsAndNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("Bäume"), 5u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("🦋"), 2u);
  EXPECT_EQ(display_width("\xff\xfe"), 2u);  // no UTF-8: a column a byte
}

TEST(Terminal, TruncatesAtCharacters) {
  setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_EQ(truncated("butterfly", 9), "butterfly");
  EXPECT_EQ(truncated("butterfly", 6), "butte…");
  EXPECT_EQ(truncated("日本語の名前", 6), "日本…");
  EXPECT_EQ(truncated("butterfly", 1), "…");
  setenv("LC_ALL", "C", 1);
  EXPECT_EQ(truncated("butterfly", 6), "but...");
  EXPECT_EQ(truncated("butterfly", 2), "..");
  unsetenv("LC_ALL");
}

TEST(Terminal, WrapsAtBlanks) {
  EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrapped("incomprehensibility is", 5, 0), "incomprehensibility\nis");
  EXPECT_EQ(wrapped("", 5, 0), "");
}

}  // namespace
}  // namespace unnoise::cli
