#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigAvroTest : public ConfigTest {
 protected:
  static std::string uplink(const std::string& registry, const std::string& more = "") {
    return "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\n" + more +
           "[uplink.kafka.schema_registry]\nurl = \"https://r1:8081\"\n" + registry;
  }
  static std::string with_url(const std::string& url) {
    return "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\nschema_registry = { url = \"" +
           url + "\" }\n";
  }
};

TEST_F(ConfigAvroTest, a_registry_is_read_with_all_its_keys) {
  write("secret", "pass\n");
  const Config config = load_good(
      uplink("username = \"gw\"\npassword = { file = \"secret\" }\nsubject = \"{topic}-{record}\"\nregister = false\n"
             "timeout = \"3s\"\ntls = { insecure_skip_verification_i_know_what_i_do = true }\n"));
  const uplink::KafkaUplinkOptions& options = config.kafka_uplinks.at(0);
  EXPECT_EQ(options.format, uplink::KafkaFormat::avro);
  uplink::SchemaRegistryOptions expected;
  expected.urls = {"https://r1:8081"};
  expected.username = "gw";
  expected.password = {"", "pass", path("secret"), true};
  expected.subject = "{topic}-{record}";
  expected.registers = false;
  expected.timeout = std::chrono::seconds(3);
  expected.tls.verify = false;
  ASSERT_TRUE(options.registry);
  EXPECT_EQ(*options.registry, expected);
}

TEST_F(ConfigAvroTest, what_is_not_given_is_the_usual) {
  const auto options = load_good(uplink("")).kafka_uplinks.at(0);
  EXPECT_EQ(options.registry->subject, "{topic}-value");
  EXPECT_TRUE(options.registry->registers);
  EXPECT_TRUE(options.registry->tls.verify);
  const auto json = load_good("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\n").kafka_uplinks.at(0);
  EXPECT_EQ(json.registry, std::nullopt);
  EXPECT_EQ(json.format, uplink::KafkaFormat::json);
}

TEST_F(ConfigAvroTest, avro_and_a_registry_go_together) {
  EXPECT_EQ(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\n"),
            "4 uplink.kafka[0].format: \"avro\" needs schema_registry = { url = \"https://HOST:8081\" } beside it: "
            "without the id of its schema nobody can read a record");
  EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\n"
                           "schema_registry = { url = \"https://r1\" }\n"),
              HasSubstr("schema_registry: is only for format = \"avro\""));
  EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\n"
                           "schema_registry = { register = true }\n"),
              HasSubstr("schema_registry: needs the key \"url\""));
}

TEST_F(ConfigAvroTest, urls_are_those_of_one_registry) {
  EXPECT_THAT(
      load_good(with_url("https://r1:8081/, http://127.0.0.1/apis/ccompat/v7/")).kafka_uplinks.at(0).registry->urls,
      ElementsAre("https://r1:8081", "http://127.0.0.1/apis/ccompat/v7"));
  for (const std::string url : {"r1:8081", "ftp://r1", "https://r1,", "https://gw:pass@r1", "https://r1/?a=b",
                                "https://r1/{stream}", "https://r1:0"}) {
    EXPECT_THAT(only_problem(with_url(url)), StartsWith("5 uplink.kafka[0].schema_registry.url: ")) << url;
  }
  EXPECT_EQ(only_problem(with_url("https://gw:pass@r1")).find("pass@"), std::string::npos);
}

TEST_F(ConfigAvroTest, each_stream_has_a_subject_of_its_own) {
  EXPECT_THAT(only_problem(uplink("", "topic = \"plant\"\n")),
              HasSubstr("subject: is the same for readings and alarms, which have schemas of their own: put {stream} "
                        "into \"topic\", or use \"{topic}-{record}\", found \"plant-value\""));
  load_good(uplink("subject = \"{topic}-{record}\"\n", "topic = \"plant\"\n"));
  load_good(uplink("subject = \"{record}\"\n", "topic = \"plant\"\n"));
  load_good(uplink("", "topic = \"plant\"\nstreams = [\"alarms\"]\n"));
  EXPECT_THAT(only_problem(uplink("subject = \"{tag}\"\n")), HasSubstr("subject: has the unknown placeholder {tag}"));
}

TEST_F(ConfigAvroTest, a_login_is_whole_and_does_not_go_in_the_clear) {
  write("secret", "pass\n");
  const std::string password = "password = { file = \"secret\" }\n";
  const std::string token = "token = { file = \"secret\" }\n";
  EXPECT_THAT(only_problem(uplink("username = \"gw\"\n")), HasSubstr("needs the key \"password\" beside it"));
  EXPECT_THAT(only_problem(uplink(password)), HasSubstr("needs the key \"username\" beside it"));
  EXPECT_THAT(only_problem(uplink("username = \"gw\"\n" + password + token)), HasSubstr("give one of the two"));
  EXPECT_THAT(only_problem(uplink("username = \"a:b\"\n" + password)), HasSubstr("must not have a \":\""));
  EXPECT_THAT(only_problem(uplink("username = \"gw\"\npassword = \"pass\"\n")), HasSubstr("password"));
  load_good(uplink(token));
  EXPECT_THAT(only_warning("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\n"
                           "schema_registry = { url = \"http://r1\", token = { file = \"secret\" } }\n"),
              HasSubstr("token: goes over the network unencrypted"));
}

TEST_F(ConfigAvroTest, tls_is_checked_as_elsewhere) {
  EXPECT_THAT(only_warning(uplink("tls = { insecure_skip_verification_i_know_what_i_do = true }\n")),
              HasSubstr("the registry's certificate is not checked"));
  write("ca.pem", "no certificate");
  EXPECT_THAT(only_problem(uplink("tls = { ca = \"ca.pem\" }\n")), HasSubstr("holds no certificates of authorities"));
  EXPECT_THAT(only_problem("[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"k1\"]\nformat = \"avro\"\n"
                           "schema_registry = { url = \"http://r1\", tls = {} }\n"),
              HasSubstr("is only for a registry with \"https://\""));
}

}  // namespace
}  // namespace tidegate::daemon
