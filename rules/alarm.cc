#include "rules/alarm.h"

#include <utility>

#include "core/text.h"

namespace tidegate::rules {
namespace {

constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;

void append_text(std::string& out, std::string_view key, std::string_view text) {
  out += '"';
  out += key;
  out += "\":";
  append_json_string(out, text);
  out += ',';
}

void append_position(std::string& out, std::string_view key, Position position) {
  out += ",\"";
  out += key;
  out += "\":{\"epoch\":";
  append_number(out, std::uint64_t{position.epoch});
  out += ",\"seq\":";
  append_number(out, position.sequence);
  out += '}';
}

void append_time(std::string& out, WallTime time) {
  out += ",\"time\":";
  append_number(out, std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count());
  if (time.time_since_epoch().count() % kNanosecondsPerMillisecond == 0) return;
  out += ",\"time_ns\":";
  append_number(out, time.time_since_epoch().count());
}

void append_operator(std::string& out, const AlarmTransition& transition) {
  if (is_of_rule(transition.state)) return;
  out += transition.is_raised ? ",\"raised\":true" : ",\"raised\":false";
  for (const auto& [key, text] : {std::pair("by", &transition.by), std::pair("note", &transition.note)}) {
    if (text->empty()) continue;
    out += ",\"";
    out += key;
    out += "\":";
    append_json_string(out, *text);
  }
  if (transition.state != AlarmState::shelved) return;
  out += ",\"until\":";
  append_number(out, std::chrono::floor<std::chrono::milliseconds>(transition.until.time_since_epoch()).count());
}

}  // namespace

std::string to_document(const AlarmTransition& transition) {
  std::string out = "{";
  append_text(out, "alarm", transition.alarm);
  append_text(out, "rule", transition.rule);
  append_text(out, "tag", transition.tag);
  append_text(out, "state", to_string(transition.state));
  append_text(out, "severity", to_string(transition.severity));
  append_text(out, "message", transition.message);
  out += "\"value\":";
  append_json(out, transition.value);
  append_time(out, transition.time);
  append_position(out, "cause", transition.cause);
  append_position(out, "occurrence", transition.occurrence);
  append_operator(out, transition);
  out += '}';
  return out;
}

const char* to_string(AlarmState state) {
  switch (state) {
    case AlarmState::raised:
      return "raised";
    case AlarmState::cleared:
      return "cleared";
    case AlarmState::acknowledged:
      return "acknowledged";
    case AlarmState::shelved:
      return "shelved";
    case AlarmState::unshelved:
      return "unshelved";
  }
  return "unknown";
}

}  // namespace tidegate::rules
