#include "daemon/status.h"

#include <algorithm>
#include <cstdint>

#include "daemon/gateway.h"
#include "daemon/json_writer.h"
#include "daemon/offset.h"

namespace tidegate::daemon {
namespace {

double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::int64_t to_milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

void put_device(JsonWriter& json, const drivers::DeviceStatus& device) {
  json.begin_object().member("name", device.name).member("up", device.up);
  if (!device.up) json.member("detail", device.detail);
  json.key("requests").begin_object();
  for (const auto& [result, count] : device.requests) json.member(result, count);
  json.end_object().end_object();
}

void put_writes(JsonWriter& json, const TagWriter& writer, const std::string& driver) {
  json.key("writes").begin_object();
  if (const auto found = writer.counts().find(driver); found != writer.counts().end()) {
    for (std::size_t i = 0; i < kWriteResultCount; ++i) {
      if (found->second[i] > 0) json.member(to_string(static_cast<WriteResult>(i)), found->second[i]);
    }
  }
  json.end_object();
}

void put_driver(JsonWriter& json, const Pipeline::Source& source, const TagWriter& writer) {
  const auto status = source.driver->status();
  json.begin_object().member("name", source.driver->name()).member("up", status.up);
  if (!status.up) json.member("detail", status.detail);
  json.member("accepted", source.accepted).member("skipped", status.skipped);
  json.member("queue_bytes", status.queue_bytes).member("queue_capacity_bytes", status.queue_capacity_bytes);
  json.key("refused").begin_object();
  for (const auto& [reason, count] : status.refused) json.member(reason, count);
  json.end_object().key("remarked").begin_object();
  for (const auto& [what, count] : status.remarked) json.member(what, count);
  json.end_object();
  put_writes(json, writer, source.driver->name());
  json.key("devices").begin_array();
  for (const auto& device : status.devices) put_device(json, device);
  json.end_array().end_object();
}

void put_stream(JsonWriter& json, const Gateway& gateway, Stream stream) {
  const auto& log = gateway.log();
  json.key(to_string(stream)).begin_object();
  json.member("stored", log.stored(stream)).member("bytes", log.bytes(stream));
  json.member("fill", log.fill(stream).ratio()).member("full", log.fill(stream).is_full);
  if (const auto left = gateway.storage_watch().fill(stream).time_left())
    json.member("seconds_left", to_seconds(*left));
  json.member("oldest", format_position(log.oldest(stream)));
  json.member("end", format_position(log.end(stream)));
  json.member("durable", format_position(log.durable(stream)));
  json.end_object();
}

void put_log(JsonWriter& json, const Gateway& gateway) {
  const auto& log = gateway.log();
  const auto counters = log.counters();
  json.begin_object();
  json.member("epoch", log.recovery().epoch).member("taking_records", !gateway.pipeline().is_stalled());
  if (gateway.pipeline().is_stalled()) json.member("detail", gateway.pipeline().stall_reason());
  json.member("written_bytes", counters.written_bytes).member("frames", counters.frames);
  json.member("rewritten_segments", counters.rewritten_segments);
  json.member("rewritten_from_bytes", counters.rewritten_from_bytes);
  json.member("rewritten_to_bytes", counters.rewritten_to_bytes);
  json.member("syncs", counters.syncs).member("sync_failures", counters.sync_failures);
  json.member("last_sync_seconds", to_seconds(counters.last_sync));
  json.member("storage_failed", gateway.storage_watch().is_failed());
  if (!gateway.storage_watch().problem().empty()) json.member("storage_problem", gateway.storage_watch().problem());
  json.member("dropped", log.dropped() + log.evicted(Stream::readings).overflow);
  if (!gateway.checkpointer().failure().empty()) json.member("state_failure", gateway.checkpointer().failure());
  json.key("streams").begin_object();
  for (const Stream stream : kAllStreams) put_stream(json, gateway, stream);
  json.end_object().end_object();
}

void put_uplink(JsonWriter& json, const Gateway& gateway, const UplinkRunner& uplink) {
  const auto& forwarder = uplink.forwarder();
  json.begin_object().member("name", uplink.name()).member("up", uplink.is_up());
  if (!uplink.is_up()) json.member("detail", uplink.detail());
  if (const auto refused = uplink.refused(); !refused.empty()) json.member("refused", refused);
  if (const auto waiting = uplink.waiting(); !waiting.empty()) json.member("waiting", waiting);
  json.member("since_seconds", to_seconds(gateway.clock().boot_now() - uplink.since()));
  json.member("delay_seconds", to_seconds(forwarder.oldest_age(gateway.pipeline().now()).value_or(Duration::zero())));
  json.key("streams").begin_object();
  for (const Stream stream : forwarder.options().streams) {
    const auto balance = uplink.balance(stream);
    const auto cursor = forwarder.cursor(stream);
    json.key(to_string(stream)).begin_object();
    json.member("acked_to", format_position(cursor.acked_to)).member("passed_to", format_position(cursor.passed_to));
    const auto places = forwarder.lanes(stream);
    if (!places.stretches.empty()) {
      json.member("live_acked_to", format_position(places.live.acked_to));
      json.member("skipped_stretches", std::uint64_t{places.stretches.size()});
    }
    json.member("accepted", balance.accepted).member("replayed", balance.counts.replayed);
    json.member("delivered", balance.counts.delivered).member("filtered", balance.counts.filtered);
    json.member("pending", balance.pending).member("dropped", balance.counts.dropped);
    json.key("dropped_by_reason").begin_object();
    for (const auto& [reason, count] : balance.counts.reasons) json.member(reason, count);
    json.end_object();
    if (balance.mismatch() != 0) json.member("account_mismatch", static_cast<std::int64_t>(balance.mismatch()));
    json.end_object();
  }
  json.end_object();
  const auto letters = gateway.dead_letters().of(uplink.name());
  json.member("dead_letters", letters.count);
  if (letters.count > 0) json.member("last_dead_letter_reason", letters.last_reason);
  json.end_object();
}

}  // namespace

std::string render_status(const Gateway& gateway) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("gateway", gateway.configuration().gateway.id).member("version", TIDEGATE_VERSION);
  json.member("ready", gateway.is_ready());
  json.member("time", to_milliseconds(gateway.clock().wall_now()));
  json.member("clock", to_string(gateway.clock().quality())).member("clock_steps", gateway.clock_watch().steps());
  json.member("uptime_seconds", to_seconds(gateway.clock().boot_now() - gateway.started()));
  json.member("tags", std::uint64_t{gateway.tags().size()});
  json.key("drivers").begin_array();
  for (const auto& source : gateway.pipeline().sources()) put_driver(json, source, gateway.tag_writer());
  json.end_array().key("left_out").begin_object();
  for (const auto& [reason, count] : gateway.pipeline().normaliser().left_out()) json.member(reason, count);
  std::uint64_t refused = 0;
  for (const Stream stream : kAllStreams) refused += gateway.pipeline().refused(stream);
  if (refused > 0) json.member("refused_by_log", refused);
  json.end_object().key("log");
  put_log(json, gateway);
  json.key("uplinks").begin_array();
  for (const auto& uplink : gateway.uplinks()) put_uplink(json, gateway, *uplink);
  json.end_array().key("alarms_active");
  const auto active = gateway.pipeline().rules().active();
  json.value(std::uint64_t{active.size()});
  const auto unseen =
      std::count_if(active.begin(), active.end(), [](const auto& alarm) { return !alarm.acknowledged; });
  json.member("alarms_unacknowledged", static_cast<std::uint64_t>(unseen));
  json.member("alarms_shelved", std::uint64_t{gateway.pipeline().rules().shelved().size()});
  json.key("rules_without_tag").begin_array();
  for (const auto& rule : gateway.pipeline().rules().idle_rules()) json.value(rule);
  json.end_array().key("restart_needed_for").begin_array();
  for (const auto& setting : gateway.reloader().waiting()) json.value(setting);
  json.end_array();
  json.end_object();
  return text;
}

