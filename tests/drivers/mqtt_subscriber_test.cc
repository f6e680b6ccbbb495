#include <arpa/inet.h>
#include <netinet/in.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/drivers/mqtt_subscriber_fixture.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/process_under_test.h"
#include "tests/support/silent_port.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class MqttSubscriberTest : public ScriptedBrokerRig {};

TEST_F(MqttSubscriberTest, AcknowledgesNothingBeforeItIsDurable) {
  is_durable_ = false;
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  const std::string before = broker->received();
  broker->send(packets_.publish(1, packets_.number(1)) + packets_.publish(2, packets_.number(2)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 2; }));
  turn_out();
  EXPECT_EQ(broker->received(), before) << "written is not durable";
  make_durable();
  EXPECT_TRUE(turn_until([&] { return broker->received() == before + packets_.ack(1) + packets_.ack(2); }));
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=2"));
}

// With a window of one, what stands behind a message is held until that is durable.
TEST_F(MqttSubscriberTest, IsUpAsSoonAsASubackBehindOldMessagesIsReadHoweverQuietTheBroker) {
  options_.inflight_max = 1;
  is_durable_ = false;
  start();
  const auto broker = next_connection();
  ASSERT_TRUE(broker);
  broker->send(packets_.connack() + packets_.publish(1, packets_.number(1)) + packets_.suback());
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  turn_out();
  EXPECT_FALSE(driver_->status().up);
  make_durable();
  EXPECT_TRUE(wait_until_up());
}

TEST_F(MqttSubscriberTest, AcknowledgesWhatItRefusesAndCountsIt) {
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  broker->send(packets_.publish(1, "no json") + packets_.publish(2, packets_.number(2)) +
               packets_.publish(3, packets_.number(3), 1, false, "elsewhere"));
  ASSERT_TRUE(
      turn_until([&] { return broker->received().ends_with(packets_.ack(1) + packets_.ack(2) + packets_.ack(3)); }));
  EXPECT_EQ(driver_->status().refused.at("not_json"), 1U);
  EXPECT_EQ(driver_->status().refused.at("no_such_topic"), 1U);
}

