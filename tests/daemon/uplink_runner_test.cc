#include "daemon/uplink_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/stop_uplinks.h"
#include "daemon/stored_accounts.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using uplink::Lane;
using uplink::LaneOf;
using Operation = testing::InMemoryFileSystem::Operation;

/// What a transport was given; outlives it.
struct Sent {
  uplink::TransportHandlers handlers;
  std::vector<uplink::OutgoingBatch> batches;

  const uplink::OutgoingBatch* of(LaneOf lane) const {
    const auto found = std::find_if(batches.begin(), batches.end(), [&](const auto& batch) {
      return !uplink::Forwarder::is_letter(batch.id) && uplink::Forwarder::lane_of(batch.id) == lane;
    });
    return found == batches.end() ? nullptr : &*found;
  }
};

class FakeTransport final : public uplink::Transport {
 public:
  explicit FakeTransport(std::shared_ptr<Sent> sent) : sent_(std::move(sent)) {}
  Result<void> start() override { return {}; }
  void stop(Duration) override {}
  void send(const uplink::OutgoingBatch& batch) override { sent_->batches.push_back(batch); }

 private:
  std::shared_ptr<Sent> sent_;
};

class UplinkRunnerTest : public ::testing::Test {
 protected:
  UplinkRunnerTest() {
    EXPECT_TRUE(disk_.make_directory("data"));
    open_log();
    options_.name = "lake";
    options_.batch_readings_max = 1;
    options_.batch_delay_max = Duration::zero();
  }
  void open_log() {
    buffer::RingLogOptions options;
    options.directory = "data/log";
    options.segment_bytes_max = std::uint64_t{64} * 1024;
    options.size_max_bytes.fill(std::uint64_t{1} << 20);
    log_.reset();
    disk_.begin_process();
    auto opened = buffer::RingLog::open(disk_, clock_, tags_, options, known_);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
    known_ = log_->state();
  }
  FrameTimes now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }
  void append_readings(std::size_t count) {
    std::vector<Reading> readings(count);
    for (auto& reading : readings) reading.tag = tags_.intern("pump/flow");
    ASSERT_TRUE(log_->append(readings, now(), {}));
  }
  void append_alarm() {
    ASSERT_TRUE(log_->append(Stream::alarms, std::vector<std::string>{R"({"alarm":"a","tag":"pump/flow"})"}, now()));
  }
  UplinkEnvironment environment() {
    UplinkEnvironment environment{log_.get(), &loop_, &storage_, &clock_, &history_, nullptr, &tags_, "plant"};
    environment.record_event = [this](std::string event) { events_.push_back(std::move(event)); };
    return environment;
  }
  void make_runner() {
    runner_ = std::make_unique<UplinkRunner>(options_, environment(), [this](uplink::TransportHandlers handlers) {
      sent_->handlers = std::move(handlers);
      return std::make_unique<FakeTransport>(sent_);
    });
  }
  void start() {
    ASSERT_TRUE(runner_->start());
    sent_->handlers.link(true, "");
    run_until([this] { return runner_->is_up(); });
  }
  void refuse(const uplink::OutgoingBatch& batch) {
    uplink::BatchFailure how;
    how.refusal = "422: no";
    sent_->handlers.failed(batch.id, how);
  }

  /// Lets the loop run, and the clock with it, until that is so.
  template <class Reached>
  bool run_until(const Reached& reached) {
    const auto look = loop_.make_timer();
    int left = 5'000;
    std::function<void()> look_again = [&] {
      clock_.advance(5ms);
      if (reached() || --left == 0) return loop_.stop();
      look->arm(1ms, look_again);
    };
    look->arm(0ms, look_again);
    loop_.run();
    return left > 0;
  }
  /// All that was reported is worked through.
  void settle() {
    loop_.post([this] { loop_.stop(); });
    loop_.run();
  }

  testing::InMemoryFileSystem disk_;
  testing::ManualClock clock_;
  TagRegistry tags_;
  buffer::LogState known_;
  std::unique_ptr<buffer::RingLog> log_;
  EventLoop loop_;
  Worker storage_{"storage"};
  ClockHistory history_{read_boot_id().value_or(BootId{})};
  uplink::ForwarderOptions options_;
  std::vector<std::string> events_;
  std::shared_ptr<Sent> sent_ = std::make_shared<Sent>();
  std::unique_ptr<UplinkRunner> runner_;
};

TEST_F(UplinkRunnerTest, ASegmentThatCannotBeReadKeepsNoOtherStreamBack) {
  append_alarm();
  append_readings(3);
  open_log();  // from here on they are on the disk alone
  disk_.fail(Operation::open, 0, 1'000'000, ErrorCode::retry, "alarms");
  make_runner();
  start();
  EXPECT_TRUE(run_until([this] { return sent_->batches.size() >= 3; })) << sent_->batches.size();
  EXPECT_EQ(sent_->of(Stream::alarms), nullptr);
  disk_.fail_never();
  EXPECT_TRUE(run_until([this] { return sent_->of(Stream::alarms) != nullptr; }));
}

