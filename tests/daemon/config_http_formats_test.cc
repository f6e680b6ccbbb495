#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kAws =
    "aws = { region = \"eu-west-1\", stream = \"plant-{stream}\", access_key_id = \"AKIA\", "
    "secret_access_key = { file = \"key\" } }\n";

class ConfigHttpFormatsTest : public ConfigTest {
 protected:
  ConfigHttpFormatsTest() {
    write("key", "very-secret\n");
    write("token", "the-token\n");
  }

  static std::string uplink(const std::string& format, const std::string& lines,
                            const std::string& url = "https://kinesis.eu-west-1.amazonaws.com/") {
    return "[[uplink.http]]\nname = \"cloud\"\nurl = \"" + url + "\"\nformat = \"" + format + "\"\n" + lines;
  }
};

TEST_F(ConfigHttpFormatsTest, kinesis_is_read) {
  const auto options =
      load_good(
          uplink(
              "kinesis",
              "key = \"{gateway}/{tag}\"\naws = { region = \"eu-west-1\", stream = \"plant\", access_key_id = "
              "{ file = \"key\" }, secret_access_key = { file = \"key\" }, session_token = { file = \"token\" } }\n"))
          .http_uplinks.at(0);
  EXPECT_EQ(options.format, uplink::BatchFormat::kinesis);
  EXPECT_EQ(options.key, "{gateway}/{tag}");
  const uplink::HttpHeader key{"", "very-secret", path("key"), true};
  EXPECT_EQ(options.aws, (uplink::AwsOptions{"eu-west-1", "plant", key, key, {"", "the-token", path("token"), true}}));
  const auto short_one = load_good(uplink("kinesis", kAws)).http_uplinks.at(0);
  EXPECT_EQ(short_one.key, "{tag}");
  EXPECT_EQ(short_one.aws.access_key_id, (uplink::HttpHeader{"", "AKIA", "", false}));
  EXPECT_EQ(short_one.aws.session_token, uplink::HttpHeader{});
}

TEST_F(ConfigHttpFormatsTest, kinesis_says_what_it_needs) {
  EXPECT_THAT(only_problem(uplink("kinesis", "")), HasSubstr("4 uplink.http[0].format: needs aws = { region = "));
  EXPECT_THAT(only_problem(uplink("kinesis", "aws = { region = \"r\", stream = \"s\", access_key_id = \"A\" }\n")),
              HasSubstr("5 uplink.http[0].aws: needs the key \"secret_access_key\""));
  EXPECT_THAT(only_problem(uplink("kinesis", kAws + "key = \"\"\n")),
              HasSubstr("uplink.http[0].key: must not be empty"));
  EXPECT_THAT(only_problem(uplink("kinesis", kAws, "https://h/v1/x")),
              HasSubstr("uplink.http[0].url: must have no path"));
  for (const char* url : {"https://h?x=1", "https://h/?x=1", "https://h:1/x"}) {
    EXPECT_THAT(only_problem(uplink("kinesis", kAws, url)),
                HasSubstr("uplink.http[0].url: must have no path and no query with format = \"kinesis\""))
        << url;
  }
  EXPECT_EQ(only_problem(uplink("kinesis", kAws + "compression = \"gzip\"\n")),
            "6 uplink.http[0].compression: must be \"none\" with format = \"kinesis\", found \"gzip\"");
  EXPECT_EQ(only_problem(uplink("kinesis", kAws + "method = \"PUT\"\n")),
            "6 uplink.http[0].method: must be \"POST\" with format = \"kinesis\"");
}

TEST_F(ConfigHttpFormatsTest, no_header_is_set_twice_that_is_signed) {
  for (const char* header : {"Authorization = { file = \"token\" }", "Host = \"other\"", "X-Amz-Date = \"now\"",
                             "x-amz-security-token = { file = \"token\" }"}) {
    EXPECT_THAT(only_problem(uplink("kinesis", kAws + "headers = { " + header + " }\n")),
                HasSubstr("uplink.http[0].headers: must not have \""))
        << header;
  }
  EXPECT_EQ(load_good(uplink("kinesis", kAws + "headers = { X-Site = \"north\" }\n")).http_uplinks.size(), 1U);
}

TEST_F(ConfigHttpFormatsTest, a_session_token_in_the_open_is_odd) {
  const std::string with_token = kAws.substr(0, kAws.rfind(" }")) + ", session_token = { file = \"token\" } }\n";
  EXPECT_THAT(only_warning(uplink("kinesis", with_token, "http://kinesis.example/")),
              HasSubstr("uplink.http[0].aws: the session token goes over the network unencrypted"));
  EXPECT_EQ(load_good(uplink("kinesis", with_token, "http://127.0.0.1/")).http_uplinks.size(), 1U);
}

TEST_F(ConfigHttpFormatsTest, an_ordering_key_wants_one_request_at_a_time) {
  const std::string url = "https://h/x:publish";
  EXPECT_EQ(load_good(uplink("pubsub", "", url)).http_uplinks.at(0).forwarder.inflight_max, 1U);
  EXPECT_EQ(load_good(uplink("pubsub", "key = \"\"\n", url)).http_uplinks.at(0).forwarder.inflight_max, 8U);
  EXPECT_THAT(only_warning(uplink("pubsub", "inflight = 4\n", url)), HasSubstr("lets requests overtake each other"));
  EXPECT_EQ(load_good(uplink("pubsub", "key = \"\"\ninflight = 4\n", url)).http_uplinks.size(), 1U);
}

TEST_F(ConfigHttpFormatsTest, the_limits_of_a_request_are_those_of_its_target) {
  EXPECT_EQ(only_problem(uplink("kinesis", kAws + "batch = { max_readings = 501 }\n")),
            "6 uplink.http[0].batch.max_readings: must be at most 500 with format = \"kinesis\", found 501");
  EXPECT_EQ(only_problem(uplink("pubsub", "batch = { max_bytes = \"5MiB\" }\n", "https://h/x:publish")),
            "5 uplink.http[0].batch.max_bytes: must be at most \"4MiB\" with format = \"pubsub\", found \"5MiB\"");
  EXPECT_EQ(load_good(uplink("pubsub", "batch = { max_readings = 1000 }\n", "https://h/x:publish")).http_uplinks.size(),
            1U);
}

TEST_F(ConfigHttpFormatsTest, a_secret_key_is_not_written_there) {
  const std::string problem = only_problem(uplink(
      "kinesis", "aws = { region = \"r\", stream = \"s\", access_key_id = \"A\", secret_access_key = \"hidden\" }\n"));
  EXPECT_THAT(problem, HasSubstr("uplink.http[0].aws.secret_access_key: "));
  EXPECT_THAT(problem, Not(HasSubstr("hidden")));
}

TEST_F(ConfigHttpFormatsTest, keys_of_other_formats_are_refused) {
  EXPECT_EQ(only_problem(uplink("json", kAws)), "5 uplink.http[0].aws: is only for format = \"kinesis\"");
  EXPECT_EQ(only_problem(uplink("json", "key = \"{tag}\"\n")),
            "5 uplink.http[0].key: is only for format = \"kinesis\" and \"pubsub\"");
}

TEST_F(ConfigHttpFormatsTest, pubsub_without_publish_is_odd) {
  EXPECT_THAT(only_warning(uplink("pubsub", "", "https://pubsub.googleapis.com/v1/projects/p/topics/t")),
              HasSubstr("does not end in \":publish\""));
}

}  // namespace
}  // namespace tidegate::daemon
