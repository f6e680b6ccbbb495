#include "core/spare_room.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidegate {
namespace {

constexpr std::size_t kLarge = 100'000;
const std::size_t kNoRoom = std::string().capacity();

TEST(FreeRoom, LeavesNoneOfALargeText) {
  std::string text(kLarge, 'a');
  free_room(text);
  EXPECT_EQ(text, "");
  EXPECT_EQ(text.capacity(), kNoRoom);
  std::vector<int> numbers(kLarge);
  free_room(numbers);
  EXPECT_EQ(numbers.capacity(), 0U);
}

TEST(SpareRoom, IsTooMuchWhereAllOfARoundNeededMuchLess) {
  SpareRoom spare;
  for (std::uint32_t use = 1; use < SpareRoom::kUses; ++use) EXPECT_FALSE(spare.is_too_much(kLarge / 3, kLarge)) << use;
  EXPECT_TRUE(spare.is_too_much(kLarge / 3, kLarge));
  for (std::uint32_t use = 1; use < SpareRoom::kUses; ++use) EXPECT_FALSE(spare.is_too_much(0, kLarge)) << use;
  EXPECT_TRUE(spare.is_too_much(0, kLarge));
}

TEST(SpareRoom, IsOfUseWhereOneOfARoundNeededIt) {
  SpareRoom spare;
  for (std::uint32_t use = 0; use < 10 * SpareRoom::kUses; ++use) {
    ASSERT_FALSE(spare.is_too_much(use % SpareRoom::kUses == 3 ? kLarge / 2 : 0, kLarge)) << use;
  }
}

TEST(SpareRoom, IsNotWorthAnAllocationWhereItIsSmall) {
  SpareRoom spare;
  for (std::uint32_t use = 0; use < 10 * SpareRoom::kUses; ++use) {
    ASSERT_FALSE(spare.is_too_much(0, SpareRoom::kLeast)) << use;
  }
}

TEST(ReusedText, KeepsItsRoomAsLongAsThatIsOfUse) {
  ReusedText text;
  text.begin().assign(kLarge, 'a');
  for (std::uint32_t use = 0; use < 10 * SpareRoom::kUses; ++use) {
    std::string& next = text.begin();
    ASSERT_EQ(next, "");
    ASSERT_GE(next.capacity(), kLarge) << use;
    next.assign(kLarge / 2, 'b');
  }
  for (std::uint32_t use = 0; use < 2 * SpareRoom::kUses; ++use) text.begin() = "a little";
  EXPECT_EQ(text.text(), "a little");
  EXPECT_LT(text.text().capacity(), kLarge);
}

}  // namespace
}  // namespace tidegate
