#include "uplink/placeholders.h"

#include <algorithm>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

using Values = std::initializer_list<std::pair<std::string_view, std::string_view>>;

tl::unexpected<Error> unknown_placeholder(std::string_view text, std::string_view name, Values values) {
  std::string message = "\"" + clip(text) + "\": {" + clip(name) + "} is not known; allowed are";
  for (const auto& value : values) message += " {" + std::string(value.first) + "}";
  return fail(ErrorCode::invalid, std::move(message));
}

}  // namespace

Result<std::string> fill_placeholders(std::string_view text, Values values) {
  std::string out;
  std::string_view rest = text;
  for (;;) {
    const std::size_t open = rest.find('{');
    out += rest.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos) {
      return fail(ErrorCode::invalid, "\"" + clip(text) + "\": '{' without '}'");
    }
    const std::string_view name = rest.substr(open + 1, close - open - 1);
    const auto* const known =
        std::find_if(values.begin(), values.end(), [name](const auto& value) { return value.first == name; });
    if (known == values.end()) return unknown_placeholder(text, name, values);
    out += known->second;
    rest.remove_prefix(close + 1);
  }
}

}  // namespace tidegate::uplink
