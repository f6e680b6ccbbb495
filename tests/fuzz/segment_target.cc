#include <string>
#include <vector>

#include "buffer/inspect.h"
#include "buffer/ring_log.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/segment_image.h"
#include "tests/fuzz/targets.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"

namespace tidegate::fuzz {
namespace {

using buffer::ReadStatus;
using buffer::RingLog;

constexpr int kStepsMax = 1'000'000;
constexpr std::size_t kFileBytesMax = 4 << 20;

struct Bench {
  testing::InMemoryFileSystem disk;
  testing::ManualClock clock;
  buffer::RingLogOptions options;
  buffer::LogState known;

  FrameTimes now() const { return {clock.wall_now(), clock.boot_now(), clock.quality()}; }
};

void run_jobs(RingLog& log, const Clock& clock) {
  for (int i = 0; auto job = log.next_job(clock.boot_now(), true); ++i) {
    check(i < 1000, "the log runs out of jobs");
    job->run();
    log.finish(std::move(job));
  }
}

void rewrite(RingLog& log) {
  while (auto job = log.next_rewrite()) {
    for (int i = 0; !job->run_slice(); ++i) check(i < 1000, "rewriting comes to an end");
    log.finish_rewrite(std::move(job));
  }
}

void check_batch(const RecordBatch& batch, const TagRegistry& tags) {
  check(batch.size() > 0, "a batch holds something");
  for (const Reading& reading : batch.readings) check(tags.tag(reading.tag).path.size() <= 255, "a tag has a path");
}

// Reads a stream from its beginning, in memory where it is there, else from disk; returns the records.
std::uint64_t read_stream(RingLog& log, const TagRegistry& tags, Stream stream, bool disk_only) {
  const auto reader = log.disk_reader(stream);
  std::uint64_t records = 0;
  Position from;
  for (int i = 0;; ++i) {
    check(i < kStepsMax, "reading comes to an end");
    auto outcome = log.read(stream, from);
    if (disk_only || outcome.status == ReadStatus::on_disk) {
      auto from_disk = reader->read(from);
      if (!from_disk) return records;
      outcome = std::move(*from_disk);
    }
    if (outcome.status == ReadStatus::at_end) return records;
    check(outcome.next > from, "reading goes on");
    if (outcome.batch) {
      check_batch(*outcome.batch, tags);
      records += outcome.batch->size();
    }
    from = outcome.next;
  }
}

void inspect(Bench& bench) {
  (void)buffer::inspect_log(bench.disk, bench.options.directory);
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    TagRegistry tags;
    buffer::ReadRange all;
    all.stream = static_cast<Stream>(i);
    (void)buffer::read_log(bench.disk, bench.options.directory, tags, all, [&](const RecordBatch& batch) {
      check_batch(batch, tags);
      return true;
    });
  }
}

// A start of the daemon: everything that is stored is read, then one record goes on behind it.
void live(Bench& bench) {
  TagRegistry tags;
  auto log = RingLog::open(bench.disk, bench.clock, tags, bench.options, bench.known);
  check(log.has_value(), "content never makes opening fail");
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    read_stream(**log, tags, static_cast<Stream>(i), true);
    read_stream(**log, tags, static_cast<Stream>(i), false);
  }
  Reading reading;
  reading.tag = tags.intern("device/after");
  reading.time = bench.clock.wall_now();
  reading.value = std::int64_t{42};
  const auto at = (*log)->append(std::vector{reading}, bench.now(), {});
  run_jobs(**log, bench.clock);
  rewrite(**log);
  run_jobs(**log, bench.clock);
  if (at) {
    check((*log)->durable(Stream::readings) == (*log)->end(Stream::readings), "what is synced is durable");
    const auto read = (*log)->disk_reader(Stream::readings)->read(*at);
    check(read && read->status == ReadStatus::ready && read->batch->readings.size() == 1 &&
              read->batch->readings[0].value == reading.value,
          "a record written behind anything reads back");
  }
  bench.known = (*log)->state();
}

}  // namespace

void read_segment(std::span<const std::uint8_t> input) {
  const SegmentImage image = unpack_image(input);
  Bench bench;
  bench.options.directory = "log";
  bench.options.segment_bytes_max = kImageBytes;
  bench.options.size_max_bytes = {kImageBytes * 8, kImageBytes * 8, kImageBytes * 8};
  const std::string directory = std::string("log/") + to_string(image.stream);
  (void)bench.disk.make_directory("log");
  (void)bench.disk.make_directory("log/readings");  // a log without it is none
  (void)bench.disk.make_directory(directory);
  bench.disk.limit_files(kFileBytesMax);  // a header may promise a file of any size
  bench.disk.set_content(directory + "/" + buffer::segment_name(1), image.file);
  inspect(bench);
  live(bench);
  inspect(bench);
  live(bench);
}

}  // namespace tidegate::fuzz