std::string render_latest(const Gateway& gateway) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("readings").begin_array();
  for (const auto& reading : gateway.pipeline().normaliser().latest()) {
    if (reading.tag == kNoTag) continue;
    put_latest(json, reading, gateway.tags());
  }
  json.end_array().end_object();
  return text;
}

void put_latest(JsonWriter& json, const Reading& reading, const TagRegistry& tags) {
  const Tag& tag = tags.tag(reading.tag);
  json.begin_object().member("tag", tag.path).member("driver", tag.driver);
  if (!tag.unit.empty()) json.member("unit", tag.unit);
  json.member("time", to_milliseconds(reading.time)).member("value", reading.value);
  json.member("quality", to_string(reading.quality));
  if (reading.reason != Reason::none) json.member("reason", to_string(reading.reason));
  json.end_object();
}

std::string render_alarms(const Gateway& gateway) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("alarms").begin_array();
  const rules::RuleEngine& rules = gateway.pipeline().rules();
  for (const auto& alarm : rules.active()) {
    std::string document = rules::to_document(alarm.raised);
    document.pop_back();
    if (alarm.acknowledged) document += ",\"acknowledged\":" + rules::to_document(*alarm.acknowledged);
    if (alarm.shelved) document += ",\"shelved\":" + rules::to_document(*alarm.shelved);
    json.raw(document + '}');
  }
  json.end_array().key("shelved").begin_array();
  for (const auto& said : rules.shelved()) json.raw(rules::to_document(said));
  json.end_array().end_object();
  return text;
}

}  // namespace tidegate::daemon
