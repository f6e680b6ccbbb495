// MQTT 5 of the uplinks, against mosquitto and a subscriber over libmosquitto.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mqtt_protocol.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <mosquitto.h>

#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDelivered = "tidegate_readings_delivered_total{uplink=\"cloud\",stream=\"readings\"}";
constexpr const char* kMismatch = "tidegate_uplink_account_mismatch{stream=\"readings\",uplink=\"cloud\"}";

/// A message with what MQTT 5 says beside it.
struct Message {
  std::string topic;
  std::string payload;
  std::string content_type;
  int payload_format = 0;
  std::map<std::string, std::string> user;
};

/// Subscribes to all with MQTT 5 and keeps what comes.
class Subscriber5 {
 public:
  explicit Subscriber5(std::uint16_t port) : client_(mosquitto_new("subscriber-5", true, this)) {
    mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_subscribe_v5_callback_set(
        client_, [](mosquitto*, void* self, int, int, const int*, const mosquitto_property*) {
          static_cast<Subscriber5*>(self)->change([](Subscriber5& own) { own.subscribed_ = true; });
        });
    mosquitto_message_v5_callback_set(
        client_, [](mosquitto*, void* self, const mosquitto_message* message, const mosquitto_property* properties) {
          Message taken = read(*message, properties);
          static_cast<Subscriber5*>(self)->change([&](Subscriber5& own) { own.messages_.push_back(std::move(taken)); });
        });
    const bool works = mosquitto_connect(client_, "127.0.0.1", port, 30) == MOSQ_ERR_SUCCESS &&
                       mosquitto_loop_start(client_) == MOSQ_ERR_SUCCESS &&
                       mosquitto_subscribe_v5(client_, nullptr, "tidegate/#", 1, 0, nullptr) == MOSQ_ERR_SUCCESS;
    std::unique_lock lock(mutex_);
    if (!works || !changed_.wait_for(lock, seconds(10), [this] { return subscribed_; })) {
      throw std::runtime_error("the broker takes no subscription of MQTT 5");
    }
  }
  Subscriber5(const Subscriber5&) = delete;
  Subscriber5& operator=(const Subscriber5&) = delete;
  ~Subscriber5() {
    mosquitto_disconnect(client_);
    mosquitto_loop_stop(client_, true);
    mosquitto_destroy(client_);
  }

  std::vector<Message> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, seconds(60), [&] { return messages_.size() >= count; });
    return messages_;
  }

 private:
  template <class Change>
  void change(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(*this);
    changed_.notify_all();
  }
  static Message read(const mosquitto_message& message, const mosquitto_property* properties) {
    Message taken;
    taken.topic = message.topic;
    taken.payload.assign(static_cast<const char*>(message.payload), static_cast<std::size_t>(message.payloadlen));
    char* name = nullptr;
    char* value = nullptr;
    std::uint8_t format = 0;
    if (mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &value, false) != nullptr) {
      taken.content_type = take_text(value);
    }
    mosquitto_property_read_byte(properties, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, &format, false);
    taken.payload_format = format;
    const mosquitto_property* at = properties;
    for (bool again = false;
         (at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value, again)) != nullptr;
         again = true) {
      const std::string key = take_text(name);
      taken.user[key] = take_text(value);
    }
    return taken;
  }
  static std::string take_text(char* text) {
    std::string taken = text;
    std::free(text);
    return taken;
  }

  mosquitto* client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool subscribed_ = false;
  std::vector<Message> messages_;
};

std::string uplink(const MosquittoBroker& broker, const std::string& more = "") {
  return "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" + broker.uri() + "\"\nprotocol = \"5\"\n" + more;
}

std::string simulator(int devices, int tags, const std::string& interval = "200ms") {
  return "[[driver.simulator]]\nname = \"sim\"\ndevices = " + std::to_string(devices) +
         "\ntags = " + std::to_string(tags) + "\ninterval = \"" + interval + "\"\n";
}

TEST(Mqtt5UplinkShort, SaysBesideEachBatchWhatItIs) {
  MosquittoBroker target("max_queued_messages 0\n");
  target.start();
  Subscriber5 subscriber(target.port());
  GatewayProcess gateway;
  gateway.configure(simulator(2, 3) + uplink(target, "batch = { max_delay = \"50ms\" }\n"));
  gateway.start();
  const auto messages = subscriber.wait_for(20);
  ASSERT_GE(messages.size(), 20U) << gateway.log();
  for (const Message& message : messages) {
    EXPECT_EQ(message.content_type, "application/json");
    EXPECT_EQ(message.payload_format, 1);
    ASSERT_EQ(message.user.size(), 5U);
    const auto said = [&](const char* name) { return message.user.at(std::string("tidegate-") + name); };
    EXPECT_EQ(message.topic, "tidegate/" + said("gateway") + "/" + said("stream"));
    EXPECT_THAT(message.payload, HasSubstr("\"gateway\":\"" + said("gateway") + "\",\"stream\":\"" + said("stream")));
    EXPECT_THAT(message.payload,
                HasSubstr("\"epoch\":" + said("epoch") + ",\"from\":" + said("from") + ",\"to\":" + said("to") + ","));
  }
  EXPECT_TRUE(gateway.wait_for_metric(kDelivered, 50, seconds(30)));
  gateway.stop();
}

