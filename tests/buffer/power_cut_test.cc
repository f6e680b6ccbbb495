// Lives of a log that end by power cuts, on a disk that loses any part of what was not synced. Each seed is several
// lives.
//   TIDEGATE_SEED=N build/release/bin/buffer_test --gtest_filter='PowerCut*'   repeats the seed N alone
//   TIDEGATE_POWER_CUT_SEEDS=N                                                 runs so many
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSeeds = tidegate::testing::of_many(5'000, 300);
constexpr int kParts = 4;  // tests that run side by side
constexpr int kStepsMax = 60;

class PowerCutTest : public LogFixture, public ::testing::WithParamInterface<int> {
 protected:
  struct Record {
    std::string tag;
    Value value;
    std::string document;
  };
  using Records = std::map<Position, Record>;

  void begin(std::uint64_t seed) {
    random_.seed(seed);
    log_.reset();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    for (auto& records : records_) records.clear();
    for (auto& given : given_out_) given.clear();
    for (auto& records : ever_) records.clear();
    lost_state_ = false;
    options_.size_max_bytes = {kSegment * (2 + below(5)), kSegment * (2 + below(3)), kSegment * (2 + below(3))};
    options_.memory_bytes_max = 2048 << below(6);
    options_.sync = below(3) == 0 ? SyncPolicy::always : SyncPolicy::interval;
    job_.reset();
    rewrite_.reset();
    open();
  }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  Value any_value() {
    switch (below(6)) {
      case 0:
        return static_cast<double>(below(100'000)) / 100;
      case 1:
        return -std::int64_t{5} + static_cast<std::int64_t>(below(10));
      case 2:
        return random_();
      case 3:
        return below(2) == 0;
      case 4:
        return std::string(below(600), static_cast<char>('a' + below(26)));
      default:
        return 1.0 / static_cast<double>(1 + below(1000));
    }
  }

  static constexpr std::size_t index_of(Stream stream) { return static_cast<std::size_t>(stream); }

  void note(Stream stream, Position at, Record record) {
    ASSERT_TRUE(given_out_[index_of(stream)].insert(at).second)
        << to_string(stream) << ": epoch " << at.epoch << " sequence " << at.sequence << " was given out twice";
    ever_[index_of(stream)][at].push_back(record);
    records_[index_of(stream)][at] = std::move(record);
  }

  void append_readings() {
    std::vector<Reading> readings;
    std::vector<Record> records;
    const std::uint64_t count = below(4) == 0 ? 1 + below(300) : 1 + below(5);
    for (std::uint64_t i = 0; i < count; ++i) {
      Record record{"d" + std::to_string(below(5)) + "/t" + std::to_string(below(20)), any_value(), ""};
      readings.push_back(reading(record.tag, record.value));
      records.push_back(std::move(record));
    }
    const auto first = log_->append(readings, now(), {});
    if (!first) return;
    for (std::uint64_t i = 0; i < count; ++i) {
      note(Stream::readings, {first->epoch, first->sequence + i}, std::move(records[static_cast<std::size_t>(i)]));
    }
  }

  void append_alarms() {
    std::vector<std::string> documents;
    for (std::uint64_t i = 0; i <= below(3); ++i) {
      documents.push_back("{\"alarm\":\"r/t\",\"n\":" + std::to_string(random_()) + ",\"pad\":\"" +
                          std::string(below(3000), 'p') + "\"}");
    }
    const auto first = log_->append(Stream::alarms, documents, now());
    if (!first) return;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      note(Stream::alarms, {first->epoch, first->sequence + i}, {"", Value{}, documents[i]});
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

  void pass_some() {
    const Position oldest = log_->oldest(Stream::readings);
    const Position durable = log_->durable(Stream::readings);
    if (durable.sequence <= oldest.sequence) return;
    auto somewhere = records_[0].lower_bound(
        {0, oldest.sequence + below(static_cast<std::size_t>(durable.sequence - oldest.sequence))});
    for (; somewhere != records_[0].end(); ++somewhere) {
      if (somewhere->first.sequence < oldest.sequence) continue;
      return log_->set_passed(Stream::readings, somewhere->first);
    }
  }

  // The job that the cut interrupts may have run or not, and nobody has heard of it.
  void cut_and_start() {
    std::array<Position, 2> durable{log_->durable(Stream::readings), log_->durable(Stream::alarms)};
    if (below(2) == 0) begin_job();
    job_.reset();
    rewrite_.reset();
    log_.reset();
    disk_.power_cut(random_());
    lost_state_ = below(5) == 0;
    if (lost_state_) known_ = {};
    clock_.advance(std::chrono::seconds(1));
    open();
    ASSERT_TRUE(log_) << "the log does not open";
    compare(Stream::readings, durable[0]);
    compare(Stream::alarms, durable[1]);
  }

  void close_and_start() {
    finish_job();
    rewrite_.reset();
    close();
    if (below(2) == 0) disk_.power_cut(random_());  // everything was synced: it takes nothing
    open();
    ASSERT_TRUE(log_);
    ASSERT_TRUE(log_->recovery().clean);
    lost_state_ = false;
    compare(Stream::readings, log_->end(Stream::readings));
    compare(Stream::alarms, log_->end(Stream::alarms));
  }

  /// What is there is what was written, in order; what was durable is there, unless it was evicted.
  void compare(Stream stream, Position durable) {
    Records& records = records_[index_of(stream)];
    const ReadBack seen = below(2) == 0 ? read_all(stream) : read_disk(stream);
    const std::uint64_t oldest = log_->oldest(stream).sequence;
    Records kept;
    Position before{};
    for (const auto& record : seen.records) {
      ASSERT_LT(before, record.at);
      before = record.at;
      // Sectors of a later frame can make one whole again that a cut before had torn: then it is as it was written.
      const auto& written = ever_[index_of(stream)][record.at];
      const auto same = std::find_if(written.begin(), written.end(), [&](const Record& one) {
        return record.tag_path == one.tag && record.document == one.document &&
               (stream != Stream::readings || record.reading.value == one.value);
      });
      ASSERT_NE(same, written.end()) << to_string(stream) << ": epoch " << record.at.epoch << " sequence "
                                     << record.at.sequence
                                     << (written.empty() ? " was never written" : " is not as it was written");
      kept[record.at] = *same;
    }
    for (const auto& [at, record] : records) {
      const bool is_promised = at.sequence < durable.sequence && at.sequence >= oldest;
      ASSERT_TRUE(!is_promised || kept.contains(at))
          << to_string(stream) << ": epoch " << at.epoch << " sequence " << at.sequence << " was durable (up to "
          << durable.sequence << ") and is gone";
    }
    // Without the database, what is gone for another reason is not known to have been given out.
    if (!lost_state_) {
      ASSERT_GE(log_->end(stream).sequence, durable.sequence);
    }
    records = std::move(kept);
    if (!lost_state_) return;
    // Which epochs there were is known only from what is left of them.
    given_out_[index_of(stream)].clear();
    for (const auto& [at, record] : records) given_out_[index_of(stream)].insert(at);
  }

  void step() {
    switch (below(16)) {
      case 0:
        return cut_and_start();
      case 1:
        return below(3) == 0 ? close_and_start() : save();
      case 2:
        return save();
      case 3:
        return append_alarms();
      case 4:
        return pass_some();
      case 5:
      case 6:
      case 7:
        return begin_job();
      case 8:
      case 9:
      case 10:
        return finish_job();
      case 11:
        return static_cast<void>(clock_.advance(std::chrono::milliseconds(below(400))));
      default:
        return append_readings();
    }
  }

  void live(std::uint64_t seed) {
    begin(seed);
    const std::uint64_t steps = 20 + below(kStepsMax);
    for (std::uint64_t i = 0; i < steps && !HasFailure(); ++i) step();
    if (!HasFailure()) cut_and_start();
    ASSERT_FALSE(HasFailure()) << "TIDEGATE_SEED=" << seed
                               << " build/release/bin/buffer_test --gtest_filter='PowerCut*'";
  }

  std::mt19937_64 random_;
  std::array<Records, 2> records_;               // by stream: what can be there
  std::array<std::set<Position>, 2> given_out_;  // by stream: all that ever were
  // By stream: all that was ever written; twice under one identity only where the database was lost.
  std::array<std::map<Position, std::vector<Record>>, 2> ever_;
  std::unique_ptr<LogJob> job_;
  std::unique_ptr<RewriteJob> rewrite_;
  bool lost_state_ = false;
};

INSTANTIATE_TEST_SUITE_P(Part, PowerCutTest, ::testing::Range(0, kParts));

TEST_P(PowerCutTest, TakesNothingThatWasDurable) {
  if (std::getenv("TIDEGATE_SEED") != nullptr) {
    if (GetParam() == 0) live(testing::from_environment("TIDEGATE_SEED", 0));
    return;
  }
  // The same seeds in every run of the list, so that what is red then was brought by the change at hand; new ones in a
  // soak.
  const bool asked = std::getenv("TIDEGATE_POWER_CUT_SEEDS") != nullptr;
  const std::uint64_t seeds = testing::from_environment("TIDEGATE_POWER_CUT_SEEDS", kSeeds);
  const std::uint64_t base = asked ? std::random_device{}() * std::uint64_t{1'000'000} : 0;
  const std::uint64_t first = base + static_cast<std::uint64_t>(GetParam()) * 100'000'000;
  RecordProperty("first_seed", std::to_string(first));
  for (std::uint64_t i = 0; i < seeds && !HasFailure(); ++i) live(first + i);
}

}  // namespace
}  // namespace tidegate::buffer
