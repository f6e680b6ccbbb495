#include "daemon/offset.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

TEST(Offset, IsAPositionASequenceOrATime) {
  EXPECT_EQ(parse_offset("3:120")->position, (Position{3, 120}));
  EXPECT_EQ(parse_offset("120")->sequence, 120U);
  EXPECT_TRUE(parse_offset("2026-11-21T05:07:00Z")->time.has_value());
  for (const char* wrong : {"", "x", "3:", ":3", "1:2:3", "-1", "yesterday"})
    EXPECT_FALSE(parse_offset(wrong)) << wrong;
}

TEST(Offset, ASequenceIsThatOfTheNewestEpochThatGaveItOut) {
  buffer::LogState state;
  state.epoch = 3;
  state.epochs = {{Stream::readings, 1, 1, 110}, {Stream::readings, 2, 101, 200}, {Stream::readings, 3, 201, 200}};
  EXPECT_EQ(resolve_sequence(state, Stream::readings, 50), (Position{1, 50}));
  EXPECT_EQ(resolve_sequence(state, Stream::readings, 105), (Position{2, 105}));
  EXPECT_EQ(resolve_sequence(state, Stream::readings, 500), (Position{3, 500}));
  EXPECT_LT(resolve_sequence(state, Stream::readings, 0), (Position{1, 1}));
}

}  // namespace
}  // namespace tidegate::daemon
