#include <gtest/gtest.h>

#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/read_blocks.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

PlanTag tag(std::uint16_t address, std::uint16_t count = 1, ModbusTable table = ModbusTable::holding,
            Duration interval = seconds(1), std::uint16_t device = 0) {
  return {device, table, address, count, interval};
}

// "holding 0+3 #0 #1": table, address, count, tags.
std::string show(const ReadBlock& block) {
  std::string text =
      std::string(to_string(block.table)) + " " + std::to_string(block.address) + "+" + std::to_string(block.count);
  for (const auto index : block.tags) text += " #" + std::to_string(index);
  return text;
}

std::vector<std::string> joined(const std::vector<PlanTag>& tags, std::uint16_t max_gap) {
  std::vector<std::string> shown;
  for (const auto& block : join_reads(tags, max_gap)) shown.push_back(show(block));
  return shown;
}

using Shown = std::vector<std::string>;

TEST(ModbusReadBlocks, NeighboursAreJoinedOverHolesUpToTheGap) {
  const std::vector<PlanTag> tags{tag(0, 2), tag(5), tag(2), tag(20)};
  EXPECT_EQ(joined(tags, 2), (Shown{"holding 0+6 #0 #2 #1", "holding 20+1 #3"}));
  EXPECT_EQ(joined(tags, 1), (Shown{"holding 0+3 #0 #2", "holding 5+1 #1", "holding 20+1 #3"}));
  EXPECT_EQ(joined(tags, 0), (Shown{"holding 0+3 #0 #2", "holding 5+1 #1", "holding 20+1 #3"}));
}

TEST(ModbusReadBlocks, TablesDevicesAndIntervalsStayApart) {
  const std::vector<PlanTag> tags{tag(0), tag(1, 1, ModbusTable::input),
                                  tag(2, 1, ModbusTable::holding, milliseconds(200)),
                                  tag(3, 1, ModbusTable::holding, seconds(1), 1)};
  EXPECT_EQ(joined(tags, 8), (Shown{"input 1+1 #1", "holding 2+1 #2", "holding 0+1 #0", "holding 3+1 #3"}));
}

TEST(ModbusReadBlocks, NoRequestIsLongerThanTheProtocolAllows) {
  std::vector<PlanTag> registers;
  for (std::uint16_t i = 0; i < 300; ++i) registers.push_back(tag(i));
  std::vector<std::uint16_t> counts;
  for (const auto& block : join_reads(registers, 8)) counts.push_back(block.count);
  EXPECT_EQ(counts, (std::vector<std::uint16_t>{125, 125, 50}));

  std::vector<PlanTag> bits;
  for (std::uint16_t i = 0; i < 2500; ++i) bits.push_back(tag(i, 1, ModbusTable::coil));
  counts.clear();
  for (const auto& block : join_reads(bits, 8)) counts.push_back(block.count);
  EXPECT_EQ(counts, (std::vector<std::uint16_t>{2000, 500}));
}

TEST(ModbusReadBlocks, AValueIsNeverTornApart) {
  const std::vector<PlanTag> tags{tag(0, 124), tag(124, 2)};
  EXPECT_EQ(joined(tags, 8), (Shown{"holding 0+124 #0", "holding 124+2 #1"}));
}

TEST(ModbusReadBlocks, TagsMayShareRegisters) {
  const std::vector<PlanTag> tags{tag(10), tag(10), tag(10, 2), tag(11)};
  EXPECT_EQ(joined(tags, 0), (Shown{"holding 10+2 #0 #1 #2 #3"}));
}

TEST(ModbusReadBlocks, TheHighestAddressIsReached) {
  EXPECT_EQ(joined({tag(65534, 2), tag(65530)}, 8), (Shown{"holding 65530+6 #1 #0"}));
}

TEST(ModbusReadBlocks, BitsAreJoinedOverAsManyBytesAsRegisters) {
  EXPECT_EQ(joined({tag(0, 1, ModbusTable::coil), tag(17, 1, ModbusTable::coil)}, 1), (Shown{"coil 0+18 #0 #1"}));
  EXPECT_EQ(joined({tag(0, 1, ModbusTable::coil), tag(18, 1, ModbusTable::coil)}, 1),
            (Shown{"coil 0+1 #0", "coil 18+1 #1"}));
}

Shown split(const std::vector<PlanTag>& tags) {
  const auto halves = split_read(join_reads(tags, 100).at(0), tags);
  if (!halves) return {};
  return {show(halves->first), show(halves->second)};
}

TEST(ModbusReadBlocks, ASplitCutsAtTheWidestHole) {
  EXPECT_EQ(split({tag(0), tag(1), tag(4), tag(20), tag(21)}), (Shown{"holding 0+5 #0 #1 #2", "holding 20+2 #3 #4"}));
}

TEST(ModbusReadBlocks, ASplitWithoutHolesCutsInTheMiddle) {
  EXPECT_EQ(split({tag(0), tag(1), tag(2), tag(3)}), (Shown{"holding 0+2 #0 #1", "holding 2+2 #2 #3"}));
}

TEST(ModbusReadBlocks, ASplitKeepsTagsOfTheSameRegisterTogetherWhileItCan) {
  EXPECT_EQ(split({tag(0), tag(0), tag(0), tag(1)}), (Shown{"holding 0+1 #0 #1 #2", "holding 1+1 #3"}));
}

TEST(ModbusReadBlocks, OnePlaceCannotBeSplit) {
  EXPECT_EQ(split({tag(5)}), Shown());
  EXPECT_EQ(split({tag(5, 2), tag(5, 2)}), Shown());
  EXPECT_EQ(split({tag(5, 1), tag(5, 2)}), (Shown{"holding 5+1 #0", "holding 5+2 #1"}));
}

}  // namespace
}  // namespace tidegate::drivers
