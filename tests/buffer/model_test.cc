// Random operations on a log against the simplest thing that could be right: a map of all records. The seed is printed;
// TIDEGATE_SEED repeats a run, TIDEGATE_MODEL_ROUNDS makes it longer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRounds = 30;
#else
constexpr std::uint64_t kRounds = 100;
#endif
constexpr int kStepsPerRound = 150;

class ModelTest : public LogFixture {
 protected:
  struct Record {
    std::string tag;
    Value value;
    WallTime time;
  };

  void begin(std::uint64_t seed) {
    random_.seed(seed);
    log_.reset();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    records_.clear();
    options_.size_max_bytes = {kSegment * (2 + below(12)), kSegment * 4, kSegment * 8};
    options_.memory_bytes_max = 2048 << below(6);
    options_.sync = below(3) == 0 ? SyncPolicy::always : SyncPolicy::interval;
    job_.reset();
    rewrite_.reset();
    open();
  }

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  Value any_value() {
    switch (below(7)) {
      case 0:
        return static_cast<double>(below(100'000)) / 100;
      case 1:
        return std::int64_t{-5} + static_cast<std::int64_t>(below(10));
      case 2:
        return random_();
      case 3:
        return below(2) == 0;
      case 4:
        return std::string(below(200), 'x');
      case 5:
        return std::monostate();
      default:
        return 1.0 / static_cast<double>(1 + below(1000));
    }
  }

  void append_some() {
    std::vector<Reading> readings;
    std::vector<Record> records;
    const std::uint64_t count = below(4) == 0 ? 1 + below(800) : 1 + below(5);
    for (std::uint64_t i = 0; i < count; ++i) {
      Record record{"d" + std::to_string(below(5)) + "/t" + std::to_string(below(40)), any_value(),
                    clock_.wall_now() + std::chrono::milliseconds(below(1000))};
      readings.push_back(reading(record.tag, record.value));
      readings.back().time = record.time;
      records.push_back(std::move(record));
    }
    const Position end = log_->end(Stream::readings);
    const auto first = log_->append(readings, now(), {});
    if (!first) {
      ASSERT_TRUE(first.error().code == ErrorCode::full || first.error().code == ErrorCode::retry)
          << first.error().message;
      ASSERT_EQ(log_->end(Stream::readings), end);
      return;
    }
    ASSERT_EQ(*first, end);
    for (std::uint64_t i = 0; i < count; ++i) {
      records_[{first->epoch, first->sequence + i}] = std::move(records[static_cast<std::size_t>(i)]);
    }
  }

  void rewrite_some() {
    if (!rewrite_) rewrite_ = log_->next_rewrite();
    for (std::uint64_t slices = 1 + below(6); rewrite_ && slices > 0; --slices) {
      if (rewrite_->run_slice()) log_->finish_rewrite(std::move(rewrite_));
    }
  }
  void begin_job() {
    if (below(3) == 0) rewrite_some();
    if (job_) return;
    job_ = log_->next_job(clock_.boot_now(), below(2) == 0);
    if (job_) job_->run();
  }
  void finish_job() {
    if (job_) log_->finish(std::move(job_));
  }

  void fail_some() {
    using Operation = testing::InMemoryFileSystem::Operation;
    constexpr Operation kAll[] = {Operation::open,   Operation::write,    Operation::sync,   Operation::reserve,
                                  Operation::rename, Operation::exchange, Operation::remove, Operation::sync_directory};
    const Operation operation = kAll[below(std::size(kAll))];
    const std::uint64_t skip = below(6);
    const std::uint64_t times = 1 + below(4);
    disk_.fail(operation, skip, times, below(2) == 0 ? ErrorCode::full : ErrorCode::retry);
  }

  void stop_and_start(bool power_cut, bool clean) {
    disk_.fail_never();
    const Position durable = log_->durable(Stream::readings);
    if (clean) {
      finish_job();
      clock_.advance(std::chrono::seconds(2));  // what failed is tried again
      close();
    }
    job_.reset();
    rewrite_.reset();
    log_.reset();
    if (power_cut) disk_.lose_unsynced();
    if (below(6) == 0 && !clean) known_ = {};  // the database was lost too
    open();
    // The start of the tail that is gone, if any, is where the new epoch begins.
    const Position end = log_->end(Stream::readings);
    if (!power_cut) {
      ASSERT_EQ(end.sequence, records_.empty() ? 1 : records_.rbegin()->first.sequence + 1);
    }
    ASSERT_GE(end.sequence, durable.sequence);
    while (!records_.empty() && records_.rbegin()->first.sequence >= end.sequence) records_.erase(--records_.end());
    ASSERT_TRUE(log_->recovery().findings.empty()) << log_->recovery().findings[0];
    ASSERT_EQ(log_->recovery().clean, clean);
  }

  /// From a random place on: exactly the records that were kept, each as it was written.
  void read_and_compare() {
    disk_.fail_never();
    const Position oldest = log_->oldest(Stream::readings);
    Position from = oldest;
    if (!records_.empty() && below(2) == 0) {
      auto somewhere = records_.begin();
      std::advance(somewhere, static_cast<std::ptrdiff_t>(below(records_.size())));
      from = std::max(oldest, somewhere->first);
    }
    const ReadBack seen = below(2) == 0 ? read_all(Stream::readings, from) : read_disk(Stream::readings, from);
    ASSERT_TRUE(seen.gone.empty()) << ::testing::PrintToString(seen.gone);
    auto expected = records_.lower_bound(from);
    for (const auto& record : seen.records) {
      ASSERT_NE(expected, records_.end());
      ASSERT_EQ(record.at, expected->first);
      ASSERT_EQ(record.tag_path, expected->second.tag);
      ASSERT_EQ(record.reading.value, expected->second.value);
      ASSERT_EQ(record.reading.time, expected->second.time);
      ++expected;
    }
    ASSERT_EQ(expected, records_.end());
    ASSERT_EQ(log_->distance(Stream::readings, from, log_->end(Stream::readings)), seen.records.size());
  }

  /// What was evicted is recorded, each record once; the oldest gap records can be evicted themselves.
  void compare_gaps() {
    sync();
    std::uint64_t next = 1;
    bool complete = log_->oldest(Stream::events).sequence == 1;
    for (const auto& record : read_all(Stream::events).records) {
      if (record.document.find("\"stream\":\"events\"") != std::string::npos) continue;
      const auto number = [&](const std::string& key) {
        return std::stoull(record.document.substr(record.document.find("\"" + key + "\":") + key.size() + 3));
      };
      if (!std::exchange(complete, true)) next = number("first");
      ASSERT_EQ(number("first"), next) << record.document;
      next = number("last") + 1;
      ASSERT_TRUE(records_.contains({static_cast<std::uint32_t>(number("epoch")), number("first")}));
      ASSERT_TRUE(records_.contains({static_cast<std::uint32_t>(number("epoch")), number("last")}));
    }
    // A kill between the gap record and the removal of the file brings the records back.
    ASSERT_GE(next, log_->oldest(Stream::readings).sequence);
  }

  void step() {
    switch (below(20)) {
      case 0:
        return stop_and_start(false, false);
      case 1:
        return stop_and_start(true, false);
      case 2:
        return stop_and_start(false, true);
      case 3:
      case 4:
        return read_and_compare();
      case 5:
        return save();
      case 6:
      case 7:
        return begin_job();
      case 8:
      case 9:
        return finish_job();
      case 10:
        return fail_some();
      case 11:
        return static_cast<void>(clock_.advance(std::chrono::milliseconds(below(400))));
      default:
        return append_some();
    }
  }

  std::mt19937_64 random_;
  std::map<Position, Record> records_;  // all that were ever accepted and not taken away by a power cut
  std::unique_ptr<LogJob> job_;
  std::unique_ptr<RewriteJob> rewrite_;
};

TEST_F(ModelTest, BehavesLikeAMapOfAllRecords) {
  const std::uint64_t base = testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t rounds = testing::from_environment("TIDEGATE_MODEL_ROUNDS", kRounds);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const std::uint64_t seed = base + round;
    begin(seed);
    for (int i = 0; i < kStepsPerRound; ++i) {
      step();
      ASSERT_FALSE(HasFailure()) << "TIDEGATE_SEED=" << seed << ", step " << i;
    }
    finish_job();
    disk_.fail_never();
    clock_.advance(std::chrono::seconds(2));
    read_and_compare();
    compare_gaps();
    ASSERT_FALSE(HasFailure()) << "TIDEGATE_SEED=" << seed << ", at the end";
  }
  RecordProperty("seed", std::to_string(base));
}

}  // namespace
}  // namespace tidegate::buffer
