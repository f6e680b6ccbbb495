#include "daemon/admin/percent_encode.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::daemon {
namespace {

TEST(PercentEncode, whatever_is_encoded_is_decoded_to_the_same) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(form_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("hot/line-1/a b+c"), "hot%2Fline-1%2Fa%20b%2Bc");
}

TEST(PercentEncode, a_plus_is_a_space_in_a_form_and_itself_in_a_path) {
  EXPECT_EQ(percent_decode("hot/motor/speed+1"), "hot/motor/speed+1");
  EXPECT_EQ(form_decode("a+b%2Bc"), "a b+c");
}

TEST(PercentEncode, what_is_no_escape_stays_as_it_is) {
  for (const char* text : {"%", "%4", "%4g", "50%", "%%", "%-1"}) EXPECT_EQ(percent_decode(text), text);
}

}  // namespace
}  // namespace tidegate::daemon
