#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"
#include "tests/support/tls_texts.h"

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Made by mosquitto_passwd 2.0.11.
constexpr const char* kUsers =
    "boiler:$7$101$j7dZ1jYq7Bk1wFvW$3HXQZrHmU/R4ymDd7mDNZ+NnvG0H"
    "nBpbCxqFAK17Et9qqmRvppHZVz9D01rwPKxEPrkPBkBu8YcJwyy/8fneBA==\n";

class ConfigListenerTest : public ConfigTest {
 protected:
  static std::string listener(const std::string& listen, const std::string& more = "", const std::string& before = "") {
    return before + "[[driver.mqtt_listener]]\nname = \"l\"\nlisten = \"" + listen + "\"\n" + more +
           "[[driver.mqtt_listener.subscribe]]\ntopic = \"plant/{device}/{tag}\"\n";
  }
};

TEST_F(ConfigListenerTest, takes_every_setting) {
  const Config config = load_good(listener("[::1]:1884",
                                           "ack = \"written\"\nconnections_max = 7\npacket_max = \"64KiB\"\n"
                                           "inflight_max = 20\nconnect_timeout = \"3s\"\n"
                                           "[[driver.mqtt_listener.allow]]\npublish = [\"plant/%c/#\"]\n"));
  const auto& options = config.mqtt_listeners.at(0);
  EXPECT_EQ(options.host, "::1");
  EXPECT_EQ(options.port, 1884);
  EXPECT_EQ(options.ack, drivers::MessageAck::written);
  EXPECT_EQ(options.limits.connections_max, 7U);
  EXPECT_EQ(options.limits.packet_bytes_max, 65536U);
  EXPECT_EQ(options.limits.inflight_max, 20U);
  EXPECT_EQ(options.limits.connect_timeout, std::chrono::seconds(3));
  EXPECT_EQ(options.rights, (std::vector<drivers::PublishRight>{{"", {"plant/%c/#"}}}));
  EXPECT_EQ(options.subscribe.at(0).topic, "plant/{device}/{tag}");
}

TEST_F(ConfigListenerTest, an_address_is_one_of_this_machine_with_a_port) {
  for (const char* wrong : {"127.0.0.1", "localhost:1883", "example.org:1883", ":1883", "127.0.0.1:70000"}) {
    EXPECT_THAT(only_problem(listener(wrong)), HasSubstr("must be an IP address and a port")) << wrong;
  }
}

TEST_F(ConfigListenerTest, a_port_has_one_listener) {
  const auto two = [&](const std::string& first, const std::string& second) {
    return listener(first) + "[[driver.mqtt_listener]]\nname = \"m\"\nlisten = \"" + second +
           "\"\n[[driver.mqtt_listener.subscribe]]\ntopic = \"plant/{device}/{tag}\"\n";
  };
  EXPECT_EQ(only_problem(two("[::1]:1883", "[0::1]:1883")),
            "8 driver.mqtt_listener[1].listen: takes the port of driver.mqtt_listener[0].listen (the table at " +
                path("tidegate.toml") +
                ":1), which listens on [::1]:1883: give one of them another port, found \"[0::1]:1883\"");
  load_good(two("127.0.0.1:1883", "127.0.0.1:1884"));
  load_good(two("127.0.0.1:1883", "127.0.0.2:1883"));
  load_good(two("127.0.0.1:0", "127.0.0.1:0"));
}

TEST_F(ConfigListenerTest, a_listener_cannot_have_the_port_of_the_admin_address) {
  EXPECT_THAT(only_problem(listener("127.0.0.1:8480")),
              HasSubstr("listen: takes the port of gateway.admin by its default, which listens on 127.0.0.1:8480"));
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "", "gateway.admin = \"localhost:1883\"\n")),
              HasSubstr("listen: takes the port of gateway.admin, which listens on localhost:1883"));
  load_good(listener("127.0.0.1:8480", "", "gateway.admin = \"\"\n"));
  load_good(listener("127.0.0.1:8480", "", "gateway.admin = \"unix:/run/tidegate/admin.sock\"\n"));
}