TEST(Mqtt5UplinkShort, KeepsToTheLimitsOfTheBrokerAndLosesNothing) {
  MosquittoBroker target("max_queued_messages 0\nmax_packet_size 8000\nmax_inflight_messages 3\n");
  target.start();
  BatchSubscriber checker(target.port(), "tidegate/+/readings", NumberedReadings{0});
  checker.start();
  GatewayProcess gateway;
  gateway.configure(simulator(20, 25) + uplink(target));
  gateway.start();
  EXPECT_TRUE(gateway.wait_for_metric(kDelivered, 10'000, seconds(60))) << gateway.log();
  EXPECT_EQ(lines_with(gateway.log(), "the target takes no batch of").size(), 1U) << gateway.log();
  EXPECT_EQ(lines_with(gateway.log(), "cloud is down").size(), 0U) << gateway.log();
  EXPECT_EQ(gateway.metric(kMismatch), 0);
  const auto report = checker.report();
  EXPECT_GE(report.batches, 50U);
  EXPECT_EQ(report.chain_breaks + report.malformed + report.gap_records, 0U)
      << ::testing::PrintToString(report.complaints);
  gateway.stop();
}

TEST(Mqtt5UplinkShort, ARecordThatNoPacketOfTheBrokerHoldsIsADeadLetter) {
  MosquittoBroker source("max_queued_messages 0\nlog_type subscribe\n");
  MosquittoBroker target("max_queued_messages 0\nmax_packet_size 3000\n");
  source.start();
  target.start();
  GatewayProcess gateway;
  gateway.configure("[[driver.mqtt]]\nname = \"local\"\nbroker = \"" + source.uri() +
                    "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"plant/{tag}\"\n  value = \"/v\"\n" +
                    uplink(target, "dead_letter_after = 1\nbatch = { max_readings = 1 }\n"));
  gateway.start();
  ASSERT_TRUE(source.wait_for_log("plant/+"));
  const auto publish = [&](const std::string& value) {
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(source.port()),
                                  "-q", "1", "-t", "plant/text", "-m", value});
    ASSERT_EQ(done.end.exit_code, 0) << done.output;
  };
  for (int i = 0; i < 5; ++i) publish(R"({"v":"short"})");
  ASSERT_TRUE(gateway.wait_for_metric(kDelivered, 5, seconds(30))) << gateway.log();
  publish(R"({"v":")" + std::string(4000, 'x') + "\"}");
  for (int i = 0; i < 5; ++i) publish(R"({"v":"short"})");
  EXPECT_TRUE(gateway.wait_for_metric(kDelivered, 10, seconds(60))) << gateway.status_of("cloud") << gateway.log();
  const std::string status = gateway.status_of("cloud");
  EXPECT_THAT(status, HasSubstr("\"dead-letter\":1"));
  EXPECT_THAT(status, HasSubstr("(maximum packet size)"));
  EXPECT_THAT(status, Not(HasSubstr("account_mismatch")));
  gateway.stop();
}

TEST(Mqtt5UplinkShort, WhatTheBrokerDoesNotLetItPublishIsNotDelivered) {
  MosquittoBroker target("acl_file {dir}/acl\n");
  write_file(target.directory() + "/acl", "topic read #\ntopic write tidegate/+/events\n");
  target.start();
  GatewayProcess gateway;
  gateway.configure(simulator(1, 1) + uplink(target));
  gateway.start();
  EXPECT_TRUE(wait_until(
      [&] {
        const std::string status = gateway.status_of("cloud");
        return status.find("(not authorized): this client may not publish to") != std::string::npos;
      },
      seconds(30)))
      << gateway.status_of("cloud");
  EXPECT_EQ(gateway.metric(kDelivered), 0);
  EXPECT_GE(gateway.metric("tidegate_readings_delivered_total{uplink=\"cloud\",stream=\"events\"}"), 1);
  gateway.stop();
}

TEST(Mqtt5UplinkShort, ABrokerThatAcknowledgesNothingGetsNothing) {
  MosquittoBroker target("max_qos 0\nlog_type all\n");
  target.start();
  GatewayProcess gateway;
  gateway.configure(simulator(1, 1) + uplink(target));
  gateway.start();
  EXPECT_TRUE(
      wait_until([&] { return gateway.status_of("cloud").find("QoS 0 only") != std::string::npos; }, seconds(30)))
      << gateway.status_of("cloud");
  EXPECT_EQ(gateway.metric(kDelivered), 0);
  EXPECT_THAT(target.log(), Not(HasSubstr("Received PUBLISH")));
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
