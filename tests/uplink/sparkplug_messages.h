#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mqtt/sparkplug_payload.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink::testing {

/// A message of a node, decoded: "DDATA/gw/pump" and its payload.
struct SparkplugSeen {
  std::string topic;  // without "spBv1.0/plant/"
  mqtt::SparkplugPayload payload;

  const mqtt::SparkplugMetric& metric(std::size_t index) const { return payload.metrics.at(index); }
  const mqtt::SparkplugMetric* named(const std::string& name) const {
    for (const auto& metric : payload.metrics) {
      if (metric.name == name) return &metric;
    }
    return nullptr;
  }
};

inline SparkplugSeen sparkplug_seen(const std::string& topic, const std::string& payload) {
  auto decoded = mqtt::decode_sparkplug(payload, 100'000);
  EXPECT_TRUE(decoded) << topic;
  const std::string beginning = "spBv1.0/plant/";
  EXPECT_EQ(topic.substr(0, beginning.size()), beginning);
  return {topic.substr(beginning.size()), decoded ? std::move(*decoded) : mqtt::SparkplugPayload{}};
}

inline std::map<std::string, mqtt::SparkplugValue> properties_of(const mqtt::SparkplugMetric& metric) {
  std::map<std::string, mqtt::SparkplugValue> found;
  const auto properties = mqtt::decode_sparkplug_properties(metric.properties);
  EXPECT_TRUE(properties);
  for (const auto& property : *properties) found[property.key] = property.value;
  return found;
}

/// A batch of readings or documents, of which `entries` are the JSON.
inline OutgoingBatch sparkplug_batch(std::uint64_t id, const std::string& entries, Stream stream = Stream::readings,
                                     bool historical = false) {
  OutgoingBatch batch;
  batch.id = id;
  batch.stream = stream;
  for (auto at = entries.find("{\"seq\":"); at != std::string::npos; at = entries.find("{\"seq\":", at + 1))
    ++batch.count;
  batch.payload = std::make_shared<const std::string>(
      "{\"v\":1,\"gateway\":\"gw\",\"stream\":\"" + std::string(to_string(stream)) +
      "\",\"lane\":\"live\",\"epoch\":3,\"from\":7,\"to\":9,\"count\":1,\"sent\":1700000000000,\"historical\":" +
      (historical ? "true" : "false") + ",\"" + to_string(stream) + "\":[" + entries + "]}");
  return batch;
}

inline std::string reading_json(const std::string& tag, const std::string& value, std::int64_t time = 1'000) {
  return "{\"seq\":8,\"tag\":\"" + tag + "\",\"time\":" + std::to_string(time) + ",\"value\":" + value +
         ",\"quality\":\"good\"}";
}

inline std::string rebirth_command(bool value = true) {
  mqtt::SparkplugMetric metric;
  metric.name = "Node Control/Rebirth";
  metric.type = mqtt::SparkplugType::boolean;
  metric.value = value;
  mqtt::SparkplugPayload payload;
  payload.metrics.push_back(metric);
  return mqtt::encode_sparkplug(payload);
}

}  // namespace tidegate::uplink::testing
