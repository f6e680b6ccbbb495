#include "rules/message.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <string_view>

namespace tidegate::rules {
namespace {

std::string shown(const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) {
    return std::abs(*number) < 1e7 ? fmt::format("{:.7g}", *number) : fmt::format("{}", *number);
  }
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  std::string out;
  append_json(out, value);
  return out;
}

}  // namespace

std::string fill_message(const RuleOptions& rule, const Tag& tag, const Value& value) {
  std::string out;
  std::string_view rest = rule.message;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    out += rest.substr(0, open);
    if (open == std::string_view::npos) break;
    rest.remove_prefix(open);
    const std::size_t end = rest.find_first_of("{}", 1);
    const bool is_closed = end != std::string_view::npos && rest[end] == '}';
    const std::string_view name = rest.substr(0, is_closed ? end + 1 : end);
    rest.remove_prefix(name.size());
    if (name == "{rule}") {
      out += rule.name;
    } else if (name == "{tag}") {
      out += tag.path;
    } else if (name == "{value}") {
      out += shown(value);
    } else if (name == "{severity}") {
      out += to_string(rule.severity);
    } else if (name == "{unit}") {
      if (tag.unit.empty() && out.ends_with(' ')) out.pop_back();
      out += tag.unit;
    } else {
      out += name;
    }
  }
  return out;
}

}  // namespace tidegate::rules
