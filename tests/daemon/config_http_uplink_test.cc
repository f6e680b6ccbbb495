#include <gmock/gmock.h>

#include "tests/daemon/config_fixture.h"
#include "tests/support/tls_texts.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ConfigHttpUplinkTest : public ConfigTest {
 protected:
  ConfigHttpUplinkTest() { write("token", "Bearer very-secret\n"); }

  static std::string uplink(const std::string& lines, const std::string& url = "https://lake.example/v1/{stream}") {
    return "[[uplink.http]]\nname = \"lake\"\nurl = \"" + url + "\"\n" + lines;
  }
};

TEST_F(ConfigHttpUplinkTest, everything_is_read) {
  const auto& pem = testing::tls_texts();
  write("c.pem", pem.certificate);
  write("c.key", pem.key);
  const ScopedVariable variable("TIDEGATE_TEST_KEY", "from-environment");
  uplink::HttpUplinkOptions expected;
  expected.forwarder.name = "lake";
  expected.forwarder.inflight_max = 3;
  expected.forwarder.dead_letter_after = 5;
  expected.forwarder.batch_readings_max = 50;
  expected.url = "https://lake.example/v1/{stream}";
  expected.method = uplink::HttpMethod::put;
  expected.format = uplink::BatchFormat::influx;
  expected.integers_as_floats = true;
  expected.compression = uplink::Compression::zstd;
  expected.headers = {{"Authorization", "Bearer very-secret", path("token"), true},
                      {"X-Api-Key", "from-environment", "", true},
                      {"X-Site", "north", "", false}};
  expected.tls = {path("c.pem"), path("c.pem"), path("c.key"), true};
  expected.proxy = "http://proxy.example:3128";
  expected.connect_timeout = std::chrono::seconds(2);
  expected.timeout = std::chrono::seconds(40);
  expected.stalled_after = std::chrono::seconds(9);
  const Config config = load_good(
      uplink("method = \"PUT\"\nformat = \"influx\"\nintegers = \"float\"\ncompression = \"zstd\"\ninflight = 3\n"
             "batch = { max_readings = 50 }\nproxy = \"http://proxy.example:3128\"\nconnect_timeout = \"2s\"\n"
             "timeout = \"40s\"\nstalled_after = \"9s\"\n"
             "headers = { Authorization = { file = \"token\" }, X-Api-Key = { env = \"TIDEGATE_TEST_KEY\" }, "
             "X-Site = \"north\" }\n"
             "tls = { ca = \"c.pem\", cert = \"c.pem\", key = { file = \"c.key\" } }\n"));
  ASSERT_EQ(config.http_uplinks.size(), 1U);
  EXPECT_EQ(config.http_uplinks[0], expected);
}

TEST_F(ConfigHttpUplinkTest, a_credential_of_systemd_is_a_header) {
  write("credentials/lake-token", "Bearer from-systemd\n");
  const ScopedVariable variable("CREDENTIALS_DIRECTORY", path("credentials"));
  const Config config = load_good(uplink("headers = { Authorization = { credential = \"lake-token\" } }\n"));
  const uplink::HttpHeader expected{"Authorization", "Bearer from-systemd", path("credentials/lake-token"), true};
  EXPECT_EQ(config.http_uplinks.at(0).headers.at(0), expected);
}

TEST_F(ConfigHttpUplinkTest, a_secret_that_is_written_there_is_refused_and_not_shown) {
  for (const char* name :
       {"Authorization", "authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Auth-Token"}) {
    const std::string problem = only_problem(uplink("headers = { " + std::string(name) + " = \"Bearer abc\" }\n"));
    EXPECT_THAT(problem, HasSubstr("4 uplink.http[0].headers: \"" + std::string(name) +
                                   "\" is a secret and must not be written here; use { file = "));
    EXPECT_THAT(problem, Not(HasSubstr("abc")));
  }
}

