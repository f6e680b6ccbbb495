#include "drivers/modbus/read_blocks.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <tuple>

#include "drivers/modbus/modbus_link.h"
#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {
namespace {

std::uint32_t end_of(const PlanTag& tag) { return std::uint32_t{tag.address} + tag.count; }
std::uint32_t end_of(const ReadBlock& block) { return std::uint32_t{block.address} + block.count; }

bool fits(const ReadBlock& block, const PlanTag& tag, std::uint16_t max_gap) {
  if (block.device != tag.device || block.table != tag.table || block.interval != tag.interval) return false;
  const bool bits = is_bit_table(tag.table);
  const std::uint32_t gap_max = bits ? std::uint32_t{max_gap} * 16 : max_gap;
  const std::uint32_t count_max = bits ? kBitsMax : kRegistersMax;
  return tag.address <= end_of(block) + gap_max && std::max(end_of(block), end_of(tag)) - block.address <= count_max;
}

void add_tag(ReadBlock& block, const PlanTag& tag, std::uint32_t index) {
  block.count = static_cast<std::uint16_t>(std::max(end_of(block), end_of(tag)) - block.address);
  block.tags.push_back(index);
}

ReadBlock block_of(const PlanTag& tag, std::uint32_t index) {
  return {tag.device, tag.table, tag.interval, tag.address, tag.count, {index}};
}

ReadBlock block_of(std::span<const std::uint32_t> indexes, std::span<const PlanTag> tags) {
  ReadBlock block = block_of(tags[indexes.front()], indexes.front());
  block.tags.reserve(indexes.size());
  for (const auto index : indexes.subspan(1)) add_tag(block, tags[index], index);
  return block;
}

// Where to cut: 1 to size - 1.
std::size_t best_cut(const ReadBlock& block, std::span<const PlanTag> tags) {
  const auto size = static_cast<std::int64_t>(block.tags.size());
  std::size_t best = 1;
  std::int64_t best_hole = std::numeric_limits<std::int64_t>::min();
  std::int64_t best_distance = 0;
  std::int64_t end = 0;
  for (std::size_t i = 1; i < block.tags.size(); ++i) {
    end = std::max(end, std::int64_t{end_of(tags[block.tags[i - 1]])});
    const std::int64_t hole = tags[block.tags[i]].address - end;
    const std::int64_t distance = std::llabs(2 * static_cast<std::int64_t>(i) - size);
    if (hole > best_hole || (hole == best_hole && distance < best_distance)) {
      best = i;
      best_hole = hole;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

std::vector<ReadBlock> join_reads(std::span<const PlanTag> tags, std::uint16_t max_gap) {
  std::vector<std::uint32_t> order(tags.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto key = [&](std::uint32_t index) {
    const PlanTag& tag = tags[index];
    return std::tuple(tag.device, tag.table, tag.interval, tag.address, tag.count, index);
  };
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  std::vector<ReadBlock> blocks;
  for (const auto index : order) {
    if (!blocks.empty() && fits(blocks.back(), tags[index], max_gap)) {
      add_tag(blocks.back(), tags[index], index);
    } else {
      blocks.push_back(block_of(tags[index], index));
    }
  }
  return blocks;
}

std::optional<std::pair<ReadBlock, ReadBlock>> split_read(const ReadBlock& block, std::span<const PlanTag> tags) {
  const bool same_place = std::all_of(block.tags.begin(), block.tags.end(), [&](std::uint32_t index) {
    return tags[index].address == block.address && tags[index].count == block.count;
  });
  if (same_place) return std::nullopt;
  const std::span<const std::uint32_t> indexes = block.tags;
  const std::size_t cut = best_cut(block, tags);
  return std::pair(block_of(indexes.first(cut), tags), block_of(indexes.subspan(cut), tags));
}

}  // namespace tidegate::drivers
