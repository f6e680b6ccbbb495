// What one reading costs on its way from a frame of the log into batches.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "uplink/batch_encoder.h"
#include "uplink/forwarder.h"
#include "uplink/kafka/kafka_messages.h"

namespace tidegate::uplink {
namespace {

enum class Kind : std::uint8_t { integer, short_real, long_real, boolean };

Value make_value(Kind kind, std::mt19937_64& random) {
  switch (kind) {
    case Kind::integer:
      return static_cast<std::int64_t>(random() % 100'000);
    case Kind::short_real:
      return static_cast<double>(random() % 10'000) / 10;
    case Kind::long_real:
      return std::uniform_real_distribution<double>(0, 100)(random);
    case Kind::boolean:
      return random() % 2 == 0;
  }
  return {};
}

RecordBatch make_frame(TagRegistry& tags, Kind kind, bool fine_times) {
  std::mt19937_64 random(1);
  RecordBatch batch;
  batch.epoch = 1;
  batch.first = 123'400;
  batch.times = {WallTime(std::chrono::seconds(1'760'000'000)), BootTime(std::chrono::hours(1)), ClockQuality::synced};
  for (int i = 0; i < 500; ++i) {
    Reading reading;
    reading.tag = tags.intern("device-" + std::to_string(i % 20) + "/temperature");
    reading.time = batch.times.wall + std::chrono::milliseconds(i) + std::chrono::nanoseconds(fine_times ? 123'456 : 0);
    reading.value = make_value(kind, random);
    batch.readings.push_back(std::move(reading));
  }
  return batch;
}

void encode_readings(benchmark::State& state) {
  TagRegistry tags;
  BatchEncoder encoder("plant-7", tags);
  const RecordBatch frame = make_frame(tags, static_cast<Kind>(state.range(0)), state.range(1) != 0);
  std::string entries;
  for (auto _ : state) {
    entries.clear();
    for (std::size_t i = 0; i < frame.readings.size(); ++i) {
      encoder.append_reading(entries, frame.first + i, frame.readings[i], frame.times);
    }
    benchmark::DoNotOptimize(entries.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(frame.readings.size()));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(entries.size()));
}
BENCHMARK(encode_readings)
    ->ArgNames({"kind", "ns_times"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({2, 0})
    ->Args({3, 0})
    ->Args({1, 1});

// From supply() to acknowledged(), with every batch acknowledged at once.
void forward_readings(benchmark::State& state) {
  TagRegistry tags;
  ForwarderOptions options;
  if (state.range(0) != 0) options.tags = {"device-?/*", "device-1?/*"};
  const ClockHistory clock;
  Forwarder forwarder(options, "plant-7", tags, clock, 1);
  RecordBatch frame = make_frame(tags, Kind::short_real, false);
  forwarder.restore(Stream::readings, {{1, frame.first}, {1, frame.first}}, {});
  forwarder.link_up(frame.times.boot);
  for (auto _ : state) {
    forwarder.announce(Stream::readings, frame.end());
    forwarder.supply(frame, frame.times.boot);
    while (const auto batch = forwarder.next_batch(frame.times.boot, frame.times.wall))
      forwarder.acknowledged(batch->id);
    frame.first += frame.readings.size();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(frame.readings.size()));
}
BENCHMARK(forward_readings)->ArgNames({"filtered"})->Arg(0)->Arg(1);

// What Kafka gets of a batch, without what the library does with it.
void make_kafka_messages(benchmark::State& state) {
  TagRegistry tags;
  BatchEncoder encoder("plant-7", tags);
  const RecordBatch frame = make_frame(tags, static_cast<Kind>(state.range(0)), false);
  std::string payload;
  for (std::size_t i = 0; i < frame.readings.size(); ++i) {
    encoder.append_reading(payload, frame.first + i, frame.readings[i], frame.times);
  }
  encoder.finish(payload, {});
  OutgoingBatch batch;
  batch.payload = std::make_shared<const std::string>(payload);
  const bool is_avro = state.range(1) != 0;
  KafkaMessages messages("plant-7", "{tag}", is_avro ? std::optional(AvroSchemaIds{1, 2, 3}) : std::nullopt);
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto made = messages.for_each(batch, [&bytes](const KafkaProducer::Message& message) {
      bytes += message.value.size();
      return true;
    });
    if (!made) state.SkipWithError(made.error().message.c_str());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(frame.readings.size()));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(make_kafka_messages)->ArgNames({"kind", "avro"})->Args({0, 0})->Args({0, 1})->Args({1, 0})->Args({1, 1});

}  // namespace
}  // namespace tidegate::uplink

BENCHMARK_MAIN();
