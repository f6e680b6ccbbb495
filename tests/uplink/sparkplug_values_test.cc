// What becomes of the records of a batch.
#include <gmock/gmock.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/uplink/sparkplug_session_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;
using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST_F(SparkplugSessionTest, ADeviceIsBornBeforeItsFirstDataAndThenGoesByAlias) {
  connect();
  send(1, reading_json("pump/motor/speed", "21.5"));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw", "DBIRTH/gw/pump", "DDATA/gw/pump"));
  const SparkplugMetric birth = seen_[2].metric(0);
  EXPECT_EQ(birth.name, "motor/speed");
  EXPECT_EQ(birth.type, SparkplugType::float64);
  EXPECT_EQ(birth.value, SparkplugValue(21.5));
  const SparkplugMetric data = seen_[3].metric(0);
  EXPECT_FALSE(data.name);
  EXPECT_EQ(data.alias, birth.alias);
  EXPECT_EQ(data.timestamp, 1'000U);
  EXPECT_EQ(data.value, SparkplugValue(21.5));
  EXPECT_FALSE(data.is_historical);
  EXPECT_EQ(properties_of(data),
            (std::map<std::string, SparkplugValue>{{"Quality", std::uint32_t{192}}, {"seq", std::uint64_t{8}}}));
  send(2, reading_json("pump/motor/speed", "22.5"));
  EXPECT_THAT(take_topics(), ElementsAre("NDATA/gw", "DDATA/gw/pump"));
  EXPECT_EQ(last().metric(0).alias, birth.alias);
}

TEST_F(SparkplugSessionTest, EachBatchSaysWhatItAnswersFor) {
  connect();
  send(1, "");
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw"));
  EXPECT_EQ(last().metric(0).alias, seen_[0].named("Tidegate/Batch")->alias);
  EXPECT_EQ(
      last().metric(0).value,
      SparkplugValue(std::string("{\"v\":1,\"gateway\":\"gw\",\"stream\":\"readings\",\"lane\":\"live\",\"epoch\":"
                                 "3,\"from\":7,\"to\":9,\"count\":1,\"sent\":1700000000000,\"historical\":false}")));
}

TEST_F(SparkplugSessionTest, AliasesAreOfOneMetricEach) {
  connect();
  send(1, reading_json("a/x", "1") + "," + reading_json("b/x", "2") + "," + reading_json("a/y", "3") + "," +
              reading_json("level", "4"));
  std::set<std::uint64_t> aliases;
  std::size_t metrics = 0;
  session_->disconnected("gone");
  session_->connected(8, "", now());
  take();
  for (auto message = seen_.end() - 3; message != seen_.end(); ++message) {
    for (const SparkplugMetric& metric : message->payload.metrics) {
      if (!metric.alias) continue;
      ++metrics;
      aliases.insert(*metric.alias);
    }
  }
  EXPECT_EQ(metrics, 5U);
  EXPECT_THAT(aliases, SizeIs(5));
}

TEST_F(SparkplugSessionTest, ANewTagBringsANewBirthOfItsDeviceOnly) {
  connect();
  send(1, reading_json("pump/speed", "1") + "," + reading_json("tank/level", "2"));
  const auto speed = seen_[2].metric(0);
  take_topics();
  send(2, reading_json("pump/speed", "3", 2'000));
  send(3, reading_json("pump/power", "4"));
  EXPECT_THAT(take_topics(), ElementsAre("NDATA/gw", "DDATA/gw/pump", "NDATA/gw", "DBIRTH/gw/pump", "DDATA/gw/pump"));
  const SparkplugSeen& birth = seen_[seen_.size() - 2];
  ASSERT_THAT(birth.payload.metrics, SizeIs(2));
  EXPECT_EQ(birth.named("speed")->alias, speed.alias);
  EXPECT_EQ(birth.named("speed")->value, SparkplugValue(std::uint64_t{3})) << "the last value";
  EXPECT_EQ(birth.named("speed")->timestamp, 2'000U);
}

TEST_F(SparkplugSessionTest, KindsOfValuesKeepEveryDigit) {
  connect();
  const auto born_as = [&](const std::string& tag, const std::string& value) {
    send(1, reading_json("d/" + tag, value));
    const SparkplugMetric metric = *seen_[seen_.size() - 2].named(tag);
    EXPECT_EQ(metric.value, last().metric(0).value);
    return std::pair(metric.type, metric.value);
  };
  EXPECT_EQ(born_as("a", "true"), std::pair(SparkplugType::boolean, SparkplugValue(true)));
  EXPECT_EQ(born_as("b", "-9223372036854775808"),
            std::pair(SparkplugType::int64, SparkplugValue(std::uint64_t{1} << 63U)));
  EXPECT_EQ(born_as("c", "18446744073709551615"), std::pair(SparkplugType::uint64, SparkplugValue(~std::uint64_t{0})));
  EXPECT_EQ(born_as("d", "0.1"), std::pair(SparkplugType::float64, SparkplugValue(0.1)));
  EXPECT_EQ(born_as("e", "\"a \\\"b\\\"\""), std::pair(SparkplugType::string, SparkplugValue(std::string("a \"b\""))));
}

TEST_F(SparkplugSessionTest, AnotherDataTypeBringsANewBirthBetweenTheValues) {
  connect();
  send(1, reading_json("d/a", "7"));
  send(2, reading_json("d/a", "\"off\""));
  send(3, reading_json("d/a", "true"));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d", "NDATA/gw",
                                         "DBIRTH/gw/d", "DDATA/gw/d", "NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d"));
  EXPECT_EQ(seen_[2].metric(0).type, SparkplugType::int64);
  EXPECT_EQ(seen_[5].metric(0).type, SparkplugType::string);
  EXPECT_EQ(seen_[6].metric(0).value, SparkplugValue(std::string("off")));
  EXPECT_EQ(seen_[8].metric(0).type, SparkplugType::boolean);
  EXPECT_EQ(seen_[8].metric(0).alias, seen_[2].metric(0).alias);
}

TEST_F(SparkplugSessionTest, ATypeThatAMetricHadBeforeIsThatOfAMetricBesideIt) {
  connect();
  send(1, reading_json("d/a", "7"));
  send(2, reading_json("d/a", "\"off\""));
  send(3, reading_json("d/a", "8") + "," + reading_json("d/a:Int64", "9"));
  const SparkplugSeen& birth = seen_[seen_.size() - 2];
  ASSERT_THAT(birth.payload.metrics, SizeIs(3));
  EXPECT_EQ(birth.named("a")->type, SparkplugType::string);
  EXPECT_EQ(birth.named("a:Int64:")->type, SparkplugType::int64) << "the tag has its own name";
  EXPECT_EQ(last().metric(0).alias, birth.named("a:Int64:")->alias);
  EXPECT_EQ(last().metric(0).value, SparkplugValue(std::uint64_t{8}));
  EXPECT_EQ(last().metric(1).alias, birth.named("a:Int64")->alias);
  take_topics();
  send(4, reading_json("d/a", "\"on\"") + "," + reading_json("d/a", "9"));
  EXPECT_THAT(take_topics(), ElementsAre("NDATA/gw", "DDATA/gw/d")) << "both are born";
}

TEST_F(SparkplugSessionTest, TypesThatChangeInOneMessageHaveMetricsBesideEachOther) {
  connect();
  send(1, reading_json("d/a", "7") + "," + reading_json("d/a", "\"off\"") + "," + reading_json("d/a", "8"));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d"));
  EXPECT_EQ(seen_[2].named("a")->type, SparkplugType::int64);
  EXPECT_EQ(seen_[2].named("a:String")->type, SparkplugType::string);
  EXPECT_EQ(last().metric(1).value, SparkplugValue(std::string("off")));
  EXPECT_EQ(last().metric(2).value, SparkplugValue(std::uint64_t{8}));
}

TEST_F(SparkplugSessionTest, ABirthSaysOfALongTextThatItIsNotThere) {
  connect();
  const std::string text(513, 'x');
  send(1, reading_json("d/a", '"' + text + '"'));
  EXPECT_TRUE(seen_[2].metric(0).is_null);
  EXPECT_EQ(properties_of(seen_[2].metric(0)),
            (std::map<std::string, SparkplugValue>{{"Quality", std::uint32_t{500}}}));
  EXPECT_EQ(last().metric(0).value, SparkplugValue(text));
}

TEST_F(SparkplugSessionTest, ATagThatIsNowAnIntegerAndNowNotHasOneNewBirth) {
  connect();
  send(1, reading_json("d/a", "21") + "," + reading_json("d/a", "21.5") + "," + reading_json("d/a", "22") + "," +
              reading_json("d/a", "-9007199254740992"));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d"));
  ASSERT_THAT(last().payload.metrics, SizeIs(4));
  EXPECT_EQ(last().metric(0).value, SparkplugValue(21.0));
  EXPECT_EQ(last().metric(2).value, SparkplugValue(22.0));
  EXPECT_EQ(last().metric(3).value, SparkplugValue(-9007199254740992.0));
  send(2, reading_json("d/a", "9007199254740993"));
  EXPECT_THAT(take_topics(), ElementsAre("NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d")) << "a double has no such digits";
  EXPECT_EQ(last().metric(0).value, SparkplugValue(std::uint64_t{9007199254740993}));
}

TEST_F(SparkplugSessionTest, ANullHasNoValueAndSaysWhy) {
  connect();
  send(1, R"({"seq":8,"tag":"d/a","time":5,"time_ns":5000001,"value":null,"quality":"bad","reason":"timeout"})");
  EXPECT_EQ(seen_[2].metric(0).type, SparkplugType::float64) << "a birth has to say one";
  const SparkplugMetric data = last().metric(0);
  EXPECT_TRUE(data.is_null);
  EXPECT_EQ(data.value, SparkplugValue());
  const auto properties = properties_of(data);
  EXPECT_EQ(properties.at("Quality"), SparkplugValue(std::uint32_t{0}));
  EXPECT_EQ(properties.at("reason"), SparkplugValue(std::string("timeout")));
  EXPECT_EQ(properties.at("time_ns"), SparkplugValue(std::uint64_t{5'000'001}));
  send(2, reading_json("d/a", "true"));
  EXPECT_EQ(seen_[seen_.size() - 2].metric(0).type, SparkplugType::boolean) << "its own with the first value";
}

TEST_F(SparkplugSessionTest, WhatIsUncertainOrOlderThanTheEpochIsSaidInProperties) {
  connect();
  send(1, R"({"seq":8,"tag":"d/a","time":-5,"value":1,"quality":"uncertain","time_quality":"unsynced"})");
  EXPECT_EQ(last().metric(0).timestamp, 0U);
  const auto properties = properties_of(last().metric(0));
  EXPECT_EQ(properties.at("Quality"), SparkplugValue(std::uint32_t{0}));
  EXPECT_EQ(properties.at("quality"), SparkplugValue(std::string("uncertain")));
  EXPECT_EQ(properties.at("time_quality"), SparkplugValue(std::string("unsynced")));
  EXPECT_EQ(properties.at("time"), SparkplugValue(static_cast<std::uint64_t>(-5)));
}

TEST_F(SparkplugSessionTest, ABacklogIsHistoricalAndNoLastValue) {
  connect();
  send(1, reading_json("d/a", "1", 9'000));
  send(sparkplug_batch(2, reading_json("d/a", "2", 4'000), Stream::readings, true));
  EXPECT_TRUE(last().metric(0).is_historical);
  session_->disconnected("gone");
  connect(8);
  EXPECT_EQ(last().topic, "DBIRTH/gw/d");
  EXPECT_EQ(last().metric(0).value, SparkplugValue(std::uint64_t{1}));
  EXPECT_FALSE(last().metric(0).is_historical);
}

TEST_F(SparkplugSessionTest, AlarmsAndEventsAreMetricsOfTheNode) {
  connect();
  const std::string alarm = R"({"seq":4,"alarm":"hot/boiler/temp","rule":"hot","state":"raised","time":12})";
  send(sparkplug_batch(1, alarm, Stream::alarms));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NBIRTH/gw", "NDATA/gw")) << "a metric of the node is new";
  EXPECT_EQ(seen_[1].named("Alarms/hot/boiler/temp")->type, SparkplugType::string);
  ASSERT_THAT(last().payload.metrics, SizeIs(2));
  EXPECT_EQ(last().metric(1).value, SparkplugValue(alarm));
  EXPECT_EQ(last().metric(1).timestamp, 12U);
  EXPECT_EQ(properties_of(last().metric(1)).at("seq"), SparkplugValue(std::uint64_t{4}));
  send(sparkplug_batch(2, R"({"seq":1,"event":"gap","time":13})", Stream::events));
  EXPECT_NE(seen_[3].named("Events/gap"), nullptr);
  send(sparkplug_batch(3, alarm, Stream::alarms));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDATA/gw", "NDATA/gw"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
