#include "uplink/sparkplug/host_state.h"

#include <simdjson.h>

namespace tidegate::uplink {
namespace {

constexpr std::size_t kBytesMost = 4096;

}  // namespace

std::optional<HostState> parse_host_state(std::string_view payload) {
  if (payload.size() > kBytesMost) return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::element parsed;
  HostState state;
  auto error = parser.parse(payload.data(), payload.size()).get(parsed);
  if (!error) error = parsed["online"].get_bool().get(state.is_online);
  if (!error) error = parsed["timestamp"].get_int64().get(state.timestamp);
  if (error) return std::nullopt;
  return state;
}

}  // namespace tidegate::uplink
