// A listener without sockets whose process ends and begins again, beside a log that keeps what it was given.
#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/mqtt_listener/listener_core.h"
#include "drivers/mqtt_listener/session_journal.h"
#include "mqtt/packet_encoder.h"
#include "tests/drivers/fake_latest.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"

namespace tidegate::drivers {
namespace {

using mqtt::PacketType;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Message {
  std::uint16_t id = 1;
  std::string payload = "on";
  bool duplicate = false;
};

class ListenerRestartTest : public ::testing::Test {
 protected:
  ListenerRestartTest() {
    options_.name = "direct";
    options_.limits.inflight_max = 10'000;
    begin();
  }
  ~ListenerRestartTest() override { end(); }

  /// The process is killed: what it has not given to the log is gone.
  void restart() {
    end();
    begin();
  }
  void end() {
    if (session_) core_->gone(*session_);
    session_.reset();
    core_.reset();
    journal_.reset();
  }
  void begin(bool has_journal = true) {
    MqttDriverOptions messages;
    messages.name = options_.name;
    auto& subscribe = messages.subscribe.emplace_back();
    subscribe.topic = "{device}/{tag...}";
    subscribe.payload = PayloadFormat::text;
    tags_ = std::make_unique<TagRegistry>();
    core_ = std::make_unique<ListenerCore>(options_, std::move(MessageDecoder::make(messages, *tags_).value()), nullptr,
                                           clock_, [] {});
    settles_ = 0;
    if (has_journal) open_journal();
  }
  void open_journal() {
    journal_ = std::move(SessionJournal::open(disk_, "sessions", "direct", marks_).value());
    core_->use_journal(*journal_);
  }

  /// Returns whether the session was there.
  bool connect(bool clean_start = false, std::uint32_t expiry = 3600) {
    session_ = std::make_unique<ListenerSession>(*core_, options_.limits, clock_.boot_now());
    mqtt::ConnectPacket connect;
    connect.version = ProtocolVersion::v5;
    connect.client_id = "pump";
    connect.clean_start = clean_start;
    connect.properties.set(mqtt::PropertyId::session_expiry_interval, expiry);
    std::string bytes;
    mqtt::encode(connect, bytes);
    session_->receive(bytes, clock_.boot_now());
    const auto packet = mqtt::cut_packet(session_->out(), 1024);
    const bool present = mqtt::decode_connack(**packet, ProtocolVersion::v5)->session_present;
    session_->out().clear();
    return present;
  }
  void publish(const Message& message) {
    mqtt::PublishPacket packet;
    packet.topic = "a/x";
    packet.payload = message.payload;
    packet.qos = 2;
    packet.packet_id = message.id;
    packet.duplicate = message.duplicate;
    std::string bytes;
    mqtt::encode(packet, ProtocolVersion::v5, bytes);
    session_->receive(bytes, clock_.boot_now());
  }
  void release(std::uint16_t id) {
    std::string bytes;
    mqtt::encode(PacketType::pubrel, mqtt::AckPacket{id, ReasonCode::success, {}}, ProtocolVersion::v5, bytes);
    session_->receive(bytes, clock_.boot_now());
  }
  /// One turn of the core: the log has what was collected.
  std::size_t store() {
    Intake intake;
    core_->collect(intake);
    for (const Reading& reading : intake.readings) logged_.push_back(std::get<std::string>(reading.value));
    if (intake.mark && !intake.readings.empty()) marks_ = {*intake.mark};
    core_->settled();
    ++settles_;
    return intake.readings.size();
  }
  void make_durable() {
    core_->durable(settles_);
    session_->release(core_->safe());
  }
  /// It can be neither kept nor removed.
  void fail_journal() {
    disk_.fail(testing::InMemoryFileSystem::Operation::write, 0, 100, ErrorCode::full, "direct");
    disk_.fail(testing::InMemoryFileSystem::Operation::remove, 0, 100, ErrorCode::retry, "direct");
  }
  void mend_journal() {
    disk_.fail_never();
    core_->tick(clock_.boot_now());
  }
  std::vector<PacketType> sent() {
    std::vector<PacketType> types;
    std::string_view rest = session_->out();
    while (!rest.empty()) {
      const auto packet = mqtt::cut_packet(rest, 1024);
      types.push_back((*packet)->type);
      rest.remove_prefix((*packet)->bytes);
    }
    session_->out().clear();
    return types;
  }

