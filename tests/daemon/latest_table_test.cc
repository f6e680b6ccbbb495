#include "daemon/latest_table.h"

#include <gmock/gmock.h>

#include "daemon/pipeline.h"
#include "tests/support/fake_driver.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// The table as the pipeline fills it.
class LatestTableTest : public ::testing::Test {
 protected:
  LatestTableTest() {
    auto driver = std::make_unique<testing::FakeDriver>("a");
    driver_ = driver.get();
    pipeline_.add_driver(std::move(driver), 0);
    pipeline_.set_latest(&latest_);
    rules::RuleOptions rule;
    rule.name = "high";
    rule.tags = {"*"};
    rule.raise = {rules::Comparison::greater, 10};
    pipeline_.set_rules(std::make_unique<rules::RuleEngine>(std::vector{rule}, tags_), Position{});
    latest_.on_changed([this](const IndexSet& changed) {
      for (auto index = changed.next(0); index; index = changed.next(*index + 1)) told_.push_back(topic(*index));
      return true;
    });
  }

  void take(const std::string& tag, std::int64_t value) {
    Reading reading;
    reading.tag = tags_.intern(tag);
    reading.value = value;
    driver_->offer({reading});
    pipeline_.turn();
  }
  std::string topic(std::size_t index) const {
    std::string text;
    latest_.append_topic(index, text);
    return text;
  }
  std::string document(const std::string& wanted) {
    std::string text;
    for (std::size_t i = 0; i < latest_.size(); ++i) {
      if (topic(i) == wanted) latest_.append_document(i, text);
    }
    return text;
  }
  bool is_retained(const std::string& wanted) const {
    for (std::size_t i = 0; i < latest_.size(); ++i) {
      if (topic(i) == wanted) return latest_.look(i).is_retained;
    }
    return false;
  }
  std::vector<std::string> report() {
    told_.clear();
    latest_.report();
    return told_;
  }

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  LatestTable latest_{tags_};
  Pipeline pipeline_{log_, tags_, clock_, BootId{2}};
  testing::FakeDriver* driver_ = nullptr;
  std::vector<std::string> told_;
};

TEST_F(LatestTableTest, HasTheLatestRecordOfEachTagAsTailPrintsIt) {
  take("pump/flow", 1);
  take("pump/flow", 2);
  take("pump/speed", 3);
  EXPECT_THAT(document("tidegate/values/pump/flow"), StartsWith("{\"epoch\":"));
  EXPECT_THAT(document("tidegate/values/pump/flow"), HasSubstr("\"tag\":\"pump/flow\""));
  EXPECT_THAT(document("tidegate/values/pump/flow"), HasSubstr("\"value\":2,"));
  EXPECT_THAT(document("tidegate/values/pump/speed"), HasSubstr("\"value\":3,"));
  const Position end = log_.end(Stream::readings);
  EXPECT_THAT(document("tidegate/values/pump/speed"), HasSubstr("\"seq\":" + std::to_string(end.sequence - 1) + ","));
}

TEST_F(LatestTableTest, TellsEachRoundWhatHasChangedInIt) {
  EXPECT_THAT(report(), IsEmpty());
  take("pump/flow", 1);
  take("pump/speed", 1);
  take("pump/flow", 2);
  EXPECT_THAT(report(), ElementsAre("tidegate/values/pump/flow", "tidegate/values/pump/speed"));
  EXPECT_THAT(report(), IsEmpty());
  EXPECT_EQ(latest_.rounds(), 1U);
  take("pump/speed", 2);
  EXPECT_THAT(report(), ElementsAre("tidegate/values/pump/speed"));
  EXPECT_EQ(latest_.look(0).changed_in, 1U);
  EXPECT_EQ(latest_.look(1).changed_in, 2U);
}

TEST_F(LatestTableTest, ShowsAnAlarmUntilItClears) {
  const std::string alarm = "tidegate/alarms/high/pump/flow";
  take("pump/flow", 11);
  EXPECT_THAT(report(), ElementsAre("tidegate/values/pump/flow", alarm));
  EXPECT_THAT(document(alarm), StartsWith("{\"epoch\":"));
  EXPECT_THAT(document(alarm), HasSubstr("\"state\":\"raised\""));
  EXPECT_TRUE(is_retained(alarm));
  take("pump/flow", 1);
  EXPECT_THAT(report(), ElementsAre("tidegate/values/pump/flow", alarm));
  EXPECT_THAT(document(alarm), HasSubstr("\"state\":\"cleared\""));
  EXPECT_FALSE(is_retained(alarm));
  take("pump/flow", 12);
  EXPECT_TRUE(is_retained(alarm));
}

TEST_F(LatestTableTest, ShowsAnAlarmThatTheLogCannotTakeYet) {
  log_.refuse_with(ErrorCode::full);
  rules::AlarmTransition storage;
  storage.alarm = "tidegate/storage";
  storage.rule = "tidegate";
  storage.tag = "storage";
  pipeline_.record_alarms({storage});
  EXPECT_THAT(report(), ElementsAre("tidegate/alarms/tidegate/storage"));
  EXPECT_THAT(document("tidegate/alarms/tidegate/storage"), StartsWith("{\"alarm\":\"tidegate/storage\""));
  log_.accept_again();
  pipeline_.turn();
  EXPECT_THAT(report(), ElementsAre("tidegate/alarms/tidegate/storage"));
  EXPECT_THAT(document("tidegate/alarms/tidegate/storage"), HasSubstr("\"seq\":"));
}

TEST_F(LatestTableTest, ShowsNoReadingThatTheLogHasNotTaken) {
  log_.refuse_with(ErrorCode::full);
  take("pump/flow", 1);
  EXPECT_THAT(report(), IsEmpty());
  EXPECT_EQ(latest_.size(), 0U);
}

}  // namespace
}  // namespace tidegate::daemon
