#include <gtest/gtest.h>

#include <cmath>

#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {
namespace {

using Words = std::vector<std::uint16_t>;

ModbusTagOptions holding(ModbusType type, ByteOrder order = ByteOrder::abcd) {
  ModbusTagOptions options;
  options.type = type;
  options.order = order;
  return options;
}

DecodedValue decode(const ModbusTagOptions& options, const Words& words) {
  return decode_value(make_value_format(options), words);
}

void expect_good(const ModbusTagOptions& options, const Words& words, const Value& value) {
  const auto decoded = decode(options, words);
  EXPECT_EQ(decoded.value, value);
  EXPECT_EQ(decoded.quality, Quality::good);
  EXPECT_EQ(decoded.reason, Reason::none);
}

void expect_bad(const ModbusTagOptions& options, const Words& words, Reason reason, const Value& value = Value()) {
  const auto decoded = decode(options, words);
  EXPECT_EQ(decoded.value, value);
  EXPECT_EQ(decoded.quality, Quality::bad);
  EXPECT_EQ(decoded.reason, reason);
}

TEST(ModbusDecoder, SixteenBitsInAllOrders) {
  for (const auto order : {ByteOrder::abcd, ByteOrder::cdab}) {
    expect_good(holding(ModbusType::uint16, order), {0x8001}, std::uint64_t{0x8001});
    expect_good(holding(ModbusType::int16, order), {0x8001}, std::int64_t{-32767});
    expect_good(holding(ModbusType::bcd16, order), {0x1234}, std::uint64_t{1234});
  }
  for (const auto order : {ByteOrder::badc, ByteOrder::dcba}) {
    expect_good(holding(ModbusType::uint16, order), {0x0180}, std::uint64_t{0x8001});
    expect_good(holding(ModbusType::int16, order), {0x0180}, std::int64_t{-32767});
    expect_good(holding(ModbusType::bcd16, order), {0x3412}, std::uint64_t{1234});
  }
}

struct Ordered {
  ByteOrder order;
  Words two;   // of 0xA1B2C3D4
  Words four;  // of 0xA1B2C3D4E5F60718
};
const Ordered kOrders[] = {
    {ByteOrder::abcd, {0xA1B2, 0xC3D4}, {0xA1B2, 0xC3D4, 0xE5F6, 0x0718}},
    {ByteOrder::cdab, {0xC3D4, 0xA1B2}, {0x0718, 0xE5F6, 0xC3D4, 0xA1B2}},
    {ByteOrder::badc, {0xB2A1, 0xD4C3}, {0xB2A1, 0xD4C3, 0xF6E5, 0x1807}},
    {ByteOrder::dcba, {0xD4C3, 0xB2A1}, {0x1807, 0xF6E5, 0xD4C3, 0xB2A1}},
};

TEST(ModbusDecoder, ThirtyTwoBitsInAllOrders) {
  for (const auto& [order, two, four] : kOrders) {
    expect_good(holding(ModbusType::uint32, order), two, std::uint64_t{0xA1B2C3D4});
    expect_good(holding(ModbusType::int32, order), two, std::int64_t{-1582119980});
  }
}

TEST(ModbusDecoder, SixtyFourBitsInAllOrders) {
  for (const auto& [order, two, four] : kOrders) {
    expect_good(holding(ModbusType::uint64, order), four, std::uint64_t{0xA1B2C3D4E5F60718});
    expect_good(holding(ModbusType::int64, order), four, static_cast<std::int64_t>(0xA1B2C3D4E5F60718));
  }
}

TEST(ModbusDecoder, FloatsInAllOrders) {
  // 123.456f is 0x42F6E979; -2.5 is 0xC004000000000000.
  expect_good(holding(ModbusType::float32, ByteOrder::abcd), {0x42F6, 0xE979}, double{123.456F});
  expect_good(holding(ModbusType::float32, ByteOrder::cdab), {0xE979, 0x42F6}, double{123.456F});
  expect_good(holding(ModbusType::float32, ByteOrder::badc), {0xF642, 0x79E9}, double{123.456F});
  expect_good(holding(ModbusType::float32, ByteOrder::dcba), {0x79E9, 0xF642}, double{123.456F});
  expect_good(holding(ModbusType::float64, ByteOrder::abcd), {0xC004, 0, 0, 0}, -2.5);
  expect_good(holding(ModbusType::float64, ByteOrder::cdab), {0, 0, 0, 0xC004}, -2.5);
  expect_good(holding(ModbusType::float64, ByteOrder::badc), {0x04C0, 0, 0, 0}, -2.5);
  expect_good(holding(ModbusType::float64, ByteOrder::dcba), {0, 0, 0, 0x04C0}, -2.5);
}

TEST(ModbusDecoder, BcdInAllOrders) {
  expect_good(holding(ModbusType::bcd32, ByteOrder::abcd), {0x1234, 0x5678}, std::uint64_t{12345678});
  expect_good(holding(ModbusType::bcd32, ByteOrder::cdab), {0x5678, 0x1234}, std::uint64_t{12345678});
  expect_good(holding(ModbusType::bcd32, ByteOrder::badc), {0x3412, 0x7856}, std::uint64_t{12345678});
  expect_good(holding(ModbusType::bcd32, ByteOrder::dcba), {0x7856, 0x3412}, std::uint64_t{12345678});
  expect_good(holding(ModbusType::bcd32), {0x9999, 0x9999}, std::uint64_t{99999999});
}

TEST(ModbusDecoder, ADigitAboveNineIsNoBcd) {
  for (int digit = 0; digit < 4; ++digit) {
    expect_bad(holding(ModbusType::bcd16), {static_cast<std::uint16_t>(0xA << (4 * digit))}, Reason::wrong_type);
    expect_bad(holding(ModbusType::bcd32), {static_cast<std::uint16_t>(0xF << (4 * digit)), 0}, Reason::wrong_type);
    expect_bad(holding(ModbusType::bcd32), {0, static_cast<std::uint16_t>(0xF << (4 * digit))}, Reason::wrong_type);
  }
}

TEST(ModbusDecoder, NanAndInfinityAreNullAndBad) {
  for (const std::uint16_t high : Words{0x7FC0, 0xFFC0, 0x7F80, 0xFF80, 0x7F81}) {
    expect_bad(holding(ModbusType::float32), {high, 0}, Reason::nan);
  }
  for (const std::uint16_t high : Words{0x7FF8, 0xFFF8, 0x7FF0, 0xFFF0}) {
    expect_bad(holding(ModbusType::float64), {high, 0, 0, 0}, Reason::nan);
  }
}

TEST(ModbusDecoder, AScaleThatOverflowsIsNullAndBad) {
  auto options = holding(ModbusType::float64);
  options.scale = 1e10;
  expect_bad(options, {0x7FE0, 0, 0, 0}, Reason::nan);
}

TEST(ModbusDecoder, ScaleAndOffsetMakeADouble) {
  auto options = holding(ModbusType::int16);
  options.scale = 0.1;
  options.offset = 5;
  expect_good(options, {0xFFEC}, 3.0);
  options.scale.reset();
  expect_good(options, {0xFFEC}, -15.0);
  EXPECT_EQ(value_type(make_value_format(options)), ValueType::float64);
}

// Every value of 16 bits is the number that one reads when the point is set by hand.
TEST(ModbusDecoder, AScaleOfFewDigitsGivesTheDecimalNumber) {
  const struct {
    double scale;
    double offset;
    int factor;
    int summand;
    int places;
  } rows[] = {{0.1, 0, 1, 0, 1},    {0.01, 0, 1, 0, 2},     {0.001, -40, 1, -40'000, 3},
              {-0.1, 0, -1, 0, 1},  {0.25, 0.5, 25, 50, 2}, {2.5, 0.1, 25, 1, 1},
              {10, 0, 10, 0, 0},    {1e-6, 0, 1, 0, 6},     {0.1, 273.15, 10, 27'315, 2},
              {1.8, 32, 18, 320, 1}};
  for (const auto& row : rows) {
    auto options = holding(ModbusType::int16);
    options.scale = row.scale;
    options.offset = row.offset;
    const ValueFormat format = make_value_format(options);
    for (int raw = -32'768; raw <= 32'767; ++raw) {
      const Words words{static_cast<std::uint16_t>(raw)};
      const std::int64_t digits = std::int64_t{raw} * row.factor + row.summand;
      const double expected = std::stod(std::to_string(digits) + "e-" + std::to_string(row.places));
      ASSERT_EQ(decode_value(format, words).value, Value(expected)) << raw << " * " << row.scale << " + " << row.offset;
    }
  }
}

TEST(ModbusDecoder, AScaleBeyondTheDigitsOfADoubleIsMultiplied) {
  EXPECT_EQ(DecimalScale(0.1, 0).apply(12), 1.2);
  EXPECT_EQ(DecimalScale(0.1, 0).apply(9'007'199'254'740'993.0 * 4), 9'007'199'254'740'993.0 * 4 * 0.1);
  EXPECT_EQ(DecimalScale(0.1, 0).apply(0.25), 0.25 * 0.1);
  EXPECT_EQ(DecimalScale(1.0 / 3, 0).apply(10), 10 * (1.0 / 3));
  EXPECT_EQ(DecimalScale(1e-30, 5).apply(2), 2e-30 + 5);
  EXPECT_EQ(DecimalScale(1e300, 0).apply(7), 7 * 1e300);
  EXPECT_EQ(DecimalScale(-0.1, 0).apply(0), 0.0);
  EXPECT_EQ(DecimalScale().apply(5), 5.0);
}

TEST(ModbusDecoder, BitsAreBools) {
  for (std::uint8_t bit = 0; bit < 16; ++bit) {
    auto options = holding(ModbusType::uint16);
    options.bit = bit;
    expect_good(options, {static_cast<std::uint16_t>(1U << bit)}, true);
    expect_good(options, {static_cast<std::uint16_t>(~(1U << bit))}, false);
  }
  auto swapped = holding(ModbusType::uint16, ByteOrder::badc);
  swapped.bit = 0;
  expect_good(swapped, {0x0100}, true);
  expect_good(holding(ModbusType::boolean), {0}, false);
  expect_good(holding(ModbusType::boolean), {0x0100}, true);
}

TEST(ModbusDecoder, CoilsAndDiscreteInputsAreBoolsWhateverTheTypeSays) {
  for (const auto table : {ModbusTable::coil, ModbusTable::discrete}) {
    auto options = holding(ModbusType::uint16);
    options.address.table = table;
    expect_good(options, {1}, true);
    expect_good(options, {0}, false);
    EXPECT_EQ(value_type(make_value_format(options)), ValueType::boolean);
  }
}

TEST(ModbusDecoder, TextEndsAtItsLengthOrAtZero) {
  auto options = holding(ModbusType::string);
  options.string_bytes = 5;
  expect_good(options, {0x4142, 0x4344, 0x4546}, std::string("ABCDE"));
  expect_good(options, {0x4142, 0x4300, 0x4546}, std::string("ABC"));
  expect_good(options, {0, 0, 0}, std::string());
  options.order = ByteOrder::badc;
  expect_good(options, {0x4241, 0x4443, 0x4645}, std::string("ABCDE"));
}

TEST(ModbusDecoder, TextThatIsNotUtf8IsNullAndBad) {
  auto options = holding(ModbusType::string);
  options.string_bytes = 4;
  expect_good(options, {0xC2B0, 0x4300},
              std::string("\xC2\xB0"
                          "C"));
  expect_bad(options, {0xB0C2, 0x4300}, Reason::wrong_type);
  expect_bad(options, {0x41C3, 0x0000}, Reason::wrong_type);
}

TEST(ModbusDecoder, OutsideMinAndMaxIsBadAndKeepsTheValue) {
  auto options = holding(ModbusType::int16);
  options.min = -5;
  options.max = 10;
  expect_good(options, {10}, std::int64_t{10});
  expect_good(options, {0xFFFB}, std::int64_t{-5});
  expect_bad(options, {11}, Reason::out_of_range, std::int64_t{11});
  expect_bad(options, {0xFFFA}, Reason::out_of_range, std::int64_t{-6});
  options.scale = 0.5;
  expect_good(options, {20}, 10.0);
  expect_bad(options, {21}, Reason::out_of_range, 10.5);
}

TEST(ModbusDecoder, DeclaresTheKindOfValueThatItMakes) {
  EXPECT_EQ(value_type(make_value_format(holding(ModbusType::int32))), ValueType::int64);
  EXPECT_EQ(value_type(make_value_format(holding(ModbusType::bcd16))), ValueType::uint64);
  EXPECT_EQ(value_type(make_value_format(holding(ModbusType::float32))), ValueType::float64);
  EXPECT_EQ(value_type(make_value_format(holding(ModbusType::string))), ValueType::text);
}

}  // namespace
}  // namespace tidegate::drivers