TEST_F(ConfigListenerTest, a_topic_cannot_be_shared) {
  const std::string text =
      "[[driver.mqtt_listener]]\nname = \"l\"\nlisten = \"127.0.0.1:1883\"\n"
      "[[driver.mqtt_listener.subscribe]]\ntopic = \"$share/hall/plant/{device}/{tag}\"\n";
  EXPECT_THAT(only_problem(text), HasSubstr("topic: cannot be shared at a listener, which takes all"));
}

TEST_F(ConfigListenerTest, warns_of_an_address_that_others_reach_without_login_or_tls) {
  EXPECT_THAT(only_warning(listener("0.0.0.0:1883")), HasSubstr("everybody who reaches this address can publish"));
  EXPECT_TRUE(load_good(listener("127.0.0.1:1883")).warnings.empty());
}

TEST_F(ConfigListenerTest, users_and_certificates_that_cannot_be_read_are_not_said_to_be_missing) {
  const std::string text = listener("0.0.0.0:1883",
                                    "users = { file = \"nowhere\" }\n"
                                    "tls = { cert = \"nowhere\", key = { file = \"nowhere\" } }\n");
  const std::string problems = all(load_bad(text));
  EXPECT_THAT(problems, AllOf(HasSubstr("users: cannot open"), HasSubstr("tls.cert: cannot open")));
  EXPECT_THAT(problems, Not(HasSubstr("listen:"))) << "they are given";
}

TEST_F(ConfigListenerTest, durable_needs_syncs) {
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "", "buffer.sync = \"os\"\n")),
              HasSubstr("\"durable\" does not go with buffer.sync \"os\""));
  load_good(listener("127.0.0.1:1883", "ack = \"written\"\n", "buffer.sync = \"os\"\n"));
}

TEST_F(ConfigListenerTest, acknowledges_as_the_buffer_says_unless_told_otherwise) {
  const auto ack_of = [&](const std::string& more, const std::string& before) {
    return load_good(listener("127.0.0.1:1883", more, before)).mqtt_listeners.at(0).ack;
  };
  EXPECT_EQ(ack_of("", ""), drivers::MessageAck::durable);
  EXPECT_EQ(ack_of("", "buffer.ack = \"written\"\n"), drivers::MessageAck::written);
  EXPECT_EQ(ack_of("ack = \"durable\"\n", "buffer.ack = \"written\"\n"), drivers::MessageAck::durable);
  EXPECT_EQ(ack_of("", "buffer = { sync = \"os\", ack = \"written\" }\n"), drivers::MessageAck::written);
  const Config behind = load_good(listener("127.0.0.1:1883") + "[buffer]\nack = \"written\"\n");
  EXPECT_EQ(behind.mqtt_listeners.at(0).ack, drivers::MessageAck::written) << "the order of tables says nothing";
}

TEST_F(ConfigListenerTest, a_password_file_that_is_none_is_named_by_its_line) {
  write("users", "boiler:secret\n");
  const std::string problem = only_problem(listener("127.0.0.1:1883", "users = { file = \"users\" }\n"));
  EXPECT_THAT(problem, HasSubstr("driver.mqtt_listener[0].users: " + path("users") + ": line 1 must be NAME:$7$"));
  EXPECT_THAT(problem, HasSubstr("users of driver \"l\""));
  EXPECT_THAT(problem, Not(HasSubstr("secret")));
}

TEST_F(ConfigListenerTest, the_bare_name_of_a_file_of_users_is_shown_as_it_should_be_written) {
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "users = \"users\"\n")),
              HasSubstr("or { env = \"...\" }, such as users = { file = \"users\" }"));
  write("logins", kUsers);
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "users = \"logins\"\n")),
              HasSubstr("such as users = { file = \"logins\" }"));
  const std::string secret = only_problem(listener("127.0.0.1:1883", "users = \"hidden\"\n"));
  EXPECT_THAT(secret, ::testing::Not(HasSubstr("hidden")));
}