  testing::InMemoryFileSystem disk_;
  testing::ManualClock clock_;
  MqttListenerOptions options_;
  std::unique_ptr<TagRegistry> tags_;
  std::unique_ptr<SessionJournal> journal_;
  std::unique_ptr<ListenerCore> core_;
  std::unique_ptr<ListenerSession> session_;
  std::vector<QueueMark> marks_;  // of the log
  std::vector<std::string> logged_;
  std::uint64_t settles_ = 0;
};

TEST_F(ListenerRestartTest, WhatTheLogHasIsAcknowledgedAgainAndNotTakenAgain) {
  EXPECT_FALSE(connect());
  publish({});
  store();
  restart();
  EXPECT_TRUE(connect());
  publish({.duplicate = true});
  store();
  EXPECT_THAT(sent(), IsEmpty()) << "the log of before may not be durable yet";
  make_durable();
  EXPECT_THAT(sent(), ElementsAre(PacketType::pubrec));
  release(1);
  EXPECT_THAT(sent(), ElementsAre(PacketType::pubcomp));
  EXPECT_THAT(logged_, ElementsAre("on"));
}

TEST_F(ListenerRestartTest, WhatTheLogDoesNotHaveIsTakenWhenItComesAgain) {
  connect();
  publish({});
  Intake lost;
  core_->collect(lost);  // and the kill comes before the log
  restart();
  EXPECT_TRUE(connect());
  publish({.duplicate = true});
  store();
  EXPECT_THAT(logged_, ElementsAre("on"));
}

TEST_F(ListenerRestartTest, AfterItsPubcompAnIdStandsForTheNextMessage) {
  connect();
  publish({.id = 1, .payload = "first"});
  store();
  make_durable();
  release(1);
  restart();
  connect();
  publish({.id = 1, .payload = "first", .duplicate = true});
  store();
  EXPECT_THAT(logged_, ElementsAre("first", "first")) << "two messages that say the same";
}

TEST_F(ListenerRestartTest, AClientThatForgotWhatItSentLosesNothing) {
  connect();
  publish({.id = 1, .payload = "one"});
  publish({.id = 2, .payload = "two"});
  store();
  restart();
  connect();
  publish({.id = 1, .payload = "one"});                         // no DUP: another message
  publish({.id = 2, .payload = "another", .duplicate = true});  // nor is this one
  store();
  EXPECT_THAT(logged_, ElementsAre("one", "two", "one", "another"));
}

// The first of them was taken, and what the log did not get of the second is no repeat of it.
TEST_F(ListenerRestartTest, OfTwoMessagesUnderOneIdTheSecondIsNotLost) {
  connect();
  publish({});
  store();
  publish({});  // no DUP
  Intake lost;
  core_->collect(lost);
  restart();
  EXPECT_TRUE(connect());
  publish({.duplicate = true});
  store();
  EXPECT_THAT(logged_, ElementsAre("on", "on"));
}

// What this process knows better a later one would believe.
TEST_F(ListenerRestartTest, NoIdIsReleasedWhileThatCannotBeKept) {
  connect();
  publish({});
  store();
  make_durable();
  EXPECT_THAT(sent(), ElementsAre(PacketType::pubrec));
  fail_journal();
  release(1);
  EXPECT_THAT(sent(), ElementsAre(PacketType::disconnect));
  core_->gone(*session_);
  connect();
  EXPECT_FALSE(session_->is_connected());
  mend_journal();
  EXPECT_TRUE(connect());
  release(1);
  EXPECT_THAT(sent(), ElementsAre(PacketType::pubcomp));
  publish({});
  restart();
  connect();
  publish({.duplicate = true});
  store();
  EXPECT_THAT(logged_, ElementsAre("on", "on"));
}

// Whether it had left, was thought to be still there, or wanted to begin anew.
TEST_F(ListenerRestartTest, WhoIsTurnedAwayForTheJournalFindsEverythingAsItWas) {
  for (const bool is_there : {false, true}) {
    for (const bool clean_start : {false, true}) {
      for (const std::uint32_t expiry : {0U, 7200U}) {
        SCOPED_TRACE(std::to_string(is_there) + std::to_string(clean_start) + " " + std::to_string(expiry));
        disk_.wipe();
        logged_.clear();
        restart();
        connect();
        publish({});
        store();
        const auto first = std::move(session_);
        if (!is_there) core_->gone(*first);
        fail_journal();
        connect(clean_start, expiry);
        EXPECT_FALSE(session_->is_connected());
        EXPECT_FALSE(first->is_over());
        core_->gone(*session_);
        if (is_there) core_->gone(*first);
        mend_journal();
        EXPECT_TRUE(connect());
        publish({.duplicate = true});
        EXPECT_EQ(store(), 0U) << "it is known here";
        publish({.id = 2, .payload = "the log's mark"});
        store();
        restart();
        EXPECT_TRUE(connect());
        publish({.duplicate = true});
        EXPECT_EQ(store(), 0U) << "and to the next process";
      }
    }
  }
}

TEST_F(ListenerRestartTest, AJournalThatIsOpenedLateKnowsWhatIsThere) {
  end();
  begin(false);
  connect();
  publish({.id = 1});
  store();
  open_journal();
  publish({.id = 2, .payload = "off"});
  store();
  restart();
  EXPECT_TRUE(connect());
  publish({.id = 1, .duplicate = true});
  publish({.id = 2, .payload = "off", .duplicate = true});
  store();
  EXPECT_THAT(logged_, ElementsAre("on", "off"));
}

TEST_F(ListenerRestartTest, NobodyComesInBesideAJournalThatCannotBeRead) {
  core_->close_for_journal(true);
  connect();
  EXPECT_FALSE(session_->is_connected());
  core_->close_for_journal(false);
  connect();
  EXPECT_TRUE(session_->is_connected());
}

TEST_F(ListenerRestartTest, WhoHasMoreThanItsShareOfUnreleasedMessagesIsEndedAndKeepsThem) {
  options_.limits.inflight_max = 65'535;
  for (int client = 0; client < 100; ++client) {
    const std::string name = "hog " + std::to_string(client);
    journal_->keep(name, std::chrono::hours(1));
    for (std::uint16_t id = 1; id < 65'535 && journal_->has_room_for(name); ++id) journal_->take(name, id, {1, 7});
  }
  connect();
  for (std::uint16_t id = 1; id <= 32; ++id) publish({.id = id});
  EXPECT_EQ(store(), 32U);
  EXPECT_FALSE(session_->is_over());
  publish({.id = 33});
  const auto packet = mqtt::cut_packet(session_->out(), 1024);
  ASSERT_TRUE(packet && *packet);
  ASSERT_EQ((*packet)->type, PacketType::disconnect);
  EXPECT_EQ(mqtt::decode_disconnect(**packet, ProtocolVersion::v5)->reason, ReasonCode::quota_exceeded);
  core_->gone(*session_);
  EXPECT_TRUE(connect());
  for (std::uint16_t id = 1; id <= 32; ++id) publish({.id = id, .duplicate = true});
  EXPECT_EQ(store(), 0U);
  make_durable();
  release(1);
  publish({.id = 33, .duplicate = true});
  EXPECT_EQ(store(), 1U) << "it gets on";
}

TEST_F(ListenerRestartTest, ACleanStartForgetsWhatAnEarlierProcessTook) {
  connect();
  publish({});
  store();
  restart();
  EXPECT_FALSE(connect(true));
  publish({.duplicate = true});
  store();
  restart();
  EXPECT_TRUE(connect());
  EXPECT_THAT(logged_, ElementsAre("on", "on"));
}

TEST_F(ListenerRestartTest, ASessionThatEndsWithItsConnectionIsNotThereAfterARestart) {
  connect(true, 0);
  publish({});
  store();
  EXPECT_THAT(marks_, IsEmpty());
  restart();
  EXPECT_FALSE(connect());
}

TEST_F(ListenerRestartTest, ASessionExpiresAfterARestartToo) {
  connect(false, 60);
  restart();
  clock_.advance(std::chrono::seconds(61));
  core_->tick(clock_.boot_now());
  restart();
  EXPECT_FALSE(connect());
}

// So that readings and mark are one frame of the log, which is there as a whole or not at all.
TEST_F(ListenerRestartTest, HandsNotedMessagesOverInPartsThatFitAFrame) {
  connect();
  std::size_t all = 0;
  for (std::uint16_t id = 1; id <= 5000; ++id) publish({.id = id});
  while (const std::size_t count = store()) {
    EXPECT_LE(count, 2048U);
    all += count;
    ASSERT_FALSE(marks_.empty());
  }
  EXPECT_EQ(all, 5000U);
  publish({.id = 6000, .payload = std::string(60'000, 'x')});
  publish({.id = 6001, .payload = std::string(60'000, 'x')});
  publish({.id = 6002, .payload = std::string(60'000, 'x')});
  EXPECT_LE(store(), 2U);
  restart();  // the last part was not handed over
  connect();
  publish({.id = 5000, .duplicate = true});
  EXPECT_EQ(store(), 0U);
  publish({.id = 6002, .payload = std::string(60'000, 'x'), .duplicate = true});
  EXPECT_EQ(store(), 1U);
}

// Its subscriptions are gone, and it has to know.
TEST_F(ListenerRestartTest, AClientWithSubscriptionsHasNoSessionAfterwards) {
  options_.watch = {{"", {"#"}}};
  FakeLatest latest;
  core_->use_latest(latest);
  connect();
  ASSERT_EQ(core_->subscribe(*session_, {"a/#", 1, false, false, 0}), mqtt::ReasonCode::granted_qos_1);
  publish({1, "1"});
  store();
  core_->gone(*session_);
  session_.reset();
  EXPECT_TRUE(connect());
  restart();
  EXPECT_FALSE(connect());
}

}  // namespace
}  // namespace tidegate::drivers
