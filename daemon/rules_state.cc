#include "daemon/rules_state.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

std::optional<Position> parse_position(std::string_view epoch_word, std::string_view sequence_word) {
  const auto epoch = parse_whole<std::uint32_t>(epoch_word);
  const auto sequence = parse_whole<std::uint64_t>(sequence_word);
  if (!epoch || !sequence) return std::nullopt;
  return Position{*epoch, *sequence};
}

}  // namespace

// A line "EPOCH SEQUENCE EPOCH SEQUENCE" of readings and alarms, then the engine's own text.
std::string pack_rules(const RulesState& state) {
  std::string packed;
  for (const Position position : {state.readings, state.alarms}) {
    append_number(packed, std::uint64_t{position.epoch});
    packed += ' ';
    append_number(packed, position.sequence);
    packed += ' ';
  }
  packed.back() = '\n';
  return packed + state.engine;
}

std::optional<RulesState> unpack_rules(const std::string& packed) {
  const std::size_t line_end = packed.find('\n');
  if (line_end == std::string::npos) return std::nullopt;
  const auto words = split(std::string_view(packed).substr(0, line_end), ' ');
  if (words.size() != 4) return std::nullopt;
  const auto readings = parse_position(words[0], words[1]);
  const auto alarms = parse_position(words[2], words[3]);
  if (!readings || !alarms) return std::nullopt;
  return RulesState{packed.substr(line_end + 1), *readings, *alarms};
}

}  // namespace tidegate::daemon
