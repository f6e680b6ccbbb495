#include "core/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace tidegate {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(Crc32c, MatchesThePublishedVectors) {
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U);
  const std::vector<std::byte> zeros(32);
  EXPECT_EQ(crc32c(zeros), 0x8a9136aaU);
  const std::vector<std::byte> ones(32, std::byte{0xff});
  EXPECT_EQ(crc32c(ones), 0x62a8ab43U);
}

TEST(Crc32c, BothPathsAgreeOnEveryLengthAndAlignment) {
  std::mt19937_64 random(7);
  std::vector<std::byte> data(300);
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  for (std::size_t begin = 0; begin < 9; ++begin) {
    for (std::size_t length = 0; begin + length <= data.size(); ++length) {
      const auto part = std::span(data).subspan(begin, length);
      ASSERT_EQ(crc32c(part), crc32c_portable(part)) << "begin " << begin << " length " << length;
    }
  }
}

TEST(Crc32c, ContinuesWhereAnEarlierPartEnded) {
  const auto whole = bytes_of("the quick brown fox");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    ASSERT_EQ(crc32c(whole.subspan(cut), crc32c(whole.first(cut))), crc32c(whole));
    ASSERT_EQ(crc32c_portable(whole.subspan(cut), crc32c_portable(whole.first(cut))), crc32c(whole));
  }
}

}  // namespace
}  // namespace tidegate
