// What a client may hold, and for how long, before the listener ends it or turns it away.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/drivers/mqtt_listener_fixture.h"

namespace tidegate::drivers {
namespace {

// Its socket is full of answers that it does not read, so that the goodbye does not fit either.
TEST_F(MqttListenerTest, WhoReadsNothingIsEndedAllTheSame) {
  start();
  RawClient client(options_.port);
  client.send(connect("a", ProtocolVersion::v5, 1));
  ASSERT_TRUE(is_connected(client));
  const std::string pings = [] {
    std::string bytes;
    for (int i = 0; i < 10'000; ++i) bytes += std::string("\xc0\x00", 2);
    return bytes;
  }();
  std::size_t sent = 0;
  std::size_t quiet = 0;
  // Until neither side takes any more; what the kernel holds is some megabytes.
  for (int i = 0; i < 20'000 && quiet < 100; ++i) {
    const std::size_t count = client.send(pings);
    sent += count;
    quiet = count == 0 ? quiet + 1 : 0;
    loop_.restart();
    loop_.run_for(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(quiet, 100U) << "after " << sent << " bytes it is still read from";
  RawClient second(options_.port);
  second.send(connect("a"));  // takes over
  EXPECT_TRUE(turn_until([&] { return client.send(pings) == 0 && client.is_broken(); }));
}

TEST_F(MqttListenerTest, WhoSendsTooFastIsReadFromLaterAndLosesNothing) {
  options_.limits.messages_per_second_max = 20;
  start();
  RawClient fast(options_.port);
  RawClient other(options_.port);
  const BootTime begun = clock_.boot_now();
  std::string messages = connect("fast");
  for (std::uint16_t i = 1; i <= 50; ++i) messages += publish(i, number(i));
  fast.send(messages);
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() >= 20 && driver_->status().remarked["slowed"] > 0; }));
  const std::size_t before = intake_.readings.size();
  other.send(connect("other") + publish(1, number(1000)));
  ASSERT_TRUE(turn_until([&] { return other.received().ends_with(std::string("\x40\x02\x00\x01", 4)); }));
  EXPECT_LT(before, 50U);
  ASSERT_TRUE(turn_until([&] { return fast.received().ends_with(std::string("\x40\x02\x00\x32", 4)); }));
  EXPECT_EQ(intake_.readings.size(), 51U);
  EXPECT_GE(clock_.boot_now() - begun, std::chrono::milliseconds(1400)) << "30 messages beyond the first 20";
}

TEST_F(MqttListenerTest, AConnectionThatSaysNothingEnds) {
  options_.limits.connect_timeout = std::chrono::seconds(1);
  start();
  RawClient silent(options_.port);
  RawClient slow(options_.port);
  slow.send(connect("x").substr(0, 5));
  EXPECT_TRUE(turn_until([&] { return silent.is_ended() && slow.is_ended(); }));
}

TEST_F(MqttListenerTest, AClientWhoseKeepAliveRunsOutEnds) {
  start();
  RawClient client(options_.port);
  client.send(connect("a", ProtocolVersion::v5, 1));
  ASSERT_TRUE(is_connected(client));
  EXPECT_TRUE(turn_until([&] { return client.is_ended(); }));
  EXPECT_THAT(client.received(), HasSubstr(std::string("\xe0\x01\x8d", 3)));  // keep alive timeout
}

TEST_F(MqttListenerTest, MoreConnectionsThanAllowedAreTurnedAway) {
  options_.limits.connections_max = 2;
  start();
  RawClient first(options_.port);
  RawClient second(options_.port);
  first.send(connect("1"));
  second.send(connect("2"));
  ASSERT_TRUE(is_connected(first) && is_connected(second));
  RawClient third(options_.port);
  ASSERT_TRUE(turn_until([&] { return third.is_ended(); }));
  EXPECT_EQ(driver_->status().refused.at("too_many_connections"), 1U);
}

// A core that stores nothing makes the listener stop reading; what was sent meanwhile comes when it goes on.
TEST_F(MqttListenerTest, HoldsClientsBackWhileTheCoreIsHeldUp) {
  options_.limits.inflight_max = 65535;
  takes_in_ = false;
  start();
  RawClient client(options_.port);
  client.send(connect("a", ProtocolVersion::v3_1_1));
  std::string bytes;
  std::size_t sent = 0;
  int next = 1;
  bool is_stuck = false;
  // Until the socket takes no more although the loop turns: then somebody holds it back.
  while (!is_stuck && next < 400'000) {
    if (bytes.empty()) {
      for (int i = 0; i < 1000; ++i, ++next) {
        bytes += publish(static_cast<std::uint16_t>(next % 60'000 + 1), number(next), ProtocolVersion::v3_1_1);
      }
    }
    const std::size_t count = client.send(bytes);
    sent += count;
    bytes.erase(0, count);
    is_stuck = count == 0;
    for (int i = 0; i < 50; ++i) {
      loop_.restart();
      is_stuck = loop_.poll() == 0 && is_stuck;
    }
  }
  ASSERT_TRUE(is_stuck) << "everything was taken: " << sent << " bytes";
  takes_in_ = true;
  woken_ = true;
  std::size_t got = 0;
  ASSERT_TRUE(turn_until([&] {
    got += client.send(bytes);
    bytes.erase(0, got);
    got = 0;
    return bytes.empty() && intake_.readings.size() == static_cast<std::size_t>(next - 1);
  }));
  for (std::size_t i = 0; i < intake_.readings.size(); ++i) {
    ASSERT_EQ(std::get<std::int64_t>(intake_.readings[i].value), static_cast<std::int64_t>(i + 1));
  }
}

class MqttListenerDescriptorTest : public MqttListenerTest {
 protected:
  // For a process of its own, which it leaves with a low limit. An empty answer is a good one.
  std::string fill_up() {
    const rlimit limit{128, 128};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return "no limit can be set";
    start();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 55; ++i) {  // each has two here, one on either side
      auto& client = *clients.emplace_back(std::make_unique<RawClient>(options_.port));
      client.send(connect("c" + std::to_string(i)));
      if (!turn_until([&] { return client.received().size() >= 4 || client.is_ended(); })) return "no answer";
      if (client.is_ended()) break;
    }
    if (!clients.back()->is_ended()) return "nobody is turned away";
    for (int i = 0; i < 16; ++i) {
      if (::open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return "only " + std::to_string(i) + " descriptors are left";
    }
    clients.front()->send(publish(1, number(1)));
    if (!turn_until([&] { return intake_.readings.size() == 1; })) return "who was there before is not heard";
    return driver_->status().refused.contains("too_many_connections") ? "" : "it is not counted";
  }
};

TEST_F(MqttListenerDescriptorTest, ConnectionsLeaveDescriptorsToTheRestOfTheProcess) {
  EXPECT_EXIT(
      {
        const std::string problem = fill_up();
        std::fprintf(stderr, "problem: %s\n", problem.c_str());
        std::_Exit(problem.empty() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "problem: \n");
}

class MqttListenerHoardTest : public MqttListenerTest {
 protected:
  // The beginning of a packet that never becomes whole.
  static std::string begin(mqtt::PacketType type, std::size_t packet_bytes, std::size_t bytes) {
    std::string packet(1, static_cast<char>(static_cast<int>(type) << 4 | (type == mqtt::PacketType::publish ? 2 : 0)));
    for (std::size_t left = packet_bytes - 4; packet.size() < 4; left /= 128) {
      packet += static_cast<char>(left % 128 | (left >= 128 ? 0x80 : 0));
    }
    return packet + std::string(bytes - 4, 'x');
  }
  void send_all(RawClient& client, std::string bytes) {
    ASSERT_TRUE(turn_until([&] {
      bytes.erase(0, client.send(bytes));
      return bytes.empty() || client.is_broken();
    }));
    turn_out();
  }
  /// In two parts, of which the first has to be held.
  bool can_publish_in_parts(RawClient& client, const std::string& message) {
    const std::size_t before = client.received().size();
    client.send(message.substr(0, message.size() - 5));
    turn_out();
    client.send(message.substr(message.size() - 5));
    return turn_until([&] { return client.received().size() >= before + 4 || client.is_ended(); }) &&
           !client.is_ended();
  }
};

TEST_F(MqttListenerHoardTest, WhoHoldsMostOfUnfinishedPacketsIsEndedAndNobodyElse) {
  constexpr std::size_t kAlmost = 1024 * 1024 - 100;
  start();
  RawClient sensor(options_.port);
  sensor.send(connect("sensor", ProtocolVersion::v3_1_1));
  ASSERT_TRUE(is_connected(sensor));
  std::vector<std::unique_ptr<RawClient>> hoarders;
  const auto hoard = [&](std::size_t bytes) {
    auto& client = *hoarders.emplace_back(std::make_unique<RawClient>(options_.port));
    const std::string id = "h" + std::to_string(hoarders.size());
    client.send(connect(id, ProtocolVersion::v3_1_1, 0));
    send_all(client, begin(mqtt::PacketType::publish, kAlmost + 50, bytes));
  };
  for (int i = 0; i < 16; ++i) hoard(kAlmost);
  hoard(1600 - 10);
  EXPECT_TRUE(can_publish_in_parts(sensor, publish(1, number(1), ProtocolVersion::v3_1_1)));
  for (int i = 0; i < 2; ++i) hoard(kAlmost);
  EXPECT_TRUE(can_publish_in_parts(sensor, publish(2, number(2), ProtocolVersion::v3_1_1)));
  const auto ended = std::count_if(hoarders.begin(), hoarders.end(), [](auto& client) { return client->is_ended(); });
  EXPECT_GE(ended, 1);
  EXPECT_LE(ended, 3);
}

TEST_F(MqttListenerHoardTest, WhoHasNotLoggedInPushesOutNobodyWhoHas) {
  options_.limits.connect_timeout = std::chrono::seconds(60);
  start();
  RawClient sensor(options_.port);
  sensor.send(connect("sensor", ProtocolVersion::v3_1_1));
  ASSERT_TRUE(is_connected(sensor));
  const std::string large = publish(1, number(1) + std::string(std::size_t{300} * 1024, ' '), ProtocolVersion::v3_1_1);
  constexpr std::size_t kFirst = std::size_t{100} * 1024;
  send_all(sensor, large.substr(0, kFirst));
  std::vector<std::unique_ptr<RawClient>> strangers;
  for (int i = 0; i < 160; ++i) {
    auto& client = *strangers.emplace_back(std::make_unique<RawClient>(options_.port));
    send_all(client, begin(mqtt::PacketType::connect, std::size_t{127} * 1024, std::size_t{126} * 1024));
  }
  send_all(sensor, large.substr(kFirst, large.size() - kFirst - 100));
  EXPECT_TRUE(can_publish_in_parts(sensor, large.substr(large.size() - 100)));
}

TEST_F(MqttListenerHoardTest, APacketThatIsNotThereAfterAMinuteEndsItsConnection) {
  start();
  RawClient idle(options_.port);
  RawClient slow(options_.port);
  idle.send(connect("idle", ProtocolVersion::v3_1_1, 0));
  slow.send(connect("slow", ProtocolVersion::v3_1_1, 0));
  ASSERT_TRUE(is_connected(idle) && is_connected(slow));
  send_all(slow, begin(mqtt::PacketType::publish, 100'000, 40));
  listener_clock_.shift(std::chrono::seconds(50));
  slow.send("x");  // a sign of life, and no more
  turn_out();
  EXPECT_FALSE(slow.is_ended());
  listener_clock_.shift(std::chrono::seconds(15));
  EXPECT_TRUE(turn_until([&] { return slow.is_ended(); }));
  EXPECT_FALSE(idle.is_ended());
}

}  // namespace
}  // namespace tidegate::drivers