TEST_F(ConfigHttpUplinkTest, headers_that_the_gateway_sets_are_refused) {
  for (const char* name : {"Content-Length", "content-type", "Idempotency-Key", "tidegate-from", "Expect"}) {
    EXPECT_THAT(only_problem(uplink("headers = { " + std::string(name) + " = \"x\" }\n")),
                HasSubstr("is set by the gateway itself"));
  }
}

TEST_F(ConfigHttpUplinkTest, urls_are_checked) {
  for (const char* good : {"http://h", "https://h:8443/a?b=c&db=x", "http://[::1]:8086/write?precision=ns",
                           "https://h/{gateway}/{stream}"}) {
    EXPECT_EQ(load_good(uplink("", good)).http_uplinks.at(0).url, good);
  }
  for (const char* bad :
       {"h", "ftp://h/", "mqtt://h", "http://", "http:///x", "http://h:0/", "http://h:x/", "http://h:70000/",
        "http://h/{tag}", "http://h/{", "http://{gateway}/", "http://h/a b", "http://h/#x", "HTTP://h/"}) {
    EXPECT_THAT(only_problem(uplink("", bad)), HasSubstr("3 uplink.http[0].url: ")) << bad;
  }
}

TEST_F(ConfigHttpUplinkTest, what_was_found_instead_of_a_url_is_shown_up_to_its_path) {
  const auto found = [&](const std::string& url) {
    const std::string problem = only_problem(uplink("", url));
    return problem.substr(problem.find(", found ") + 8);
  };
  EXPECT_EQ(found("ftp://lake.example:21"), "\"ftp://lake.example:21\"");
  EXPECT_EQ(found("lake.example/"), "\"lake.example/\"");
  EXPECT_EQ(found("ftp://lake.example/hidden?hidden"), "\"ftp://lake.example/...\"");
  EXPECT_EQ(found("ftp://me:hidden@lake.example/x"), "\"ftp://...@lake.example/...\"");
  EXPECT_EQ(found("me:hid/den://@lake.example"), "\"...\"");
  EXPECT_EQ(found("htps://lake.example/write?u=me@plant.example&p=hidden"), "\"htps://...\"");
}

TEST_F(ConfigHttpUplinkTest, a_secret_in_a_url_is_refused_and_not_shown) {
  for (const char* bad : {"https://user:hidden@h/x", "https://h/write?u=a&p=hidden", "https://h/?access_token=hidden",
                          "https://h/?api_key=hidden"}) {
    const std::string problem = only_problem(uplink("", bad));
    EXPECT_THAT(problem, HasSubstr("must not"));
    EXPECT_THAT(problem, Not(HasSubstr("hidden")));
  }
  const std::string problem = only_problem(uplink("proxy = \"http://user:hidden@p:1\"\n"));
  EXPECT_THAT(problem, HasSubstr("must not hold a login"));
  EXPECT_THAT(problem, Not(HasSubstr("hidden")));
}

TEST_F(ConfigHttpUplinkTest, keys_that_do_not_go_together_are_refused) {
  EXPECT_EQ(only_problem(uplink("integers = \"float\"\n")),
            "4 uplink.http[0].integers: is only for format = \"influx\"");
  EXPECT_THAT(only_problem(uplink("tls = {}\n", "http://h/")), HasSubstr("is only for a target with \"https://\""));
  write("c.pem", testing::tls_texts().certificate);
  EXPECT_THAT(only_problem(uplink("tls.cert = \"c.pem\"\n")), HasSubstr("needs the key \"key\" beside it"));
}

TEST_F(ConfigHttpUplinkTest, what_is_unsafe_is_odd) {
  EXPECT_THAT(only_warning(uplink("headers = { Authorization = { file = \"token\" } }\n", "http://lake.example/")),
              HasSubstr("unencrypted"));
  EXPECT_TRUE(
      load_good(uplink("headers = { Authorization = { file = \"token\" } }\n", "http://127.0.0.1/")).warnings.empty());
  EXPECT_THAT(only_warning(uplink("tls.insecure_skip_verification_i_know_what_i_do = true\n")),
              HasSubstr("the target's certificate is not checked"));
}

}  // namespace
}  // namespace tidegate::daemon
