#include "uplink/doubtful_times.h"

#include <gmock/gmock.h>
#include <simdjson.h>

#include <random>

#include "core/text.h"
#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr BootId kBoot{1};
constexpr Duration kOffset = std::chrono::seconds(1'760'000'000);

/// Records of a box that starts in 1970 and is synced later, on their way through a forwarder.
class DoubtfulTimesTest : public ForwarderFixture {
 protected:
  DoubtfulTimesTest() {
    options_.batch_readings_max = 3;
    begin();
  }
  void begin() {
    clock_history_ = ClockHistory(kBoot);
    wall_ = WallTime(now_.time_since_epoch());
    begin_at({1, 0});
  }
  RecordBatch unsynced(std::uint64_t first, std::uint64_t last) {
    RecordBatch batch = readings(1, first, last);
    batch.boot_id = kBoot;
    batch.times.quality = ClockQuality::unsynced;
    for (Reading& reading : batch.readings) reading.time = wall_ - 7ms;
    return batch;
  }
  void sync() {
    clock_history_.add({kBoot, now_, kOffset, ClockQuality::synced});
    wall_ = WallTime(now_.time_since_epoch() + kOffset);
  }
  std::string time_of(WallTime time) const {
    return "\"time\":" + std::to_string(time.time_since_epoch() / 1ms) + ",\"value\"";
  }
};

TEST_F(DoubtfulTimesTest, AreSentAsTheyAreWhileNothingIsKnown) {
  link_up();
  const WallTime taken = wall_ - 7ms;
  supply(unsynced(0, 2));
  const std::string sent = *send_all()[0].payload;
  EXPECT_THAT(sent, HasSubstr(time_of(taken)));
  EXPECT_THAT(sent, HasSubstr("\"time_quality\":\"unsynced\""));
}

TEST_F(DoubtfulTimesTest, ArePutRightInABatchThatWaitsWhenTheClockIsSynced) {
  const WallTime taken = wall_ - 7ms;
  supply(unsynced(0, 2));
  pass(10s);
  sync();
  link_up();
  const std::string sent = *send_all()[0].payload;
  EXPECT_EQ(parse_batch(sent).problem, "");
  EXPECT_THAT(sent, HasSubstr(time_of(taken + kOffset)));
  EXPECT_THAT(sent, Not(HasSubstr(time_of(taken))));
  EXPECT_THAT(sent, HasSubstr("\"time_quality\":\"estimated\""));
  EXPECT_THAT(sent, Not(HasSubstr("unsynced")));
}

TEST_F(DoubtfulTimesTest, ArePutRightInWhatIsReadLater) {
  link_up();
  const RecordBatch batch = unsynced(0, 2);
  const WallTime taken = wall_ - 7ms;
  pass(1h);
  sync();
  supply(batch);
  const auto sent = send_all();
  EXPECT_THAT(*sent[0].payload, HasSubstr(time_of(taken + kOffset)));
  EXPECT_EQ(parse_batch(*sent[0].payload).lane, "backlog") << "by boot time: it is an hour old";
}

TEST_F(DoubtfulTimesTest, OfABatchThatWasSentStayAsTheyWere) {
  link_up();
  supply(unsynced(0, 2));
  const std::string first = *send_all()[0].payload;
  link_down();
  pass(1s);
  sync();
  link_up();
  const auto again = send_all_later();
  ASSERT_EQ(again.size(), 1u);
  const auto entries = [](const std::string& payload) { return payload.substr(payload.find("\"readings\":")); };
  EXPECT_EQ(entries(*again[0].payload), entries(first));
}

TEST_F(DoubtfulTimesTest, AreOnlyThoseOfIngest) {
  link_up();
  RecordBatch batch = unsynced(0, 2);
  batch.readings[1].origin = TimeOrigin::source;
  const WallTime taken = wall_ - 7ms;
  pass(1s);
  sync();
  supply(batch);
  const std::string sent = *send_all()[0].payload;
  EXPECT_THAT(sent, HasSubstr("{\"seq\":1,\"tag\":\"a/x\"," + time_of(taken)));
  EXPECT_THAT(sent, HasSubstr("{\"seq\":0,\"tag\":\"a/x\"," + time_of(taken + kOffset)));
  EXPECT_THAT(sent, HasSubstr("{\"seq\":2,\"tag\":\"a/x\"," + time_of(taken + kOffset)));
}

TEST_F(DoubtfulTimesTest, OfAnotherBootStayUnsynced) {
  link_up();
  RecordBatch batch = unsynced(0, 2);
  batch.boot_id = BootId{2};
  pass(1s);
  sync();
  supply(batch);
  EXPECT_THAT(*send_all()[0].payload, HasSubstr("\"time_quality\":\"unsynced\""));
}

TEST_F(DoubtfulTimesTest, AreCorrectedFrameByFrame) {
  options_.batch_readings_max = 10;
  begin();
  link_up();
  RecordBatch before = unsynced(0, 1);
  RecordBatch shifted = unsynced(2, 3);  // as after a first step that was still wrong
  shifted.times.wall += 1h;
  for (Reading& reading : shifted.readings) reading.time += 1h;
  RecordBatch after = unsynced(4, 5);
  after.times.quality = ClockQuality::synced;
  const WallTime taken = wall_ - 7ms;
  for (const RecordBatch& batch : {before, shifted, after}) supply(batch);
  pass(1s);
  sync();
  const std::string sent = *send_all()[0].payload;
  for (const char* seq : {"0", "1", "2", "3"}) {
    EXPECT_THAT(sent, HasSubstr(std::string("{\"seq\":") + seq + ",\"tag\":\"a/x\"," + time_of(taken + kOffset)));
  }
  EXPECT_THAT(sent, HasSubstr("{\"seq\":5,\"tag\":\"a/x\"," + time_of(taken)));
}

// As the encoder would have written them with the right time from the beginning, and no longer than was reckoned with.
TEST_F(DoubtfulTimesTest, AreWrittenAsTheEncoderWouldHave) {
  constexpr std::uint64_t kSeed = 20261128;
  std::mt19937_64 random(kSeed);
  BatchEncoder encoder("gw", tags_);
  for (int round = 0; round < 200; ++round) {
    std::string entries;
    std::string wanted;
    DoubtfulTimes doubts;
    const Duration shift = std::chrono::floor<std::chrono::milliseconds>(Duration(random() >> 4));
    for (std::uint64_t i = 0; i < 20; ++i) {
      RecordBatch batch = readings(1, i, i, i % 2 == 0 ? "unsynced" : "a\"time\":1");
      batch.boot_id = kBoot;
      batch.times.quality = static_cast<ClockQuality>(random() % 3);
      Reading& reading = batch.readings[0];
      reading.time = WallTime(Duration(static_cast<std::int64_t>(random() >> 2) - (1LL << 61)));
      if (random() % 2 == 0) reading.time = std::chrono::floor<std::chrono::milliseconds>(reading.time);
      if (random() % 3 == 0) reading.origin = TimeOrigin::source;
      if (random() % 3 == 0) reading.value = std::string(",\"time_quality\":\"unsynced\"}");
      const TimeSpot spot = encoder.append_reading(entries, i, reading, batch.times);
      if (spot.word_at != 0) {
        doubts.add(spot, reading.time, batch);
        reading.time += shift;
        batch.times.quality = ClockQuality::estimated;
      }
      encoder.append_reading(wanted, i, reading, batch.times);
    }
    ClockHistory history(kBoot);
    history.add({kBoot, now_, wall_.time_since_epoch() - now_.time_since_epoch() + shift, ClockQuality::synced});
    const std::size_t before = entries.size();
    doubts.correct(entries, history);
    ASSERT_EQ(entries, wanted) << "seed " << kSeed << " round " << round;
    ASSERT_LE(entries.size(), before + doubts.size() * DoubtfulTimes::kGrowthMax);
  }
}

TEST_F(DoubtfulTimesTest, NeverMakeABatchLongerThanItMayBe) {
  options_.batch_readings_max = 10'000;
  options_.batch_bytes_max = 4'096;
  begin();
  supply_all(unsynced(0, 99));
  pass(1s);
  sync();
  link_up();
  std::uint64_t sent = 0;
  for (int i = 0; i < 20 && sent < 100; ++i) {
    supply_all(unsynced(0, 99));
    pass(2s);
    for (const auto& batch : send_all()) {
      EXPECT_LE(batch.payload->size(), 4'096u);
      EXPECT_THAT(*batch.payload, Not(HasSubstr("\"unsynced\"")));
      sent += batch.count;
      acknowledge(batch);
    }
  }
  EXPECT_EQ(sent, 100u);
}

}  // namespace
}  // namespace tidegate::uplink::testing
