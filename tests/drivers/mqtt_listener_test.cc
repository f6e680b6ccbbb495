#include "drivers/mqtt_listener/mqtt_listener.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "drivers/mqtt/mqtt_driver.h"
#include "mqtt/packet_encoder.h"
#include "tests/drivers/listener_rig.h"
#include "tests/drivers/raw_client.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using mqtt::ProtocolVersion;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MqttListenerTest : public ListenerRig {
 protected:
  static std::string connect(const std::string& id, ProtocolVersion version = ProtocolVersion::v5,
                             std::uint16_t keep_alive = 60) {
    mqtt::ConnectPacket packet;
    packet.version = version;
    packet.clean_start = true;
    packet.client_id = id;
    packet.keep_alive_seconds = keep_alive;
    std::string bytes;
    mqtt::encode(packet, bytes);
    return bytes;
  }
  static std::string publish(std::uint16_t id, const std::string& payload,
                             ProtocolVersion version = ProtocolVersion::v5, const std::string& topic = "plant/d/t") {
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = 1;
    packet.packet_id = id;
    std::string bytes;
    mqtt::encode(packet, version, bytes);
    return bytes;
  }
  static std::string number(int value) { return "{\"v\":" + std::to_string(value) + "}"; }
  bool is_connected(RawClient& client) {
    return turn_until([&] { return client.received().size() >= 4; });
  }
};

TEST_F(MqttListenerTest, TakesMessagesOfEveryVersionAndQos) {
  start();
  for (const char* version : {"mqttv311", "mqttv5"}) {
    for (const int qos : {0, 1, 2}) {
      auto command = publish_command("plant/d/q" + std::to_string(qos), "{\"v\":7}", qos);
      command.insert(command.end(), {"-V", version});
      EXPECT_EQ(run(command), 0) << errors_;
    }
  }
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 6; }));
  EXPECT_THAT(values(), ElementsAre("d/q0=7", "d/q1=7", "d/q2=7", "d/q0=7", "d/q1=7", "d/q2=7"));
}

TEST_F(MqttListenerTest, AcknowledgesWhenItIsDurableAndNotBefore) {
  is_durable_ = false;
  start();
  RawClient client(options_.port);
  client.send(connect("a") + publish(1, number(1)) + publish(2, number(2)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 2; }));
  const std::size_t before = client.received().size();
  make_durable();
  ASSERT_TRUE(turn_until([&] { return client.received().size() >= before + 8; }));
  EXPECT_EQ(client.received().substr(before), std::string("\x40\x02\x00\x01\x40\x02\x00\x02", 8));
}

TEST_F(MqttListenerTest, AcknowledgesWhatIsWrittenWhereThatIsEnough) {
  options_.ack = ListenerAck::written;
  is_durable_ = false;
  start();
  EXPECT_FALSE(driver_->waits_for_durable());
  EXPECT_EQ(run(publish_command("plant/d/t", "{\"v\":1}")), 0) << errors_;
}