TEST_F(MqttSubscriberTest, RefusesWhatIsTooLargeAndGoesOn) {
  options_.queue_bytes = 64 * 1024;
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  std::string packets = packets_.publish(1, std::string(500'000, 'x')) + packets_.publish(2, packets_.number(2));
  ASSERT_TRUE(turn_until([&] {
    packets.erase(0, broker->send(packets));
    return broker->received().ends_with(packets_.ack(1) + packets_.ack(2));
  }));
  EXPECT_EQ(driver_->status().refused.at("too_large"), 1U);
}

TEST_F(MqttSubscriberTest, MarksWhatTheBrokerHadRetained) {
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  broker->send(packets_.publish(1, packets_.number(1), 1, true));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  EXPECT_EQ(intake_.readings[0].reason, Reason::stale);
  EXPECT_EQ(driver_->status().remarked.at("retained"), 1U);
}

// The core takes nothing: the disk may be full. What the broker has then waits with the broker.
TEST_F(MqttSubscriberTest, HoldsTheBrokerBackWhileNothingIsTaken) {
  options_.queue_bytes = 64 * 1024;
  options_.broker.protocol = mqtt::ProtocolVersion::v3_1_1;
  packets_ = BrokerPackets(options_.broker.protocol);
  options_.inflight_max = 65535;
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  takes_in_ = false;
  constexpr int kMessages = 60'000;
  std::string rest;
  for (int i = 1; i <= kMessages; ++i) {
    rest += packets_.publish(static_cast<std::uint16_t>(i), packets_.number(i) + std::string(100, ' '));
  }
  const auto offer = [&] { rest.erase(0, broker->send(rest)); };
  for (std::size_t left = 0; left != rest.size(); turn_out()) {
    left = rest.size();
    offer();
  }
  EXPECT_GT(rest.size(), 0U) << "the broker could send everything";
  EXPECT_LE(driver_->status().queue_bytes, 256U * 1024);
  EXPECT_TRUE(driver_->status().up);
  takes_in_ = true;
  EXPECT_TRUE(turn_until([&] {
    if (!rest.empty()) offer();
    return intake_.readings.size() == kMessages;
  })) << intake_.readings.size();
  EXPECT_TRUE(turn_until([&] { return broker->received().ends_with(packets_.ack(kMessages)); }));
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_EQ(std::get<std::int64_t>(intake_.readings[static_cast<std::size_t>(i)].value), i + 1);
  }
}

TEST_F(MqttSubscriberTest, EndsAMalformedConnectionTellsItAndComesBack) {
  start();
  const auto first = next_up();
  ASSERT_TRUE(first);
  first->send(std::string("\x36\x03\x00\x01t", 5));
  EXPECT_TRUE(turn_until([&] { return first->is_ended(); }));
  EXPECT_THAT(first->received(), EndsWith(packets_.disconnect(mqtt::ReasonCode::malformed_packet)));
  EXPECT_THAT(driver_->status().detail, HasSubstr("malformed packet"));
  const auto second = next_up();
  ASSERT_TRUE(second);
  ASSERT_TRUE(turn_until([&] { return events("driver-up") == 2; }));
  EXPECT_EQ(events("driver-down"), 1U);
}

TEST_F(MqttSubscriberTest, SaysThatALoginIsRefused) {
  options_.broker.username = "gateway";
  start();
  const auto broker = next_connection();
  ASSERT_TRUE(broker);
  broker->send(packets_.connack(mqtt::ReasonCode::bad_user_name_or_password));
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  EXPECT_FALSE(driver_->status().up);
  EXPECT_THAT(driver_->status().detail, HasSubstr("user name \"gateway\""));
}

TEST_F(MqttSubscriberTest, AcknowledgesWhatBecomesDurableAfterItsStopAndSaysGoodbye) {
  is_durable_ = false;
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  broker->send(packets_.publish(1, packets_.number(1)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  driver_->stop();
  EXPECT_FALSE(driver_->status().up);
  broker->send(packets_.publish(2, packets_.number(2)));
  turn_out();
  EXPECT_EQ(intake_.readings.size(), 1U) << "it reads nothing any more";
  EXPECT_FALSE(broker->is_ended());
  make_durable();
  EXPECT_TRUE(turn_until([&] { return broker->is_ended(); }));
  EXPECT_THAT(broker->received(), EndsWith(packets_.ack(1) + packets_.disconnect(mqtt::ReasonCode::success)));
}

TEST_F(MqttSubscriberTest, SaysGoodbyeAtOnceWhenNothingIsOpen) {
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  driver_->stop();
  EXPECT_TRUE(turn_until([&] { return broker->is_ended(); }));
  EXPECT_THAT(broker->received(), EndsWith(packets_.disconnect(mqtt::ReasonCode::success)));
}

// Closing with something unread would reset the connection, and the broker might read none of the acknowledgements.
TEST_F(MqttSubscriberTest, LeavesABrokerThatGoesOnSendingWithoutAReset) {
  constexpr std::uint16_t kTaken = 100;
  is_durable_ = false;
  start();
  auto broker = next_up();
  ASSERT_TRUE(broker);
  std::string last;
  for (std::uint16_t id = 1; id <= kTaken; ++id) {
    broker->send(packets_.publish(id, packets_.number(id)));
    last += packets_.ack(id);
  }
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == kTaken; }));
  driver_clock_.stop();  // however long the broker takes for what follows
  driver_->stop();
  std::string rest(20'000'000, 'x');  // which nobody looks at any more
  const auto send_more = [&] { rest.erase(0, broker->send(rest)); };
  for (std::size_t left = 0; left != rest.size();) {
    left = rest.size();
    send_more();
  }
  make_durable();
  EXPECT_TRUE(driver_->is_leaving());
  ASSERT_TRUE(turn_until([&] {
    send_more();
    return broker->is_ended();
  }));
  EXPECT_FALSE(broker->is_reset());
  EXPECT_THAT(broker->received(), EndsWith(last + packets_.disconnect(mqtt::ReasonCode::success)));
  broker.reset();
  EXPECT_TRUE(turn_until([&] { return !driver_->is_leaving(); }));
  turn_out();
  EXPECT_EQ(intake_.readings.size(), kTaken);
}

TEST_F(MqttSubscriberTest, WaitsForNoBrokerThatDoesNotEndTheConnection) {
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  driver_->stop();
  EXPECT_TRUE(driver_->is_leaving());
  EXPECT_TRUE(turn_until([&] { return !driver_->is_leaving(); }));
  EXPECT_TRUE(broker->is_ended());
}

TEST_F(MqttSubscriberTest, LeavesNobodyWhoHasNotTakenItIn) {
  start();
  const auto broker = next_connection();
  ASSERT_TRUE(broker);
  driver_->stop();
  EXPECT_FALSE(driver_->is_leaving());
  EXPECT_TRUE(turn_until([&] { return broker->is_ended(); }));
}

