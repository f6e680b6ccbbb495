#include <array>
#include <string>
#include <string_view>

#include "core/text.h"
#include "drivers/mqtt/sparkplug_ingest.h"
#include "mqtt/sparkplug_payload.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/targets.h"
#include "tests/support/manual_clock.h"

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
}

}  // namespace

void read_sparkplug(std::span<const std::uint8_t> input) {
  std::string_view rest(reinterpret_cast<const char*>(input.data()), input.size());
  testing::ManualClock clock;
  drivers::SparkplugIngest ingest(limits());
  Sink sink;
  while (rest.size() >= 2) {
    const auto kind = static_cast<std::uint8_t>(rest[0]);
    const std::size_t size = std::min<std::size_t>(static_cast<std::uint8_t>(rest[1]), rest.size() - 2);
    const std::string_view payload = rest.substr(2, size);
    rest.remove_prefix(2 + size);
    check_payload(payload);
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
