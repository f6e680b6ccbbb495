#include "daemon/rules_state.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace tidegate::daemon {

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
  const auto number = [](std::string_view word, auto& into) {
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), into);
    return problem == std::errc() && end == word.data() + word.size();
  };
  RulesState state;
  if (!number(words[0], state.readings.epoch) || !number(words[1], state.readings.sequence) ||
      !number(words[2], state.alarms.epoch) || !number(words[3], state.alarms.sequence)) {
    return std::nullopt;
  }
  state.engine = packed.substr(line_end + 1);
  return state;
}

}  // namespace tidegate::daemon
