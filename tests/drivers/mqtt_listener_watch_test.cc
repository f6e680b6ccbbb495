// Subscribers of the listener by their sockets.
#include "tests/drivers/fake_latest.h"
#include "tests/drivers/mqtt_listener_fixture.h"

namespace tidegate::drivers {
namespace {

class MqttListenerWatchTest : public MqttListenerTest {
 protected:
  MqttListenerWatchTest() {
    options_.watch = {{"", {"tidegate/values/#"}}};
    latest_ = &table_;
  }
  ~MqttListenerWatchTest() override { driver_.reset(); }  // before the table

  static std::string subscribe() {
    mqtt::SubscribePacket packet;
    packet.packet_id = 1;
    packet.entries.push_back({"tidegate/values/#", 0, false, false, 0});
    std::string bytes;
    mqtt::encode(packet, ProtocolVersion::v5, bytes);
    return bytes;
  }

  FakeLatest table_;
};

TEST_F(MqttListenerWatchTest, ASubscriberIsSentWhatChanges) {
  start();
  RawClient panel(options_.port);
  panel.send(connect("panel") + subscribe());
  ASSERT_TRUE(is_connected(panel));
  table_.set_and_report("tidegate/values/a/b", "one");
  EXPECT_TRUE(turn_until([&] { return panel.received().find("one") != std::string::npos; }));
}

// The answer cannot be sent any more, and that ends the connection in the middle of its subscription.
TEST_F(MqttListenerWatchTest, ASubscriberThatIsGoneBeforeItsAnswerIsForgotten) {
  start();
  for (int i = 0; i < 10; ++i) {
    RawClient panel(options_.port);
    turn_out();
    panel.send(connect("panel" + std::to_string(i)) + subscribe());
    panel.reset();
    turn_out();
    table_.set_and_report("tidegate/values/a/b", std::to_string(i));
  }
  RawClient other(options_.port);
  other.send(connect("other") + subscribe());
  ASSERT_TRUE(is_connected(other));
  table_.set_and_report("tidegate/values/a/b", "last");
  EXPECT_TRUE(turn_until([&] { return other.received().find("last") != std::string::npos; }));
}

}  // namespace
}  // namespace tidegate::drivers
