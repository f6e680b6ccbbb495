#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "core/text.h"
#include "drivers/mqtt/message_decoder.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/targets.h"
#include "tests/support/manual_clock.h"

namespace tidegate::fuzz {
namespace {

using drivers::MqttSubscribeOptions;
using drivers::PayloadFormat;
using drivers::TimeUnit;

constexpr std::size_t kTextBytesMax = 1024;

// Every way that a subscription can read a payload.
std::vector<MqttSubscribeOptions> subscriptions() {
  std::vector<MqttSubscribeOptions> all(9);
  for (auto& one : all) one.topic = "a/{device}/{tag...}";
  all[0].value = "/value";
  all[0].time = "/time";
  all[1].values = {{"first", "/values/0"}, {"second", "/values/1"}, {"deep", "/a/b/~1c~0"}};
  all[1].time = "/time";
  all[1].time_unit = TimeUnit::nanoseconds;
  all[2].values_all = true;
  all[2].time = "/time";
  all[2].time_unit = TimeUnit::iso8601;
  all[3].each = "/readings";
  all[3].topic = "a/{rest...}";
  all[3].device = "/device";
  all[3].tag = "/tag";
  all[3].value = "/value";
  all[3].time = "/time";
  all[3].time_unit = TimeUnit::seconds;
  all[4].values_all = true;
  all[4].value = "/values";
  all[5].value = "";
  all[6].payload = PayloadFormat::number;
  all[7].payload = PayloadFormat::text;
  all[8].payload = PayloadFormat::csv;
  all[8].values = {{"first", "/1"}, {"second", "/2"}};
  all[8].time = "/0";
  return all;
}

void check_reading(const Reading& reading, const TagRegistry& tags) {
  check(static_cast<std::size_t>(reading.tag) < tags.size(), "a reading is of a tag that there is");
  if (const auto* number = std::get_if<double>(&reading.value)) {
    check(std::isfinite(*number) || reading.quality != Quality::bad, "what is not finite is left to the normaliser");
  }
  if (const auto* text = std::get_if<std::string>(&reading.value)) {
    check(text->size() <= kTextBytesMax && is_valid_utf8(*text), "a text is UTF-8 and not too long");
  }
}

std::vector<Reading> decode(const MqttSubscribeOptions& subscribe, std::string_view topic, std::string_view payload,
                            int times) {
  TagRegistry tags;
  testing::ManualClock clock;
  drivers::MqttDriverOptions options;
  options.name = "local";
  options.automatic_tags_max = 50;
  options.subscribe = {subscribe};
  const auto decoder = drivers::MessageDecoder::make(options, tags, kTextBytesMax);
  check(decoder.has_value(), "the subscription is right");
  std::vector<Reading> readings;
  for (int i = 0; i < times; ++i) {
    readings.clear();
    (*decoder)->set_time(clock.quality(), clock.boot_now());
    (void)(*decoder)->decode({topic, payload, clock.wall_now(), clock.boot_now(), false, false}, readings);
  }
  for (const Reading& reading : readings) check_reading(reading, tags);
  check(tags.size() <= 50 + 3, "a payload makes no more tags than may be");
  return readings;
}

bool are_same(const std::vector<Reading>& left, const std::vector<Reading>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const Reading& one, const Reading& other) {
    return one.tag == other.tag && one.quality == other.quality && one.reason == other.reason &&
           one.time == other.time && one.value == other.value;
  });
}

}  // namespace

void read_payload(std::span<const std::uint8_t> input) {
  static const auto kSubscriptions = subscriptions();
  if (input.empty()) return;
  std::string_view content(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
  const auto& subscribe = kSubscriptions[input.front() % kSubscriptions.size()];
  // Seldom a topic of the input's own, which the listener or the broker has checked.
  std::string topic = "a/pump/speed";
  if (input.front() >= 0x80) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    const std::string_view own = content.substr(0, end);
    if (is_valid_utf8(own)) topic = "a/" + std::string(own);
    content.remove_prefix(std::min(end + 1, content.size()));
  }
  const auto first = decode(subscribe, topic, content, 1);
  check(are_same(first, decode(subscribe, topic, content, 2)), "what a message means does not change");
}

}  // namespace tidegate::fuzz
