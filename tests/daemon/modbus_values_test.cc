#include "daemon/commands/modbus_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace tidegate::daemon {
namespace {

using drivers::ModbusAddress;
using drivers::ModbusTable;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string as(const std::vector<Interpretation>& all, const std::string& type, const std::string& order) {
  for (const Interpretation& one : all) {
    if (one.type == type && one.order == order) return show_value(one.decoded);
  }
  return "not there";
}

drivers::ValueFormat format_of(const std::string& type) {
  drivers::ModbusTagOptions tag;
  EXPECT_TRUE(parse_modbus_type(type, tag));
  return make_value_format(tag);
}

TEST(ModbusValues, OneRegisterIsReadAsTypesOfOneRegister) {
  const std::array<std::uint16_t, 1> words{0x8012};
  const auto all = interpret(words);
  EXPECT_EQ(all.size(), 6U);
  EXPECT_EQ(as(all, "int16", "ABCD"), "-32750");
  EXPECT_EQ(as(all, "uint16", "BADC"), "4736");
  EXPECT_EQ(as(all, "bcd16", "ABCD"), "8012");
  EXPECT_EQ(as(all, "float32", "ABCD"), "not there");
}

TEST(ModbusValues, FourRegistersAreReadAsEveryTypeInEveryOrder) {
  const std::array<std::uint16_t, 4> words{0x41ac, 0x0000, 0x7ff8, 0x0001};
  const auto all = interpret(words);
  EXPECT_EQ(all.size(), 3U * 2 + 7 * 4);
  EXPECT_EQ(as(all, "float32", "ABCD"), "21.5");
  EXPECT_EQ(as(all, "int32", "CDAB"), "16812");
  EXPECT_EQ(as(all, "uint64", "ABCD"), std::to_string(0x41ac00007ff80001ULL));
  EXPECT_EQ(as(all, "bcd32", "ABCD"), "no value (wrong-type)");
}

TEST(ModbusValues, SayWhyThereIsNone) {
  const std::array<std::uint16_t, 2> words{0x7fc0, 0x0000};
  EXPECT_EQ(as(interpret(words), "float32", "ABCD"), "no value (nan)");
}

TEST(ModbusValues, WordsAreShownInHexadecimalAsTheWireHadThem) {
  const std::array<std::uint16_t, 2> words{0x41ac, 7};
  EXPECT_EQ(show_words(words), "0x41ac 0x0007");
}

TEST(ModbusValues, UnitsAreAListOfIdsAndRanges) {
  EXPECT_THAT(parse_units("3,1-4,255").value(), ElementsAre(3, 1, 2, 4, 255));
  EXPECT_EQ(parse_units("0-255").value().size(), 256U);
  for (const char* const wrong : {"", "1,", "5-3", "1-256", "-1", "1-", "a", "1 2"}) {
    const auto parsed = parse_units(wrong);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_THAT(parsed.error().message, HasSubstr("1,2,5-9"));
  }
}

TEST(ModbusValues, ARequestFitsIntoOneAndIntoTheTable) {
  const ModbusAddress first{ModbusTable::holding, 0};
  const ModbusAddress last{ModbusTable::holding, 65535};
  const auto request = request_for(7, first, format_of("float32"), 62);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->count, 124);
  EXPECT_EQ(request->unit, 7);
  EXPECT_FALSE(request_for(7, first, format_of("float32"), 63));
  EXPECT_FALSE(request_for(7, first, format_of("uint16"), 0));
  EXPECT_TRUE(request_for(7, last, format_of("uint16"), 1));
  const auto beyond = request_for(7, last, format_of("float32"), 1);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().message, HasSubstr("holding:65535 with 2 registers"));
}

TEST(ModbusValues, EveryUnsuccessfulEndSaysWhatToDo) {
  const drivers::ModbusRequest request{3, ModbusTable::input, 8, 2};
  for (auto result = drivers::ModbusResult::illegal_function; result <= drivers::ModbusResult::not_connected;
       result = static_cast<drivers::ModbusResult>(static_cast<int>(result) + 1)) {
    const std::string text = explain(result, request);
    EXPECT_THAT(text, HasSubstr("input 8 to 9 of unit 3: ")) << to_string(result);
    EXPECT_GT(text.size(), 45U) << to_string(result);
  }
}

}  // namespace
}  // namespace tidegate::daemon
