// What a node makes of commands: writes, and why not.
#include "tests/uplink/sparkplug_session_fixture.h"

namespace tidegate::uplink {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::properties_of;
using testing::reading_json;
using testing::rebirth_command;
using ::testing::SizeIs;

const std::string kTopic = "spBv1.0/plant/DCMD/gw/boiler";

class SparkplugCommands : public testing::SparkplugSessionTest {
 protected:
  SparkplugCommands() {
    options_.commands = true;
    options_.writable = {"boiler/setpoint", "boiler/pump/run", "alone"};
    make();
  }
  void be_born() {
    connect();
    send(1, reading_json("boiler/setpoint", "21.5") + "," + reading_json("boiler/temp", "7") + "," +
                reading_json("boiler/pump/run", "false") + "," + reading_json("alone", "5"));
    answer_all();
    writes_.clear();
  }
  static SparkplugMetric metric(const std::string& name, SparkplugType type, SparkplugValue value) {
    SparkplugMetric metric;
    if (!name.empty()) metric.name = name;
    metric.type = type;
    metric.value = std::move(value);
    return metric;
  }
  static std::string payload(std::vector<SparkplugMetric> metrics) {
    mqtt::SparkplugPayload payload;
    payload.timestamp = 1'700'000'000'000;
    payload.metrics = std::move(metrics);
    return mqtt::encode_sparkplug(payload);
  }
  void order(std::vector<SparkplugMetric> metrics, const std::string& topic = kTopic) {
    writes_.clear();
    command(payload(std::move(metrics)), topic);
  }
  std::uint64_t alias_of(const std::string& topic, const std::string& name) const {
    for (auto seen = seen_.rbegin(); seen != seen_.rend(); ++seen) {
      if (seen->topic != topic) continue;
      const auto* found = seen->named(name);
      return found != nullptr ? found->alias.value_or(0) : 0;
    }
    return 0;
  }
  // Of the only write.
  std::string refusal() const { return writes_.size() == 1 ? writes_[0].refusal : "not one write"; }
};

TEST_F(SparkplugCommands, AMetricByNameBecomesAWriteOfItsTag) {
  be_born();
  order({metric("setpoint", SparkplugType::float64, 60.5)});
  ASSERT_THAT(writes_, SizeIs(1));
  EXPECT_EQ(writes_[0].tag, "boiler/setpoint");
  EXPECT_EQ(writes_[0].value, Value(60.5));
  EXPECT_EQ(writes_[0].by, "uplink cloud");
  EXPECT_EQ(writes_[0].detail, "spBv1.0/plant/DCMD/gw/boiler, metric setpoint");
  EXPECT_EQ(writes_[0].refusal, "");
  order({metric("pump/run", SparkplugType::boolean, true)});
  EXPECT_EQ(writes_[0].tag, "boiler/pump/run");
  EXPECT_EQ(writes_[0].value, Value(true));
}

TEST_F(SparkplugCommands, AMetricByAliasHasTheDataTypeOfItsBirth) {
  be_born();
  SparkplugMetric by_alias = metric("", SparkplugType::unknown, 60.5);
  by_alias.alias = alias_of("DBIRTH/gw/boiler", "setpoint");
  order({by_alias});
  ASSERT_THAT(writes_, SizeIs(1));
  EXPECT_EQ(writes_[0].tag, "boiler/setpoint");
  EXPECT_EQ(writes_[0].value, Value(60.5));
  by_alias.alias = alias_of("DBIRTH/gw/boiler", "temp");
  by_alias.value = static_cast<std::uint64_t>(-3);
  order({by_alias});
  EXPECT_EQ(writes_[0].value, Value(std::int64_t{-3})) << "born as Int64";
  by_alias.alias = 99'999;
  order({by_alias});
  EXPECT_EQ(refusal(), "no metric of the device was born with this alias in this connection");
  EXPECT_THAT(writes_[0].detail, HasSubstr("metric alias 99999"));
}

TEST_F(SparkplugCommands, AnAliasOfAnEarlierStartIsNoMetricOfThisOne) {
  be_born();
  SparkplugMetric by_alias = metric("", SparkplugType::unknown, 60.5);
  by_alias.alias = alias_of("DBIRTH/gw/boiler", "setpoint");
  session_->disconnected("");
  take();
  options_.first_alias = 1'000'000;
  make();
  next_seq_ = 0;
  be_born();
  order({by_alias});
  EXPECT_THAT(refusal(), HasSubstr("born with this alias"));
  EXPECT_GT(alias_of("DBIRTH/gw/boiler", "setpoint"), 1'000'000U);
}

TEST_F(SparkplugCommands, OtherDataTypesAreConvertedAndThoseThatCannotBeAreRefused) {
  be_born();
  order({metric("setpoint", SparkplugType::int16, std::uint32_t{0xffff})});
  EXPECT_EQ(writes_[0].value, Value(std::int64_t{-1}));
  order({metric("setpoint", SparkplugType::uint32, std::uint32_t{60})});
  EXPECT_EQ(writes_[0].value, Value(std::int64_t{60}));
  order({metric("setpoint", SparkplugType::float32, 60.5F)});
  EXPECT_EQ(writes_[0].value, Value(60.5));
  order({metric("setpoint", SparkplugType::unknown, std::uint64_t{60})});
  EXPECT_THAT(refusal(), HasSubstr("the value is not of the metric's data type; born as Double"));
  order({metric("setpoint", SparkplugType::float64, SparkplugValue())});
  EXPECT_THAT(refusal(), HasSubstr("there is no value"));
  order({metric("other", SparkplugType::unknown, std::uint64_t{60})});
  EXPECT_THAT(refusal(), HasSubstr("nothing says of which data type"));
}

TEST_F(SparkplugCommands, EachMetricOfACommandIsTriedByItselfAndInOrder) {
  be_born();
  SparkplugMetric null = metric("setpoint", SparkplugType::float64, SparkplugValue());
  null.is_null = true;
  SparkplugMetric old = metric("setpoint", SparkplugType::float64, 1.0);
  old.is_historical = true;
  order({metric("setpoint", SparkplugType::float64, 1.0), null, old, metric("setpoint", SparkplugType::float64, 2.0)});
  ASSERT_THAT(writes_, SizeIs(4));
  EXPECT_EQ(writes_[0].refusal, "");
  EXPECT_THAT(writes_[1].refusal, HasSubstr("is_null"));
  EXPECT_THAT(writes_[2].refusal, HasSubstr("historical"));
  EXPECT_EQ(writes_[3].value, Value(2.0));
}

TEST_F(SparkplugCommands, WhatTheBrokerRetainedIsNeverDone) {
  be_born();
  retained_command(payload({metric("setpoint", SparkplugType::float64, 60.0)}), kTopic);
  EXPECT_THAT(refusal(), HasSubstr("retained by the broker"));
  EXPECT_EQ(writes_[0].value, Value()) << "and is not even looked at";
  retained_command(payload({metric("Tags/alone", SparkplugType::int64, std::uint64_t{1})}), "spBv1.0/plant/NCMD/gw");
  EXPECT_THAT(writes_.back().refusal, HasSubstr("retained by the broker"));
}

TEST_F(SparkplugCommands, WhatIsOlderThanAMinuteByASyncedClockIsRefused) {
  be_born();
  quality_ = ClockQuality::synced;
  elapsed_ = std::chrono::seconds(60);
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_EQ(refusal(), "");
  elapsed_ = std::chrono::seconds(61);
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_THAT(refusal(), HasSubstr("too old: by its timestamp of 61s ago, and 1m are allowed"));
  elapsed_ = std::chrono::hours(1);
  quality_ = ClockQuality::estimated;
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_EQ(refusal(), "") << "who knows what time it is";
}

TEST_F(SparkplugCommands, ATimestampOfTheMetricStandsInForThatOfThePayload) {
  be_born();
  quality_ = ClockQuality::synced;
  elapsed_ = std::chrono::hours(1);
  mqtt::SparkplugPayload command;
  command.metrics = {metric("setpoint", SparkplugType::float64, 60.0)};
  this->command(mqtt::encode_sparkplug(command), kTopic);
  EXPECT_EQ(refusal(), "") << "nothing says how old it is";
  writes_.clear();
  command.metrics[0].timestamp = 1'700'000'000'000;
  this->command(mqtt::encode_sparkplug(command), kTopic);
  EXPECT_THAT(refusal(), HasSubstr("too old"));
  writes_.clear();
  command.timestamp = 1'800'000'000'000;
  this->command(mqtt::encode_sparkplug(command), kTopic);
  EXPECT_EQ(refusal(), "") << "the payload's goes first; the clock of the host is ahead";
}

TEST_F(SparkplugCommands, WhatComesBeforeTheBirthIsRefused) {
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_EQ(refusal(), "the node is not born in this connection");
  options_.primary_host = "scada";
  make();
  connect();
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_EQ(refusal(), "the node is not born in this connection") << "while it waits for its host";
}

TEST_F(SparkplugCommands, TagsWithoutADeviceAreCommandedByTheNode) {
  be_born();
  order({metric("Tags/alone", SparkplugType::int64, std::uint64_t{6})}, "spBv1.0/plant/NCMD/gw");
  ASSERT_THAT(writes_, SizeIs(1));
  EXPECT_EQ(writes_[0].tag, "alone");
  SparkplugMetric by_alias = metric("", SparkplugType::unknown, std::uint64_t{7});
  by_alias.alias = alias_of("NBIRTH/gw", "Tags/alone");
  order({by_alias}, "spBv1.0/plant/NCMD/gw");
  ASSERT_THAT(writes_, SizeIs(1));
  EXPECT_EQ(writes_[0].tag, "alone");
  order({metric("Properties/Gateway", SparkplugType::string, std::string("x"))}, "spBv1.0/plant/NCMD/gw");
  EXPECT_THAT(writes_, IsEmpty());
  take_topics();
  pass(std::chrono::seconds(10));
  command(rebirth_command());
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/boiler")) << "a rebirth is asked for as ever";
}

TEST_F(SparkplugCommands, BirthsSayWhatCanBeWritten) {
  be_born();
  pass(std::chrono::seconds(10));
  command(rebirth_command());
  const testing::SparkplugSeen& birth = last();
  ASSERT_EQ(birth.topic, "DBIRTH/gw/boiler");
  const auto writable = [&](const std::string& name) { return properties_of(*birth.named(name)).count("writable"); };
  EXPECT_EQ(writable("setpoint"), 1U);
  EXPECT_EQ(properties_of(*birth.named("setpoint")).at("writable"), SparkplugValue(true));
  EXPECT_EQ(properties_of(*birth.named("setpoint")).count("Quality"), 1U) << "beside the others";
  EXPECT_EQ(writable("pump/run"), 1U);
  EXPECT_EQ(writable("temp"), 0U);
}

TEST_F(SparkplugCommands, AFloodIsCutOff) {
  be_born();
  for (int i = 0; i < 5; ++i) {
    command(payload(std::vector(1'000, metric("setpoint", SparkplugType::float64, 1.0))), kTopic);
  }
  EXPECT_THAT(writes_, SizeIs(2'000));
  pass(std::chrono::seconds(1));
  writes_.clear();
  command(payload(std::vector(1'000, metric("setpoint", SparkplugType::float64, 1.0))), kTopic);
  EXPECT_THAT(writes_, SizeIs(100));
}

TEST_F(SparkplugCommands, WithoutCommandsInTheConfigurationNothingIsWritten) {
  options_.commands = false;
  options_.writable.clear();
  make();
  be_born();
  order({metric("setpoint", SparkplugType::float64, 60.0)});
  EXPECT_THAT(writes_, IsEmpty());
  order({metric("Tags/alone", SparkplugType::int64, std::uint64_t{6})}, "spBv1.0/plant/NCMD/gw");
  EXPECT_THAT(writes_, IsEmpty());
}

}  // namespace
}  // namespace tidegate::uplink
