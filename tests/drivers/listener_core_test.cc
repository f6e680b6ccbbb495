#include "drivers/mqtt_listener/listener_core.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/value.h"
#include "mqtt/packet_encoder.h"
#include "tests/support/manual_clock.h"

namespace tidegate::drivers {
namespace {

using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Clients of version 5 as their bytes, without sockets.
class ListenerCoreTest : public ::testing::Test {
 protected:
  ListenerCoreTest() {
    options_.name = "direct";
    MqttDriverOptions messages;
    messages.name = options_.name;
    auto& subscribe = messages.subscribe.emplace_back();
    subscribe.topic = "{device}/{tag...}";
    subscribe.payload = PayloadFormat::text;
    core_ = std::make_unique<ListenerCore>(options_, std::move(MessageDecoder::make(messages, tags_).value()), nullptr,
                                           clock_, [] {});
  }

  struct Client {
    std::string id = "";
    bool clean_start = false;
    std::string will = "";
    Duration will_delay{};
    std::string will_topic = "a/will";
  };
  std::unique_ptr<ListenerSession> connect(const Client& client) {
    auto session = std::make_unique<ListenerSession>(*core_, options_.limits, clock_.boot_now());
    mqtt::ConnectPacket connect;
    connect.version = ProtocolVersion::v5;
    connect.client_id = client.id;
    connect.clean_start = client.clean_start;
    connect.properties.set(PropertyId::session_expiry_interval, 3600);
    if (!client.will.empty()) {
      connect.will = mqtt::Will{client.will_topic, client.will, 1, false, {}};
      const auto delay = std::chrono::duration_cast<seconds>(client.will_delay).count();
      connect.will->properties.set(PropertyId::will_delay_interval, static_cast<std::uint32_t>(delay));
    }
    std::string bytes;
    mqtt::encode(connect, bytes);
    session->receive(bytes, clock_.boot_now());
    EXPECT_TRUE(session->is_connected());
    return session;
  }
  void lose(std::unique_ptr<ListenerSession> session) { core_->gone(*session); }
  std::vector<std::string> collect() {
    Intake intake;
    core_->collect(intake);
    std::vector<std::string> values;
    for (const Reading& reading : intake.readings) values.push_back(std::get<std::string>(reading.value));
    return values;
  }

  testing::ManualClock clock_;
  TagRegistry tags_;
  MqttListenerOptions options_;
  std::unique_ptr<ListenerCore> core_;
};

TEST_F(ListenerCoreTest, AWillWithADelayGoesOutWhenItsClientStaysAway) {
  lose(connect({.id = "s", .will = "offline", .will_delay = seconds(30)}));
  clock_.advance(seconds(29));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), IsEmpty());
  clock_.advance(seconds(1));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, AWillWithADelayIsNotDueOfAClientThatTookOverFromItself) {
  auto first = connect({.id = "s", .will = "offline", .will_delay = seconds(30)});
  auto second = connect({.id = "s"});
  EXPECT_TRUE(first->is_over());
  lose(std::move(first));
  clock_.advance(seconds(60));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), IsEmpty());
}

TEST_F(ListenerCoreTest, ACleanStartEndsTheDelayOfTheWillBefore) {
  auto first = connect({.id = "s", .will = "offline", .will_delay = seconds(30)});
  auto second = connect({.id = "s", .clean_start = true});
  lose(std::move(first));
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, AWillWithoutADelayGoesOutThoughItsClientIsBack) {
  auto first = connect({.id = "s", .will = "offline"});
  auto second = connect({.id = "s"});
  lose(std::move(first));
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

}  // namespace
}  // namespace tidegate::drivers
