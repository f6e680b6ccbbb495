// What the ring log costs: encoding and decoding a reading, appending, reading back, opening.
#include <benchmark/benchmark.h>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "buffer/batch_decoder.h"
#include "buffer/dense_codec.h"
#include "buffer/frame_builder.h"
#include "buffer/ring_log.h"
#include "core/clock.h"
#include "tests/buffer/modelled_readings.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSegment = 16ULL << 20;

// Values of two decimals that wander, of many tags, one every millisecond.
std::vector<Reading> wandering(TagRegistry& tags, std::size_t count, std::size_t tag_count, WallTime begin) {
  std::mt19937 random(42);
  std::vector<Reading> readings(count);
  for (std::size_t i = 0; i < count; ++i) {
    readings[i].tag = tags.intern("hall-3/sensor-" + std::to_string(i % tag_count));
    readings[i].time = begin + std::chrono::milliseconds(i);
    readings[i].value = static_cast<double>(2000 + random() % 200) / 100;
  }
  return readings;
}

class Directory {
 public:
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "tidegate-bench-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string log() const { return path_ + "/log"; }

 private:
  std::string path_;
};

void run_jobs(RingLog& log, const Clock& clock, bool sync_now) {
  while (auto job = log.next_job(clock.boot_now(), sync_now)) {
    job->run();
    log.finish(std::move(job));
  }
}

