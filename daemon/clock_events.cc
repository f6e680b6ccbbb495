#include "daemon/clock_events.h"

#include <simdjson.h>

#include <array>

#include "daemon/event_record.h"
#include "daemon/json_writer.h"

namespace tidegate::daemon {
namespace {

constexpr std::string_view kOffset = "\"offset\":";  // a quick look tells most other events by it
constexpr std::array<ClockQuality, 3> kQualities{ClockQuality::unsynced, ClockQuality::estimated, ClockQuality::synced};

std::int64_t milliseconds(Duration time) { return std::chrono::floor<std::chrono::milliseconds>(time).count(); }

void put_anchor(JsonWriter& json, const ClockAnchor& anchor) {
  json.member("clock", to_string(anchor.quality)).member("boot_id", to_hex(anchor.boot_id));
  json.member("boot_time", milliseconds(anchor.boot.time_since_epoch()));
  json.member("offset", milliseconds(anchor.offset));
}

std::optional<ClockQuality> parse_quality(std::string_view word) {
  for (const ClockQuality quality : kQualities) {
    if (word == to_string(quality)) return quality;
  }
  return std::nullopt;
}

}  // namespace

std::string clock_step_event(const ClockStep& step) {
  std::string document;
  JsonWriter json(document);
  const std::int64_t to = milliseconds(step.to.time_since_epoch());
  json.begin_object().member("event", "clock-step").member("time", to);
  json.member("from", milliseconds((step.to - step.by).time_since_epoch())).member("to", to);
  json.member("step_seconds", static_cast<double>(milliseconds(step.by)) / 1000.0);
  json.member("clock_before", to_string(step.before));
  put_anchor(json, step.after);
  json.end_object();
  return document;
}

std::string clock_synced_event(WallTime time, const ClockAnchor& anchor) {
  return with_anchor(event_record("clock-synced", time, {}), anchor);
}

std::string with_anchor(std::string document, const ClockAnchor& anchor) {
  std::string members;
  JsonWriter json(members);
  json.begin_object();
  put_anchor(json, anchor);
  json.end_object();
  document.pop_back();
  document += ',';
  document.append(members, 1);
  return document;
}

std::optional<ClockAnchor> parse_clock_event(std::string_view document) {
  if (document.find(kOffset) == std::string_view::npos) return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(document).get(root) != simdjson::SUCCESS) return std::nullopt;
  std::string_view event;
  std::string_view clock;
  std::string_view boot_id;
  std::int64_t boot_time = 0;
  std::int64_t offset = 0;
  if (root["event"].get(event) != simdjson::SUCCESS || root["clock"].get(clock) != simdjson::SUCCESS ||
      root["boot_id"].get(boot_id) != simdjson::SUCCESS || root["boot_time"].get(boot_time) != simdjson::SUCCESS ||
      root["offset"].get(offset) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const auto quality = parse_quality(clock);
  const auto id = parse_boot_id(boot_id);
  const bool is_of_clock = event == "start" || event == "clock-step" || event == "clock-synced";
  constexpr std::int64_t kMax = INT64_MAX / 1'000'000;
  const auto fits = [](std::int64_t number) { return number <= kMax && number >= -kMax; };
  if (!quality || !id || !is_of_clock || !fits(boot_time) || !fits(offset)) return std::nullopt;
  return ClockAnchor{*id, BootTime(std::chrono::milliseconds(boot_time)), std::chrono::milliseconds(offset), *quality};
}

}  // namespace tidegate::daemon
