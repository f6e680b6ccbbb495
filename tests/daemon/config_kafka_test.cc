#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigKafkaTest : public ConfigTest {
 protected:
  static std::string uplink(const std::string& more) {
    return "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\n" + more;
  }
};

TEST_F(ConfigKafkaTest, an_uplink_is_read_with_all_its_keys) {
  write("secret", "pass\n");
  const Config config = load_good(
      "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1:9093\", \"k2\", \"[::1]\"]\ntopic = \"plant.{stream}\"\n"
      "key = \"{gateway}/{tag}\"\ndelivery = \"at-least-once\"\ncompression = \"zstd\"\nstreams = [\"alarms\"]\n"
      "inflight = 3\ntls = {}\nbatch = { max_readings = 7 }\n"
      "sasl = { mechanism = \"SCRAM-SHA-512\", username = \"gw\", password = { file = \"secret\" } }\n");
  ASSERT_EQ(config.kafka_uplinks.size(), 1U);
  uplink::KafkaUplinkOptions expected;
  expected.forwarder.name = "fleet";
  expected.forwarder.streams = {Stream::alarms};
  expected.forwarder.inflight_max = 3;
  expected.forwarder.dead_letter_after = 5;
  expected.forwarder.batch_readings_max = 7;
  expected.brokers = {"k1:9093", "k2:9092", "[::1]:9092"};
  expected.topic = "plant.{stream}";
  expected.key = "{gateway}/{tag}";
  expected.compression = "zstd";
  expected.tls = mqtt::TlsOptions{};
  expected.login = {"SCRAM-SHA-512", "gw", "pass"};
  EXPECT_EQ(config.kafka_uplinks[0], expected);
}

TEST_F(ConfigKafkaTest, without_its_tables_there_is_no_tls_and_no_login) {
  const auto options = load_good(uplink("")).kafka_uplinks.at(0);
  EXPECT_EQ(options.tls, std::nullopt);
  EXPECT_EQ(options.login, std::nullopt);
  EXPECT_THAT(options.brokers, ElementsAre("k1:9092"));
  EXPECT_EQ(options.topic, "tidegate.{stream}");
  EXPECT_EQ(options.key, "{tag}");
}

TEST_F(ConfigKafkaTest, a_topic_is_one_of_kafkas_with_the_gateways_own_id) {
  EXPECT_EQ(only_problem(uplink("topic = \"plant/{stream}\"\n")),
            "4 uplink.kafka[0].topic: topic \"plant/readings\" is none of Kafka's: it needs 1 to 249 of the characters "
            "a-z A-Z 0-9 . _ -");
  EXPECT_THAT(only_problem("gateway.id = \"gw:7\"\n" + uplink("topic = \"{gateway}\"\n")),
              HasSubstr("topic \"gw:7\" is"));
  EXPECT_THAT(only_problem(uplink("topic = \"{tag}\"\n")), StartsWith("4 uplink.kafka[0].topic: "));
  EXPECT_THAT(only_problem(uplink("key = \"{stream}\"\n")), StartsWith("4 uplink.kafka[0].key: "));
}

TEST_F(ConfigKafkaTest, brokers_have_a_host_and_at_most_a_port) {
  for (const std::string broker : {"kafka://k1:9092", "k1:0", "k1:99999", ""}) {
    EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" + broker + "\"]\n"),
                StartsWith("3 uplink.kafka[0].brokers: "))
        << broker;
  }
  EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = []\n"),
              StartsWith("3 uplink.kafka[0].brokers: "));
  EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\n"), HasSubstr("brokers"));
}

