#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "drivers/mqtt/message_decoder.h"
#include "drivers/mqtt/sparkplug_ingest.h"
#include "drivers/mqtt/sparkplug_topic.h"

namespace tidegate::drivers {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugPayload;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr WallTime kArrival{std::chrono::nanoseconds(1'760'000'000'123'000'000)};
constexpr std::uint64_t kSent = 1'760'000'000'000;  // milliseconds

constexpr const char* kBirth = "spBv1.0/plant/NBIRTH/gate";
constexpr const char* kData = "spBv1.0/plant/NDATA/gate";
constexpr const char* kDeath = "spBv1.0/plant/NDEATH/gate";
constexpr const char* kDeviceBirth = "spBv1.0/plant/DBIRTH/gate/pump";
constexpr const char* kDeviceData = "spBv1.0/plant/DDATA/gate/pump";
constexpr const char* kDeviceDeath = "spBv1.0/plant/DDEATH/gate/pump";

SparkplugMetric metric(const std::string& name, SparkplugType type, SparkplugValue value) {
  SparkplugMetric made;
  if (!name.empty()) made.name = name;
  made.type = type;
  made.value = std::move(value);
  return made;
}

SparkplugMetric born(const std::string& name, std::uint64_t alias, SparkplugType type, SparkplugValue value) {
  SparkplugMetric made = metric(name, type, std::move(value));
  made.alias = alias;
  return made;
}

SparkplugMetric by_alias(std::uint64_t alias, SparkplugValue value) {
  return born("", alias, SparkplugType::unknown, std::move(value));
}

// What messages become, as lines "path=value quality reason", and behind it the time where it is not kSent.
class SparkplugTest : public ::testing::Test {
 protected:
  std::vector<std::string> take(const std::string& topic, std::optional<std::uint64_t> seq,
                                std::vector<SparkplugMetric> metrics) {
    SparkplugPayload payload;
    payload.timestamp = payload_time_;
    payload.seq = seq;
    payload.metrics = std::move(metrics);
    return take_bytes(topic, mqtt::encode_sparkplug(payload));
  }

