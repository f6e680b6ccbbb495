#include <gtest/gtest.h>

#include "drivers/modbus/owed_answers.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kNow{seconds(100)};
constexpr Duration kTimeout = milliseconds(500);

ModbusRequest holding(std::uint16_t address, std::uint16_t count) { return {1, ModbusTable::holding, address, count}; }

TEST(ModbusOwedAnswers, ARequestForAnAnswerOfTheSameShapeIsAmbiguous) {
  OwedAnswers owed;
  EXPECT_FALSE(owed.is_ambiguous(holding(10, 2), kNow));
  owed.add(holding(10, 2), kNow, kTimeout);
  EXPECT_TRUE(owed.is_ambiguous(holding(20, 2), kNow));
  EXPECT_FALSE(owed.is_ambiguous(holding(10, 3), kNow));
  EXPECT_FALSE(owed.is_ambiguous({1, ModbusTable::input, 10, 2}, kNow));
}

TEST(ModbusOwedAnswers, BitsAreOfOneShapeByTheByte) {
  OwedAnswers owed;
  owed.add({1, ModbusTable::coil, 0, 3}, kNow, kTimeout);
  EXPECT_TRUE(owed.is_ambiguous({1, ModbusTable::coil, 50, 8}, kNow));
  EXPECT_FALSE(owed.is_ambiguous({1, ModbusTable::coil, 50, 9}, kNow));
}

TEST(ModbusOwedAnswers, AnAnswerOrALongTimeSettlesIt) {
  OwedAnswers owed;
  owed.add(holding(10, 2), kNow, kTimeout);
  owed.clear();
  EXPECT_TRUE(owed.empty(kNow));
  owed.add(holding(10, 2), kNow, kTimeout);
  EXPECT_TRUE(owed.is_ambiguous(holding(10, 2), kNow + seconds(9)));
  EXPECT_FALSE(owed.is_ambiguous(holding(10, 2), kNow + seconds(10)));
}

TEST(ModbusOwedAnswers, AProbeIsNeverAmbiguousHoweverMuchIsOwed) {
  for (const auto table : {ModbusTable::coil, ModbusTable::discrete, ModbusTable::input, ModbusTable::holding}) {
    for (const std::uint16_t address : std::vector<std::uint16_t>{0, 100, 65535}) {
      const ModbusRequest request{1, table, address, 1};
      OwedAnswers owed;
      for (int i = 0; i < 30; ++i) {
        owed.add(i == 0 ? request : owed.distinct_probe(request), kNow, kTimeout);
        const auto probe = owed.distinct_probe(request);
        ASSERT_FALSE(owed.is_ambiguous(probe, kNow)) << i;
        ASSERT_EQ(probe.table, table);
        ASSERT_LE(probe.address + probe.count, 65536);
        OwedAnswers own;
        own.add(request, kNow, kTimeout);
        ASSERT_FALSE(own.is_ambiguous(probe, kNow)) << "looks like the request's own answer";
      }
    }
  }
}

}  // namespace
}  // namespace tidegate::drivers
