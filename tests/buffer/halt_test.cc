// Random lives of a log whose machine stops in the middle of an operation, or is killed, on a disk that loses what it
// may lose, checked by an oracle that knows every record, its queue mark, and the gap records. A failing seed is
// printed; TIDEGATE_SEED repeats it, TIDEGATE_SEEDS sets how many are run from it on.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <random>

#include "buffer/gap_record.h"
#include "core/log.h"
#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSeeds = tidegate::testing::of_many(5'000, 300);  // a part

class HaltTest : public LogFixture {
 protected:
  struct Record {
    std::string content;
    QueueMark mark;
    bool is_durable = false;
    bool handed = false;  // to a consumer
  };
  using Records = std::map<Position, Record>;

  HaltTest() { set_up_logging(LogLevel::error); }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  Value any_value() {
    switch (below(8)) {
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
      case 6:
        return std::string(5000 + below(15'000), static_cast<char>('a' + below(26)));
      default:
        return 1.0 / static_cast<double>(1 + below(1000));
    }
  }

  static std::string content_of(const std::string& tag, const Reading& reading) {
    std::string content = tag + '|' + std::to_string(reading.time.time_since_epoch().count()) + '|' +
                          std::to_string(reading.value.index()) + '|';
    if (const auto* text = std::get_if<std::string>(&reading.value)) return content + *text;
    if (const auto* number = std::get_if<double>(&reading.value)) {
      return content + std::to_string(std::bit_cast<std::uint64_t>(*number));
    }
    if (const auto* number = std::get_if<std::int64_t>(&reading.value)) return content + std::to_string(*number);
    if (const auto* number = std::get_if<std::uint64_t>(&reading.value)) return content + std::to_string(*number);
    if (const auto* flag = std::get_if<bool>(&reading.value)) return content + (*flag ? "true" : "false");
    return content;
  }

  Records& records(Stream stream) { return records_[static_cast<std::size_t>(stream)]; }

  void add(Stream stream, Position at, Record record) {
    const auto known = records(stream).find(at);
    if (known != records(stream).end()) {
      ASSERT_FALSE(known->second.is_durable) << "a durable record's place is given out again";
      ASSERT_FALSE(known->second.handed && !database_lost_) << "the place of a record that was handed out";
    }
    records(stream)[at] = std::move(record);
  }

  void append_readings() {
    std::vector<Reading> readings;
    std::vector<Record> made;
    const std::uint64_t count = below(6) == 0 ? 1 + below(60) : 1 + below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string tag = "d" + std::to_string(below(3)) + "/t" + std::to_string(below(20));
      readings.push_back(reading(tag, any_value()));
      readings.back().time += std::chrono::milliseconds(below(1000));
      made.push_back({content_of(tag, readings.back()), {}, false, false});
    }
    std::vector<QueueMark> marks;
    if (below(2) == 0) marks.push_back({queue_id_, next_mark_});
    const Position end = log_->end(Stream::readings);
    const auto first = log_->append(readings, now(), marks);
    if (!first) {
      // The machine stopped in the middle: nobody was told, and a part of it may be there.
      for (std::uint64_t i = 0; disk_halts_ && i < count; ++i) {
        perhaps_.emplace(Position{end.epoch, end.sequence + i}, made[static_cast<std::size_t>(i)]);
      }
      return;
    }
    if (!marks.empty()) made.back().mark = {queue_id_, next_mark_++};
    for (std::uint64_t i = 0; i < count; ++i) {
      add(Stream::readings, {first->epoch, first->sequence + i}, std::move(made[static_cast<std::size_t>(i)]));
    }
    note_durable();
  }

  void append_documents(Stream stream) {
    const std::string document = R"({"n":)" + std::to_string(random_()) + "}";
    const auto first = log_->append(stream, std::vector<std::string>{document}, now());
    if (first) add(stream, *first, {document, {}, false, false});
    note_durable();
  }

  void note_durable() {
    for (const Stream stream : kAllStreams) {
      Records& all = records(stream);
      for (auto one = all.lower_bound(log_->durable(stream)); one != all.begin();) {
        if ((--one)->second.is_durable) break;
        one->second.is_durable = true;
      }
    }
  }

  void finish_job() {
    if (!job_) return;
    log_->finish(std::move(job_));
    note_durable();
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

  void step() {
    clock_.advance(std::chrono::milliseconds(below(200)));
    switch (below(16)) {
      case 0:
        return save();
      case 1:
      case 2:
      case 3:
        return begin_job();
      case 4:
      case 5:
      case 6:
        return finish_job();
      case 7:
        return append_documents(Stream::alarms);
      case 8:
        return append_documents(Stream::events);
      case 9: {
        if (below(2) == 0) return compare(Stream::readings, false);
        return pass(log_->durable(Stream::readings));
      }
      default:
        return append_readings();
    }
  }

  void pass(Position to) {
    if (below(3) != 0) return;
    passed_ = std::max(passed_, to);
    log_->set_passed(Stream::readings, passed_);
  }

  /// Everything that is read was written so, each once and in order; what is durable is there, or gone by a gap.
  void compare(Stream stream, bool after_start) {
    if (disk_halts_) return;
    Records& all = records(stream);
    std::vector<Position> present;
    const bool from_disk = after_start && below(2) == 0;
    for (auto& record : (from_disk ? read_disk(stream) : read_all(stream)).records) {
      const std::string content =
          stream == Stream::readings ? content_of(record.tag_path, record.reading) : record.document;
      ASSERT_TRUE(present.empty() || record.at > present.back()) << "out of order";
      present.push_back(record.at);
      auto known = all.find(record.at);
      if (known == all.end() && stream == Stream::events && parse_gap(content)) {
        known = all.emplace(record.at, Record{content, {}, false, false}).first;
      }
      const auto [first, last] = perhaps_.equal_range(record.at);
      const auto perhaps = std::find_if(first, last, [&](const auto& one) { return one.second.content == content; });
      if (known == all.end() && stream == Stream::readings && perhaps != last) known = all.insert(*perhaps).first;
      ASSERT_NE(known, all.end()) << to_string(stream) << " " << record.at.sequence << " was never written"
                                  << (lost_.contains({stream, record.at}) ? ", or lost by an earlier cut" : "");
      ASSERT_EQ(known->second.content, content) << to_string(stream) << " " << record.at.sequence << " is altered";
      known->second.handed = true;
    }
    if (after_start) account(stream, present);
  }

  void account(Stream stream, const std::vector<Position>& present) {
    for (auto one = records(stream).begin(); one != records(stream).end();) {
      const Position at = one->first;
      if (std::binary_search(present.begin(), present.end(), at)) {
        ++one;
        continue;
      }
      if (!one->second.is_durable) {
        lost_.insert_or_assign({stream, at}, one->second);
        one = records(stream).erase(one);
        continue;
      }
      const bool excused = (stream == Stream::readings && at < passed_) || recorded_as_gap(stream, at);
      ASSERT_TRUE(excused) << to_string(stream) << ": durable record " << at.epoch << ":" << at.sequence
                           << " is lost; the log has " << log_->oldest(stream).sequence << " to "
                           << log_->end(stream).sequence << ", " << log_->recovery().findings.size()
                           << " findings, database lost: " << database_lost_;
      ++one;
    }
  }

  bool recorded_as_gap(Stream stream, Position at) {
    return std::any_of(gaps_.begin(), gaps_.end(), [&](const RecordedGap& gap) {
      return gap.stream == stream && gap.epoch == at.epoch && gap.range.first <= at.sequence &&
             at.sequence < gap.range.end;
    });
  }

  void check_marks() {
    std::uint64_t expected = 0;
    for (const auto& [at, record] : records(Stream::readings)) {
      if (record.mark.queue_id == queue_id_) expected = std::max(expected, record.mark.position);
    }
    std::uint64_t found = 0;
    for (const QueueMark& mark : log_->queue_marks()) found = mark.queue_id == queue_id_ ? mark.position : found;
    ASSERT_EQ(found, expected) << "the queue's mark";
  }

  void stop_and_start() {
    const std::uint64_t how = below(8);
    const bool cut = disk_halts_ || how >= 3;
    job_.reset();
    rewrite_.reset();
    log_.reset();
    ASSERT_TRUE(disk_.misuses().empty()) << disk_.misuses()[0];
    disk_.fail_never();
    disk_halts_ = false;
    if (cut) disk_.power_cut(random_());
    database_lost_ = how == 7 && below(2) == 0;
    if (database_lost_) known_ = {};
    ASSERT_NO_FATAL_FAILURE(open());
    log_->set_passed(Stream::readings, passed_);
    gaps_.clear();
    for (const auto& record : read_all(Stream::events).records) {
      if (const auto gap = parse_gap(record.document)) gaps_.push_back(*gap);
    }
    for (const Stream stream : kAllStreams) compare(stream, true);
    perhaps_.clear();
    // The queue lies in memory and goes with the power; the next one has another id. A mark of the lost one may be left
    // in the header of a segment though the frame before it, with the record, is not.
    if (cut) ++queue_id_;
    check_marks();
    note_durable();
  }

  void begin(std::uint64_t seed) {
    random_.seed(seed);
    job_.reset();
    rewrite_.reset();
    log_.reset();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    records_ = {};
    lost_.clear();
    perhaps_.clear();
    gaps_.clear();
    passed_ = {};
    queue_id_ = 7;
    next_mark_ = 1;
    database_lost_ = false;
    disk_halts_ = false;
    options_.size_max_bytes = {kSegment * (2 + below(6)), kSegment * 4, kSegment * 16};
    options_.memory_bytes_max = 2048 << below(8);
    options_.sync = static_cast<SyncPolicy>(below(3));
    open();
  }

  void live(std::uint64_t seed) {
    begin(seed);
    const std::uint64_t lives = 1 + below(4);
    for (std::uint64_t life = 0; life < lives && !HasFailure(); ++life) {
      const std::size_t steps = 5 + below(60);
      const std::size_t halt_at = below(2) == 0 ? below(steps) : steps;
      for (std::size_t i = 0; i < steps && !HasFailure(); ++i) {
        if (i == halt_at) {
          disk_.halt_after(below(20));
          disk_halts_ = true;
        }
        step();
      }
      stop_and_start();
    }
  }

  void run_seeds(std::uint64_t part) {
    const bool given = std::getenv("TIDEGATE_SEED") != nullptr;
    const std::uint64_t seeds = testing::from_environment("TIDEGATE_SEEDS", given ? 1 : kSeeds);
    const std::uint64_t base = testing::from_environment("TIDEGATE_SEED", 0);
    for (std::uint64_t i = 0; i < seeds; ++i) {
      const std::uint64_t seed = base + part * seeds + i;
      live(seed);
      ASSERT_FALSE(HasFailure()) << "repeat: TIDEGATE_SEED=" << seed
                                 << " build/release/bin/buffer_test --gtest_filter=HaltTest.First";
    }
  }

  std::mt19937_64 random_;
  std::array<Records, kStreamCount> records_;  // accepted and not taken away by a power cut
  std::map<std::pair<Stream, Position>, Record> lost_;
  std::multimap<Position, Record> perhaps_;  // readings of an append that the power cut interrupted
  std::vector<RecordedGap> gaps_;
  Position passed_;
  std::uint64_t queue_id_ = 7;
  std::uint64_t next_mark_ = 1;
  bool database_lost_ = false;
  bool disk_halts_ = false;
  std::unique_ptr<LogJob> job_;
  std::unique_ptr<RewriteJob> rewrite_;
};

// Four, so that they can run beside each other.
TEST_F(HaltTest, First) { run_seeds(0); }
TEST_F(HaltTest, Second) { run_seeds(1); }
TEST_F(HaltTest, Third) { run_seeds(2); }
TEST_F(HaltTest, Fourth) { run_seeds(3); }

}  // namespace
}  // namespace tidegate::buffer
