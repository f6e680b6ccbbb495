// The same 500 readings made durable by the ring log, by SQLite, and as bare bytes: the second is what one would use
// instead, the third what the disk allows. Each prints readings/s; the ratios are those of one run.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "core/clock.h"

namespace tidegate::buffer {
namespace {

constexpr std::size_t kReadings = 500;
constexpr std::size_t kTags = 100;
constexpr std::uint64_t kFileBytes = 16ULL << 20;  // of the ring, and of the file of bare blocks

class Directory {
 public:
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "tidegate-bench-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::vector<Reading> wandering(TagRegistry& tags, WallTime begin) {
  std::mt19937 random(42);
  std::vector<Reading> readings(kReadings);
  for (std::size_t i = 0; i < kReadings; ++i) {
    readings[i].tag = tags.intern("hall-3/sensor-" + std::to_string(i % kTags));
    readings[i].time = begin + std::chrono::milliseconds(i);
    readings[i].value = static_cast<double>(2000 + random() % 200) / 100;
  }
  return readings;
}

void count_readings(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kReadings));
}

void BM_DurableRingLog(benchmark::State& state) {
  const Directory directory;
  PosixFileSystem files;
  const SystemClock clock;
  TagRegistry tags;
  RingLogOptions options;
  options.directory = directory / "log";
  options.sync = SyncPolicy::always;
  options.size_max_bytes[static_cast<std::size_t>(Stream::readings)] = kFileBytes;
  auto log = RingLog::open(files, clock, tags, options, {});
  const auto readings = wandering(tags, clock.wall_now());
  const auto append = [&] {
    const auto at = (*log)->append(readings, {clock.wall_now(), clock.boot_now(), ClockQuality::synced}, {});
    while (auto job = (*log)->next_job(clock.boot_now(), true)) {
      job->run();
      (*log)->finish(std::move(job));
    }
    return at && (*log)->durable(Stream::readings) == (*log)->end(Stream::readings);
  };
  // The first pass over a ring fills its files with zeros too.
  while ((*log)->oldest(Stream::readings).sequence == 1 && append()) continue;
  const auto before = (*log)->counters().written_bytes;
  for (auto step : state) {
    if (!append()) {
      state.SkipWithError("not durable");
      break;
    }
  }
  count_readings(state);
  state.counters["bytes/reading"] = static_cast<double>((*log)->counters().written_bytes - before) /
                                    static_cast<double>(state.iterations()) / static_cast<double>(kReadings);
}
BENCHMARK(BM_DurableRingLog)->UseRealTime();

void BM_DurableSqlite(benchmark::State& state) {
  const Directory directory;
  sqlite3* database = nullptr;
  sqlite3_stmt* insert = nullptr;
  sqlite3_open((directory / "readings.db").c_str(), &database);
  const auto run = [&](const char* sql) {
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      state.SkipWithError(sqlite3_errmsg(database));
  };
  run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "CREATE TABLE readings(tag INTEGER, time INTEGER, value REAL, quality INTEGER)");
  sqlite3_prepare_v2(database, "INSERT INTO readings VALUES(?,?,?,?)", -1, &insert, nullptr);
  TagRegistry tags;
  const auto readings = wandering(tags, SystemClock().wall_now());
  for (auto step : state) {
    run("BEGIN");
    for (std::size_t i = 0; i < kReadings; ++i) {
      sqlite3_bind_int64(insert, 1, static_cast<sqlite3_int64>(i % kTags));
      sqlite3_bind_int64(insert, 2, readings[i].time.time_since_epoch().count());
      sqlite3_bind_double(insert, 3, std::get<double>(readings[i].value));
      sqlite3_bind_int(insert, 4, 0);
      if (sqlite3_step(insert) != SQLITE_DONE) state.SkipWithError(sqlite3_errmsg(database));
      sqlite3_reset(insert);
    }
    run("COMMIT");
  }
  sqlite3_finalize(insert);
  sqlite3_close(database);
  count_readings(state);
}
BENCHMARK(BM_DurableSqlite)->UseRealTime();

// What replaying a log is measured against: the same records read back from the table, in order.
void BM_SelectSqlite(benchmark::State& state) {
  constexpr std::size_t kRows = 500'000;
  const Directory directory;
  sqlite3* database = nullptr;
  sqlite3_stmt* statement = nullptr;
  sqlite3_open((directory / "readings.db").c_str(), &database);
  sqlite3_exec(database, "CREATE TABLE readings(tag INTEGER, time INTEGER, value REAL, quality INTEGER); BEGIN",
               nullptr, nullptr, nullptr);
  sqlite3_prepare_v2(database, "INSERT INTO readings VALUES(?,?,?,0)", -1, &statement, nullptr);
  TagRegistry tags;
  const auto readings = wandering(tags, SystemClock().wall_now());
  for (std::size_t i = 0; i < kRows; ++i) {
    sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(i % kTags));
    sqlite3_bind_int64(statement, 2, static_cast<sqlite3_int64>(i) * 1'000'000);
    sqlite3_bind_double(statement, 3, std::get<double>(readings[i % kReadings].value));
    if (sqlite3_step(statement) != SQLITE_DONE) state.SkipWithError(sqlite3_errmsg(database));
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
  sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr);
  sqlite3_prepare_v2(database, "SELECT tag, time, value, quality FROM readings ORDER BY rowid", -1, &statement,
                     nullptr);
  for (auto step : state) {
    double sum = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      sum += sqlite3_column_double(statement, 2) + static_cast<double>(sqlite3_column_int64(statement, 1));
    }
    benchmark::DoNotOptimize(sum);
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
}
BENCHMARK(BM_SelectSqlite)->Unit(benchmark::kMillisecond);

// One block, which is what a frame of 500 such readings takes, into a file that was filled before.
void BM_DurableBytes(benchmark::State& state) {
  const Directory directory;
  constexpr std::size_t kBlock = 4096;
  const std::vector<char> block(kBlock, 'x');
  const int file = ::open((directory / "bytes").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  for (off_t at = 0; at < static_cast<off_t>(kFileBytes); at += static_cast<off_t>(kBlock)) {
    if (::pwrite(file, block.data(), kBlock, at) != kBlock) state.SkipWithError("cannot fill the file");
  }
  ::fsync(file);
  off_t at = 0;
  for (auto step : state) {
    if (::pwrite(file, block.data(), kBlock, at) != kBlock || ::fdatasync(file) != 0) {
      state.SkipWithError("cannot write");
      break;
    }
    at += static_cast<off_t>(kBlock);
    if (at == static_cast<off_t>(kFileBytes)) at = 0;
  }
  ::close(file);
  count_readings(state);
}
BENCHMARK(BM_DurableBytes)->UseRealTime();

}  // namespace
}  // namespace tidegate::buffer
