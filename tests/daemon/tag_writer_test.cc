#include "daemon/tag_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_driver.h"
#include "tests/support/fake_ring_log.h"
#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class TagWriterTest : public ::testing::Test {
 protected:
  TagWriterTest() {
    auto driver = std::make_unique<testing::FakeDriver>("line-1");
    driver_ = driver.get();
    Tag tag;
    tag.path = "boiler/setpoint";
    tag.driver = "line-1";
    driver->take_writes(*tags_.claim(tag));
    tag.path = "boiler/temp";
    EXPECT_TRUE(tags_.claim(tag));
    pipeline_.add_driver(std::move(driver), 0);
    writer_ = std::make_unique<TagWriter>(TagWriter::Parts{&pipeline_, &tags_, &clock_});
  }
  void want(const std::string& tag = "boiler/setpoint", const std::string& refusal = "") {
    writer_->write({tag, 60.5, "uplink scada", "DCMD of a test", refusal});
  }
  void answer(drivers::WriteAnswer answer) {
    driver_->offer_answer(std::move(answer));
    while (pipeline_.turn()) {
    }
  }
  std::vector<std::string> events() const { return log_.documents(Stream::events); }
  std::uint64_t count(WriteResult result, const std::string& driver = "line-1") const {
    const auto found = writer_->counts().find(driver);
    return found == writer_->counts().end() ? 0 : found->second[static_cast<std::size_t>(result)];
  }

  TagRegistry tags_;
  testing::ManualClock clock_;
  testing::FakeRingLog log_;
  Pipeline pipeline_{log_, tags_, clock_, BootId{2}};
  testing::FakeDriver* driver_ = nullptr;
  std::unique_ptr<TagWriter> writer_;
};

TEST_F(TagWriterTest, AWriteIsRecordedWithWhatBecameOfIt) {
  want();
  ASSERT_THAT(driver_->orders, SizeIs(1));
  EXPECT_EQ(driver_->orders[0].value, Value(60.5));
  EXPECT_THAT(events(), SizeIs(0)) << "nobody knows yet";
  answer({driver_->orders[0].id, WriteResult::written, ""});
  ASSERT_THAT(events(), SizeIs(1));
  EXPECT_THAT(events()[0], HasSubstr("\"event\":\"tag-write\""));
  EXPECT_THAT(events()[0], HasSubstr("\"tag\":\"boiler/setpoint\",\"value\":60.5,\"by\":\"uplink scada\","
                                     "\"result\":\"written\",\"driver\":\"line-1\",\"detail\":\"DCMD of a test\"}"));
  answer({driver_->orders[0].id, WriteResult::written, ""});
  EXPECT_THAT(events(), SizeIs(1)) << "an answer counts once";
  want();
  answer({driver_->orders[1].id, WriteResult::unknown, "no answer within 500ms"});
  EXPECT_THAT(events()[1], HasSubstr("\"result\":\"unknown\",\"reason\":\"no answer within 500ms\""));
  EXPECT_EQ(count(WriteResult::written), 1U);
  EXPECT_EQ(count(WriteResult::unknown), 1U);
}

TEST_F(TagWriterTest, WhatIsNotWrittenSaysWhy) {
  want("boiler/temp");
  EXPECT_THAT(events().back(), HasSubstr("the tag is not writable"));
  EXPECT_THAT(events().back(), HasSubstr("\"driver\":\"line-1\""));
  want("boiler/none");
  EXPECT_THAT(events().back(), HasSubstr("\"result\":\"refused\",\"reason\":\"no driver has a tag of this name\""));
  EXPECT_EQ(count(WriteResult::refused, ""), 1U);
  want("boiler/setpoint", "the command was retained");
  EXPECT_THAT(events().back(), HasSubstr("the command was retained"));
  driver_->refuse_writes("found 60.5; 0 to 50 is allowed");
  want();
  EXPECT_THAT(events().back(), HasSubstr("found 60.5; 0 to 50 is allowed"));
  EXPECT_THAT(driver_->orders, SizeIs(0));
  EXPECT_EQ(count(WriteResult::refused), 3U);
}

TEST_F(TagWriterTest, WhatCannotBeRecordedIsNotWritten) {
  log_.refuse_with(ErrorCode::full);
  pipeline_.record_event("{\"event\":\"one\"}");
  ASSERT_TRUE(pipeline_.is_stalled());
  want();
  EXPECT_THAT(driver_->orders, SizeIs(0));
  EXPECT_EQ(count(WriteResult::refused), 1U);
  log_.accept_again();
  pipeline_.turn();
  EXPECT_THAT(events().back(), HasSubstr("what cannot be recorded is not written"));
}

TEST_F(TagWriterTest, AFloodOfCommandsFillsNeitherTheBusNorTheEvents) {
  for (int second = 0; second < 600; ++second) {
    for (int i = 0; i < 50; ++i) want();
    clock_.advance(seconds(1));
    writer_->look();
  }
  const double carried_out = TagWriter::kWritesAtOnce + 600 * TagWriter::kWritesPerSecond;
  EXPECT_LE(static_cast<double>(driver_->orders.size()), carried_out + 1);
  EXPECT_GE(static_cast<double>(driver_->orders.size()), carried_out - 10);
  EXPECT_LE(static_cast<double>(events().size()), TagWriter::kRefusalsAtOnce + 600 * TagWriter::kRefusalsPerSecond + 1);
  clock_.advance(seconds(100));
  writer_->look();
  std::uint64_t told = 0;
  for (const auto& event : events()) {
    const auto at = event.find("\"count\":");
    told += at == std::string::npos ? 1 : std::stoull(event.substr(at + 8));
  }
  EXPECT_EQ(told, count(WriteResult::refused)) << "each is in an event, alone or with others";
  EXPECT_EQ(count(WriteResult::refused), 600U * 50 - driver_->orders.size());
  EXPECT_THAT(events().back(), HasSubstr("\"event\":\"tag-writes-refused\""));
  EXPECT_THAT(events().back(), HasSubstr("too many writes: after 100 at once 5 a second are carried out"));
}

TEST_F(TagWriterTest, ARequestThatComesAfterTheWriterIsGoneDoesNothing) {
  std::vector<std::function<void()>> posted;
  const auto handler = writer_->handler([&](std::function<void()> action) { posted.push_back(std::move(action)); });
  handler({"boiler/setpoint", 1.0, "uplink scada", "", ""});
  handler({"boiler/setpoint", 2.0, "uplink scada", "", ""});
  ASSERT_THAT(posted, SizeIs(2));
  posted[0]();
  EXPECT_THAT(driver_->orders, SizeIs(1));
  writer_.reset();
  posted[1]();
  EXPECT_THAT(driver_->orders, SizeIs(1));
}

}  // namespace
}  // namespace tidegate::daemon