// It would hold for the next start, too, which could not tell it from one of records that are done.
TEST_F(UplinkRunnerTest, HasNoPlaceToKeepBeforeItHasBegun) {
  append_readings(3);
  make_runner();
  EXPECT_THAT(runner_->cursors(), IsEmpty());
  start();
  const auto kept = runner_->cursors();
  ASSERT_EQ(kept.size(), options_.streams.size());
  for (const auto& cursor : kept) EXPECT_EQ(cursor.acked_to, log_->oldest(cursor.stream)) << to_string(cursor.stream);
}

TEST_F(UplinkRunnerTest, TakesAPlaceOfNoEpochForNone) {
  make_runner();
  for (const Stream stream : kAllStreams) {
    buffer::StoredCursor none;
    none.uplink = "lake";
    none.stream = stream;
    runner_->restore(none);
  }
  start();
  for (const auto& cursor : runner_->cursors()) {
    EXPECT_EQ(cursor.acked_to, log_->oldest(cursor.stream)) << to_string(cursor.stream);
  }
  append_readings(1);
  runner_->pump();
  run_until([this] { return sent_->of({Stream::readings, Lane::live}) != nullptr; });
}

TEST_F(UplinkRunnerTest, ALetterThatDidNotArriveSaysSomething) {
  make_runner();
  start();
  buffer::DeadLetter letter;
  letter.at = {1, 7};
  letter.record = R"({"seq":7})";
  std::string answer;
  runner_->send_letter(letter, [&](const Result<void>& sent) { answer = sent ? "" : sent.error().message; });
  ASSERT_EQ(sent_->batches.size(), 1U);
  sent_->handlers.done(sent_->batches[0].id, false);
  settle();
  EXPECT_EQ(answer, "it did not arrive: the target did not say why; look at the status of lake");
}

TEST_F(UplinkRunnerTest, ALinkThatEndsAgainAndAgainIsDownUntilItHoldsThoughBatchesAreTaken) {
  make_runner();
  start();
  const auto flap = [&] {
    append_readings(1);
    runner_->pump();
    run_until([&] { return !sent_->batches.empty(); });
    if (!sent_->batches.empty()) sent_->handlers.done(sent_->batches.back().id, true);
    sent_->batches.clear();
    sent_->handlers.link(false, "the broker ended it");
    settle();
    EXPECT_EQ(runner_->detail(), "the broker ended it");
    clock_.advance(1s);
    sent_->handlers.link(true, "");
    settle();
  };
  for (int i = 0; i < 20; ++i) flap();
  EXPECT_THAT(events_, ElementsAre(HasSubstr("uplink-up"), HasSubstr("uplink-down"), HasSubstr("uplink-up"),
                                   HasSubstr("uplink-down")));
  EXPECT_FALSE(runner_->is_up());
  EXPECT_THAT(runner_->detail(), HasSubstr("within a minute"));
  clock_.advance(59900ms);
  runner_->pump();
  EXPECT_FALSE(runner_->is_up());
  EXPECT_TRUE(run_until([&] { return runner_->is_up(); })) << "nothing more is told of it, nor asked";
  EXPECT_EQ(runner_->detail(), "");
}

TEST_F(UplinkRunnerTest, ATargetWithoutALinkIsUpInTheEventsOnlyWhenItHasTakenABatch) {
  make_runner();
  runner_->prove_by_batch();
  start();
  EXPECT_TRUE(runner_->is_up()) << "nothing says that it is not";
  EXPECT_THAT(events_, IsEmpty());
  append_readings(1);
  runner_->pump();
  ASSERT_TRUE(run_until([this] { return !sent_->batches.empty(); }));
  EXPECT_THAT(events_, IsEmpty());
  sent_->handlers.done(sent_->batches[0].id, true);
  settle();
  EXPECT_THAT(events_, ElementsAre(HasSubstr("uplink-up")));
}

TEST_F(UplinkRunnerTest, ATargetWithoutALinkThatFailsFirstIsToldToBeDownAndThenUp) {
  make_runner();
  runner_->prove_by_batch();
  start();
  append_readings(1);
  runner_->pump();
  ASSERT_TRUE(run_until([this] { return !sent_->batches.empty(); }));
  sent_->handlers.trouble("no such directory");
  sent_->handlers.done(sent_->batches[0].id, false);
  settle();
  EXPECT_THAT(events_, ElementsAre(HasSubstr("no such directory")));
  sent_->handlers.trouble("");
  settle();
  EXPECT_THAT(events_, ElementsAre(HasSubstr("uplink-down"), HasSubstr("uplink-up")));
}

