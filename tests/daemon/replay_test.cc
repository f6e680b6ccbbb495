#include "daemon/replay.h"

#include <gmock/gmock.h>

#include "daemon/stored_accounts.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class NoTransport final : public uplink::Transport {
 public:
  Result<void> start() override { return {}; }
  void stop(Duration) override {}
  void send(const uplink::OutgoingBatch&) override {}
};

class CountingStore final : public buffer::StateStore {
 public:
  const std::optional<std::string>& notice() const override { return notice_; }
  Result<buffer::Checkpoint> load() override { return buffer::Checkpoint{}; }
  Result<void> save(const buffer::Checkpoint& checkpoint) override {
    saved.push_back(checkpoint);
    return {};
  }
  buffer::DeadLetterStore* dead_letters() override { return nullptr; }
  std::vector<buffer::Checkpoint> saved;  // looked at when the storage thread rests

 private:
  std::optional<std::string> notice_;
};

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() {
    uplink::ForwarderOptions options;
    options.name = "cloud";
    const UplinkEnvironment environment{&log_, &loop_, &storage_, &clock_, &history_, &records_, &tags_, "plant"};
    uplinks_.push_back(std::make_unique<UplinkRunner>(
        options, environment, [](uplink::TransportHandlers) { return std::make_unique<NoTransport>(); }));
    log_.sync_by_jobs();
    EXPECT_TRUE(uplinks_[0]->start().has_value());
    std::vector<Reading> readings(10);
    for (auto& reading : readings) reading.tag = tags_.intern("pump/flow");
    EXPECT_TRUE(log_.append(readings, {}, {}).has_value());
  }
  /// Runs the loop until the move is answered; the error's text, or "".
  std::string move(Position to) {
    std::optional<std::string> answer;
    replay_.move(*uplinks_[0], Stream::readings, to, [&](const Result<uplink::CursorMove>& moved) {
      answer = moved ? "" : moved.error().message;
      loop_.stop();
    });
    const auto give_up = loop_.make_timer();
    give_up->arm(5s, [&] { loop_.stop(); });
    if (!answer) loop_.run();
    return answer.value_or("no answer");
  }
  std::string question(Position to) const {
    return Replay::question(*uplinks_[0], Stream::readings, uplinks_[0]->plan_move(Stream::readings, to)).value_or("");
  }
  uplink::Cursor cursor() const { return uplinks_[0]->forwarder().cursor(Stream::readings); }

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  EventLoop loop_;
  Pipeline pipeline_{log_, tags_, clock_, BootId{}};
  CountingStore store_;
  buffer::SpaceReserve reserve_{"/nowhere/reserve"};
  StorageWatch watch_{{&log_, &pipeline_, &clock_}};
  Worker storage_{"storage"};
  ClockHistory history_;
  ClockRecords records_{{&log_, &history_, &storage_, &loop_, {}}};
  std::vector<std::unique_ptr<UplinkRunner>> uplinks_;
  LogKeeper keeper_{log_, loop_, clock_};
  Checkpointer checkpointer_{{&log_, &store_, &pipeline_, &uplinks_, &loop_, &storage_, &watch_, &reserve_, &clock_},
                             ""};
  Replay replay_{{&log_, &pipeline_, &keeper_, &checkpointer_, &clock_, [] {}}};
};

TEST_F(ReplayTest, SavesTheCursorWhenTheGapRecordIsDurable) {
  EXPECT_EQ(move({1, 6}), "");
  EXPECT_EQ(cursor().acked_to, (Position{1, 6}));
  EXPECT_THAT(log_.documents(Stream::events), ElementsAre(HasSubstr(R"("first":1,"last":5,"count":5,)")));
  EXPECT_EQ(log_.durable(Stream::events), log_.end(Stream::events));
  ASSERT_EQ(store_.saved.size(), 1U);
  EXPECT_EQ(store_.saved[0].cursors[0].acked_to, (Position{1, 6}));
}

TEST_F(ReplayTest, AsksBeforeItSkipsWhatIsNotDelivered) {
  EXPECT_EQ(question({1, 6}),
            "uplink cloud stands at 1:1 of readings, before 1:6: 5 records in between, not delivered yet, would be "
            "skipped and never be sent to it");
  EXPECT_THAT(question({1, 2}), HasSubstr("before 1:2: 1 record in between"));
  EXPECT_EQ(question({1, 1}), "");
  EXPECT_EQ(move({1, 6}), "");
  EXPECT_EQ(question({1, 2}), "") << "going back skips nothing";
}

TEST_F(ReplayTest, PutsTheCursorBackWhenTheGapRecordCannotBeDurable) {
  log_.fail_syncs(true);
  EXPECT_THAT(move({1, 6}), HasSubstr("the cursor is where it was"));
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  EXPECT_EQ(cursor().passed_to, (Position{1, 1}));
  EXPECT_THAT(store_.saved, IsEmpty());
  EXPECT_EQ(uplinks_[0]->balance(Stream::readings).mismatch(), 0U);
}

