#include "drivers/modbus/value_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/seed.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Words = std::vector<std::uint16_t>;

ModbusTagOptions tag(ModbusType type, ByteOrder order = ByteOrder::abcd) {
  ModbusTagOptions options;
  options.name = "setpoint";
  options.type = type;
  options.order = order;
  options.string_bytes = 5;
  options.writable = true;
  return options;
}

Words words_of(const ModbusTagOptions& options, const Value& value) {
  const auto words = encode_value(make_value_format(options), value);
  EXPECT_TRUE(words) << words.error().message;
  return words ? *words : Words();
}

std::string refusal_of(const ModbusTagOptions& options, const Value& value) {
  const auto words = encode_value(make_value_format(options), value);
  EXPECT_FALSE(words);
  return words ? "" : words.error().message;
}

TEST(ModbusEncoder, WhatIsEncodedIsDecodedToTheSameValueInEachTypeAndOrder) {
  std::mt19937_64 random(testing::from_environment("TIDEGATE_SEED", 1));
  constexpr ModbusType kTypes[] = {ModbusType::int16, ModbusType::uint16, ModbusType::int32,   ModbusType::uint32,
                                   ModbusType::int64, ModbusType::uint64, ModbusType::float32, ModbusType::float64,
                                   ModbusType::bcd16, ModbusType::bcd32,  ModbusType::string};
  for (const ModbusType type : kTypes) {
    for (const ByteOrder order : {ByteOrder::abcd, ByteOrder::cdab, ByteOrder::badc, ByteOrder::dcba}) {
      const ModbusTagOptions options = tag(type, order);
      const ValueFormat format = make_value_format(options);
      for (int i = 0; i < 200; ++i) {
        Words words(format.count);
        for (auto& word : words) word = static_cast<std::uint16_t>(random());
        const DecodedValue decoded = decode_value(format, words);
        if (std::holds_alternative<std::monostate>(decoded.value)) continue;
        const Words encoded = words_of(options, decoded.value);
        ASSERT_EQ(encoded.size(), words.size());
        ASSERT_EQ(decode_value(format, encoded).value, decoded.value) << static_cast<int>(type);
        if (type != ModbusType::string) {
          ASSERT_EQ(encoded, words);
        }
      }
    }
  }
}

TEST(ModbusEncoder, EachRawValueOfAScaledRegisterCanBeWritten) {
  ModbusTagOptions options = tag(ModbusType::int16);
  for (const auto& [scale, offset] : {std::pair(0.1, 0.0), std::pair(0.01, -40.0), std::pair(-0.5, 3.3)}) {
    options.scale = scale;
    options.offset = offset;
    const ValueFormat format = make_value_format(options);
    for (int raw = -32768; raw <= 32767; ++raw) {
      const Words words{static_cast<std::uint16_t>(raw)};
      const Value value = decode_value(format, words).value;
      ASSERT_EQ(words_of(options, value), words) << raw << " * " << scale;
      const auto single = static_cast<double>(static_cast<float>(std::get<double>(value)));
      ASSERT_EQ(words_of(options, single), words) << "as a number of single precision";
    }
  }
}

TEST(ModbusEncoder, WhatLiesBetweenTwoStepsIsRefusedWithBothOfThem) {
  ModbusTagOptions options = tag(ModbusType::uint16);
  options.scale = 0.1;
  EXPECT_EQ(refusal_of(options, 21.53), "found 21.53; what the register can hold, as 21.5 or 21.6, is allowed");
  EXPECT_EQ(refusal_of(tag(ModbusType::uint16), 21.5), "found 21.5; a whole number is allowed");
  EXPECT_THAT(words_of(tag(ModbusType::uint16), 21.0), ElementsAre(21));
}

