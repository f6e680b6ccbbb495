#include "drivers/modbus/write_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kUnit = 9;

TEST(ModbusWriteFrames, ACoilIsWrittenByFunction5) {
  const std::vector<std::uint16_t> on{1};
  const std::vector<std::uint16_t> off{0};
  EXPECT_THAT(write_pdu({kUnit, ModbusTable::coil, 0x0102, on}), ElementsAre(5, 1, 2, 0xff, 0));
  EXPECT_THAT(write_pdu({kUnit, ModbusTable::coil, 0x0102, off}), ElementsAre(5, 1, 2, 0, 0));
}

TEST(ModbusWriteFrames, OneRegisterIsWrittenByFunction6AndSeveralBy16) {
  const std::vector<std::uint16_t> one{0xabcd};
  const std::vector<std::uint16_t> two{0xabcd, 0x1234};
  EXPECT_THAT(write_pdu({kUnit, ModbusTable::holding, 200, one}), ElementsAre(6, 0, 200, 0xab, 0xcd));
  EXPECT_THAT(write_pdu({kUnit, ModbusTable::holding, 200, two}),
              ElementsAre(16, 0, 200, 0, 2, 4, 0xab, 0xcd, 0x12, 0x34));
}

TEST(ModbusWriteFrames, OnlyAnExactEchoIsAWrite) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}}) {
    const std::vector<std::uint16_t> words(count, 0x5aa5);
    const ModbusWrite write{kUnit, ModbusTable::holding, 0x1234, words};
    Bytes echo = write_pdu(write);
    echo.resize(5);
    EXPECT_EQ(check_write_reply(write, kUnit, echo).result, ModbusResult::ok);
    EXPECT_EQ(check_write_reply(write, kUnit + 1, echo).result, ModbusResult::bad_reply);
    for (std::size_t at = 0; at < echo.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes spoilt = echo;
        spoilt[at] = static_cast<std::uint8_t>(spoilt[at] ^ (1U << bit));
        EXPECT_EQ(check_write_reply(write, kUnit, spoilt).result, ModbusResult::bad_reply) << at << " " << bit;
      }
    }
    for (std::size_t size = 0; size < 8; ++size) {
      Bytes cut = echo;
      cut.resize(size);
      if (size != echo.size()) {
        EXPECT_EQ(check_write_reply(write, kUnit, cut).result, ModbusResult::bad_reply) << size;
      }
    }
  }
}

TEST(ModbusWriteFrames, WhatTheDeviceMayHaveDoneWithoutSayingSoIsUnknown) {
  const std::vector<std::uint16_t> words{1};
  const ModbusWrite write{kUnit, ModbusTable::holding, 0, words};
  const auto after = [&](std::uint8_t exception) {
    return to_write_result(check_write_reply(write, kUnit, Bytes{0x86, exception}));
  };
  EXPECT_EQ(after(1), WriteResult::failed);
  EXPECT_EQ(after(2), WriteResult::failed);
  EXPECT_EQ(after(3), WriteResult::failed);
  EXPECT_EQ(after(4), WriteResult::failed);
  EXPECT_EQ(after(5), WriteResult::unknown) << "acknowledge: it has begun";
  EXPECT_EQ(after(6), WriteResult::failed);
  EXPECT_EQ(after(10), WriteResult::failed) << "the gateway has no way to the device";
  EXPECT_EQ(after(11), WriteResult::unknown) << "the device did not answer the gateway";
  EXPECT_EQ(to_write_result({ModbusResult::timeout, true, 0}), WriteResult::unknown);
  EXPECT_EQ(to_write_result({ModbusResult::bad_reply, true, 0}), WriteResult::unknown);
  EXPECT_EQ(to_write_result({ModbusResult::interrupted, true, 0}), WriteResult::unknown);
  EXPECT_EQ(to_write_result({ModbusResult::not_connected, false, 0}), WriteResult::refused);
  EXPECT_EQ(to_write_result({ModbusResult::ok, true, 0}), WriteResult::written);
}

}  // namespace
}  // namespace tidegate::drivers