void BM_Encode(benchmark::State& state) {
  TagRegistry tags;
  const SystemClock clock;
  const auto readings = wandering(tags, static_cast<std::size_t>(state.range(0)), 100, clock.wall_now());
  FrameBuilder builder(tags, Stream::readings, kSegment);
  const FrameRun run{{readings, {}}, 1, 1, {clock.wall_now(), clock.boot_now(), ClockQuality::synced}, {}, {}};
  std::uint64_t offset = kBlockBytes;
  for (auto step : state) {
    builder.build(run, {7, offset, offset + kSegment, kSectionsMax});
    offset += builder.bytes().size();
    if (offset > kSegment / 2) offset = kBlockBytes;
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["bytes/reading"] = static_cast<double>(builder.bytes().size()) / static_cast<double>(state.range(0));
}
BENCHMARK(BM_Encode)->Arg(1)->Arg(10)->Arg(100)->Arg(500);

void BM_Decode(benchmark::State& state) {
  TagRegistry tags;
  const SystemClock clock;
  const auto readings = wandering(tags, static_cast<std::size_t>(state.range(0)), 100, clock.wall_now());
  FrameBuilder builder(tags, Stream::readings, kSegment);
  const FrameRun run{{readings, {}}, 1, 1, {clock.wall_now(), clock.boot_now(), ClockQuality::synced}, {}, {}};
  builder.build(run, {7, kBlockBytes, kSegment, kSectionsMax});
  const BuiltFrame& frame = builder.frames().front();
  BatchDecoder decoder;
  RecordBatch batch;
  for (auto step : state) {
    decoder.decode(Stream::readings, frame.header, builder.body(frame), *frame.tags, batch);
    benchmark::DoNotOptimize(batch.readings.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Decode)->Arg(1)->Arg(10)->Arg(100)->Arg(500);

void BM_Append(benchmark::State& state) {
  const Directory directory;
  PosixFileSystem files;
  const SystemClock clock;
  TagRegistry tags;
  RingLogOptions options;
  options.directory = directory.log();
  options.sync = SyncPolicy::os;
  auto log = RingLog::open(files, clock, tags, options, {});
  const auto readings = wandering(tags, static_cast<std::size_t>(state.range(0)), 100, clock.wall_now());
  for (auto step : state) {
    benchmark::DoNotOptimize((*log)->append(readings, {clock.wall_now(), clock.boot_now(), ClockQuality::synced}, {}));
    if (auto job = (*log)->next_job(clock.boot_now(), false)) {
      state.PauseTiming();
      job->run();
      (*log)->finish(std::move(job));
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Append)->Arg(1)->Arg(10)->Arg(100)->Arg(500);

// Fills a log with frames of `frame` readings until `bytes` are on disk.
LogState fill(const std::string& directory, std::uint64_t bytes, std::size_t frame, RingLogOptions& options) {
  PosixFileSystem files;
  const SystemClock clock;
  TagRegistry tags;
  options.directory = directory;
  options.size_max_bytes[0] = bytes + (1ULL << 30);
  auto log = RingLog::open(files, clock, tags, options, {});
  const auto readings = wandering(tags, frame, 100, clock.wall_now());
  while ((*log)->bytes(Stream::readings) < bytes) {
    if (!(*log)->append(readings, {clock.wall_now(), clock.boot_now(), ClockQuality::synced}, {})) {
      run_jobs(**log, clock, true);
    }
  }
  run_jobs(**log, clock, true);
  return (*log)->state();
}

void BM_ReadDisk(benchmark::State& state) {
  const Directory directory;
  RingLogOptions options;
  const LogState known = fill(directory.log(), 64ULL << 20, static_cast<std::size_t>(state.range(0)), options);
  PosixFileSystem files;
  const SystemClock clock;
  TagRegistry tags;
  auto log = RingLog::open(files, clock, tags, options, known);
  std::int64_t records = 0;
  for (auto step : state) {
    const auto reader = (*log)->disk_reader(Stream::readings);
    for (Position at = (*log)->oldest(Stream::readings);;) {
      const auto outcome = reader->read(at);
      if (!outcome || outcome->status == ReadStatus::at_end) break;
      if (outcome->batch) records += static_cast<std::int64_t>(outcome->batch->size());
      at = outcome->next;
    }
  }
  state.SetItemsProcessed(records);
}
BENCHMARK(BM_ReadDisk)->Arg(1)->Arg(500)->Unit(benchmark::kMillisecond);

void BM_OpenEmpty(benchmark::State& state) {
  PosixFileSystem files;
  const SystemClock clock;
  for (auto step : state) {
    state.PauseTiming();
    const Directory directory;
    RingLogOptions options;
    options.directory = directory.log();
    state.ResumeTiming();
    TagRegistry tags;
    auto log = RingLog::open(files, clock, tags, options, {});
    benchmark::DoNotOptimize((*log)->append(wandering(tags, 1, 1, clock.wall_now()), {}, {}));
  }
}
BENCHMARK(BM_OpenEmpty)->Unit(benchmark::kMillisecond)->Iterations(20);

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Argument: MiB of segments.
void BM_Open(benchmark::State& state) {
  const Directory directory;
  RingLogOptions options;
  const LogState known = fill(directory.log(), static_cast<std::uint64_t>(state.range(0)) << 20, 500, options);
  PosixFileSystem files;
  const SystemClock clock;
  ::malloc_trim(0);
  const std::uint64_t before = resident_bytes();
  std::uint64_t grown = 0;
  for (auto step : state) {
    TagRegistry tags;
    auto log = RingLog::open(files, clock, tags, options, known);
    benchmark::DoNotOptimize((*log)->stored(Stream::readings));
    const std::uint64_t now = resident_bytes();
    grown = std::max(grown, now > before ? now - before : 0);
  }
  state.counters["resident KiB"] = static_cast<double>(grown) / 1024;
}
BENCHMARK(BM_Open)->Arg(64)->Arg(1024)->Arg(10240)->Unit(benchmark::kMillisecond)->Iterations(5);

using MakeData = ModelledData (*)(TagRegistry&, std::size_t, std::uint64_t);

std::vector<std::pair<FrameHeader, std::vector<std::byte>>> dense_frames(TagRegistry& tags, const ModelledData& data) {
  std::vector<std::pair<FrameHeader, std::vector<std::byte>>> frames;
  DenseEncoder encoder(tags, Stream::readings);
  OutBuffer out;
  const auto finish = [&] {
    FrameHeader header;
    header.first = 1;
    header.epoch = 1;
    out.clear();
    encoder.finish(header, {}, {}, out);
    header.body_bytes = static_cast<std::uint32_t>(out.size());
    frames.emplace_back(header, std::vector<std::byte>(out.view().begin(), out.view().end()));
  };
  for (const RecordBatch& batch : data.frames) {
    for (std::size_t done = 0; done < batch.size();) {
      const std::size_t taken = encoder.add(batch, done);
      if (taken == 0) finish();
      done += taken;
    }
  }
  finish();
  return frames;
}

void BM_EncodeDense(benchmark::State& state, MakeData make) {
  TagRegistry tags;
  const ModelledData data = make(tags, 100'000, 1);
  std::size_t bytes = 0;
  for (auto step : state) {
    bytes = 0;
    for (const auto& [header, body] : dense_frames(tags, data)) bytes += header.frame_bytes();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(data.records));
  state.counters["bytes/reading"] = static_cast<double>(bytes) / static_cast<double>(data.records);
}

void BM_DecodeDense(benchmark::State& state, MakeData make) {
  TagRegistry tags;
  const ModelledData data = make(tags, 100'000, 1);
  const auto frames = dense_frames(tags, data);
  DenseDecoder decoder;
  RecordBatch batch;
  for (auto step : state) {
    for (const auto& [header, body] : frames) {
      decoder.open(header, body, tags);
      for (std::uint64_t at = header.first; at < header.end(); at = batch.end().sequence) decoder.read(at, batch);
      benchmark::DoNotOptimize(batch.readings.data());
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(data.records));
}
BENCHMARK_CAPTURE(BM_EncodeDense, slow_temperatures, slow_temperatures)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_EncodeDense, modbus_integers, modbus_integers)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_EncodeDense, noisy_vibration, noisy_vibration)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_DecodeDense, slow_temperatures, slow_temperatures)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_DecodeDense, modbus_integers, modbus_integers)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_DecodeDense, noisy_vibration, noisy_vibration)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tidegate::buffer
