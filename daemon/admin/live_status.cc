#include "daemon/admin/live_status.h"

#include <algorithm>
#include <cstdint>

#include "daemon/gateway.h"
#include "daemon/json_writer.h"
#include "daemon/offset.h"

namespace tidegate::daemon {
namespace {

double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void put_log(JsonWriter& json, const Gateway& gateway) {
  const auto& log = gateway.log();
  json.begin_object().member("taking_records", !gateway.pipeline().is_stalled());
  json.member("written_bytes", log.counters().written_bytes);
  json.member("fill", log.fill(Stream::readings).ratio()).member("full", log.fill(Stream::readings).is_full);
  if (const auto left = gateway.storage_watch().fill(Stream::readings).time_left()) {
    json.member("seconds_left", to_seconds(*left));
  }
  json.member("events_end", format_position(log.end(Stream::events)));
  json.end_object();
}

void put_driver(JsonWriter& json, const Pipeline::Source& source) {
  const auto status = source.driver->status();
  const auto up = std::count_if(status.devices.begin(), status.devices.end(), [](const auto& one) { return one.up; });
  json.begin_object().member("name", source.driver->name()).member("up", status.up);
  json.member("accepted", source.accepted);
  json.member("devices", std::uint64_t{status.devices.size()}).member("devices_up", static_cast<std::uint64_t>(up));
  json.end_object();
}

void put_uplink(JsonWriter& json, const Gateway& gateway, const UplinkRunner& uplink) {
  std::uint64_t pending = 0;
  for (const Stream stream : uplink.forwarder().options().streams) pending += uplink.balance(stream).pending;
  const auto age = uplink.forwarder().oldest_age(gateway.pipeline().now()).value_or(Duration::zero());
  json.begin_object().member("name", uplink.name()).member("up", uplink.is_up());
  json.member("pending", pending).member("delay_seconds", to_seconds(age)).end_object();
}

void put_alarms(JsonWriter& json, const rules::RuleEngine& rules) {
  const auto active = rules.active();
  const auto unseen =
      std::count_if(active.begin(), active.end(), [](const auto& alarm) { return !alarm.acknowledged; });
  json.begin_object().member("active", std::uint64_t{active.size()});
  json.member("unacknowledged", static_cast<std::uint64_t>(unseen));
  json.member("shelved", std::uint64_t{rules.shelved().size()}).end_object();
}

}  // namespace

std::string render_live_status(const Gateway& gateway) {
  std::string text;
  JsonWriter json(text);
  const auto now = std::chrono::floor<std::chrono::milliseconds>(gateway.clock().wall_now().time_since_epoch());
  json.begin_object().member("time", std::int64_t{now.count()});
  json.member("clock", to_string(gateway.clock().quality()));
  json.member("uptime_seconds", to_seconds(gateway.clock().boot_now() - gateway.started()));
  json.member("tags", std::uint64_t{gateway.tags().size()});
  json.key("alarms");
  put_alarms(json, gateway.pipeline().rules());
  json.key("log");
  put_log(json, gateway);
  json.key("drivers").begin_array();
  for (const auto& source : gateway.pipeline().sources()) put_driver(json, source);
  json.end_array().key("uplinks").begin_array();
  for (const auto& uplink : gateway.uplinks()) put_uplink(json, gateway, *uplink);
  json.end_array().end_object();
  return text;
}

}  // namespace tidegate::daemon
