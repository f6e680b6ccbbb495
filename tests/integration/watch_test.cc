// Panels beside the machine that subscribe to the listener of the real daemon.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mqtt/packet_decoder.h"
#include "mqtt/packet_encoder.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/sanitized.h"
#include "tests/support/sensor_fleet.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::size_t kMebibyte = 1024 * 1024;

class WatchShort : public ::testing::Test {
 protected:
  WatchShort() : port_(free_port()) {
    gateway_.configure(
        "[buffer]\nsync_interval = \"20ms\"\n[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" +
        std::to_string(port_) +
        "\"\n  [[driver.mqtt_listener.watch]]\n  topics = [\"tidegate/#\"]\n"
        "  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n"
        "[[rule]]\nname = \"hot\"\ntype = \"threshold\"\ntags = [\"boiler/*\"]\nraise = \"> 90\"\nclear = \"< 85\"\n");
    gateway_.start();
  }

  FinishedProcess publish(const std::string& topic, const std::string& payload) const {
    return run_to_end({"/usr/bin/mosquitto_pub", "-V", "5", "-d", "-h", "127.0.0.1", "-p", std::to_string(port_), "-q",
                       "1", "-t", topic, "-m", payload});
  }
  void publish_value(int value) const {
    const auto published = publish("plant/boiler/temp", "{\"value\":" + std::to_string(value) + "}");
    ASSERT_EQ(published.end.exit_code, 0) << published.errors;
  }
  /// Prints each message: whether it is retained, its topic, its payload.
  std::vector<std::string> panel(const std::string& version, const std::string& qos) const {
    return {"/usr/bin/mosquitto_sub",
            "-h",
            "127.0.0.1",
            "-p",
            std::to_string(port_),
            "-V",
            version,
            "-q",
            qos,
            "-t",
            "tidegate/#",
            "-F",
            "%r %t %p"};
  }
  static bool has_printed(const ProcessUnderTest& panel, const std::string& beginning, const std::string& part) {
    return wait_until(
        [&] {
          const auto lines = lines_with(panel.output(), part);
          return std::any_of(lines.begin(), lines.end(),
                             [&](const std::string& line) { return line.starts_with(beginning + " {"); });
        },
        seconds(30));
  }

  std::uint16_t port_;
  GatewayProcess gateway_;
};

class WatchVersionsShort : public WatchShort, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Mosquitto, WatchVersionsShort, ::testing::Values("311", "5"),
                         [](const auto& version) { return "Version" + version.param; });

TEST_P(WatchVersionsShort, APanelSeesValuesAndAlarms) {
  const std::string value = "tidegate/values/boiler/temp";
  const std::string alarm = "tidegate/alarms/hot/boiler/temp";
  publish_value(20);
  ProcessUnderTest panel({this->panel(GetParam(), "1"), {}, "", ""});
  ASSERT_TRUE(has_printed(panel, "1 " + value, "\"value\":20,")) << panel.output() << panel.errors() << gateway_.log();
  publish_value(95);
  EXPECT_TRUE(has_printed(panel, "0 " + value, "\"value\":95,")) << panel.output();
  EXPECT_TRUE(has_printed(panel, "0 " + alarm, "\"state\":\"raised\"")) << panel.output();
  ProcessUnderTest late({this->panel(GetParam(), "0"), {}, "", ""});
  EXPECT_TRUE(has_printed(late, "1 " + value, "\"value\":95,")) << late.output();
  EXPECT_TRUE(has_printed(late, "1 " + alarm, "\"state\":\"raised\"")) << late.output();
  publish_value(80);
  for (ProcessUnderTest* each : {&panel, &late}) {
    EXPECT_TRUE(has_printed(*each, "0 " + value, "\"value\":80,")) << each->output();
    EXPECT_TRUE(has_printed(*each, "0 " + alarm, "\"state\":\"cleared\"")) << each->output();
  }
  // The document is what `tidegate tail` prints.
  for (const std::string& record : gateway_.tail("readings", "\"value\":80,")) {
    EXPECT_THAT(panel.output(), HasSubstr(value + " " + record));
  }
  for (const std::string& record : gateway_.tail("alarms", "\"alarm\"")) {
    EXPECT_THAT(panel.output(), HasSubstr(alarm + " " + record));
  }
  gateway_.stop();
}

