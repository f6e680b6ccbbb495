#include "drivers/modbus/write_frames.h"

#include <algorithm>
#include <cassert>

namespace tidegate::drivers {
namespace {

constexpr std::uint8_t kWriteCoil = 5;
constexpr std::uint8_t kWriteRegister = 6;
constexpr std::uint8_t kWriteRegisters = 16;
constexpr std::uint8_t kExceptionBit = 0x80;
constexpr std::uint16_t kCoilOn = 0xff00;  // Modbus Application Protocol 1.1b3, 6.5
constexpr std::size_t kEchoBytes = 5;      // function, address, and value or count: 6.5, 6.6 and 6.12

void append_word(std::vector<std::uint8_t>& to, std::uint16_t word) {
  to.push_back(static_cast<std::uint8_t>(word >> 8));
  to.push_back(static_cast<std::uint8_t>(word & 0xff));
}

}  // namespace

std::uint8_t write_function(const ModbusWrite& write) {
  if (write.table == ModbusTable::coil) return kWriteCoil;
  return write.words.size() == 1 ? kWriteRegister : kWriteRegisters;
}

std::vector<std::uint8_t> write_pdu(const ModbusWrite& write) {
  assert(!write.words.empty() && write.words.size() <= kRegistersWrittenMax);
  std::vector<std::uint8_t> pdu{write_function(write)};
  append_word(pdu, write.address);
  if (pdu[0] == kWriteCoil) {
    append_word(pdu, write.words[0] != 0 ? kCoilOn : std::uint16_t{0});
  } else if (pdu[0] == kWriteRegister) {
    append_word(pdu, write.words[0]);
  } else {
    append_word(pdu, static_cast<std::uint16_t>(write.words.size()));
    pdu.push_back(static_cast<std::uint8_t>(write.words.size() * 2));
    for (const std::uint16_t word : write.words) append_word(pdu, word);
  }
  return pdu;
}

ModbusWriteReply check_write_reply(const ModbusWrite& write, std::uint8_t unit, std::span<const std::uint8_t> pdu) {
  ModbusWriteReply reply{ModbusResult::bad_reply, true, 0};
  if (pdu.empty() || unit != write.unit) return reply;
  if (pdu[0] == (write_function(write) | kExceptionBit)) {
    if (pdu.size() != 2) return reply;
    return {from_exception(pdu[1]), true, pdu[1]};
  }
  const auto sent = write_pdu(write);
  const bool is_echo = pdu.size() == kEchoBytes && std::equal(pdu.begin(), pdu.end(), sent.begin());
  if (is_echo) reply.result = ModbusResult::ok;
  return reply;
}

}  // namespace tidegate::drivers