TEST_F(ConfigListenerTest, tls_needs_a_certificate_and_its_key) {
  write("gateway.pem", testing::tls_texts().certificate);
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "tls = { cert = \"gateway.pem\" }\n")),
              HasSubstr("tls.key: is missing"));
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "tls = { }\n")), HasSubstr("tls.cert: is missing"));
}

TEST_F(ConfigListenerTest, rights_are_topic_filters) {
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "[[driver.mqtt_listener.allow]]\npublish = [\"a/#/b\"]\n")),
              HasSubstr("must be topic filters"));
}

TEST_F(ConfigListenerTest, rights_of_a_user_need_the_list_of_users) {
  const std::string of_user = "[[driver.mqtt_listener.allow]]\nuser = \"boiler\"\npublish = [\"plant/#\"]\n";
  const std::string by_name = "[[driver.mqtt_listener.allow]]\npublish = [\"plant/%u/#\"]\n";
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", of_user)), HasSubstr("allow[0].user: goes by the user's name"));
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", by_name)),
              HasSubstr("allow[0].publish: goes by the user's name"));
  write("users", kUsers);
  load_good(listener("127.0.0.1:1883", "users = { file = \"users\" }\n" + of_user + by_name));
}

TEST_F(ConfigListenerTest, who_may_watch_what) {
  const std::string watch =
      "[[driver.mqtt_listener.watch]]\ntopics = [\"tidegate/#\", \"#\", \"tidegate/values/%c/+\", \"+/alarms/#\"]\n";
  EXPECT_EQ(load_good(listener("127.0.0.1:1883", watch)).mqtt_listeners.at(0).watch.at(0).filters.size(), 4U);
  EXPECT_TRUE(load_good(listener("127.0.0.1:1883")).mqtt_listeners.at(0).watch.empty());
}

TEST_F(ConfigListenerTest, only_topics_that_there_are_can_be_watched) {
  for (const char* wrong : {"plant/#", "tidegate", "tidegate/value/#", "tidegate/values", "values/+", "%c/values/+/#x",
                            "$share/g/tidegate/#", "tidegate/#/x"}) {
    const std::string problem = only_problem(
        listener("127.0.0.1:1883", std::string("[[driver.mqtt_listener.watch]]\ntopics = [\"") + wrong + "\"]\n"));
    EXPECT_THAT(problem, HasSubstr("watch[0].topics")) << wrong;
    EXPECT_THAT(problem, ::testing::AnyOf(HasSubstr("must match topics \"tidegate/values/DEVICE/TAG\""),
                                          HasSubstr("must be topic filters")))
        << wrong;
  }
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", "[[driver.mqtt_listener.watch]]\nuser = \"x\"\n")),
              HasSubstr("watch[0].topics"));
}

TEST_F(ConfigListenerTest, what_is_watched_cannot_be_taken_in) {
  const std::string taken_in = "[[driver.mqtt_listener.subscribe]]\ntopic = \"tidegate/values/{device}/{tag}\"\n";
  const std::string watch = "[[driver.mqtt_listener.watch]]\ntopics = [\"tidegate/#\"]\n";
  load_good(listener("127.0.0.1:1883", taken_in));
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", taken_in + watch)),
              HasSubstr("subscribe[0].topic: is below \"tidegate/values\""));
}

TEST_F(ConfigListenerTest, rights_to_watch_of_a_user_need_the_list_of_users) {
  const std::string of_user = "[[driver.mqtt_listener.watch]]\nuser = \"boiler\"\ntopics = [\"tidegate/#\"]\n";
  const std::string by_name = "[[driver.mqtt_listener.watch]]\ntopics = [\"tidegate/values/%u/#\"]\n";
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", of_user)), HasSubstr("watch[0].user: goes by the user's name"));
  EXPECT_THAT(only_problem(listener("127.0.0.1:1883", by_name)), HasSubstr("watch[0].topics: goes by the user's name"));
  write("users", kUsers);
  load_good(listener("127.0.0.1:1883", "users = { file = \"users\" }\n" + of_user + by_name));
}

}  // namespace
}  // namespace tidegate::daemon
