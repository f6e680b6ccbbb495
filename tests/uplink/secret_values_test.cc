#include "uplink/secret_values.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::uplink {
namespace {

std::string without(const std::string& secret, std::string text) {
  redact_secret(text, secret);
  return text;
}

TEST(RedactSecret, TakesOutEachPlaceOfIt) {
  EXPECT_EQ(without("hunter2", "hunter2, and hunter2hunter2"), "(secret), and (secret)(secret)");
  EXPECT_EQ(without("hunter2", "hunter"), "hunter");
  EXPECT_EQ(without("", "text"), "text");
  EXPECT_EQ(without("aa", "aaaa"), "(secret)(secret)");
}

TEST(RedactSecret, TakesOutWhatIsLeftOfALongOneThatWasCut) {
  const std::string secret = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (std::size_t length = 16; length <= secret.size(); ++length) {
    ASSERT_EQ(without(secret, "got " + secret.substr(0, length)), "got (secret)") << length;
    ASSERT_EQ(without(secret, "got " + secret.substr(0, length) + "... (after 1ms)"), "got (secret)... (after 1ms)")
        << length;
  }
  EXPECT_EQ(without(secret, "got " + secret.substr(0, 15)), "got " + secret.substr(0, 15));
}

}  // namespace
}  // namespace tidegate::uplink