TEST(ModbusEncoder, WhatATypeCannotHoldIsRefusedWithItsRange) {
  EXPECT_EQ(refusal_of(tag(ModbusType::uint16), std::int64_t{-1}), "found -1; 0.0 to 65535.0 is allowed");
  EXPECT_EQ(refusal_of(tag(ModbusType::int16), std::uint64_t{32768}), "found 32768; -32768.0 to 32767.0 is allowed");
  EXPECT_THAT(words_of(tag(ModbusType::int16), std::int64_t{-32768}), ElementsAre(0x8000));
  EXPECT_EQ(refusal_of(tag(ModbusType::bcd16), std::int64_t{10'000}), "found 10000; 0.0 to 9999.0 is allowed");
  EXPECT_THAT(words_of(tag(ModbusType::bcd16), std::int64_t{1234}), ElementsAre(0x1234));
  EXPECT_THAT(refusal_of(tag(ModbusType::float32), 1e39), HasSubstr("found 1e+39; "));
  EXPECT_THAT(refusal_of(tag(ModbusType::uint64), 18446744073709551616.0), HasSubstr("is allowed"));
  EXPECT_THAT(refusal_of(tag(ModbusType::int64), std::uint64_t{1} << 63U), HasSubstr("is allowed"));
  EXPECT_THAT(words_of(tag(ModbusType::uint64), ~std::uint64_t{0}), ElementsAre(0xffff, 0xffff, 0xffff, 0xffff));
  EXPECT_EQ(refusal_of(tag(ModbusType::float64), std::nan("")),
            "found not a number; a number that is finite is allowed");
}

TEST(ModbusEncoder, ARegisterOfFloatingPointTakesTheNearestNumber) {
  const Words words = words_of(tag(ModbusType::float32), 0.1);
  EXPECT_EQ(decode_value(make_value_format(tag(ModbusType::float32)), words).value, Value(double{0.1F}));
}

TEST(ModbusEncoder, ACoilTakesTrueAndFalseOrOneAndZero) {
  ModbusTagOptions options = tag(ModbusType::boolean);
  options.address.table = ModbusTable::coil;
  for (const Value& on : {Value(true), Value(std::int64_t{1}), Value(std::uint64_t{1}), Value(1.0)}) {
    EXPECT_THAT(words_of(options, on), ElementsAre(1));
  }
  EXPECT_THAT(words_of(options, 0.0), ElementsAre(0));
  for (const Value& wrong : {Value(std::int64_t{2}), Value(std::int64_t{-1}), Value(0.5), Value(), Value("on")}) {
    EXPECT_THAT(refusal_of(options, wrong), HasSubstr("true or false, or 1 or 0 is allowed"));
  }
}

TEST(ModbusEncoder, ATextIsFilledUpAndNeverCut) {
  EXPECT_THAT(words_of(tag(ModbusType::string), std::string("abc")), ElementsAre(0x6162, 0x6300, 0));
  EXPECT_THAT(words_of(tag(ModbusType::string, ByteOrder::badc), std::string("abc")), ElementsAre(0x6261, 0x0063, 0));
  EXPECT_EQ(refusal_of(tag(ModbusType::string), std::string("abcdef")),
            "found one of 6 bytes; a text of at most 5 bytes of UTF-8 is allowed");
  EXPECT_THAT(refusal_of(tag(ModbusType::string), std::string("a\0b", 3)), HasSubstr("zero byte"));
  EXPECT_THAT(refusal_of(tag(ModbusType::string), std::string("\xff")), HasSubstr("no UTF-8"));
  EXPECT_EQ(refusal_of(tag(ModbusType::string), 7.0), "found 7.0; a text of at most 5 bytes of UTF-8 is allowed");
}

TEST(ModbusEncoder, OtherKindsOfValuesAreRefused) {
  EXPECT_EQ(refusal_of(tag(ModbusType::uint16), Value()), "found null; a number is allowed");
  EXPECT_EQ(refusal_of(tag(ModbusType::uint16), true), "found true; a number is allowed");
  EXPECT_EQ(refusal_of(tag(ModbusType::uint16), std::string("21")), "found \"21\"; a number is allowed");
  ModbusTagOptions bit = tag(ModbusType::uint16);
  bit.bit = 3;
  EXPECT_THAT(refusal_of(bit, true), HasSubstr("cannot be written"));
}

TEST(ModbusEncoder, MinAndMaxBoundWhatIsWritten) {
  ModbusTagOptions options = tag(ModbusType::uint16);
  options.scale = 0.1;
  options.min = 21.3;
  options.max = 90;
  EXPECT_EQ(refusal_of(options, 90.1), "found 90.1; what min and max say, from 21.3 to 90.0 is allowed");
  EXPECT_THAT(refusal_of(options, std::int64_t{0}), HasSubstr("from 21.3 to 90.0"));
  EXPECT_THAT(words_of(options, std::int64_t{90}), ElementsAre(900));
  EXPECT_THAT(words_of(options, double{21.3F}), ElementsAre(213)) << "which is a little less than 21.3";
}

TEST(ModbusEncoder, LimitsBoundWhatTheRegisterWillReadBack) {
  ModbusTagOptions options = tag(ModbusType::float32);
  options.min = 0.1;
  options.max = 99.9;
  for (const double limit : {0.1, 99.9}) {
    const DecodedValue back = decode_value(make_value_format(options), words_of(options, limit));
    EXPECT_EQ(back.quality, Quality::good) << limit << " is a limit, although single precision has only its neighbour";
  }
  EXPECT_THAT(refusal_of(options, double{std::nextafter(99.9F, 100.0F)}), HasSubstr("to 99.9 is allowed"));
  options = tag(ModbusType::uint16);
  options.scale = 100;
  options.max = 99.7;
  EXPECT_THAT(refusal_of(options, 99.5), HasSubstr("to 99.7 is allowed")) << "100 would be in the register";
}

TEST(ModbusEncoder, WhatScalingInDoublePrecisionWouldAlterIsRefused) {
  ModbusTagOptions options = tag(ModbusType::int64);
  constexpr std::int64_t kExactMost = std::int64_t{1} << 53U;
  options.scale = 0.001;
  EXPECT_THAT(refusal_of(options, std::int64_t{9007199254740993}), HasSubstr("exact in double precision"));
  EXPECT_THAT(refusal_of(options, 1e13), HasSubstr("up to 9007199254740992, is allowed")) << "10^16 in the register";
  EXPECT_THAT(words_of(options, 9e12), SizeIs(4));
  options.scale = 1000;
  EXPECT_THAT(refusal_of(options, kExactMost * 1000 + 1), HasSubstr("exact in double precision"));
  EXPECT_THAT(words_of(options, kExactMost * 1000), ElementsAre(0x0020, 0, 0, 0));
  options = tag(ModbusType::int64);
  EXPECT_THAT(words_of(options, kExactMost + 1), ElementsAre(0x0020, 0, 0, 1)) << "not scaled";
}

}  // namespace
}  // namespace tidegate::drivers
