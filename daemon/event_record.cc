#include "daemon/event_record.h"

#include <algorithm>

#include "core/text.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kFindingsMax = 20;
constexpr std::size_t kFindingBytesMax = 300;

}  // namespace

std::string event_record(std::string_view event, WallTime time, std::initializer_list<EventMember> members) {
  std::string document;
  JsonWriter json(document);
  json.begin_object().member("event", event);
  json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count()});
  for (const auto& [name, content] : members) {
    if (const auto* number = std::get_if<std::uint64_t>(&content)) json.member(name, *number);
    const auto* text = std::get_if<std::string_view>(&content);
    if (text != nullptr && !text->empty()) json.member(name, *text);
  }
  json.end_object();
  return document;
}

std::string event_line(std::string_view subject, std::string_view event, std::string_view detail) {
  std::string line = std::string(subject) + " " + std::string(event);
  if (!detail.empty()) line += ": " + std::string(detail);
  return line;
}

void append_findings(std::string& detail, const std::vector<std::string>& findings) {
  const std::size_t count = std::min(findings.size(), kFindingsMax);
  for (std::size_t i = 0; i < count; ++i) detail += "; " + clip(findings[i], kFindingBytesMax);
  if (count < findings.size()) detail += "; and " + std::to_string(findings.size() - count) + " more";
}

}  // namespace tidegate::daemon
