// What a broker sends again after a reconnect, since our acknowledgement did not reach it.
#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/value.h"
#include "drivers/mqtt/sparkplug_ingest.h"

namespace tidegate::drivers {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugPayload;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr WallTime kArrival{std::chrono::seconds(1'760'000'000)};

class SparkplugRepeatTest : public ::testing::Test, public SparkplugSink {
 protected:
  TagOrWhyNot claim(const std::string&) override { return {static_cast<TagId>(0), Refusal::none}; }
  void put(Reading reading, std::string_view) override {
    std::string text;
    append_json(text, reading.value);
    taken_.push_back(text + (reading.quality == Quality::good ? "" : " dead"));
  }
  void refuse(Refusal why, std::string_view) override { refused_.emplace_back(name(why)); }

  struct Sent {
    std::string topic;
    std::string payload;
  };
  Sent message(const std::string& kind, std::optional<std::uint64_t> seq, std::vector<SparkplugMetric> metrics) {
    SparkplugPayload payload;
    if (has_time_) payload.timestamp = ++time_;
    payload.seq = seq;
    payload.metrics = std::move(metrics);
    return {"spBv1.0/plant/" + kind + "/gate", mqtt::encode_sparkplug(payload)};
  }
  static SparkplugMetric value(std::uint32_t number) {
    SparkplugMetric made;
    made.alias = 1;
    made.value = number;
    return made;
  }
  static SparkplugMetric bd_seq(std::uint64_t number) {
    SparkplugMetric made;
    made.name = "bdSeq";
    made.type = mqtt::SparkplugType::int64;
    made.value = number;
    return made;
  }
  Sent birth(std::uint64_t session) {
    SparkplugMetric level = value(0);
    level.name = "level";
    level.type = mqtt::SparkplugType::uint32;
    return message("NBIRTH", 0, {bd_seq(session), level});
  }
  Sent death(std::uint64_t session) { return message("NDEATH", std::nullopt, {bd_seq(session)}); }
  Sent data(std::uint64_t seq, std::uint32_t number) { return message("NDATA", seq % 256, {value(number)}); }

  void take(const Sent& sent, bool duplicate = false) {
    ingest_.take({sent.topic, sent.payload, kArrival, BootTime{}, false, duplicate}, WallTime::max(), now_, *this);
  }
  void take_all(const std::vector<Sent>& sent, bool duplicate = false) {
    for (const Sent& one : sent) take(one, duplicate);
  }
  void expect_nothing_of(const std::vector<Sent>& sent) {
    taken_.clear();
    take_all(sent, true);
    EXPECT_THAT(taken_, IsEmpty());
    EXPECT_THAT(refused_, IsEmpty());
    EXPECT_THAT(ingest_.take_rebirths(), IsEmpty());
  }

  SparkplugIngest ingest_;
  BootTime now_{std::chrono::seconds(1000)};
  std::uint64_t time_ = 1'760'000'000'000;
  bool has_time_ = true;
  std::vector<std::string> taken_;
  std::vector<std::string> refused_;
};

TEST_F(SparkplugRepeatTest, IsNoGapAndNotTakenTwice) {
  std::vector<Sent> unacknowledged{birth(1)};
  for (std::uint32_t i = 1; i <= 1000; ++i) unacknowledged.push_back(data(i, i));
  take_all(unacknowledged);
  EXPECT_EQ(taken_.size(), 1001U);
  expect_nothing_of(unacknowledged);
  expect_nothing_of({unacknowledged.begin() + 990, unacknowledged.end()});
  take(data(1001, 1001));
  EXPECT_THAT(taken_, ElementsAre("1001")) << "it goes on where it was";
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(SparkplugRepeatTest, OfADeathEndsNoLaterBirth) {
  const std::vector<Sent> unacknowledged{birth(1), data(1, 1), death(1), birth(2), data(1, 2)};
  take_all(unacknowledged);
  EXPECT_THAT(taken_, ElementsAre("0", "1", "1 dead", "0", "2"));
  expect_nothing_of(unacknowledged);
  take(data(2, 3));
  EXPECT_THAT(taken_, ElementsAre("3"));
}

TEST_F(SparkplugRepeatTest, OfABirthThatWasNoneMakesNoLaterOneWorthless) {
  const std::vector<Sent> unacknowledged{{"spBv1.0/plant/NBIRTH/gate", "garbage"}, birth(1)};
  take_all(unacknowledged);
  EXPECT_THAT(refused_, ElementsAre("not_sparkplug"));
  refused_.clear();
  expect_nothing_of(unacknowledged);
  take(data(1, 1));
  EXPECT_THAT(taken_, ElementsAre("1"));
}

// The first one did not come here.
TEST_F(SparkplugRepeatTest, ThatWasNeverSeenIsTakenAndCountsAsAnyOther) {
  take(birth(1));
  take(data(1, 1), true);
  EXPECT_THAT(taken_, ElementsAre("0", "1"));
  EXPECT_THAT(refused_, IsEmpty());
  take(data(3, 3), true);
  EXPECT_THAT(refused_, ElementsAre("sequence_gap", "no_birth"));
  EXPECT_EQ(ingest_.take_rebirths().size(), 1U);
}

// Without a time two messages can be the same byte by byte.
TEST_F(SparkplugRepeatTest, IsNoneWhereItsSeqIsDue) {
  has_time_ = false;
  take(birth(1));
  for (std::uint32_t i = 1; i < 257; ++i) take(data(i, 7));
  taken_.clear();
  take(data(257, 7), true);
  EXPECT_THAT(taken_, ElementsAre("7"));
  take(data(258, 7));
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(SparkplugRepeatTest, IsKnownForSoManyMessages) {
  const Sent first = birth(1);
  take(first);
  std::uint32_t last = 0;
  for (; last < 16'383;) {
    ++last;
    take(data(last, last));
  }
  expect_nothing_of({first});
  take(data(last + 1, 1));
  take(data(last + 2, 2));
  taken_.clear();
  take(first, true);
  EXPECT_THAT(taken_, ElementsAre("0")) << "the oldest are forgotten";
}

}  // namespace
}  // namespace tidegate::drivers