TEST_F(MqttSubscriberTest, KeepsTryingWhileNobodyIsThere) {
  {
    const RawListener gone;
    options_.broker.uri = "mqtt://127.0.0.1:" + std::to_string(gone.port());
  }
  start();
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  EXPECT_THAT(driver_->status().detail, HasSubstr("no connection"));
  turn_out();
  EXPECT_EQ(events("driver-down"), 1U) << "an outage is told once";
}

TEST_F(MqttSubscriberTest, GivesUpABrokerThatDoesNotAnswerItsConnectAndTriesAgain) {
  options_.broker.connect_timeout = std::chrono::milliseconds(100);
  start();
  const auto silent = next_connection();
  ASSERT_TRUE(silent);
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  EXPECT_THAT(driver_->status().detail, HasSubstr("does not answer in time"));
  EXPECT_TRUE(turn_until([&] { return silent->is_ended(); }));
  ASSERT_TRUE(next_connection()) << "it tries again";
  EXPECT_EQ(events("driver-down"), 1U) << "an outage is told once";
}

TEST_F(MqttSubscriberTest, GivesUpABrokerThatDoesNotAnswerATlsHandshake) {
  options_.broker.uri = "mqtts://127.0.0.1:" + std::to_string(listener_.port());
  options_.broker.connect_timeout = std::chrono::milliseconds(100);
  start();
  const auto silent = next_connection();
  ASSERT_TRUE(silent);
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  EXPECT_THAT(driver_->status().detail, HasSubstr("does not answer in time"));
  EXPECT_TRUE(turn_until([&] { return silent->is_ended(); }));
}

TEST_F(MqttSubscriberTest, GivesUpABrokerThatDoesNotAnswerItsSubscriptionAndTriesAgain) {
  options_.broker.connect_timeout = std::chrono::milliseconds(400);
  start();
  for (int i = 0; i < 2; ++i) {
    const auto broker = next_connection();
    ASSERT_TRUE(broker);
    broker->send(packets_.connack());
    EXPECT_TRUE(turn_until([&] { return broker->is_ended(); }));
    EXPECT_THAT(broker->received(), EndsWith(packets_.disconnect(mqtt::ReasonCode::unspecified_error)));
    EXPECT_THAT(driver_->status().detail, HasSubstr("does not answer the subscription"));
  }
  EXPECT_EQ(events("driver-down"), 1U) << "an outage is told once";
  EXPECT_FALSE(driver_->status().up);
}

// That it takes connections proves nothing: they come ever more slowly, whatever each of them held.
TEST_F(MqttSubscriberTest, BacksOffFromABrokerThatAnswersNoSubscription) {
  options_.broker.connect_timeout = std::chrono::milliseconds(210);
  options_.broker.reconnect_first = std::chrono::milliseconds(10);
  options_.broker.reconnect_most = std::chrono::milliseconds(200);
  start();
  BootTime ended = clock_.boot_now();
  Duration longest{};
  for (int i = 0; i < 11; ++i) {
    const auto broker = next_connection();
    ASSERT_TRUE(broker);
    longest = std::max<Duration>(longest, clock_.boot_now() - ended);
    broker->send(packets_.connack());
    ASSERT_TRUE(turn_until([&] { return broker->is_ended(); }));
    ended = clock_.boot_now();
  }
  EXPECT_GE(longest, std::chrono::milliseconds(40));
}

TEST_F(MqttSubscriberTest, SaysThatANameHasNoAddress) {
  options_.broker.uri = "mqtt://broker.example:1883";
  look_up_ = [](const std::string&, const auto& then) { then(fail(ErrorCode::retry, "no such name")); };
  start();
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  EXPECT_THAT(driver_->status().detail, HasSubstr("\"broker.example\" has no address"));
}

TEST_F(MqttSubscriberTest, GoesOnToTheNextAddressWhereOneDoesNotAnswer) {
  const testing::SilentPort silent("127.0.0.2", listener_.port());
  look_up_ = [](const std::string&, const auto& then) {
    HostAddresses found;
    for (const char* digits : {"127.0.0.2", "127.0.0.1"}) {
      auto& address = reinterpret_cast<sockaddr_in&>(found.emplace_back().address);
      address.sin_family = AF_INET;
      ::inet_pton(AF_INET, digits, &address.sin_addr);
      found.back().length = sizeof address;
    }
    then(found);
  };
  options_.broker.connect_timeout = std::chrono::seconds(2);
  start();
  EXPECT_TRUE(next_up());
  EXPECT_EQ(events("driver-down"), 0U);
}

