#include "drivers/mqtt/json_pointer.h"

#include <string_view>

#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

bool unescape(std::string_view step, std::string& member) {
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] != '~') {
      member += step[i];
      continue;
    }
    ++i;
    if (i == step.size() || (step[i] != '0' && step[i] != '1')) return false;
    member += step[i] == '0' ? '~' : '/';
  }
  return true;
}

std::optional<std::uint32_t> as_index(const std::string& member) {
  if (member.empty() || (member.size() > 1 && member.front() == '0')) return std::nullopt;
  return parse_whole<std::uint32_t>(member);
}

}  // namespace

Result<JsonPointer> JsonPointer::parse(const std::string& text) {
  JsonPointer pointer;
  pointer.text_ = text;
  if (text.empty()) return pointer;
  const auto refuse = [&](const char* why) {
    return fail(ErrorCode::invalid, "JSON pointer \"" + clip(text) + "\": " + why);
  };
  if (text.front() != '/')
    return refuse("it begins with a slash, such as \"/value\", or is empty for the whole payload");
  if (!is_valid_utf8(text)) return refuse("it is valid UTF-8");
  for (const std::string_view step : split(std::string_view(text).substr(1), '/')) {
    Step made;
    if (!unescape(step, made.member)) return refuse("a ~ is written ~0, a slash in a name ~1");
    made.index = as_index(made.member);
    pointer.steps_.push_back(std::move(made));
  }
  return pointer;
}

}  // namespace tidegate::drivers
