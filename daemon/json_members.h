#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string_view>

/// Members of a JSON object as a command reads them that shows what it was told: what is not there, or of another kind,
/// is nothing.
namespace tidegate::daemon::json {

inline std::string_view text_of(const simdjson::dom::element& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view("");
}
inline std::uint64_t count_of(const simdjson::dom::element& object, std::string_view key) {
  std::uint64_t count = 0;
  return object[key].get(count) == simdjson::SUCCESS ? count : 0;
}
inline double seconds_of(const simdjson::dom::element& object, std::string_view key) {
  double seconds = 0;
  return object[key].get(seconds) == simdjson::SUCCESS ? seconds : 0.0;
}
inline bool flag_of(const simdjson::dom::element& object, std::string_view key) {
  bool flag = false;
  return object[key].get(flag) == simdjson::SUCCESS && flag;
}

template <class Visit>
void each_element(const simdjson::dom::element& object, std::string_view key, Visit&& visit) {
  simdjson::dom::array items;
  if (object[key].get(items) != simdjson::SUCCESS) return;
  for (const simdjson::dom::element item : items) visit(item);
}
template <class Visit>
void each_member(const simdjson::dom::element& object, std::string_view key, Visit&& visit) {
  simdjson::dom::object members;
  if (object[key].get(members) != simdjson::SUCCESS) return;
  for (const auto member : members) visit(std::string_view(member.key), simdjson::dom::element(member.value));
}

}  // namespace tidegate::daemon::json
