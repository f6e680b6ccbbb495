#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/record.h"
#include "core/tag.h"

namespace tidegate::buffer {

/// Readings as a plant makes them, in the frames in which they would be taken in; the same for the same seed.
struct ModelledData {
  std::vector<RecordBatch> frames;  // of 10 ms of the boot clock, as the log stores them
  std::uint64_t records = 0;

  void add(std::vector<Reading> readings, Duration boot, ClockQuality quality = ClockQuality::synced) {
    RecordBatch batch;
    batch.epoch = 1;
    batch.first = records + 1;
    const Duration coarse = boot - boot % std::chrono::milliseconds(10);
    batch.times = {WallTime(std::chrono::seconds(1'760'000'000) + coarse), BootTime(coarse), quality};
    records += readings.size();
    batch.readings = std::move(readings);
    frames.push_back(std::move(batch));
  }
};

inline WallTime in_milliseconds(Duration boot) {
  return WallTime(std::chrono::seconds(1'760'000'000) + std::chrono::floor<std::chrono::milliseconds>(boot));
}

/// 60 wireless sensors that send a temperature of two decimals about every ten seconds, each for itself, timed when it
/// arrives. A frame a reading.
inline ModelledData slow_temperatures(TagRegistry& tags, std::size_t count, std::uint64_t seed = 1) {
  struct Sensor {
    TagId tag{};
    double value = 0;
    Duration next{};
  };
  std::mt19937_64 random(seed);
  std::normal_distribution<double> change(0, 0.03);
  std::normal_distribution<double> jitter(0, 5);
  std::vector<Sensor> sensors(60);
  for (std::size_t i = 0; i < sensors.size(); ++i) {
    sensors[i] = {tags.intern("hall-" + std::to_string(i / 20) + "/sensor-" + std::to_string(i) + "/temperature"),
                  18 + static_cast<double>(random() % 600) / 100, std::chrono::milliseconds(random() % 10'000)};
  }
  ModelledData data;
  while (data.records < count) {
    auto* sensor = &sensors[0];
    for (Sensor& other : sensors) sensor = other.next < sensor->next ? &other : sensor;
    sensor->value += change(random);
    Reading reading;
    reading.tag = sensor->tag;
    reading.time = in_milliseconds(sensor->next);
    reading.value = std::round(sensor->value * 100) / 100;
    data.add({reading}, sensor->next);
    sensor->next += std::chrono::microseconds(static_cast<std::int64_t>(1000 * (10'000 + jitter(random))));
  }
  return data;
}

/// A device whose 40 holding registers are read every second: counters, set points, noisy measurements of 16 bits.
inline ModelledData modbus_integers(TagRegistry& tags, std::size_t count, std::uint64_t seed = 2) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 12);
  std::vector<TagId> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(tags.intern("meter-1/register-" + std::to_string(i)));
  ModelledData data;
  Duration at{};
  for (std::int64_t round = 0; data.records < count; ++round) {
    std::vector<Reading> readings(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      readings[i].tag = ids[i];
      readings[i].time = in_milliseconds(at);
      const auto base = static_cast<std::int64_t>(1000 * i);
      std::int64_t value = base;                                                // a set point
      if (i % 4 == 0) value = base + round * static_cast<std::int64_t>(i + 3);  // a counter
      if (i % 4 == 1) value = base + static_cast<std::int64_t>(noise(random));  // a measurement
      if (i % 4 == 2)
        value = base + static_cast<std::int64_t>(500 * std::sin(static_cast<double>(round) * 0.01) +
                                                 20 * noise(random));  // a rough one
      readings[i].value = value;
    }
    data.add(std::move(readings), at + std::chrono::milliseconds(30));
    at += std::chrono::microseconds(1'000'000 + random() % 4000);
  }
  return data;
}

/// Three axes of an accelerometer at 1 kHz, single floats with noise in all their bits, timed by the source. A frame
/// each quarter of a second.
inline ModelledData noisy_vibration(TagRegistry& tags, std::size_t count, std::uint64_t seed = 3) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 0.05);
  const TagId axes[] = {tags.intern("pump-7/vibration/x"), tags.intern("pump-7/vibration/y"),
                        tags.intern("pump-7/vibration/z")};
  ModelledData data;
  for (std::int64_t sample = 0; data.records < count;) {
    std::vector<Reading> readings;
    for (int i = 0; i < 250; ++i, ++sample) {
      for (const TagId axis : axes) {
        Reading reading;
        reading.tag = axis;
        reading.origin = TimeOrigin::source;
        reading.time = in_milliseconds(std::chrono::milliseconds(sample));
        reading.value =
            static_cast<double>(static_cast<float>(std::sin(static_cast<double>(sample) * 0.31) + noise(random)));
        readings.push_back(reading);
      }
    }
    data.add(std::move(readings), std::chrono::milliseconds(sample + 3));
  }
  return data;
}

}  // namespace tidegate::buffer
