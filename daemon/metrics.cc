#include "daemon/metrics.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "daemon/admin/admin_refusals.h"
#include "daemon/gateway.h"

namespace tidegate::daemon {
namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Writes the exposition format: HELP and TYPE once a metric, then its samples.
class Exposition {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(" ").append(type).append("\n");
  }
  void sample(Labels labels, std::uint64_t value, std::string_view suffix = "") {
    put_name(labels, suffix);
    append_number(text_, value);
    text_ += '\n';
  }
  void sample(Labels labels, double value, std::string_view suffix = "") {
    put_name(labels, suffix);
    append_number(text_, value);
    text_ += '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  void put_name(Labels labels, std::string_view suffix) {
    text_.append(name_).append(suffix);
    char separator = '{';
    for (const auto& [name, value] : labels) {
      text_ += separator;
      text_.append(name).append("=");
      append_json_string(text_, value);  // the same escapes: backslash, quote, newline
      separator = ',';
    }
    if (separator == ',') text_ += '}';
    text_ += ' ';
  }

  std::string text_;
  std::string_view name_;
};

double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void put_drivers(Exposition& out, const Gateway& gateway) {
  out.begin("tidegate_readings_accepted_total", "counter",
            "Readings that the log has taken, by driver; also those that a full ring dropped on purpose.");
  for (const auto& source : gateway.pipeline().sources()) {
    out.sample({{"driver", source.driver->name()}}, source.accepted);
  }
  std::vector<std::pair<std::string, drivers::DriverStatus>> all;
  for (const auto& source : gateway.pipeline().sources())
    all.emplace_back(source.driver->name(), source.driver->status());

  out.begin("tidegate_driver_up", "gauge", "1 while the driver has its connection.");
  for (const auto& [name, status] : all) out.sample({{"driver", name}}, std::uint64_t{status.up});
  out.begin("tidegate_driver_refused_total", "counter", "Clients, messages and values not taken, by reason.");
  for (const auto& [name, status] : all) {
    for (const auto& [reason, count] : status.refused) out.sample({{"driver", name}, {"reason", reason}}, count);
  }
  out.begin("tidegate_driver_remarked_total", "counter",
            "Readings taken although something was wrong, which their quality says, by what it was.");
  for (const auto& [name, status] : all) {
    for (const auto& [what, count] : status.remarked) out.sample({{"driver", name}, {"reason", what}}, count);
  }
  out.begin("tidegate_driver_skipped_total", "counter", "Polls skipped because the log takes no readings.");
  for (const auto& [name, status] : all) out.sample({{"driver", name}}, status.skipped);
  out.begin("tidegate_driver_queue_bytes", "gauge", "Waiting between driver and log.");
  for (const auto& [name, status] : all) out.sample({{"driver", name}}, status.queue_bytes);
  out.begin("tidegate_device_up", "gauge", "1 while the device answers.");
  for (const auto& [name, status] : all) {
    for (const auto& device : status.devices) {
      out.sample({{"driver", name}, {"device", device.name}}, std::uint64_t{device.up});
    }
  }
  out.begin("tidegate_modbus_requests_total", "counter", "Requests to Modbus devices, by result.");
  for (const auto& [name, status] : all) {
    for (const auto& device : status.devices) {
      for (const auto& [result, count] : device.requests) {
        out.sample({{"driver", name}, {"device", device.name}, {"result", result}}, count);
      }
    }
  }
  out.begin("tidegate_tag_writes_total", "counter",
            "Requests to write a tag since the start, by what became of them; without a driver those for tags that no "
            "driver has.");
  for (const auto& [driver, counts] : gateway.tag_writer().counts()) {
    for (std::size_t i = 0; i < kWriteResultCount; ++i) {
      out.sample({{"driver", driver}, {"result", to_string(static_cast<WriteResult>(i))}}, counts[i]);
    }
  }
  out.begin("tidegate_readings_left_out_total", "counter", "Readings not kept on purpose, by reason.");
  for (const auto& [reason, count] : gateway.pipeline().normaliser().left_out())
    out.sample({{"reason", reason}}, count);
}

