// Random operations on a log against the simplest thing that could be right: a map of all records, of which those that
// a full ring did not take are empty. The seed is printed;
// TIDEGATE_SEED repeats a run, TIDEGATE_MODEL_ROUNDS makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "buffer/gap_record.h"
#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kRounds = tidegate::testing::of_many(100, 30);
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
    lost_.clear();
    forgot_ = false;
    passed_ = {};
    constexpr WhenFull kPolicies[] = {WhenFull::drop_oldest, WhenFull::drop_newest, WhenFull::block};
    options_.when_full = kPolicies[below(std::size(kPolicies))];
    options_.size_max_bytes = {kSegment * (2 + below(12)), kSegment * 4, kSegment * 8};
    options_.memory_bytes_max = 2048 << below(6);
    options_.sync = below(3) == 0 ? SyncPolicy::always : SyncPolicy::interval;
    job_.reset();
    rewrite_.reset();
    open();
  }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

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
    const std::uint64_t dropped_before = log_->dropped();
    const auto first = log_->append(readings, now(), {});
    const std::uint64_t dropped = log_->dropped() - dropped_before;
    if (!first) {
      ASSERT_TRUE(first.error().code == ErrorCode::full || first.error().code == ErrorCode::retry)
          << first.error().message;
      ASSERT_EQ(log_->end(Stream::readings), end);
      return;
    }
    ASSERT_EQ(*first, end);
    ASSERT_TRUE(dropped == 0 || (dropped == count && options_.when_full == WhenFull::drop_newest)) << dropped;
    for (std::uint64_t i = 0; i < count; ++i) {
      auto& record = records_[{first->epoch, first->sequence + i}];
      if (dropped == 0) record = std::move(records[static_cast<std::size_t>(i)]);
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

  /// The uplinks have passed a place, in the policies in which that changes what is kept.
  void pass_some() {
    if (records_.empty() || options_.when_full == WhenFull::drop_oldest) return;
    passed_ = std::max(passed_, somewhere());
    log_->set_passed(Stream::readings, passed_);
  }
  Position somewhere() {
    auto at = records_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(records_.size())));
    return at->first;
  }

  void fail_some() {
    using Operation = testing::InMemoryFileSystem::Operation;
    constexpr Operation kAll[] = {Operation::open,   Operation::write,    Operation::sync,   Operation::reserve,
                                  Operation::rename, Operation::exchange, Operation::remove, Operation::sync_directory};
    const Operation operation = kAll[below(std::size(kAll))];
    const std::size_t skip = below(6);
    const std::size_t times = 1 + below(4);
    disk_.fail(operation, skip, times, below(2) == 0 ? ErrorCode::full : ErrorCode::retry);
  }

  /// A power cut takes what was not durable, but the database may know of readings behind it that were dropped: then
  /// the log knows that something is missing there. And of evicted segments it brings some back, not always the newest.
  /// Takes from the records what is missing; whether any of it was lost.
  bool lose_before_dropped(Position durable) {
    const std::size_t lost_before = lost_.size();
    std::set<Position> seen;
    for (const auto& record : read_all().records) seen.insert(record.at);
    for (auto& [at, record] : records_) {
      if (!record || at < log_->oldest(Stream::readings) || seen.contains(at)) continue;
      record.reset();
      if (options_.when_full == WhenFull::drop_oldest) continue;  // compare_gaps() looks at these
      EXPECT_GE(at.sequence, durable.sequence);
      lost_.push_back(at);
    }
    return lost_.size() > lost_before;
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
    if (below(6) == 0 && !clean) {
      known_ = {};  // the database was lost too
      forgot_ = true;
    }
    open();
    // The start of the tail that is gone, if any, is where the new epoch begins.
    const Position end = log_->end(Stream::readings);
    const auto next = [&] { return records_.empty() ? 1 : records_.rbegin()->first.sequence + 1; };
    ASSERT_LE(end.sequence, next());
    while (next() > end.sequence) {
      // Of the dropped ones at the end a kill may leave those unknown that neither the database nor a gap record has.
      ASSERT_TRUE(power_cut || (!clean && !records_.rbegin()->second)) << end.sequence;
      ASSERT_TRUE(!records_.rbegin()->second || records_.rbegin()->first.sequence >= durable.sequence);
      records_.erase(--records_.end());
    }
    // Without the database not even the numbers of what is lost are known, when nothing behind it is left.
    std::erase_if(lost_, [&](Position at) { return at.sequence >= end.sequence; });
    passed_ = std::min(passed_, end);
    log_->set_passed(Stream::readings, passed_);
    const bool lost = power_cut && lose_before_dropped(durable);
    const std::vector<std::string>& findings = log_->recovery().findings;
    // It is said again when the process before ended before that could be recorded. And where nothing is left, nothing
    // says any more that all of it was passed and evicted.
    const bool may_find = !lost_.empty() || log_->oldest(Stream::readings) == end;
    ASSERT_TRUE(findings.empty() ? !lost : may_find) << ::testing::PrintToString(findings);
    ASSERT_TRUE(log_->recovery().clean == clean || !findings.empty());
  }

  /// From a random place on: exactly the records that were kept, each as it was written.
  void read_and_compare() {
    disk_.fail_never();
    const Position oldest = log_->oldest(Stream::readings);
    Position from = oldest;
    if (!records_.empty() && below(2) == 0) from = std::max(oldest, somewhere());
    const bool from_disk = below(2) == 0;
    const ReadBack seen = from_disk ? read_disk(Stream::readings, from) : read_all(Stream::readings, from);
    std::uint64_t dropped = 0;
    auto expected = records_.lower_bound(from);
    const auto skip_dropped = [&] {
      for (; expected != records_.end() && !expected->second; ++expected) ++dropped;
    };
    for (const auto& record : seen.records) {
      skip_dropped();
      ASSERT_NE(expected, records_.end());
      ASSERT_EQ(record.at, expected->first);
      ASSERT_EQ(record.tag_path, expected->second->tag);
      ASSERT_EQ(record.reading.value, expected->second->value);
      ASSERT_EQ(record.reading.time, expected->second->time);
      ++expected;
    }
    const std::uint64_t dropped_between = dropped;
    skip_dropped();
    ASSERT_EQ(expected, records_.end());
    std::uint64_t gone = 0;
    for (const auto& [next, lost] : seen.gone) gone += lost;
    // What is dropped behind the last record is on no disk: a reader of the disk need not know of it.
    // Without the database that it was in, an epoch of which no record is left may begin later than it did.
    ASSERT_GE(gone, forgot_ ? 0 : from_disk ? dropped_between : dropped);
    ASSERT_LE(gone, dropped);
    ASSERT_EQ(log_->distance(Stream::readings, from, log_->end(Stream::readings)), seen.records.size());
  }

  /// What a full ring did not take and what a power cut took before that is recorded, each record once.
  void compare_drops() {
    sync();
    ASSERT_EQ(log_->oldest(Stream::events).sequence, 1U);
    std::vector<Position> recorded;
    std::vector<Position> recorded_lost;
    for (const auto& record : read_all(Stream::events).records) {
      const auto gap = parse_gap(record.document);
      if (!gap || gap->stream != Stream::readings) continue;
      auto& list = gap->is_drop() ? recorded : recorded_lost;
      for (std::uint64_t i = gap->range.first; i < gap->range.end; ++i) list.push_back({gap->epoch, i});
    }
    std::vector<Position> dropped;
    for (const auto& [at, record] : records_) {
      if (!record && std::find(lost_.begin(), lost_.end(), at) == lost_.end()) dropped.push_back(at);
    }
    // What all uplinks had passed needs no record.
    for (const Position at : recorded_lost) ASSERT_TRUE(std::erase(lost_, at) == 1) << at.sequence;
    for (const Position at : lost_) ASSERT_LT(at, passed_);
    ASSERT_EQ(recorded, dropped);
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
    for (const auto& [at, record] : records_) ASSERT_TRUE(record || at.sequence < next) << at.sequence;
  }

  void step() {
    switch (below(21)) {
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
        return pass_some();
      case 12:
        return static_cast<void>(clock_.advance(std::chrono::milliseconds(below(400))));
      default:
        return append_some();
    }
  }

  std::mt19937_64 random_;
  /// All that were ever accepted and not taken away by a power cut; nothing for what a full ring dropped.
  std::map<Position, std::optional<Record>> records_;
  std::vector<Position> lost_;  // of the empty ones, those that were kept first
  Position passed_;
  bool forgot_ = false;  // a database was lost
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
    if (options_.when_full == WhenFull::drop_oldest) {
      compare_gaps();
    } else {
      compare_drops();
    }
    ASSERT_FALSE(HasFailure()) << "TIDEGATE_SEED=" << seed << ", at the end";
  }
  RecordProperty("seed", std::to_string(base));
}

}  // namespace
}  // namespace tidegate::buffer