TEST_F(WatchShort, AnAlarmThatIsRaisedIsThereAfterAKill) {
  publish_value(95);
  ASSERT_TRUE(gateway_.wait_for_metric("tidegate_alarms_active{severity=\"warning\"}", 1, seconds(20)));
  gateway_.kill();
  gateway_.start();
  ProcessUnderTest panel({this->panel("5", "1"), {}, "", ""});
  EXPECT_TRUE(has_printed(panel, "1 tidegate/alarms/hot/boiler/temp", "\"state\":\"raised\"")) << panel.output();
  gateway_.stop();
}

TEST_F(WatchShort, NobodyPublishesWhereOthersWatch) {
  EXPECT_THAT(publish("tidegate/values/boiler/temp", "1").output, HasSubstr("RC:135"));
  gateway_.stop();
}

/// A connection with small buffers that reads only when it is told to.
class SlowPanel {
 public:
  explicit SlowPanel(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int bytes = 4096;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    mqtt::ConnectPacket connect;
    connect.clean_start = true;
    connect.client_id = "slow";
    std::string bytes_out;
    mqtt::encode(connect, bytes_out);
    mqtt::encode(mqtt::SubscribePacket{1, {{"tidegate/values/#", 0, false, false, 0}}, {}},
                 mqtt::ProtocolVersion::v3_1_1, bytes_out);
    EXPECT_EQ(::send(fd_, bytes_out.data(), bytes_out.size(), 0), static_cast<ssize_t>(bytes_out.size()));
  }
  SlowPanel(const SlowPanel&) = delete;
  SlowPanel& operator=(const SlowPanel&) = delete;
  ~SlowPanel() { ::close(fd_); }

  /// Reads what there is, without waiting: the last document of each topic.
  void read() {
    char buffer[16 * 1024];
    for (ssize_t count = 0; (count = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      input_.append(buffer, static_cast<std::size_t>(count));
    }
    std::string_view left = input_;
    while (const auto packet = next(left)) {
      if (packet->type != mqtt::PacketType::publish) continue;
      const auto publish = mqtt::decode_publish(*packet, mqtt::ProtocolVersion::v3_1_1);
      ASSERT_TRUE(publish);
      latest_[std::string(publish->topic)] = publish->payload;
      ++messages_;
    }
    input_.erase(0, input_.size() - left.size());
  }
  std::string latest(const std::string& topic) const {
    const auto found = latest_.find(topic);
    return found == latest_.end() ? "" : found->second;
  }
  std::size_t messages() const { return messages_; }

 private:
  static std::optional<mqtt::RawPacket> next(std::string_view& input) {
    const auto packet = mqtt::cut_packet(input, kMebibyte);
    EXPECT_TRUE(packet);
    if (!packet || !*packet) return std::nullopt;
    input.remove_prefix((*packet)->bytes);
    return **packet;
  }

  int fd_;
  std::string input_;
  std::size_t messages_ = 0;
  std::map<std::string, std::string> latest_;
};

TEST_F(WatchShort, APanelThatDoesNotReadCostsSensorsNothingAndGetsTheLastValue) {
  constexpr int kSensors = 10;
  constexpr std::int64_t kValues = 1500;
  SensorFleet fleet({port_, kSensors, 1, 20, kValues});
  SlowPanel panel(port_);
  const std::size_t memory_before = gateway_.process().resident_bytes();
  fleet.start();
  EXPECT_TRUE(fleet.wait_for_acknowledged(fleet.total(), seconds(90)))
      << fleet.acknowledged() << " of " << fleet.total();
  if (!kSanitized) {
    EXPECT_LT(gateway_.process().resident_bytes(), memory_before + 32 * kMebibyte);
  }
  const auto has_last_values = [&] {
    panel.read();
    for (int sensor = 0; sensor < kSensors; ++sensor) {
      const std::int64_t last = sensor * SensorFleet::kValuesEach + kValues - 1;
      const std::string latest = panel.latest("tidegate/values/sensor-" + std::to_string(sensor) + "/count");
      if (latest.find("\"value\":" + std::to_string(last) + ",") == std::string::npos) return false;
    }
    return true;
  };
  EXPECT_TRUE(wait_until(has_last_values, seconds(30)));
  EXPECT_LT(panel.messages(), fleet.total()) << "values between are left out";
  std::printf("%zu messages to the panel of %zu readings\n", panel.messages(), fleet.total());
  gateway_.stop();
}

}  // namespace
}  // namespace tidegate::testing