struct AccountSample {
  std::string uplink;
  Stream stream = Stream::readings;
  UplinkRunner::Balance balance;
};

void put_accounts(Exposition& out, const Gateway& gateway) {
  // What an uplink has yet to come to is looked for in the log each time: once is enough.
  std::vector<AccountSample> accounts;
  for (const auto& uplink : gateway.uplinks()) {
    for (const Stream stream : uplink->forwarder().options().streams) {
      accounts.push_back({uplink->name(), stream, uplink->balance(stream)});
    }
  }
  out.begin("tidegate_readings_delivered_total", "counter", "Records acknowledged by the target.");
  for (const auto& [uplink, stream, balance] : accounts) {
    out.sample({{"uplink", uplink}, {"stream", to_string(stream)}}, balance.counts.delivered);
  }
  out.begin("tidegate_readings_filtered_total", "counter", "Records left out by the uplink's filter.");
  for (const auto& [uplink, stream, balance] : accounts) {
    out.sample({{"stream", to_string(stream)}, {"uplink", uplink}}, balance.counts.filtered);
  }
  out.begin("tidegate_readings_dropped_total", "counter",
            "Records lost to the uplink: evicted, dropped or damaged before it had them, as soon as the log "
            "has given them up.");
  for (const auto& [uplink, stream, balance] : accounts) {
    for (const auto& [reason, count] : balance.counts.reasons) {
      out.sample({{"stream", to_string(stream)}, {"uplink", uplink}, {"reason", reason}}, count);
    }
  }
  out.begin("tidegate_uplink_backlog_readings", "gauge",
            "Records that the uplink has not passed yet and can still be sent.");
  for (const auto& [uplink, stream, balance] : accounts) {
    out.sample({{"uplink", uplink}, {"stream", to_string(stream)}}, balance.pending);
  }
  out.begin("tidegate_uplink_accepted_total", "counter",
            "Records that the log took in since the uplink first started; with those replayed, the sum of the ones "
            "delivered, filtered, dropped and in the backlog.");
  for (const auto& [uplink, stream, balance] : accounts) {
    out.sample({{"stream", to_string(stream)}, {"uplink", uplink}}, balance.accepted);
  }
  out.begin("tidegate_readings_replayed_total", "counter", "Records passed and asked for again.");
  for (const auto& [uplink, stream, balance] : accounts) {
    out.sample({{"stream", to_string(stream)}, {"uplink", uplink}}, balance.counts.replayed);
  }
  out.begin("tidegate_uplink_account_mismatch", "gauge",
            "By how much accepted and replayed differ from delivered, filtered, dropped and backlog: other than 0 is a "
            "mistake.");
  for (const auto& [uplink, stream, balance] : accounts) {
    const auto mismatch = static_cast<std::int64_t>(balance.mismatch());
    out.sample({{"stream", to_string(stream)}, {"uplink", uplink}}, static_cast<double>(mismatch));
  }
}

void put_uplinks(Exposition& out, const Gateway& gateway) {
  out.begin("tidegate_uplink_up", "gauge", "1 while the target is connected and takes what is sent.");
  for (const auto& uplink : gateway.uplinks()) out.sample({{"uplink", uplink->name()}}, std::uint64_t{uplink->is_up()});
  out.begin("tidegate_uplink_delay_seconds", "gauge", "Age of the oldest record that is not yet acknowledged.");
  for (const auto& uplink : gateway.uplinks()) {
    const Duration age = uplink->forwarder().oldest_age(gateway.pipeline().now()).value_or(Duration::zero());
    out.sample({{"uplink", uplink->name()}}, to_seconds(age));
  }
  out.begin("tidegate_uplink_held", "gauge", "1 while the stream waits for a window of the day.");
  for (const auto& uplink : gateway.uplinks()) {
    for (const Stream stream : uplink->forwarder().options().streams) {
      out.sample({{"uplink", uplink->name()}, {"stream", to_string(stream)}}, std::uint64_t{uplink->is_held(stream)});
    }
  }
  out.begin("tidegate_uplink_dead_letters", "gauge",
            "Records that the target refuses for good, kept until somebody drops them.");
  for (const auto& uplink : gateway.uplinks()) {
    out.sample({{"uplink", uplink->name()}}, gateway.dead_letters().of(uplink->name()).count);
  }
}