TEST_F(ReplayTest, MovesNothingWhileTheLogRefusesTheGapRecord) {
  log_.refuse_with(ErrorCode::full);
  EXPECT_THAT(move({1, 6}), HasSubstr("the log takes no records now"));
  EXPECT_EQ(cursor().acked_to, (Position{1, 1}));
  EXPECT_FALSE(pipeline_.is_stalled());
  log_.accept_again();
  EXPECT_EQ(move({1, 6}), "") << "and holds nothing that would be in the way of the next one";
  EXPECT_EQ(log_.documents(Stream::events).size(), 1U);
}

// Of 1 to 10 the lane live has delivered 5 to 7, the lane backlog 1; it has 2 to 4 to go through.
class ReplayLanesTest : public ReplayTest {
 protected:
  ReplayLanesTest() {
    uplink::ForwarderOptions options;
    options.name = "beside";
    options.streams = {Stream::readings};
    const UplinkEnvironment environment{&log_, &loop_, &storage_, &clock_, &history_, &records_, &tags_, "plant"};
    uplinks_.clear();
    uplinks_.push_back(std::make_unique<UplinkRunner>(
        options, environment, [](uplink::TransportHandlers) { return std::make_unique<NoTransport>(); }));
    uplink::Accounting counts;
    counts.delivered = 4;
    counts.first = 1;
    uplink::LanePlaces places{{{1, 8}, {1, 8}}};
    places.stretches = {{{{1, 2}, {1, 2}}, {1, 5}}};
    uplinks_[0]->restore({"beside", Stream::readings, {1, 2}, {1, 2}, 4, 0, 0, stored_accounts(counts, false, places)});
    EXPECT_TRUE(uplinks_[0]->start().has_value());
    uplinks_[0]->pump();
  }
  std::string balance() const {
    const auto found = uplinks_[0]->balance(Stream::readings);
    EXPECT_EQ(found.mismatch(), 0U);
    return "accepted " + std::to_string(found.accepted) + " pending " + std::to_string(found.pending) + " dropped " +
           std::to_string(found.counts.dropped) + " replayed " + std::to_string(found.counts.replayed);
  }
};

TEST_F(ReplayLanesTest, BalancesBothLanes) {
  EXPECT_EQ(balance(), "accepted 10 pending 6 dropped 0 replayed 0");
  EXPECT_EQ(cursor().acked_to, (Position{1, 2}));
}

TEST_F(ReplayLanesTest, SavesThePlacesOfBoth) {
  const auto stored = uplinks_[0]->cursors().at(0);
  EXPECT_EQ(stored.passed_to, (Position{1, 2})) << "the oldest, for eviction and for versions that know of no lanes";
  EXPECT_EQ(places_of(stored), uplinks_[0]->forwarder().lanes(Stream::readings));
  EXPECT_EQ(places_of(stored).live.passed_to, (Position{1, 8}));
}

TEST_F(ReplayLanesTest, SkipsWhatIsOpenBeforeThePlaceAndReplaysWhatIsDoneBehindIt) {
  EXPECT_EQ(move({1, 6}), "");
  EXPECT_EQ(balance(), "accepted 10 pending 5 dropped 3 replayed 2");
  EXPECT_THAT(log_.documents(Stream::events), ElementsAre(HasSubstr(R"("first":2,"last":4,"count":3,)")));
  EXPECT_THAT(uplinks_[0]->forwarder().lanes(Stream::readings).stretches, IsEmpty());
}

TEST_F(ReplayLanesTest, AsksAlsoWhereOnlyTheBacklogIsSkipped) {
  EXPECT_THAT(question({1, 6}), HasSubstr("stands at 1:2 of readings, before 1:6: 3 records"));
  EXPECT_EQ(question({1, 2}), "");
}

TEST_F(ReplayLanesTest, GoesBackIntoAStretch) {
  EXPECT_EQ(move({1, 3}), "");
  EXPECT_EQ(balance(), "accepted 10 pending 8 dropped 1 replayed 3");
  EXPECT_THAT(log_.documents(Stream::events), ElementsAre(HasSubstr(R"("first":2,"last":2,"count":1,)")));
}

TEST_F(ReplayLanesTest, SkipsWhatIsOpenInBothLanes) {
  EXPECT_EQ(move({1, 10}), "");
  EXPECT_EQ(balance(), "accepted 10 pending 1 dropped 5 replayed 0");
  EXPECT_THAT(log_.documents(Stream::events), ElementsAre(HasSubstr(R"("first":2,"last":4,"count":3,)"),
                                                          HasSubstr(R"("first":8,"last":9,"count":2,)")));
}

}  // namespace
}  // namespace tidegate::daemon
