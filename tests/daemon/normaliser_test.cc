#include "daemon/normaliser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/value_limits.h"

namespace tidegate::daemon {
namespace {

class NormaliserTest : public ::testing::Test {
 protected:
  TagId claim(const std::string& path, std::optional<double> deadband = {}) {
    Tag tag;
    tag.path = path;
    tag.driver = "test";
    tag.deadband = deadband;
    return tags_.claim(tag).value();
  }
  static Reading reading(TagId tag, Value value, Quality quality = Quality::good) {
    Reading reading;
    reading.tag = tag;
    reading.value = std::move(value);
    reading.quality = quality;
    return reading;
  }
  std::vector<Reading> normalise(std::vector<Reading> readings) {
    normaliser_.apply(readings);
    return readings;
  }

  TagRegistry tags_;
  Normaliser normaliser_{tags_};
};

TEST_F(NormaliserTest, MakesNotANumberAndInfinityABadNull) {
  const TagId tag = claim("a/x");
  for (const double odd :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    const auto kept = normalise({reading(tag, odd)});
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(kept[0].value));
    EXPECT_EQ(kept[0].quality, Quality::bad);
    EXPECT_EQ(kept[0].reason, Reason::nan);
  }
}

TEST_F(NormaliserTest, LeavesOutWhatMovedLessThanTheDeadBandSinceTheLastKept) {
  const TagId tag = claim("a/x", 0.5);
  const auto kept =
      normalise({reading(tag, 10.0), reading(tag, 10.4), reading(tag, 10.4), reading(tag, 10.5), reading(tag, 10.1)});
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(std::get<double>(kept[1].value), 10.5);
  EXPECT_EQ(normaliser_.left_out().at("deadband"), 3U);
}

TEST_F(NormaliserTest, KeepsEveryChangeOfQualityInsideTheDeadBand) {
  const TagId tag = claim("a/x", 100.0);
  const auto kept = normalise({reading(tag, 1.0), reading(tag, 1.0, Quality::bad), reading(tag, 1.0)});
  EXPECT_EQ(kept.size(), 3U);
}

TEST_F(NormaliserTest, CountsReadingsWithoutATagAndTextsWithoutAnEnd) {
  const TagId tag = claim("a/x");
  const auto kept =
      normalise({reading(kNoTag, 1.0), reading(tag, std::string(kValueTextBytesMax + 1, 'x')), reading(tag, true)});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(std::get<bool>(kept[0].value));
  EXPECT_EQ(normaliser_.left_out().at("no_tag"), 1U);
  EXPECT_EQ(normaliser_.left_out().at("text_too_long"), 1U);
}

TEST_F(NormaliserTest, RemembersTheNewestReadingOfEveryTag) {
  const TagId a = claim("a/x");
  const TagId b = claim("b/x");
  normalise({reading(a, std::int64_t{1}), reading(b, std::int64_t{2}), reading(a, std::int64_t{3})});
  EXPECT_EQ(std::get<std::int64_t>(normaliser_.latest()[static_cast<std::size_t>(a)].value), 3);
  EXPECT_EQ(std::get<std::int64_t>(normaliser_.latest()[static_cast<std::size_t>(b)].value), 2);
}

}  // namespace
}  // namespace tidegate::daemon