TEST_F(ConfigKafkaTest, cursors_of_exactly_once_have_a_topic_of_their_own) {
  const std::string once = "delivery = \"exactly-once\"\n";
  EXPECT_TRUE(load_good(uplink(once)).kafka_uplinks.at(0).exactly_once);
  EXPECT_FALSE(load_good(uplink("delivery = \"at-least-once\"\n")).kafka_uplinks.at(0).exactly_once);
  EXPECT_EQ(load_good(uplink(once + "cursor_topic = \"c.{gateway}\"\n")).kafka_uplinks.at(0).cursor_topic,
            "c.{gateway}");
  EXPECT_THAT(only_problem(uplink("delivery = \"once\"\n")), HasSubstr("exactly-once"));
  EXPECT_THAT(only_problem(uplink(once + "order = \"live-first\"\n")), HasSubstr("does not go with delivery"));
  EXPECT_THAT(only_problem(uplink(once + "dead_letter_after = 5\n")), HasSubstr("does not go with delivery"));
  EXPECT_EQ(load_good(uplink(once)).kafka_uplinks.at(0).forwarder.dead_letter_after, 0U);
  EXPECT_FALSE(load_good(uplink(once)).kafka_uplinks.at(0).forwarder.takes_letters);
  EXPECT_EQ(load_good(uplink(once + "dead_letter_after = 0\n")).kafka_uplinks.at(0).forwarder.dead_letter_after, 0U);
  EXPECT_THAT(only_problem(uplink(once + "cursor_topic = \"{stream}\"\n")),
              StartsWith("5 uplink.kafka[0].cursor_topic: "));
  EXPECT_THAT(only_problem(uplink(once + "cursor_topic = \"tidegate.readings\"\n")),
              HasSubstr("must be one of its own, found \"tidegate.readings\""));
}

TEST_F(ConfigKafkaTest, a_login_is_whole_and_does_not_go_in_the_clear) {
  write("secret", "pass\n");
  EXPECT_THAT(only_problem(uplink("sasl = { mechanism = \"PLAIN\", username = \"gw\" }\n")),
              StartsWith("4 uplink.kafka[0].sasl: needs the key \"password\" with mechanism = \"PLAIN\""));
  EXPECT_THAT(
      only_problem(uplink("sasl = { mechanism = \"GSSAPI\", username = \"gw\", password = { file = \"secret\" } }\n")),
      HasSubstr("SCRAM-SHA-512"));
  const std::string plain = "sasl = { mechanism = \"PLAIN\", username = \"gw\", password = { file = \"secret\" } }\n";
  EXPECT_THAT(only_warning(uplink(plain)), HasSubstr("sends the password in the clear"));
  EXPECT_EQ(all(load_good(uplink(plain + "tls = {}\n")).warnings), "");
}

TEST_F(ConfigKafkaTest, a_login_by_tokens_is_read_with_all_its_keys) {
  write("secret", "pass\n");
  const auto login = load_good(uplink("tls = {}\n[uplink.kafka.sasl]\nmechanism = \"OAUTHBEARER\"\n"
                                      "token_url = \"https://login.example/token\"\nclient_id = \"gw\"\n"
                                      "client_secret = { file = \"secret\" }\nscope = \"kafka\"\n"
                                      "extensions = { logicalCluster = \"lkc-1\", identityPoolId = \"pool-1\" }\n"
                                      "tls = { insecure_skip_verification_i_know_what_i_do = true }\n"))
                         .kafka_uplinks.at(0)
                         .login;
  uplink::KafkaTokenOptions expected;
  expected.url = "https://login.example/token";
  expected.client_id = "gw";
  expected.client_secret = {"", "", path("secret"), true};
  expected.scope = "kafka";
  expected.tls.verify = false;
  expected.extensions = {{"identityPoolId", "pool-1"}, {"logicalCluster", "lkc-1"}};
  ASSERT_TRUE(login);
  EXPECT_EQ(*login, (uplink::KafkaUplinkOptions::Login{"OAUTHBEARER", "", "", expected}));
}

// What it holds is another in an hour, and no reason to begin anew.
TEST_F(ConfigKafkaTest, of_a_token_in_a_file_only_the_path_is_kept) {
  write("token", "a.b.c\n");
  const std::string text = uplink("tls = {}\nsasl = { mechanism = \"OAUTHBEARER\", token = { file = \"token\" } }\n");
  const Config before = load_good(text);
  EXPECT_EQ(before.kafka_uplinks.at(0).login->token.file, path("token"));
  write("token", "d.e.f\n");
  EXPECT_EQ(load_good(text).kafka_uplinks, before.kafka_uplinks);
}