void put_sync_times(Exposition& out, const Gateway& gateway) {
  const auto& times = gateway.keeper().sync_times();
  out.begin("tidegate_log_sync_seconds", "histogram", "Duration of fdatasync of the log.");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kSyncBoundsSeconds.size(); ++i) {
    below += times.counts[i];
    std::string bound;
    append_number(bound, kSyncBoundsSeconds[i]);
    out.sample({{"le", bound}}, below, "_bucket");
  }
  below += times.counts.back();
  out.sample({{"le", "+Inf"}}, below, "_bucket");
  out.sample({}, times.sum_seconds, "_sum");
  out.sample({}, below, "_count");
}

void put_storage(Exposition& out, const Gateway& gateway) {
  const auto& log = gateway.log();
  out.begin("tidegate_storage_failed", "gauge", "1 while log or state database cannot be written.");
  out.sample({}, std::uint64_t{gateway.storage_watch().is_failed()});
  out.begin("tidegate_log_fill_ratio", "gauge",
            "Part of the ring that waits for an uplink; at 1 records are lost or held back.");
  for (const Stream stream : kAllStreams) out.sample({{"stream", to_string(stream)}}, log.fill(stream).ratio());
  out.begin(
      "tidegate_log_fill_seconds_left", "gauge",
      "Until the ring is full at the present rate; absent while it does not fill, or has for less than two minutes.");
  for (const Stream stream : kAllStreams) {
    const auto left = gateway.storage_watch().fill(stream).time_left();
    if (left) out.sample({{"stream", to_string(stream)}}, to_seconds(*left));
  }
  out.begin("tidegate_log_dropped_readings_total", "counter",
            "Readings lost since the start because the ring was full: dropped as they came, or evicted before every "
            "uplink was known to have passed them.");
  out.sample({}, log.dropped() + log.evicted(Stream::readings).overflow);
  out.begin("tidegate_log_evicted_total", "counter",
            "Records evicted since the start before every uplink was known to have passed them, by why.");
  for (const Stream stream : kAllStreams) {
    const auto evicted = log.evicted(stream);
    out.sample({{"stream", to_string(stream)}, {"reason", "overflow"}}, evicted.overflow);
    out.sample({{"stream", to_string(stream)}, {"reason", "age"}}, evicted.age);
  }
  out.begin("tidegate_log_refused_total", "counter",
            "Records that the log can never take, as a text longer than a frame, left out since the start; an event "
            "log-refused says which.");
  for (const Stream stream : kAllStreams)
    out.sample({{"stream", to_string(stream)}}, gateway.pipeline().refused(stream));
  const BootTime now = gateway.clock().boot_now();
  const Duration age = now - log.undurable_since().value_or(now);
  out.begin("tidegate_log_undurable_seconds", "gauge",
            "Age of the oldest record that is written and not durable yet: what a power cut would take.");
  out.sample({}, to_seconds(age));
  out.begin("tidegate_log_undurable_worst_seconds", "gauge",
            "Age of the oldest record that was written and not durable yet, at its worst since the start.");
  out.sample({}, to_seconds(std::max(age, log.counters().undurable_worst)));
}

