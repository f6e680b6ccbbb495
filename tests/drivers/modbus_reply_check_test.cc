#include <gtest/gtest.h>

#include "drivers/modbus/reply_check.h"

namespace tidegate::drivers {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr ModbusRequest kRegisters{7, ModbusTable::holding, 100, 2};
constexpr ModbusRequest kBits{7, ModbusTable::coil, 0, 10};

ModbusResult check(const ModbusRequest& request, std::uint8_t unit, const Bytes& pdu,
                   std::vector<std::uint16_t>* values = nullptr) {
  std::vector<std::uint16_t> into(request.count, 0xAAAA);
  const auto result = check_reply(request, unit, pdu, into);
  if (result != ModbusResult::ok) {
    EXPECT_EQ(into, std::vector<std::uint16_t>(request.count, 0xAAAA));
  }
  if (values) *values = into;
  return result;
}

TEST(ModbusReplyCheck, TakesRegistersHighByteFirst) {
  std::vector<std::uint16_t> values;
  EXPECT_EQ(check(kRegisters, 7, {3, 4, 0x12, 0x34, 0xAB, 0xCD}, &values), ModbusResult::ok);
  EXPECT_EQ(values, (std::vector<std::uint16_t>{0x1234, 0xABCD}));
}

TEST(ModbusReplyCheck, TakesBitsLowestFirst) {
  std::vector<std::uint16_t> values;
  EXPECT_EQ(check(kBits, 7, {1, 2, 0b00000101, 0b11111110}, &values), ModbusResult::ok);
  EXPECT_EQ(values, (std::vector<std::uint16_t>{1, 0, 1, 0, 0, 0, 0, 0, 0, 1}));
}

TEST(ModbusReplyCheck, AnythingOfAnotherUnitFunctionCountOrLengthIsABadReply) {
  const Bytes good{3, 4, 0x12, 0x34, 0xAB, 0xCD};
  for (int unit = 0; unit < 256; ++unit) {
    const auto expected = unit == 7 ? ModbusResult::ok : ModbusResult::bad_reply;
    ASSERT_EQ(check(kRegisters, static_cast<std::uint8_t>(unit), good), expected) << unit;
  }
  for (int function = 0; function < 256; ++function) {
    if (function == 3) continue;
    Bytes pdu = good;
    pdu[0] = static_cast<std::uint8_t>(function);
    ASSERT_EQ(check(kRegisters, 7, pdu), ModbusResult::bad_reply) << function;
  }
  for (int count = 0; count < 256; ++count) {
    if (count == 4) continue;
    Bytes pdu = good;
    pdu[1] = static_cast<std::uint8_t>(count);
    ASSERT_EQ(check(kRegisters, 7, pdu), ModbusResult::bad_reply) << count;
    pdu.resize(2 + static_cast<std::size_t>(count));
    ASSERT_EQ(check(kRegisters, 7, pdu), ModbusResult::bad_reply) << "consistent " << count;
  }
  for (std::size_t size = 0; size < 300; ++size) {
    if (size == good.size()) continue;
    Bytes pdu = good;
    pdu.resize(size);
    ASSERT_EQ(check(kRegisters, 7, pdu), ModbusResult::bad_reply) << size;
  }
}

TEST(ModbusReplyCheck, ExceptionsOfTheRightFunctionHaveTheirOwnResult) {
  const std::pair<int, ModbusResult> codes[] = {
      {1, ModbusResult::illegal_function}, {2, ModbusResult::illegal_address}, {3, ModbusResult::illegal_value},
      {4, ModbusResult::device_failure},   {5, ModbusResult::device_busy},     {6, ModbusResult::device_busy},
      {7, ModbusResult::device_failure},   {8, ModbusResult::device_failure},  {10, ModbusResult::gateway_failure},
      {11, ModbusResult::gateway_failure}, {0, ModbusResult::device_failure},  {255, ModbusResult::device_failure}};
  for (const auto& [code, result] : codes) {
    const auto byte = static_cast<std::uint8_t>(code);
    EXPECT_EQ(check(kRegisters, 7, {0x83, byte}), result) << code;
    EXPECT_EQ(check(kRegisters, 7, {0x84, byte}), ModbusResult::bad_reply) << code;
    EXPECT_EQ(check(kRegisters, 8, {0x83, byte}), ModbusResult::bad_reply) << code;
    EXPECT_EQ(check(kRegisters, 7, {0x83, byte, 0}), ModbusResult::bad_reply) << code;
  }
}

TEST(ModbusReplyCheck, ResultsHaveNamesAndReasons) {
  EXPECT_STREQ(to_string(ModbusResult::illegal_address), "illegal_address");
  EXPECT_EQ(to_reason(ModbusResult::gateway_failure), Reason::gateway_failure);
  EXPECT_EQ(to_reason(ModbusResult::ok), Reason::none);
  EXPECT_EQ(describe({2, ModbusTable::holding, 100, 10}), "holding 100 to 109 of unit 2");
  EXPECT_EQ(describe({2, ModbusTable::coil, 5, 1}), "coil 5 of unit 2");
}

}  // namespace
}  // namespace tidegate::drivers