  std::vector<std::string> take_bytes(const std::string& topic, const std::string& payload) {
    if (!decoder_) make();
    decoder_->set_time(ClockQuality::synced, now_);
    const std::vector<char> bytes(payload.begin(), payload.end());  // a sanitizer sees who reads behind it
    std::vector<Reading> readings;
    decoder_->decode({topic, {bytes.data(), bytes.size()}, kArrival, BootTime{}, retained_, false}, readings);
    for (SparkplugNodeName& node : decoder_->take_rebirths()) asked_.push_back(node.group + "/" + node.node);
    std::vector<std::string> lines;
    for (const Reading& reading : readings) lines.push_back(line_of(reading));
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  void make(std::uint32_t automatic_tags_max = 1000) {
    MqttDriverOptions options;
    options.name = "local";
    options.automatic_tags_max = automatic_tags_max;
    for (const char* topic : {"spBv1.0/#", "spBv1.0/plant/#"}) {
      MqttSubscribeOptions& subscribe = options.subscribe.emplace_back();
      subscribe.topic = topic;
      subscribe.payload = PayloadFormat::sparkplug;
    }
    auto made = MessageDecoder::make(options, tags_);
    ASSERT_TRUE(made) << made.error().message;
    decoder_ = std::move(*made);
  }

  std::string line_of(const Reading& reading) const {
    std::string line = tags_.tag(reading.tag).path + "=";
    append_json(line, reading.value);
    if (reading.quality != Quality::good) line += std::string(" ") + to_string(reading.quality);
    if (reading.reason != Reason::none) line += std::string(" ") + to_string(reading.reason);
    const auto since = std::chrono::floor<std::chrono::milliseconds>(reading.time.time_since_epoch()).count();
    if (reading.origin == TimeOrigin::ingest) return line + (reading.time == kArrival ? " on arrival" : " ???");
    return since == static_cast<std::int64_t>(kSent) ? line : line + " at " + std::to_string(since);
  }

  // A node with bdSeq 3 and a device.
  void give_birth() {
    take(kBirth, 0,
         {metric("bdSeq", SparkplugType::int64, std::uint64_t{3}),
          born("Node Control/Rebirth", 9, SparkplugType::boolean, false),
          born("uptime", 1, SparkplugType::uint32, std::uint32_t{5})});
    take(kDeviceBirth, 1,
         {born("speed", 2, SparkplugType::int16, std::uint32_t{0xfffe}),
          born("state", 3, SparkplugType::string, std::string("on"))});
  }

  std::map<std::string, std::uint64_t> refused() const { return decoder_->refused(); }
  std::map<std::string, std::uint64_t> remarked() const { return decoder_->remarked(); }

  TagRegistry tags_;
  std::unique_ptr<MessageDecoder> decoder_;
  std::vector<std::string> asked_;
  std::optional<std::uint64_t> payload_time_ = kSent;
  BootTime now_{seconds(1000)};
  bool retained_ = false;
};

TEST_F(SparkplugTest, BirthsNameTheMetricsAndDataFollowsByAlias) {
  EXPECT_THAT(take(kBirth, 0,
                   {metric("bdSeq", SparkplugType::int64, std::uint64_t{0}),
                    born("Node Control/Rebirth", 9, SparkplugType::boolean, false),
                    born("uptime", 1, SparkplugType::uint32, std::uint32_t{5})}),
              ElementsAre("plant/gate/uptime=5"));
  EXPECT_THAT(take(kDeviceBirth, 1, {born("Motor/speed", 2, SparkplugType::int16, std::uint32_t{0xfffe})}),
              ElementsAre("plant/gate/pump/Motor/speed=-2"));
  EXPECT_THAT(take(kData, 2, {by_alias(1, std::uint32_t{6}), by_alias(9, true)}), ElementsAre("plant/gate/uptime=6"));
  EXPECT_THAT(take(kDeviceData, 3, {by_alias(2, std::uint32_t{0xffffffff})}),
              ElementsAre("plant/gate/pump/Motor/speed=-1"));
  EXPECT_THAT(take(kDeviceData, 4, {metric("Motor/speed", SparkplugType::unknown, std::uint32_t{7})}),
              ElementsAre("plant/gate/pump/Motor/speed=7"));
  EXPECT_THAT(refused(), IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(SparkplugTest, ValuesKeepTheirTypeAndNoIntegerIsAltered) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_THAT(
      take(kBirth, 0,
           {metric("a", SparkplugType::int8, std::uint32_t{0x80}),
            metric("b", SparkplugType::int8, std::uint32_t{0xffffff80}),
            metric("c", SparkplugType::int32, std::uint32_t{0xffffffff}), metric("d", SparkplugType::int64, kMost),
            metric("e", SparkplugType::uint8, std::uint32_t{255}),
            metric("f", SparkplugType::uint32, std::uint32_t{0xffffffff}),
            metric("g", SparkplugType::uint32, std::uint64_t{0xffffffff}), metric("h", SparkplugType::uint64, kMost),
            metric("i", SparkplugType::uint64, std::uint64_t{1}), metric("j", SparkplugType::float32, 0.5F),
            metric("k", SparkplugType::float64, 1e300), metric("l", SparkplugType::boolean, true),
            metric("m", SparkplugType::text, std::string("\u00e4")),
            metric("n", SparkplugType::date_time, std::uint64_t{kSent}),
            metric("o", SparkplugType::uuid, std::string("1-2"))}),
      ElementsAre("plant/gate/a=-128", "plant/gate/b=-128", "plant/gate/c=-1", "plant/gate/d=-1", "plant/gate/e=255",
                  "plant/gate/f=4294967295", "plant/gate/g=4294967295", "plant/gate/h=18446744073709551615",
                  "plant/gate/i=1", "plant/gate/j=0.5", "plant/gate/k=1e+300", "plant/gate/l=true",
                  "plant/gate/m=\"\u00e4\"", "plant/gate/n=1760000000000", "plant/gate/o=\"1-2\""));
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(SparkplugTest, WhatCannotBeAValueIsRefusedByReason) {
  const auto data_set = static_cast<SparkplugType>(16);
  const auto array = static_cast<SparkplugType>(24);
  EXPECT_THAT(take(kBirth, 0,
                   {metric("a", SparkplugType::int8, std::uint32_t{256}),
                    metric("b", SparkplugType::uint16, std::uint32_t{65'536}),
                    metric("c", SparkplugType::int64, std::uint32_t{0xffffffff}),
                    metric("d", SparkplugType::string, std::string("\xff")),
                    metric("e", SparkplugType::boolean, std::uint32_t{1}), metric("f", SparkplugType::int32, 1.0),
                    metric("g", data_set, SparkplugValue()), metric("h", array, SparkplugValue()),
                    metric("i", SparkplugType::float64, SparkplugValue()), metric("", SparkplugType::boolean, true),
                    metric("a#b", SparkplugType::boolean, true), metric("good", SparkplugType::boolean, true)}),
              ElementsAre("plant/gate/good=true"));
  EXPECT_THAT(refused(), UnorderedElementsAre(Pair("bad_number", 3), Pair("not_utf8", 1), Pair("type_mismatch", 2),
                                              Pair("unsupported_type", 2), Pair("value_missing", 1),
                                              Pair("name_missing", 1), Pair("tag_invalid", 1)));
  EXPECT_EQ(tags_.size(), 1u) << "what has no value claims no tag";
}

TEST_F(SparkplugTest, TimesAreTheMetricsOwnOrThePayloadsOrOfArrival) {
  const auto timed = [](const char* name, std::optional<std::uint64_t> time, bool historical = false) {
    SparkplugMetric made = metric(name, SparkplugType::boolean, true);
    made.timestamp = time;
    made.is_historical = historical;
    return made;
  };
  EXPECT_THAT(
      take(kBirth, 0,
           {timed("a", kSent - 5000), timed("b", {}), timed("c", 7), timed("d", kSent + 90'000'000),
            timed("e", std::numeric_limits<std::uint64_t>::max()), timed("f", kSent - 9000, true),
            timed("g", {}, true)}),
      ElementsAre("plant/gate/a=true at 1759999995000", "plant/gate/b=true", "plant/gate/c=true uncertain on arrival",
                  "plant/gate/d=true uncertain on arrival", "plant/gate/e=true uncertain on arrival",
                  "plant/gate/f=true at 1759999991000", "plant/gate/g=true uncertain stale on arrival"));
  EXPECT_THAT(remarked(), ElementsAre(Pair("bad_time", 3)));
  payload_time_.reset();
  EXPECT_THAT(take(kData, 1, {metric("b", SparkplugType::boolean, false)}),
              ElementsAre("plant/gate/b=false on arrival"));
}

TEST_F(SparkplugTest, ANullIsBad) {
  SparkplugMetric null = metric("a", SparkplugType::int32, SparkplugValue());
  null.is_null = true;
  EXPECT_THAT(take(kBirth, 0, {null}), ElementsAre("plant/gate/a=null bad"));
}

TEST_F(SparkplugTest, TheDeathOfANodeEndsItsTagsAndThoseOfItsDevices) {
  give_birth();
  take(kDeviceData, 2, {by_alias(3, std::string("off"))});
  EXPECT_THAT(take(kDeath, {}, {metric("bdSeq", SparkplugType::int64, std::uint64_t{3})}),
              ElementsAre("plant/gate/pump/speed=-2 bad not-connected on arrival",
                          "plant/gate/pump/state=\"off\" bad not-connected on arrival",
                          "plant/gate/uptime=5 bad not-connected on arrival"));
  EXPECT_THAT(take(kDeath, {}, {metric("bdSeq", SparkplugType::int64, std::uint64_t{3})}), IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_THAT(take(kData, 3, {by_alias(1, std::uint32_t{6})}), IsEmpty()) << "the aliases are gone with it";
  EXPECT_THAT(refused(), ElementsAre(Pair("no_birth", 1)));
}

TEST_F(SparkplugTest, TheDeathOfAnOlderBirthIsIgnored) {
  give_birth();
  EXPECT_THAT(take(kDeath, {}, {metric("bdSeq", SparkplugType::int64, std::uint64_t{2})}), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("death_of_other_birth", 1)));
  EXPECT_THAT(take(kData, 2, {by_alias(1, std::uint32_t{6})}), ElementsAre("plant/gate/uptime=6"));
}

TEST_F(SparkplugTest, TheDeathOfADeviceLeavesItsNode) {
  give_birth();
  EXPECT_THAT(take(kDeviceDeath, 2, {}), ElementsAre("plant/gate/pump/speed=-2 bad not-connected on arrival",
                                                     "plant/gate/pump/state=\"on\" bad not-connected on arrival"));
  EXPECT_THAT(take(kData, 3, {by_alias(1, std::uint32_t{6})}), ElementsAre("plant/gate/uptime=6"));
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(SparkplugTest, ABirthOfAnotherSessionEndsTheDevicesOfTheOneBefore) {
  give_birth();
  EXPECT_THAT(take(kBirth, 0,
                   {metric("bdSeq", SparkplugType::int64, std::uint64_t{4}),
                    born("uptime", 1, SparkplugType::uint32, std::uint32_t{0})}),
              ElementsAre("plant/gate/pump/speed=-2 bad not-connected on arrival",
                          "plant/gate/pump/state=\"on\" bad not-connected on arrival", "plant/gate/uptime=0"));
}

TEST_F(SparkplugTest, ARebirthOfTheSameSessionEndsNothingAndRenamesAliases) {
  give_birth();
  EXPECT_THAT(take(kBirth, 0,
                   {metric("bdSeq", SparkplugType::int64, std::uint64_t{3}),
                    born("load", 1, SparkplugType::uint32, std::uint32_t{5})}),
              ElementsAre("plant/gate/load=5"));
  EXPECT_THAT(take(kDeviceData, 1, {by_alias(2, std::uint32_t{1})}), IsEmpty()) << "its birth is still to come";
  EXPECT_THAT(take(kData, 2, {by_alias(1, std::uint32_t{6})}), ElementsAre("plant/gate/load=6"));
  EXPECT_THAT(refused(), ElementsAre(Pair("no_birth", 1)));
}

TEST_F(SparkplugTest, SeqGoesRoundAndAGapMakesAliasesWorthless) {
  give_birth();
  for (std::uint64_t seq = 2; seq < 600; ++seq) {
    EXPECT_THAT(take(kData, seq % 256, {by_alias(1, std::uint32_t{6})}), ElementsAre("plant/gate/uptime=6")) << seq;
  }
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_THAT(take(kData, 600 % 256 + 1, {by_alias(1, std::uint32_t{7})}), IsEmpty());
  EXPECT_THAT(asked_, ElementsAre("plant/gate"));
  EXPECT_THAT(remarked(), ElementsAre(Pair("sequence_gap", 1)));
  EXPECT_THAT(take(kData, 600 % 256 + 2, {metric("uptime", SparkplugType::unknown, std::uint32_t{8})}),
              ElementsAre("plant/gate/uptime=8"))
      << "what has a name is taken";
  give_birth();
  EXPECT_THAT(take(kData, 2, {by_alias(1, std::uint32_t{9})}), ElementsAre("plant/gate/uptime=9"));
}

TEST_F(SparkplugTest, DataBeforeABirthAsksForOneAndIsTakenByNameOnly) {
  EXPECT_THAT(take(kDeviceData, 17,
                   {by_alias(2, std::uint32_t{1}), metric("level", SparkplugType::unknown, 0.5),
                    metric("count", SparkplugType::unknown, std::uint32_t{3}),
                    metric("total", SparkplugType::int32, std::uint32_t{4})}),
              ElementsAre("plant/gate/pump/level=0.5", "plant/gate/pump/total=4"));
  EXPECT_THAT(refused(), ElementsAre(Pair("no_birth", 2)));
  EXPECT_THAT(asked_, ElementsAre("plant/gate"));
}

TEST_F(SparkplugTest, AnUnknownAliasAsksForABirth) {
  give_birth();
  EXPECT_THAT(take(kData, 2, {by_alias(77, std::uint32_t{1}), by_alias(1, std::uint32_t{6})}),
              ElementsAre("plant/gate/uptime=6"));
  EXPECT_THAT(refused(), ElementsAre(Pair("unknown_alias", 1)));
  EXPECT_THAT(asked_, ElementsAre("plant/gate"));
}

TEST_F(SparkplugTest, AMetricHasOneAlias) {
  take(kBirth, 0, {born("a", 1, SparkplugType::boolean, true), born("a", 2, SparkplugType::boolean, true)});
  EXPECT_THAT(refused(), ElementsAre(Pair("unknown_alias", 1)));
  EXPECT_THAT(take(kData, 1, {by_alias(1, false)}), ElementsAre("plant/gate/a=false"));
  EXPECT_THAT(take(kData, 2, {by_alias(2, false)}), IsEmpty());
}

TEST_F(SparkplugTest, AMetricOfANodeAndOneOfItsDeviceNeverShareATag) {
  const auto of_node = [](bool value) { return born("pump/speed", 1, SparkplugType::boolean, value); };
  const auto of_device = [](bool value) { return born("speed", 2, SparkplugType::boolean, value); };
  EXPECT_THAT(take(kBirth, 0, {of_node(true)}), ElementsAre("plant/gate/pump/speed=true"));
  EXPECT_THAT(take(kDeviceBirth, 1, {of_device(false), born("level", 3, SparkplugType::boolean, false)}),
              ElementsAre("plant/gate/pump/level=false"));
  EXPECT_THAT(take(kDeviceData, 2, {by_alias(2, false)}), IsEmpty());
  EXPECT_THAT(take(kData, 3, {by_alias(1, false)}), ElementsAre("plant/gate/pump/speed=false"));
  EXPECT_THAT(refused(), ElementsAre(Pair("tag_of_other_metric", 2)));
  EXPECT_THAT(take(kDeviceDeath, 4, {}), ElementsAre("plant/gate/pump/level=false bad not-connected on arrival"));
  take(kDeath, {}, {});
  EXPECT_THAT(take(kDeviceData, 7, {of_device(true)}), IsEmpty()) << "nor while the node is away";
  EXPECT_THAT(take("spBv1.0/plant/DBIRTH/other/pump", 0, {of_device(true)}),
              ElementsAre("plant/other/pump/speed=true"));
  EXPECT_THAT(take("spBv1.0/plant/NBIRTH/other", 0, {of_node(false)}), IsEmpty()) << "whoever came first";
}

TEST_F(SparkplugTest, AnAliasOfTwoMetricsIsNeverGuessed) {
  take(kBirth, 0, {born("a", 1, SparkplugType::boolean, true), born("b", 1, SparkplugType::boolean, true)});
  EXPECT_THAT(take(kData, 1, {by_alias(1, false)}), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("unknown_alias", 2)));
  EXPECT_THAT(asked_, IsEmpty()) << "the next birth would say the same";
}

TEST_F(SparkplugTest, ANodeIsAskedEveryTenSecondsAndEverLessOftenWhileNoBirthComes) {
  const auto data_at = [&](int second) {
    now_ = BootTime(seconds(1000 + second));
    take(kData, 5, {by_alias(1, std::uint32_t{1})});
    return asked_.size();
  };
  EXPECT_EQ(data_at(0), 1u);
  EXPECT_EQ(data_at(9), 1u);
  EXPECT_EQ(data_at(10), 2u);
  EXPECT_EQ(data_at(29), 2u);
  EXPECT_EQ(data_at(30), 3u);
  take("spBv1.0/plant/NDATA/other", 5, {by_alias(1, std::uint32_t{1})});
  EXPECT_THAT(asked_, ElementsAre("plant/gate", "plant/gate", "plant/gate", "plant/other"));
}

TEST_F(SparkplugTest, WhatABrokerRetainedIsNotTaken) {
  retained_ = true;
  EXPECT_THAT(take(kBirth, 0, {born("uptime", 1, SparkplugType::uint32, std::uint32_t{5})}), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("retained_state", 1)));
}

TEST_F(SparkplugTest, OtherTopicsAndPayloadsAreToldApart) {
  EXPECT_THAT(take_bytes("spBv1.0/STATE/host", "{\"online\":true}"), IsEmpty());
  EXPECT_THAT(take_bytes("spBv1.0/plant/NCMD/gate", "x"), IsEmpty());
  EXPECT_THAT(take_bytes("spBv1.0/plant/DCMD/gate/pump", "x"), IsEmpty());
  EXPECT_THAT(refused(), IsEmpty());
  for (const char* topic : {"spBv1.0/plant/NBIRTH/gate/pump", "spBv1.0/plant/DDATA/gate", "spBv1.0/plant/NDATA/",
                            "spBv1.0/plant/XDATA/gate", "spBv1.0/plant", "spBv1.0/plant/DDATA/gate/pump/x"}) {
    EXPECT_THAT(take(topic, 0, {}), IsEmpty()) << topic;
  }
  EXPECT_THAT(take_bytes(kData, "{\"value\":1}"), IsEmpty());
  EXPECT_THAT(take("spBv1.0/plant/NBIRTH/" + std::string(260, 'n'), 0, {}), IsEmpty());
  EXPECT_THAT(refused(),
              UnorderedElementsAre(Pair("no_such_topic", 6), Pair("not_sparkplug", 1), Pair("tag_invalid", 1)));
}

TEST_F(SparkplugTest, AutomaticTagsHaveTheirLimit) {
  make(1);
  EXPECT_THAT(take(kBirth, 0, {metric("a", SparkplugType::boolean, true), metric("b", SparkplugType::boolean, true)}),
              ElementsAre("plant/gate/a=true"));
  EXPECT_THAT(refused(), ElementsAre(Pair("too_many_tags", 1)));
}

// Collects nothing, claims everything.
class CountingSink final : public SparkplugSink {
 public:
  TagOrWhyNot claim(const std::string& path) override {
    return {static_cast<TagId>(tags_.emplace(path, tags_.size()).first->second), Refusal::none};
  }
  void put(Reading reading, std::string_view) override {
    ++readings;
    if (reading.reason == Reason::stale && reading.quality == Quality::uncertain) ++stale;
  }
  void refuse(Refusal why, std::string_view) override { ++refused[name(why)]; }

  std::size_t readings = 0;
  std::size_t stale = 0;
  std::map<std::string, int> refused;

 private:
  std::map<std::string, std::size_t> tags_;
};

// Births, data and deaths of nodes "g/NAME" with metrics m0, m1 ..., at a time that a test sets.
class SparkplugRoomTest : public ::testing::Test {
 protected:
  SparkplugRoomTest() {
    limits_.nodes_max = 3;
    limits_.devices_max = 3;
    limits_.metrics_max = 6;
    ingest_ = std::make_unique<SparkplugIngest>(limits_);
  }
  void take(const std::string& message, std::size_t metrics = 1, std::uint64_t seq = 0) {
    SparkplugPayload payload;
    payload.seq = seq;
    for (std::size_t i = 0; i < metrics; ++i) {
      payload.metrics.push_back(born("m" + std::to_string(i), i, SparkplugType::boolean, true));
    }
    const std::string bytes = mqtt::encode_sparkplug(payload);
    ingest_->take({"spBv1.0/g/" + message, bytes, kArrival, BootTime{}, false, false}, WallTime::max(), now_, sink_);
  }
  int count(const char* why) { return sink_.refused[why]; }

  SparkplugLimits limits_;
  std::unique_ptr<SparkplugIngest> ingest_;
  CountingSink sink_;
  BootTime now_{seconds(1)};
};

TEST_F(SparkplugRoomTest, ADeadNodeMakesRoomBeforeOneThatLives) {
  take("NBIRTH/a");
  now_ += seconds(10'000);
  for (const char* birth : {"NBIRTH/b", "NBIRTH/c"}) take(birth);
  take("NDEATH/b");
  take("NBIRTH/d");
  EXPECT_EQ(ingest_->nodes(), 3u);
  EXPECT_EQ(count("too_many_nodes") + count("node_forgotten"), 0);
  take("NDATA/a", 1, 1);
  EXPECT_EQ(count("sequence_gap"), 0);
  EXPECT_FALSE(ingest_->wants_rebirths()) << "it is still known";
}

TEST_F(SparkplugRoomTest, TheLongestSilentNodeMakesRoomAfterTenMinutes) {
  for (const char* birth : {"NBIRTH/a", "NBIRTH/b", "NBIRTH/c"}) {
    take(birth, 2);
    now_ += seconds(1);
  }
  take("NDATA/a", 2, 1);
  now_ += seconds(597);
  take("NBIRTH/d");
  EXPECT_EQ(count("too_many_nodes"), 1);
  EXPECT_EQ(sink_.stale, 0u);
  now_ += seconds(1);
  take("NBIRTH/d", 2);
  EXPECT_EQ(count("too_many_nodes"), 1);
  EXPECT_EQ(count("node_forgotten"), 1);
  EXPECT_EQ(sink_.stale, 2u) << "whose death nobody will tell";
  EXPECT_EQ(ingest_->nodes(), 3u);
  EXPECT_EQ(ingest_->metrics_remembered(), 6u);
  EXPECT_EQ(count("too_many_metrics"), 0);
  take("NDATA/a", 2, 2);
  take("NDATA/c", 2, 1);
  EXPECT_FALSE(ingest_->wants_rebirths()) << "b was silent for longest";
}

TEST_F(SparkplugRoomTest, InventedNamesDriveOutNobodyWhoSendsAndDoNotStayForGood) {
  std::uint64_t seq = 0;
  take("NBIRTH/real", 1, seq++);
  for (int minute = 0; minute < 60; ++minute) {
    for (int i = 0; i < 10; ++i) take("NBIRTH/x" + std::to_string(minute * 10 + i), 0);
    take("NDATA/real", 1, seq++);
    now_ += seconds(60);
  }
  EXPECT_EQ(count("sequence_gap"), 0);
  EXPECT_FALSE(ingest_->wants_rebirths());
  EXPECT_GE(count("node_forgotten"), 8);
  now_ += seconds(600);
  take("NBIRTH/new");
  EXPECT_EQ(ingest_->nodes(), 3u);
  take("NDATA/new", 1, 1);
  EXPECT_FALSE(ingest_->wants_rebirths());
}

TEST_F(SparkplugRoomTest, DataOfInventedNamesDrivesOutNobodyWhoWasBorn) {
  for (const char* birth : {"NBIRTH/a", "NBIRTH/b"}) take(birth);
  now_ += seconds(3600);
  for (int i = 0; i < 20; ++i) take("NDATA/x" + std::to_string(i), 1, 7);
  EXPECT_EQ(count("node_forgotten"), 0);
  EXPECT_EQ(count("too_many_nodes"), 19);
  (void)ingest_->take_rebirths();
  for (const char* data : {"NDATA/a", "NDATA/b"}) take(data, 1, 1);
  EXPECT_FALSE(ingest_->wants_rebirths()) << "both are still known";
}

TEST_F(SparkplugRoomTest, OnlyASilentNodeThatHasDevicesMakesRoomForOne) {
  take("NBIRTH/quiet");
  take("NBIRTH/a", 0);
  now_ += seconds(600);
  for (std::uint64_t i = 0; i < 4; ++i) take("DBIRTH/a/d" + std::to_string(i), 1, i + 1);
  EXPECT_EQ(count("too_many_nodes"), 1);
  EXPECT_EQ(count("node_forgotten"), 0);
  EXPECT_EQ(ingest_->nodes(), 2u);
}

// The birth would have given other aliases, and what follows has the seq that was due before it.
TEST_F(SparkplugRoomTest, ARefusedBirthMakesTheAliasesOfTheOneBeforeWorthless) {
  limits_.payload_metrics_max = 3;
  ingest_ = std::make_unique<SparkplugIngest>(limits_);
  take("NBIRTH/a", 2);
  take("NBIRTH/a", 4);
  EXPECT_EQ(count("too_many_metrics"), 1);
  take("NDATA/a", 1, 1);
  EXPECT_EQ(ingest_->take_rebirths().size(), 1u);
}

TEST_F(SparkplugRoomTest, ANameThatIsTooLongForATagTakesNoRoom) {
  SparkplugPayload payload;
  payload.seq = 0;
  payload.metrics.push_back(born(std::string(1000, 'n'), 1, SparkplugType::boolean, true));
  const std::string bytes = mqtt::encode_sparkplug(payload);
  ingest_->take({"spBv1.0/g/NBIRTH/a", bytes, kArrival, BootTime{}, false, false}, WallTime::max(), now_, sink_);
  EXPECT_EQ(count("tag_invalid"), 1);
  EXPECT_EQ(ingest_->metrics_remembered(), 0u);
}

TEST_F(SparkplugRoomTest, ASilentNodeMakesRoomForDevicesAndMetrics) {
  take("NBIRTH/a", 1);
  for (std::uint64_t i = 0; i < 3; ++i) take("DBIRTH/a/d" + std::to_string(i), 1, i + 1);
  take("NBIRTH/b", 3);
  EXPECT_EQ(count("too_many_metrics"), 1) << "a is not silent yet";
  now_ += seconds(600);
  take("NBIRTH/b", 3);
  EXPECT_EQ(count("node_forgotten"), 1);
  EXPECT_EQ(sink_.stale, 4u);
  EXPECT_EQ(count("too_many_metrics"), 1);
  EXPECT_EQ(ingest_->metrics_remembered(), 3u);
  for (std::uint64_t i = 0; i < 3; ++i) take("DBIRTH/b/d" + std::to_string(i), 1, i + 1);
  now_ += seconds(600);
  take("NBIRTH/c", 0);
  take("DBIRTH/c/d", 1, 1);
  EXPECT_EQ(count("node_forgotten"), 2);
  EXPECT_EQ(count("too_many_nodes"), 0);
  EXPECT_EQ(ingest_->metrics_remembered(), 1u);
  now_ += seconds(600);
  take("NBIRTH/c", 7);
  EXPECT_EQ(count("too_many_metrics"), 3) << "nobody makes room for himself: its device still has one of the six";
  EXPECT_EQ(ingest_->nodes(), 1u);
}

TEST(SparkplugLimits, NothingThatIsRememberedGrowsWithoutEnd) {
  SparkplugLimits limits;
  limits.nodes_max = 2;
  limits.devices_max = 2;
  limits.payload_metrics_max = 3;
  limits.metrics_max = 4;
  SparkplugIngest ingest(limits);
  CountingSink sink;
  BootTime now{seconds(1)};
  const auto take = [&](const std::string& topic, std::size_t metrics, std::uint64_t seq) {
    SparkplugPayload payload;
    payload.seq = seq;
    for (std::size_t i = 0; i < metrics; ++i) {
      payload.metrics.push_back(born("m" + std::to_string(i), i, SparkplugType::boolean, true));
    }
    const std::string bytes = mqtt::encode_sparkplug(payload);
    ingest.take({topic, bytes, kArrival, BootTime{}, false, false}, WallTime::max(), now, sink);
  };
  take("spBv1.0/g/NBIRTH/a", 5, 0);
  EXPECT_THAT(sink.refused, ElementsAre(Pair("too_many_metrics", 1))) << "once for all of it";
  EXPECT_EQ(sink.readings, 0u);
  EXPECT_EQ(ingest.nodes(), 0u);
  take("spBv1.0/g/NBIRTH/a", 3, 0);
  EXPECT_EQ(sink.readings, 3u);
  for (int i = 0; i < 10; ++i) take("spBv1.0/g/NDATA/n" + std::to_string(i), 0, 7);
  EXPECT_EQ(ingest.nodes(), 2u);
  EXPECT_EQ(ingest.take_rebirths().size(), 1u) << "nor is anybody asked without end";
  EXPECT_EQ(std::exchange(sink.refused["too_many_nodes"], 0), 9);
  now += seconds(10);
  take("spBv1.0/g/DBIRTH/a/d", 2, 1);
  EXPECT_EQ(ingest.metrics_remembered(), 4u);
  EXPECT_EQ(sink.refused.at("too_many_metrics"), 2);
  take("spBv1.0/g/NBIRTH/b", 0, 0);
  EXPECT_EQ(sink.refused["too_many_nodes"], 0) << "who was never born makes room";
  for (int i = 0; i < 10; ++i) take("spBv1.0/g/NBIRTH/c" + std::to_string(i), 1, 0);
  EXPECT_EQ(ingest.nodes(), 2u);
  EXPECT_EQ(sink.refused.at("too_many_nodes"), 10);
  for (int i = 0; i < 10; ++i) take("spBv1.0/g/DBIRTH/b/d" + std::to_string(i), 0, static_cast<std::uint64_t>(i) + 1);
  EXPECT_EQ(sink.refused.at("too_many_nodes"), 19);
  take("spBv1.0/g/NDEATH/a", 0, 0);
  EXPECT_EQ(ingest.metrics_remembered(), 0u);
}

TEST(SparkplugFilter, BringsWholeNodes) {
  for (const char* filter :
       {"spBv1.0/#", "spBv1.0/plant/#", "spBv1.0/+/#", "spBv1.0/plant/+/#", "spBv1.0/plant/+/gate/#"}) {
    EXPECT_TRUE(check_sparkplug_filter(filter)) << filter;
  }
  for (const char* filter : {"", "#", "plant/#", "spBv1.0/plant", "spBv1.0/plant/NDATA/#", "spBv1.0/plant/+/gate/+",
                             "spBv1.0/{device}/{tag...}", "spBv1.0/plant/+/gate/pump/#", "spBv1.0/#/x"}) {
    EXPECT_FALSE(check_sparkplug_filter(filter)) << filter;
  }
}

TEST(SparkplugRebirth, IsACommandToTheNode) {
  EXPECT_EQ(rebirth_topic({"plant", "gate"}), "spBv1.0/plant/NCMD/gate");
  const auto payload = mqtt::decode_sparkplug(rebirth_payload(kArrival), 10);
  ASSERT_TRUE(payload && payload->metrics.size() == 1);
  EXPECT_EQ(payload->timestamp, kSent + 123);
  EXPECT_EQ(payload->metrics[0].name, "Node Control/Rebirth");
  EXPECT_EQ(payload->metrics[0].type, SparkplugType::boolean);
  EXPECT_EQ(payload->metrics[0].value, SparkplugValue(true));
}

}  // namespace
}  // namespace tidegate::drivers