TEST_F(MqttListenerTest, WhatBecomesDurableOnTheWayOutIsStillAcknowledged) {
  is_durable_ = false;
  start();
  RawClient client(options_.port);
  client.send(connect("a") + publish(1, number(1)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  driver_->stop();
  EXPECT_FALSE(driver_->status().up);
  const std::size_t before = client.received().size();
  make_durable();
  ASSERT_TRUE(turn_until([&] { return client.received().size() >= before + 4; }));
  driver_.reset();
  ASSERT_TRUE(turn_until([&] { return client.is_ended(); }));
}

TEST_F(MqttListenerTest, TheSecondConnectionOfAClientEndsTheFirst) {
  start();
  RawClient first(options_.port);
  first.send(connect("same"));
  ASSERT_TRUE(is_connected(first));
  RawClient second(options_.port);
  second.send(connect("same"));
  ASSERT_TRUE(is_connected(second));
  ASSERT_TRUE(turn_until([&] { return first.is_ended(); }));
  EXPECT_THAT(first.received(), HasSubstr(std::string("\xe0\x01\x8e", 3)));  // session taken over
  second.send(publish(1, number(5)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  EXPECT_FALSE(second.is_ended());
}

TEST_F(MqttListenerTest, AWillIsAReadingWhenTheConnectionIsLost) {
  start();
  {
    RawClient client(options_.port);
    mqtt::ConnectPacket packet;
    packet.version = ProtocolVersion::v5;
    packet.client_id = "a";
    packet.will = mqtt::Will{"plant/d/alive", "{\"v\":0}", 1, false, {}};
    std::string bytes;
    mqtt::encode(packet, bytes);
    client.send(bytes);
    ASSERT_TRUE(is_connected(client));
  }
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
  EXPECT_THAT(values(), ElementsAre("d/alive=0"));
}

TEST_F(MqttListenerTest, GarbageEndsItsConnectionAndNoOther) {
  start();
  RawClient good(options_.port);
  good.send(connect("good"));
  ASSERT_TRUE(is_connected(good));
  for (const std::string& garbage : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(300, '\xff'),
                                     std::string("\x10\xff\xff\xff\x7f"), connect("x") + std::string(40, '\0')}) {
    RawClient bad(options_.port);
    bad.send(garbage);
    EXPECT_TRUE(turn_until([&] { return bad.is_ended(); }));
  }
  good.send(publish(1, number(1)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
}

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

// Messages to topics that nobody wants are acknowledged at once; nothing that is still to come would bring up the rest.
TEST_F(MqttListenerTest, AcknowledgesHoweverManyMessagesThatNobodyWantsComeAtOnce) {
  options_.limits.inflight_max = 10;
  for (const int wanted : {0, 5}) {
    SCOPED_TRACE(wanted);
    start();
    RawClient client(options_.port);
    std::string bytes = connect("a", ProtocolVersion::v3_1_1);
    for (int i = 1; i <= 25; ++i) {
      const std::string topic = i <= wanted ? "plant/d/t" : "of/no/use/to/anybody";
      bytes += publish(static_cast<std::uint16_t>(i), number(i), ProtocolVersion::v3_1_1, topic);
    }
    client.send(bytes);
    ASSERT_TRUE(turn_until([&] { return client.received().size() >= 4 + 25 * 4; })) << client.received().size();
    EXPECT_EQ(client.received().substr(4 + 24 * 4), std::string("\x40\x02\x00\x19", 4));
    driver_.reset();
    settles_ = 0;
  }
}

// The listener is a broker that refuses every subscription.
TEST_F(MqttListenerTest, ADriverWhoseSubscriptionIsRefusedIsNotUpAndSaysWhy) {
  start();
  const testing::TemporaryDirectory directory;
  MqttDriverOptions options;
  options.name = "local";
  options.broker.uri = "mqtt://127.0.0.1:" + std::to_string(options_.port);
  options.broker.client_id = "driver";
  options.subscribe = options_.subscribe;
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.wake = [] {};
  context.runtime_dir = directory.path();
  auto driver = make_mqtt_driver(options, context);
  ASSERT_TRUE(driver) << driver.error().message;
  ASSERT_TRUE((*driver)->start());
  Intake intake;
  ASSERT_TRUE(turn_until([&] {
    (*driver)->collect(intake);
    return !intake.events.empty();
  }));
  EXPECT_EQ(intake.events.front().event, "driver-down");
  EXPECT_THAT(intake.events.front().detail, HasSubstr("refuses the subscription to plant/+/+"));
  const DriverStatus status = (*driver)->status();
  EXPECT_FALSE(status.up);
  EXPECT_THAT(status.detail, HasSubstr("plant/+/+"));
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

TEST_F(MqttListenerTest, APortThatIsTakenIsAnErrorOfTheStart) {
  start();
  DriverContext context;
  TagRegistry tags;
  context.tags = &tags;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto second = make_mqtt_listener(options_, context);
  ASSERT_TRUE(second);
  const auto started = (*second)->start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("driver direct: cannot listen on 127.0.0.1:"));
}

TEST_F(MqttListenerTest, AsksForALoginWhereThereAreUsers) {
  const testing::TemporaryDirectory directory;
  const std::string file = directory / "users";
  ASSERT_EQ(testing::run_to_end({"/usr/bin/mosquitto_passwd", "-c", "-b", file, "boiler", "secret"}).end.exit_code, 0);
  options_.users = testing::read_file(file);
  options_.rights = {{"boiler", {"plant/%u/#"}}};
  start();
  const auto with_login = [&](const std::string& topic, const std::string& user, const std::string& password) {
    auto command = publish_command(topic, "{\"v\":1}");
    if (!user.empty()) command.insert(command.end(), {"-u", user, "-P", password, "-V", "mqttv5"});
    return run(command);
  };
  EXPECT_EQ(with_login("plant/boiler/t", "boiler", "secret"), 0) << errors_;
  EXPECT_NE(with_login("plant/boiler/t", "boiler", "wrong"), 0);
  EXPECT_NE(with_login("plant/boiler/t", "nobody", "secret"), 0);
  EXPECT_NE(with_login("plant/boiler/t", "", ""), 0);
  (void)with_login("plant/other/t", "boiler", "secret");
  EXPECT_THAT(errors_, HasSubstr("Not authorized"));
  EXPECT_THAT(values(), ElementsAre("boiler/t=1"));
  EXPECT_EQ(driver_->status().refused.at("bad_login"), 3U);
  EXPECT_EQ(driver_->status().refused.at("not_authorized"), 1U);
}

TEST_F(MqttListenerTest, NobodyCanSubscribe) {
  start();
  run({"/usr/bin/mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(options_.port), "-t", "#"});
  EXPECT_THAT(errors_, HasSubstr("denied"));
}

/// Certificates of an authority that the test makes.
class MqttListenerTlsTest : public MqttListenerTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_authority("ca"));
    ASSERT_TRUE(make_certificate("server", "ca"));
    ASSERT_TRUE(make_certificate("client", "ca"));
    ASSERT_TRUE(make_authority("other"));
    ASSERT_TRUE(make_certificate("stranger", "other"));
    options_.tls.certificate = directory_ / "server.crt";
    options_.tls.key = directory_ / "server.key";
  }
  bool openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/openssl");
    return testing::run_to_end(arguments).end.exit_code == 0;
  }
  bool make_authority(const std::string& name) {
    return openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=" + name, "-keyout", directory_ / (name + ".key"), "-out",
                    directory_ / (name + ".crt")});
  }
  bool make_certificate(const std::string& name, const std::string& ca) {
    const std::string names = directory_ / (name + ".names");
    testing::write_file(names, "subjectAltName=IP:127.0.0.1\n");
    return openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                    "-keyout", directory_ / (name + ".key"), "-out", directory_ / (name + ".csr")}) &&
           openssl({"x509", "-req", "-in", directory_ / (name + ".csr"), "-CA", directory_ / (ca + ".crt"), "-CAkey",
                    directory_ / (ca + ".key"), "-CAcreateserial", "-days", "30", "-extfile", names, "-out",
                    directory_ / (name + ".crt")});
  }
  int publish_over_tls(const std::vector<std::string>& more) {
    auto command = publish_command("plant/d/t", "{\"v\":1}");
    command.insert(command.end(), {"--cafile", directory_ / "ca.crt"});
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  }
  // A client that would take any version and cipher.
  int shake_hands(const std::string& version) {
    return run({"/usr/bin/openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(options_.port), version,
                "-cipher", "DEFAULT@SECLEVEL=0"});
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(MqttListenerTlsTest, TakesMessagesOverTls) {
  start();
  EXPECT_EQ(publish_over_tls({}), 0) << errors_;
  EXPECT_EQ(publish_over_tls({"--tls-version", "tlsv1.2"}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=1"));
}

TEST_F(MqttListenerTlsTest, RefusesWhoSpeaksNoTlsOrAnOldOne) {
  start();
  EXPECT_NE(run(publish_command("plant/d/t", "{\"v\":1}")), 0);
  EXPECT_NE(shake_hands("-tls1_1"), 0);
  EXPECT_EQ(shake_hands("-tls1_2"), 0);
  EXPECT_EQ(publish_over_tls({}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
}

TEST_F(MqttListenerTlsTest, AsksForAClientCertificateWhereThereIsAnAuthority) {
  options_.tls.client_ca = directory_ / "ca.crt";
  start();
  EXPECT_NE(publish_over_tls({}), 0);
  EXPECT_NE(publish_over_tls({"--cert", directory_ / "stranger.crt", "--key", directory_ / "stranger.key"}), 0);
  EXPECT_THAT(values(), IsEmpty());
  EXPECT_EQ(publish_over_tls({"--cert", directory_ / "client.crt", "--key", directory_ / "client.key"}), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
}

TEST_F(MqttListenerTlsTest, AMessageLargerThanARecordComesWhole) {
  start();
  const std::string file = directory_ / "payload";
  testing::write_file(file, "{\"pad\":\"" + std::string(200'000, 'x') + "\",\"v\":3}");
  auto command = publish_command("plant/d/t", "");
  command.resize(command.size() - 2);
  command.insert(command.end(), {"-f", file, "--cafile", directory_ / "ca.crt"});
  EXPECT_EQ(run(command), 0) << errors_;
  EXPECT_THAT(values(), ElementsAre("d/t=3"));
}

TEST_F(MqttListenerTlsTest, AKeyThatDoesNotFitIsAnErrorThatNamesBoth) {
  options_.tls.key = directory_ / "client.key";
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto made = make_mqtt_listener(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("server.crt"));
}

TEST_F(MqttListenerTlsTest, AKeyWithAPassphraseIsAnErrorAndNoQuestion) {
  const std::string locked = directory_ / "locked.key";
  ASSERT_TRUE(openssl({"ec", "-in", directory_ / "server.key", "-aes128", "-passout", "pass:secret", "-out", locked}));
  options_.tls.key = locked;
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  context.loop = &loop_;
  const auto made = make_mqtt_listener(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("locked.key"));
  EXPECT_THAT(made.error().message, HasSubstr("no passphrase"));
}

}  // namespace
}  // namespace tidegate::drivers
