// The log as the daemon drives it: appends and memory reads on one thread, jobs on another, disk reads on a third, on
// real files. For the thread sanitizer above all.
#include <gtest/gtest.h>

#include <thread>

#include "buffer/ring_log.h"
#include "core/bounded_queue.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::buffer {
namespace {

class ThreadsTest : public ::testing::Test {
 protected:
  ThreadsTest() {
    options_.directory = directory_ / "log";
    options_.segment_bytes_max = 64 * 1024;
    options_.size_max_bytes[0] = 16 * 64 * 1024;
    options_.memory_bytes_max = 16 * 1024;
    options_.sync_interval = std::chrono::milliseconds(1);
  }

  FrameTimes now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }

  /// The core's part: what came back, then what is due.
  void pump(RingLog& log, BoundedQueue<std::unique_ptr<LogJob>>& to_do, BoundedQueue<std::unique_ptr<LogJob>>& done) {
    std::vector<std::unique_ptr<LogJob>> finished;
    done.take_all(finished);
    for (auto& job : finished) log.finish(std::move(job));
    if (auto job = log.next_job(clock_.boot_now(), false)) to_do.push(std::move(job));
  }

  testing::TemporaryDirectory directory_;
  PosixFileSystem files_;
  SystemClock clock_;
  TagRegistry tags_;
  RingLogOptions options_;
};

struct ReaderTask {
  std::unique_ptr<DiskReader> reader;
  Position from;
};

using Jobs = BoundedQueue<std::unique_ptr<LogJob>>;

// The log sync thread and the storage thread, until their queue is closed.
void run_jobs(Jobs& to_do, Jobs& done) {
  std::vector<std::unique_ptr<LogJob>> jobs;
  for (to_do.wait_all(jobs); !jobs.empty(); to_do.wait_all(jobs)) {
    for (auto& job : jobs) {
      job->run();
      done.push(std::move(job));
    }
  }
}
void run_reads(BoundedQueue<ReaderTask>& to_read, BoundedQueue<ReadOutcome>& outcomes) {
  std::vector<ReaderTask> tasks;
  for (to_read.wait_all(tasks); !tasks.empty(); to_read.wait_all(tasks)) {
    for (ReaderTask& task : tasks) {
      auto outcome = task.reader->read(task.from);
      outcomes.push(outcome ? std::move(*outcome) : ReadOutcome{});
    }
  }
}

TEST_F(ThreadsTest, JobsAndDiskReadsRunBesideTheCore) {
  auto log = RingLog::open(files_, clock_, tags_, options_, {});
  ASSERT_TRUE(log);
  BoundedQueue<std::unique_ptr<LogJob>> to_do(4);
  BoundedQueue<std::unique_ptr<LogJob>> done(4);
  BoundedQueue<ReaderTask> to_read(4);
  BoundedQueue<ReadOutcome> outcomes(4);
  std::thread sync([&] { run_jobs(to_do, done); });
  std::thread storage([&] { run_reads(to_read, outcomes); });

  constexpr std::uint64_t kRecords = 60'000;
  Position at = (*log)->oldest(Stream::readings);
  std::uint64_t seen = 0;
  std::uint64_t gone = 0;
  const auto take = [&](const ReadOutcome& outcome) {
    gone += outcome.lost;
    if (outcome.batch) {
      for (std::size_t i = 0; i < outcome.batch->size(); ++i) {
        ASSERT_EQ(std::get<std::uint64_t>(outcome.batch->readings[i].value), outcome.batch->first + i);
      }
      seen += outcome.batch->size();
    }
    at = outcome.next;
  };
  std::uint64_t refused = 0;
  while (seen + gone < kRecords && !HasFailure()) {
    const std::uint64_t first = (*log)->end(Stream::readings).sequence;
    std::vector<Reading> readings;
    for (std::uint64_t i = 0; i < 50 && first + i <= kRecords; ++i) {
      Reading one;
      one.tag = tags_.intern("device/tag-" + std::to_string(i));
      one.time = clock_.wall_now();
      one.value = first + i;
      readings.push_back(std::move(one));
    }
    if (!readings.empty() && !(*log)->append(readings, now(), {})) ++refused;
    pump(**log, to_do, done);
    // The consumer keeps up only now and then, so that it reads both ways.
    if (first % 400 == 1 || readings.empty()) {
      const ReadOutcome outcome = (*log)->read(Stream::readings, at);
      if (outcome.status == ReadStatus::ready || outcome.status == ReadStatus::gone) take(outcome);
      if (outcome.status == ReadStatus::on_disk) {
        to_read.push({(*log)->disk_reader(Stream::readings), at});
        std::vector<ReadOutcome> read;
        outcomes.wait_all(read);
        for (const ReadOutcome& one : read) take(one);
      }
    }
  }
  to_do.close();
  to_read.close();
  sync.join();
  storage.join();
  EXPECT_EQ(seen + gone, kRecords);
  EXPECT_GT(seen, 0U);
}

}  // namespace
}  // namespace tidegate::buffer