void put_log(Exposition& out, const Gateway& gateway) {
  const auto& log = gateway.log();
  out.begin("tidegate_log_stored_readings", "gauge", "Records in the log.");
  for (const Stream stream : kAllStreams) out.sample({{"stream", to_string(stream)}}, log.stored(stream));
  out.begin("tidegate_log_bytes", "gauge", "Bytes of the log's segments on disk.");
  for (const Stream stream : kAllStreams) out.sample({{"stream", to_string(stream)}}, log.bytes(stream));
  out.begin("tidegate_log_taking_records", "gauge",
            "0 while the log refuses records and acknowledgements are withheld.");
  out.sample({}, std::uint64_t{!gateway.pipeline().is_stalled()});
  const auto counters = log.counters();
  out.begin("tidegate_log_written_bytes_total", "counter", "Bytes written to the log since the start.");
  out.sample({}, counters.written_bytes);
  out.begin("tidegate_log_rewritten_segments_total", "counter", "Segments rewritten in dense frames since the start.");
  out.sample({}, counters.rewritten_segments);
  out.begin("tidegate_log_rewritten_bytes_total", "counter",
            "Bytes of segments rewritten in dense frames since the start, before and after.");
  out.sample({{"when", "before"}}, counters.rewritten_from_bytes);
  out.sample({{"when", "after"}}, counters.rewritten_to_bytes);
  out.begin("tidegate_log_sync_failures_total", "counter", "Syncs that failed since the start.");
  out.sample({}, counters.sync_failures);
  put_sync_times(out, gateway);
  put_storage(out, gateway);
}

void put_alarms(Exposition& out, const Gateway& gateway) {
  std::array<std::uint64_t, 3> active{};
  std::array<std::uint64_t, 3> unseen{};
  for (const auto& alarm : gateway.pipeline().rules().active()) {
    ++active[static_cast<std::size_t>(alarm.raised.severity)];
    if (!alarm.acknowledged) ++unseen[static_cast<std::size_t>(alarm.raised.severity)];
  }
  out.begin("tidegate_alarms_active", "gauge", "Alarms that are raised now.");
  for (const auto severity : {rules::Severity::info, rules::Severity::warning, rules::Severity::critical}) {
    out.sample({{"severity", rules::to_string(severity)}}, active[static_cast<std::size_t>(severity)]);
  }
  out.begin("tidegate_alarms_unacknowledged", "gauge", "Alarms that are raised now and that nobody has acknowledged.");
  for (const auto severity : {rules::Severity::info, rules::Severity::warning, rules::Severity::critical}) {
    out.sample({{"severity", rules::to_string(severity)}}, unseen[static_cast<std::size_t>(severity)]);
  }
  out.begin("tidegate_alarms_shelved", "gauge", "Alarms that are set aside for a while, raised or not.");
  out.sample({}, std::uint64_t{gateway.pipeline().rules().shelved().size()});
  out.begin("tidegate_rules_without_tag", "gauge",
            "Rules that match no tag that was seen since the start: they judge nothing.");
  out.sample({}, std::uint64_t{gateway.pipeline().rules().idle_rules().size()});
}

void put_configuration(Exposition& out, const Gateway& gateway) {
  out.begin("tidegate_restart_needed_settings", "gauge",
            "Settings that a reload has found changed and that only a restart takes over.");
  out.sample({}, std::uint64_t{gateway.reloader().waiting().size()});
}

void put_admin(Exposition& out, const AdminRefusals& refusals) {
  out.begin("tidegate_admin_refused_total", "counter",
            "Requests, log-ins and handshakes that the admin address has turned away since the start, by reason.");
  for (std::size_t i = 0; i < kAdminRefusalCount; ++i) {
    const auto why = static_cast<AdminRefusal>(i);
    out.sample({{"reason", to_string(why)}}, refusals.of(why));
  }
}

}  // namespace

std::string render_metrics(const Gateway& gateway, const AdminRefusals& refusals) {
  Exposition out;
  out.begin("tidegate_build_info", "gauge", "Always 1; the labels say which build runs.");
  out.sample({{"version", TIDEGATE_VERSION}}, std::uint64_t{1});
  put_drivers(out, gateway);
  put_accounts(out, gateway);
  put_uplinks(out, gateway);
  put_log(out, gateway);
  put_alarms(out, gateway);
  put_configuration(out, gateway);
  put_admin(out, refusals);
  return out.take();
}

}  // namespace tidegate::daemon