TEST_F(UplinkRunnerTest, ALinkThatEndsAsAMatterOfCourseIsNotDoubted) {
  options_.doubts_short_links = false;
  make_runner();
  start();
  for (int i = 0; i < 5; ++i) {
    sent_->handlers.link(false, "the claim was lost");
    sent_->handlers.link(true, "");
    settle();
    EXPECT_TRUE(runner_->is_up());
  }
}

class RefusedRecordTest : public UplinkRunnerTest {
 protected:
  RefusedRecordTest() {
    options_.dead_letter_after = 1;
    append_readings(1);
  }
  void begin() {
    start();
    ASSERT_TRUE(run_until([this] { return !sent_->batches.empty(); }));
    refuse(sent_->batches[0]);
    settle();
  }
  std::string put_aside(Position at) {
    std::string answer = "no answer";
    runner_->put_aside(Stream::readings, at,
                       [&](const Result<void>& kept) { answer = kept ? "" : kept.error().message; });
    return answer;
  }
};

TEST_F(RefusedRecordTest, IsPutAsideOnlyByItsOwnPlace) {
  make_runner();
  begin();
  EXPECT_EQ(put_aside({1, 99}),
            "readings 1:99 is not the record that lake is refused alone: it is 1:1, as its status says");
}

TEST_F(RefusedRecordTest, IsAnsweredForWhereNoLettersAreKept) {
  make_runner();
  begin();
  EXPECT_EQ(put_aside({1, 1}), "lake: no dead letters are kept here");
}

// Of 1 to 10 the lane live has delivered 5 to 7; the lane backlog has 2 to 4 to go through.
class RefusedLaneTest : public UplinkRunnerTest {
 protected:
  RefusedLaneTest() {
    options_.streams = {Stream::readings};
    options_.live_first = true;
    append_readings(10);
    make_runner();
    uplink::Accounting counts;
    counts.delivered = 4;
    counts.first = 1;
    uplink::LanePlaces places{{{1, 8}, {1, 8}}};
    places.stretches = {{{{1, 2}, {1, 2}}, {1, 5}}};
    runner_->restore({"lake", Stream::readings, {1, 2}, {1, 2}, 4, 0, 0, stored_accounts(counts, false, places)});
    start();
    EXPECT_TRUE(run_until([this] { return batch_of(Lane::live) != nullptr && batch_of(Lane::backlog) != nullptr; }));
  }
  const uplink::OutgoingBatch* batch_of(Lane lane) const { return sent_->of({Stream::readings, lane}); }
};

TEST_F(RefusedLaneTest, IsDownThoughTheBacklogIsTaken) {
  refuse(*batch_of(Lane::live));
  settle();
  EXPECT_FALSE(runner_->is_up());
  sent_->handlers.done(batch_of(Lane::backlog)->id, true);
  settle();
  EXPECT_FALSE(runner_->is_up());
  EXPECT_THAT(runner_->refused(), HasSubstr("readings are refused: 422: no"));
  EXPECT_THAT(events_, ElementsAre(HasSubstr("uplink-up"), HasSubstr("uplink-down")));
}

TEST_F(RefusedLaneTest, OfTheBacklogIsOverWhenThatIsTaken) {
  refuse(*batch_of(Lane::backlog));
  settle();
  EXPECT_THAT(runner_->refused(), HasSubstr("readings of the backlog are refused: 422: no"));
  sent_->handlers.done(batch_of(Lane::live)->id, true);
  settle();
  EXPECT_FALSE(runner_->is_up());
  sent_->handlers.done(batch_of(Lane::backlog)->id, true);
  settle();
  EXPECT_TRUE(runner_->is_up());
  EXPECT_THAT(runner_->refused(), IsEmpty());
}

/// Ends when another one is ending too.
class Company {
 public:
  bool wait_for_all(std::size_t wanted) {
    std::unique_lock lock(mutex_);
    ++ending_;
    changed_.notify_all();
    return changed_.wait_for(lock, 5s, [&] { return ending_ >= wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ending_ = 0;
};

class SociableTransport final : public uplink::Transport {
 public:
  SociableTransport(Company& company, std::atomic<int>& alone) : company_(company), alone_(alone) {}
  Result<void> start() override { return {}; }
  void stop(Duration) override { alone_ += company_.wait_for_all(3) ? 0 : 1; }
  void send(const uplink::OutgoingBatch&) override {}

 private:
  Company& company_;
  std::atomic<int>& alone_;
};

TEST_F(UplinkRunnerTest, AllAreStoppedAtTheSameTime) {
  Company company;
  std::atomic<int> alone = 0;
  std::vector<std::unique_ptr<UplinkRunner>> runners;
  for (int i = 0; i < 3; ++i) {
    runners.push_back(std::make_unique<UplinkRunner>(options_, environment(), [&](const uplink::TransportHandlers&) {
      return std::make_unique<SociableTransport>(company, alone);
    }));
  }
  stop_uplinks(runners, 1s);
  EXPECT_EQ(alone, 0);
}

}  // namespace
}  // namespace tidegate::daemon
