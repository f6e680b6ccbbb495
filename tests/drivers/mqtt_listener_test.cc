#include "drivers/mqtt_listener/mqtt_listener.h"

#include "drivers/mqtt/mqtt_driver.h"
#include "tests/drivers/mqtt_listener_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

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
  options_.ack = MessageAck::written;
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
  EXPECT_THAT(driver_->status().refused, ElementsAre(Pair("packet_too_large", 1), Pair("protocol_error", 3)));
  good.send(publish(1, number(1)));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 1; }));
}

TEST_F(MqttListenerTest, CountsWhoSendsMoreThanAPacketMayHoldOrSpeaksAnotherVersion) {
  options_.limits.packet_bytes_max = 1024;
  start();
  RawClient large(options_.port);
  large.send(connect("large") + publish(1, std::string(1024, ' ')));
  EXPECT_TRUE(turn_until([&] { return large.is_ended(); }));
  RawClient old(options_.port);
  old.send(std::string("\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02id", 18));
  EXPECT_TRUE(turn_until([&] { return old.is_ended(); }));
  EXPECT_THAT(driver_->status().refused, ElementsAre(Pair("packet_too_large", 1), Pair("protocol_version", 1)));
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
  EXPECT_THAT(started.error().message, HasSubstr("; another program has this port, `ss -ltnp` tells which"));
}

TEST_F(MqttListenerTest, AnAddressThatThisMachineDoesNotHaveIsNamed) {
  options_.host = "192.0.2.1";
  options_.port = 1883;
  const auto problem = try_listening(options_);
  ASSERT_FALSE(problem);
  EXPECT_THAT(problem.error().message,
              HasSubstr("; this machine has no such address, `ip address` shows those it has"));
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

TEST_F(MqttListenerTest, ANewListOfUsersIsForNewLoginsAndABadOneForNobody) {
  const testing::TemporaryDirectory directory;
  const auto users = [&](const std::string& name) {
    const std::string file = directory / name;
    testing::run_to_end({"/usr/bin/mosquitto_passwd", "-c", "-b", file, name, "secret"});
    return testing::read_file(file);
  };
  const auto gets_in = [&](const std::string& user) {
    auto command = publish_command("plant/d/t", "{\"v\":1}");
    command.insert(command.end(), {"-u", user, "-P", "secret"});
    return run(command) == 0;
  };
  options_.users = users("boiler");
  start();
  ASSERT_TRUE(gets_in("boiler"));
  mqtt::ConnectPacket login;
  login.clean_start = true;
  login.client_id = "stays";
  login.user_name = "boiler";
  login.password = "secret";
  std::string bytes;
  mqtt::encode(login, bytes);
  RawClient client(options_.port);
  client.send(bytes);
  ASSERT_TRUE(is_connected(client));
  EXPECT_FALSE(driver_->take_users("pump:secret\n"));
  EXPECT_TRUE(gets_in("boiler")) << "a bad list has changed nothing";
  ASSERT_TRUE(driver_->take_users(users("pump")));
  EXPECT_TRUE(gets_in("pump"));
  EXPECT_FALSE(gets_in("boiler"));
  const std::size_t before = client.received().size();
  client.send(publish(1, number(1), login.version));
  EXPECT_TRUE(turn_until([&] { return client.received().size() >= before + 4; })) << "who is connected stays";
}

TEST_F(MqttListenerTest, NobodyCanSubscribe) {
  start();
  run({"/usr/bin/mosquitto_sub", "-h", "127.0.0.1", "-p", std::to_string(options_.port), "-t", "#"});
  EXPECT_THAT(errors_, HasSubstr("denied"));
}

}  // namespace
}  // namespace tidegate::drivers