// A name server that does not answer holds a thread up for half a minute; nobody may have to wait for that.
TEST_F(MqttSubscriberTest, EndsWhileAnAddressIsLookedUp) {
  std::mutex mutex;
  std::condition_variable changed;
  bool answers = false;
  std::thread lookup;
  look_up_ = [&](const std::string&, std::function<void(Result<HostAddresses>)> then) {
    lookup = std::thread([&, then = std::move(then)] {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return answers; });
      then(HostAddresses{});
    });
  };
  start();
  turn_out();
  driver_->stop();
  driver_.reset();
  {
    const std::lock_guard lock(mutex);
    answers = true;
  }
  changed.notify_all();
  lookup.join();
  turn_out();
}

/// With the real thing.
class MqttSubscriberMosquittoTest : public SubscriberRig, public ::testing::WithParamInterface<mqtt::ProtocolVersion> {
 protected:
  MqttSubscriberMosquittoTest()
      : mosquitto_("max_queued_messages 0\npersistence true\npersistence_location {dir}/\nlog_type all\n") {
    mosquitto_.start();
    options_.broker.uri = mosquitto_.uri();
    options_.broker.protocol = GetParam();
  }
  void publish(int first, int last) const {
    std::string lines;
    for (int value = first; value <= last; ++value) lines += BrokerPackets::number(value) + "\n";
    const std::string file = mosquitto_.directory() + "/lines";
    testing::write_file(file, lines);
    const auto done = testing::run_to_end(
        {"/bin/sh", "-c",
         "mosquitto_pub -h 127.0.0.1 -p " + std::to_string(mosquitto_.port()) + " -q 1 -t plant/d/t -l < " + file});
    EXPECT_EQ(done.end.exit_code, 0) << done.errors;
  }
  std::vector<std::string> numbers(int first, int last) const {
    std::vector<std::string> all;
    for (int value = first; value <= last; ++value) all.push_back("d/t=" + std::to_string(value));
    return all;
  }
  testing::MosquittoBroker mosquitto_;
};
INSTANTIATE_TEST_SUITE_P(Both, MqttSubscriberMosquittoTest,
                         ::testing::Values(mqtt::ProtocolVersion::v3_1_1, mqtt::ProtocolVersion::v5));

TEST_P(MqttSubscriberMosquittoTest, BringsEveryMessageInOrder) {
  start();
  ASSERT_TRUE(wait_until_up());
  publish(1, 2000);
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 2000; })) << intake_.readings.size();
  EXPECT_EQ(values(), numbers(1, 2000));
}

TEST_P(MqttSubscriberMosquittoTest, GetsWhatCameWhileItWasAwayAndComesBackAfterTheBroker) {
  start();
  ASSERT_TRUE(wait_until_up());
  driver_->stop();
  turn_out();
  driver_.reset();
  publish(1, 50);
  mosquitto_.restart();
  intake_.clear();
  settles_ = 0;
  start();
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 50; })) << intake_.readings.size();
  EXPECT_EQ(values(), numbers(1, 50));
  ASSERT_TRUE(mosquitto_.wait_for_log("Received PUBACK from tidegate-driver", 50));
  mosquitto_.stop();
  ASSERT_TRUE(turn_until([&] { return events("driver-down") == 1; }));
  mosquitto_.start();
  ASSERT_TRUE(wait_until_up());
  publish(51, 60);
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 60; })) << intake_.readings.size();
  EXPECT_EQ(values(), numbers(1, 60)) << "what was acknowledged does not come again";
}

// mosquitto 2.0.11 sends more than the receive maximum as soon as something was acknowledged.
TEST_P(MqttSubscriberMosquittoTest, TakesNoMoreAtATimeThanMayBeOpen) {
  options_.inflight_max = 10;
  is_durable_ = false;
  start();
  ASSERT_TRUE(wait_until_up());
  publish(1, 200);
  std::size_t open = 0;
  for (std::size_t durable = 0; durable < 200; durable = intake_.readings.size()) {
    ASSERT_TRUE(turn_until([&] { return intake_.readings.size() > durable; })) << durable;
    turn_out();
    open = std::max(open, intake_.readings.size() - durable);
    make_durable();
  }
  EXPECT_LE(open, 10U);
  EXPECT_EQ(values(), numbers(1, 200));
}

// What is not durable when the process goes is the broker's still.
TEST_P(MqttSubscriberMosquittoTest, GetsAgainWhatItDidNotAcknowledge) {
  is_durable_ = false;
  start();
  ASSERT_TRUE(wait_until_up());
  publish(1, 10);
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 10; }));
  driver_.reset();
  intake_.clear();
  settles_ = 0;
  is_durable_ = true;
  start();
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 10; })) << intake_.readings.size();
  EXPECT_EQ(values(), numbers(1, 10));
}

}  // namespace
}  // namespace tidegate::drivers
