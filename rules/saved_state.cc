#include "rules/saved_state.h"

#include <spdlog/fmt/fmt.h>

#include <span>

#include "core/crc32c.h"
#include "core/text.h"

namespace tidegate::rules {
namespace {

void append_position(std::string& out, std::string_view key, Position position) {
  out += fmt::format("\"{}\":{{\"epoch\":{},\"seq\":{}}}", key, position.epoch, position.sequence);
}

void append_pending(std::string& out, const PendingDelay& pending) {
  out += ",\"pending\":{";
  append_position(out, "first", pending.first);
  out += fmt::format(",\"deadline\":{},", pending.deadline.time_since_epoch().count());
  append_position(out, "last", pending.last.position);
  out += fmt::format(",\"boot\":{},\"time\":{},\"value\":", pending.last.boot.time_since_epoch().count(),
                     pending.last.time.time_since_epoch().count());
  append_json(out, pending.last.value);
  out += '}';
}

void append_alarm(std::string& out, const SavedAlarm& alarm) {
  out += "{\"tag\":";
  append_json_string(out, alarm.tag);
  out += ',';
  append_position(out, "transition", alarm.last_transition);
  if (alarm.raised) out += ",\"raised\":" + to_document(*alarm.raised);
  if (alarm.pending) append_pending(out, *alarm.pending);
  if (alarm.baseline) {
    out += fmt::format(",\"baseline\":{{\"count\":{},\"mean\":", alarm.baseline->count);
    append_number(out, alarm.baseline->mean);
    out += ",\"variance\":";
    append_number(out, alarm.baseline->variance);
    out += '}';
  }
  out += '}';
}

void append_rule(std::string& out, const SavedRule& rule) {
  out += "{\"rule\":";
  append_json_string(out, rule.rule);
  out += ",\"fingerprint\":";
  append_json_string(out, rule.fingerprint);
  out += ",\"alarms\":[";
  for (std::size_t i = 0; i < rule.alarms.size(); ++i) {
    if (i != 0) out += ',';
    append_alarm(out, rule.alarms[i]);
  }
  out += "]}";
}

}  // namespace

std::string encode_state(const SavedState& state) {
  std::string out;
  append_position(out, "position", state.position);
  out += fmt::format(",\"boot\":{}", state.boot.time_since_epoch().count());
  if (state.boot_id != BootId{}) out += ",\"boot_id\":\"" + to_hex(state.boot_id) + '"';
  out += ",\"rules\":[";
  for (std::size_t i = 0; i < state.rules.size(); ++i) {
    if (i != 0) out += ',';
    append_rule(out, state.rules[i]);
  }
  out += ']';
  if (!state.marks.empty()) {
    out += ",\"marks\":[";
    for (std::size_t i = 0; i < state.marks.size(); ++i) {
      if (i != 0) out += ',';
      out += to_document(state.marks[i]);
    }
    out += ']';
  }
  out += '}';
  return state_head(out) + out;
}

std::string state_head(std::string_view checked_part) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(checked_part.data(), checked_part.size())));
  return fmt::format("{{\"version\":1,\"crc32c\":\"{:08x}\",", crc);
}

}  // namespace tidegate::rules
