#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/register_decoder.h"

namespace tidegate::daemon {

/// What some words mean when they are read as one type in one byte order.
struct Interpretation {
  std::string type;   // as `type` of a tag is written
  std::string order;  // as `order` is
  drivers::DecodedValue decoded;
};

/// The first of `words` (1 to 4 registers, as the wire had them) as every type that they suffice for, in every order
/// that makes a difference.
std::vector<Interpretation> interpret(std::span<const std::uint16_t> words);

/// "21.5", or "no value (nan)" where the words hold none of the type.
std::string show_value(const drivers::DecodedValue& decoded);
/// "0x41ac 0x0000".
std::string show_words(std::span<const std::uint16_t> words);
/// "1-247" or "1,2,5-9": unit ids from 0 to 255 in the order written, each once. On a serial line they end at 247 and 0
/// is for everybody, so that nobody answers (MODBUS over Serial Line 1.02, 2.2); over TCP 0 and 255 are in use.
Result<std::vector<std::uint8_t>> parse_units(const std::string& text);

/// One request of at most 125 registers or 2000 bits for `values` values of the format from there on. Error: none, too
/// many, or beyond the last address.
Result<drivers::ModbusRequest> request_for(std::uint8_t unit, drivers::ModbusAddress at,
                                           const drivers::ValueFormat& format, std::uint32_t values);

/// What an unsuccessful request mostly means and what to try.
std::string explain(drivers::ModbusResult result, const drivers::ModbusRequest& request);

}  // namespace tidegate::daemon