TEST_F(ConfigKafkaTest, keys_of_another_login_are_refused) {
  write("secret", "pass\n");
  const std::string secret = "{ file = \"secret\" }";
  const auto problem = [&](const std::string& keys) {
    return only_problem(uplink("tls = {}\nsasl = { mechanism = \"OAUTHBEARER\", " + keys + " }\n"));
  };
  const std::string client = "client_id = \"gw\", client_secret = " + secret;
  const std::string endpoint = "token_url = \"https://h/token\", " + client;
  EXPECT_THAT(problem(endpoint + ", username = \"gw\""),
              StartsWith("5 uplink.kafka[0].sasl.username: is only for PLAIN"));
  EXPECT_THAT(problem(endpoint + ", token = " + secret),
              HasSubstr("either a token_url to fetch tokens from, or a token"));
  EXPECT_THAT(problem("scope = \"kafka\""), HasSubstr("either a token_url"));
  EXPECT_THAT(problem("token = " + secret + ", scope = \"kafka\""), HasSubstr("scope: is only for a token_url"));
  EXPECT_THAT(problem("token_url = \"https://h/token\", client_id = \"gw\""),
              HasSubstr("needs the key \"client_secret\" with token_url"));
  EXPECT_THAT(problem("token_url = \"https://u:p@h/token\", " + client), HasSubstr("must not hold a login"));
  EXPECT_THAT(problem("token_url = \"https://h/{gateway}\", " + client), HasSubstr("nothing is filled in"));
  EXPECT_THAT(problem("token_url = \"https://h/{device}\", " + client), HasSubstr("nothing is filled in"));
  EXPECT_THAT(problem("token_url = \"https://h/token?api_key=k\", " + client), HasSubstr("use the key client_secret"));
  EXPECT_THAT(problem("token_url = \"http://127.0.0.1/token\", tls = {}, " + client),
              HasSubstr("sasl.tls: is only for a token_url with \"https://\""));
  EXPECT_THAT(problem(endpoint + ", extensions = { auth = \"x\" }"), HasSubstr("a name has letters only"));
  EXPECT_THAT(problem(endpoint + ", extensions = { \"\" = \"x\" }"), HasSubstr("a name has letters only"));
  EXPECT_THAT(problem(endpoint + ", extensions = { pool_id = \"x\" }"), HasSubstr("a name has letters only"));
  EXPECT_THAT(problem(endpoint + ", extensions = { pool = \"\\u00e4\" }"), HasSubstr("that is not ASCII"));
  EXPECT_THAT(only_problem(uplink("sasl = { mechanism = \"SCRAM-SHA-512\", username = \"u\", password = " + secret +
                                  ", client_id = \"gw\" }\n")),
              HasSubstr("client_id: is only for mechanism = \"OAUTHBEARER\""));
}

TEST_F(ConfigKafkaTest, a_token_does_not_go_in_the_clear) {
  write("secret", "pass\n");
  const std::string login =
      "sasl = { mechanism = \"OAUTHBEARER\", client_id = \"gw\", client_secret = { file = "
      "\"secret\" }, token_url = ";
  EXPECT_THAT(only_warning(uplink(login + "\"https://h/token\" }\n")), HasSubstr("sends the token in the clear"));
  EXPECT_THAT(only_warning(uplink("tls = {}\n" + login + "\"http://h/token\" }\n")),
              HasSubstr("go over the network unencrypted"));
  EXPECT_EQ(all(load_good(uplink("tls = {}\n" + login + "\"https://h/token\" }\n")).warnings), "");
}

TEST_F(ConfigKafkaTest, tls_is_checked_as_that_of_mqtt) {
  EXPECT_THAT(only_warning(uplink("tls = { insecure_skip_verification_i_know_what_i_do = true }\n")),
              HasSubstr("the broker's certificate is not checked"));
  write("ca.pem", "no certificate");
  EXPECT_THAT(only_problem(uplink("tls = { ca = \"ca.pem\" }\n")), HasSubstr("holds no certificates of authorities"));
}

}  // namespace
}  // namespace tidegate::daemon
