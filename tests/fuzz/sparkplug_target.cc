#include <array>
#include <string>
#include <string_view>

#include "core/text.h"
#include "drivers/mqtt/sparkplug_ingest.h"
#include "mqtt/sparkplug_payload.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/targets.h"
#include "tests/support/manual_clock.h"
#include "uplink/sparkplug/sparkplug_session.h"

namespace tidegate::fuzz {
namespace {

constexpr std::array kTopics{"spBv1.0/g/NBIRTH/n",   "spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/NDATA/n",
                             "spBv1.0/g/DDATA/n/d",  "spBv1.0/g/NDEATH/n",   "spBv1.0/g/DDEATH/n/d",
                             "spBv1.0/g/DBIRTH/n/e", "spBv1.0/g/NBIRTH/m"};

drivers::SparkplugLimits limits() {
  drivers::SparkplugLimits limits;
  limits.nodes_max = 2;
  limits.devices_max = 2;
  limits.payload_metrics_max = 20;
  limits.metrics_max = 30;
  limits.name_bytes_max = 1000;
  limits.last_text_bytes_max = 8;
  return limits;
}

class Sink final : public drivers::SparkplugSink {
 public:
  TagOrWhyNot claim(const std::string& path) override {
    if (!check_tag_path(path)) return {kNoTag, drivers::Refusal::tag_invalid};
    return {tags_.intern(path), drivers::Refusal::none};
  }
  void put(Reading reading, std::string_view) override {
    check(static_cast<std::size_t>(reading.tag) < tags_.size(), "a reading is of a tag that there is");
    check(!is_death || (reading.quality == Quality::bad && reading.reason == Reason::not_connected),
          "what a death says is bad");
    const auto* text = std::get_if<std::string>(&reading.value);
    check(text == nullptr || is_valid_utf8(*text), "a text is UTF-8");
    ++readings;
  }
  void refuse(drivers::Refusal why, std::string_view) override {
    check(why != drivers::Refusal::none, "what is refused has a reason");
  }

  bool is_death = false;
  std::size_t readings = 0;

 private:
  TagRegistry tags_;
};

void check_payload(std::string_view bytes) {
  const auto read = mqtt::decode_sparkplug(bytes, 100);
  if (!read) return;
  const std::string written = mqtt::encode_sparkplug(*read);
  const auto again = mqtt::decode_sparkplug(written, 100);
  check(again && again->metrics.size() == read->metrics.size() && mqtt::encode_sparkplug(*again) == written,
        "what was read can be written");
  for (const auto& metric : read->metrics) {
    const auto properties = mqtt::decode_sparkplug_properties(metric.properties);
    if (properties) {
      check(mqtt::decode_sparkplug_properties(mqtt::encode_sparkplug_properties(*properties)).has_value(),
            "properties that were read can be written");
    }
  }
}

// What the broker brings to a node of ours, as a command and as the state of its host.
class Node {
 public:
  Node() : session_("fuzz", options(), "n") {
    session_.take_message({"spBv1.0/STATE/h", "{\"online\":true,\"timestamp\":0}"}, {});
    session_.connected(0, "", {});
    check(session_.take_orders().messages.size() == 1, "a node whose host is online is born");
  }

  void take(std::string_view payload, bool is_command, const testing::ManualClock& clock) {
    const uplink::SparkplugSession::Now now{clock.boot_now(), clock.wall_now()};
    session_.take_message({is_command ? "spBv1.0/g/NCMD/n" : "spBv1.0/STATE/h", payload}, now);
    session_.tick(now);
    const uplink::SparkplugOrders orders = session_.take_orders();
    for (const auto& message : orders.messages) session_.published(message.ticket, true, now);
    check(orders.messages.size() <= 2, "nothing but births or a death comes of a message");
    if (!orders.reconnect) return;
    session_.disconnected("");
    session_.connected(0, "", now);
  }

 private:
  static uplink::SparkplugOptions options() { return {"g", "n", "h", 1}; }

  uplink::SparkplugSession session_;
};

}  // namespace

void read_sparkplug(std::span<const std::uint8_t> input) {
  std::string_view rest(reinterpret_cast<const char*>(input.data()), input.size());
  testing::ManualClock clock;
  drivers::SparkplugIngest ingest(limits());
  Sink sink;
  Node node;
  while (rest.size() >= 2) {
    const auto kind = static_cast<std::uint8_t>(rest[0]);
    const std::size_t size = std::min<std::size_t>(static_cast<std::uint8_t>(rest[1]), rest.size() - 2);
    const std::string_view payload = rest.substr(2, size);
    rest.remove_prefix(2 + size);
    check_payload(payload);
    node.take(payload, (kind & 1U) == 0, clock);
    const char* topic = kTopics[kind % kTopics.size()];
    sink.is_death = std::string_view(topic).find("DEATH") != std::string_view::npos;
    const WallTime now = clock.wall_now();
    ingest.take({topic, payload, now, clock.boot_now(), (kind & 0x80U) != 0, false}, now, clock.boot_now(), sink);
    check(ingest.nodes() <= 2 && ingest.metrics_remembered() <= 30, "what is remembered has its limits");
    check(ingest.take_rebirths().size() <= 1, "one node is asked once a message");
    clock.advance(std::chrono::milliseconds(kind));
  }
  check(sink.readings <= input.size(), "a metric has two bytes at least");
}

}  // namespace tidegate::fuzz
