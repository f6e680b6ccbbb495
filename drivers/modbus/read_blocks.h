#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/time.h"
#include "drivers/modbus/options.h"

namespace tidegate::drivers {

/// What the poll plan knows of a tag. Its index in the plan's list is its number there.
struct PlanTag {
  std::uint16_t device = 0;
  ModbusTable table = ModbusTable::holding;
  std::uint16_t address = 0;
  std::uint16_t count = 1;  // registers or bits
  Duration interval{};
};

/// Tags that one request reads together, in order of address.
struct ReadBlock {
  std::uint16_t device = 0;
  ModbusTable table = ModbusTable::holding;
  Duration interval{};
  std::uint16_t address = 0;
  std::uint16_t count = 0;
  std::vector<std::uint32_t> tags;
};

/// Joins tags of the same device, table and interval over holes of up to `max_gap` registers (of bits: as many as fit
/// into those registers) into the fewest blocks that a request can read. Blocks come in order of device, table,
/// interval and address.
std::vector<ReadBlock> join_reads(std::span<const PlanTag> tags, std::uint16_t max_gap);

/// The two halves of a block that a device refuses as a whole: cut at its widest hole, or else in the middle.
/// Nothing when all its tags lie at the same address, so that no half could fare better.
std::optional<std::pair<ReadBlock, ReadBlock>> split_read(const ReadBlock& block, std::span<const PlanTag> tags);

}  // namespace tidegate::drivers
