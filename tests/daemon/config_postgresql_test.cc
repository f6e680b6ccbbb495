#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ConfigPostgresqlTest : public ConfigTest {
 protected:
  static std::string uplink(const std::string& more, const std::string& url = "postgresql://db.example/plant") {
    return "[[uplink.postgresql]]\nname = \"lake\"\nurl = \"" + url + "\"\nusername = \"gateway\"\n" + more;
  }
};

TEST_F(ConfigPostgresqlTest, an_uplink_is_read_with_all_its_keys) {
  write("secret", "pass\n");
  const Config config = load_good(
      uplink("password = { file = \"secret\" }\ntable = \"plant.t_{stream}\"\ncursor_table = "
             "\"plant.c\"\ncreate_tables = false\n"
             "connect_timeout = \"3s\"\ntimeout = \"4s\"\nstreams = [\"alarms\"]\nbatch = { max_readings = 7 }\n",
             "postgresql://db.example:5433/plant"));
  ASSERT_EQ(config.postgresql_uplinks.size(), 1U);
  uplink::PostgresqlUplinkOptions expected;
  expected.forwarder.name = "lake";
  expected.forwarder.streams = {Stream::alarms};
  expected.forwarder.batch_readings_max = 7;
  expected.forwarder.blames_size_for_lost_links = expected.forwarder.doubts_short_links = false;
  expected.forwarder.takes_letters = false;
  expected.host = "db.example";
  expected.port = 5433;
  expected.database = "plant";
  expected.username = "gateway";
  expected.password = "pass";
  expected.table = "plant.t_{stream}";
  expected.cursor_table = "plant.c";
  expected.create_tables = false;
  expected.connect_timeout = std::chrono::seconds(3);
  expected.timeout = std::chrono::seconds(4);
  expected.tls = mqtt::TlsOptions{};
  EXPECT_EQ(config.postgresql_uplinks[0], expected);
}

TEST_F(ConfigPostgresqlTest, a_url_names_a_host_or_the_directory_of_a_socket) {
  const auto socket = load_good(uplink("", "postgresql:///plant?host=/run/postgresql&port=5433")).postgresql_uplinks[0];
  EXPECT_EQ(socket.host, "/run/postgresql");
  EXPECT_EQ(socket.port, 5433);
  const auto six = load_good(uplink("", "postgres://[2001:db8::1]:1/plant")).postgresql_uplinks[0];
  EXPECT_EQ(six.host, "2001:db8::1");
  EXPECT_EQ(six.port, 1);
  for (const std::string url :
       {"http://db/plant", "postgresql://db", "postgresql://db/", "postgresql:///plant", "postgresql://db:0/plant",
        "postgresql://db:x/plant", "postgresql://a,b/plant", "postgresql://db/a/b", "postgresql:///plant?host=run",
        "postgresql:///plant?host=/run/a,db.example", "postgresql://db/p?host=/run",
        "postgresql://db/p?target_session_attrs=any", "postgresql://db/p%20q"}) {
    EXPECT_THAT(only_problem(uplink("", url)), StartsWith("3 uplink.postgresql[0].url: ")) << url;
  }
}

TEST_F(ConfigPostgresqlTest, a_login_in_the_url_is_refused_and_not_shown) {
  for (const std::string url :
       {"postgresql://gw:hunter2@db/plant", "postgresql://gw:a/hunter2@db/plant",
        "postgresql://db/plant?password=hunter2", "postgresql://db/plant?user=hunter2", "gw:hunter2@db"}) {
    EXPECT_THAT(only_problem(uplink("", url)),
                AllOf(StartsWith("3 uplink.postgresql[0].url: "), Not(HasSubstr("hunter2"))))
        << url;
  }
  EXPECT_THAT(only_problem(uplink("", "postgresql://gw:hunter2@db/plant")), HasSubstr("username and password"));
  EXPECT_THAT(only_problem(uplink("", "postgresql://db/plant?sslmode=disable")), HasSubstr("encryption and tls"));
}

TEST_F(ConfigPostgresqlTest, it_is_tls_unless_nobody_else_is_in_between_or_it_is_said) {
  const auto tls_of = [this](const std::string& text) { return load_good(text).postgresql_uplinks.at(0).tls; };
  EXPECT_EQ(tls_of(uplink("")), mqtt::TlsOptions{});
  for (const std::string here : {"postgresql://127.0.0.1/p", "postgresql://[::1]/p", "postgresql://localhost/p",
                                 "postgresql:///p?host=/run/postgresql"}) {
    EXPECT_EQ(tls_of(uplink("", here)), std::nullopt) << here;
  }
  EXPECT_EQ(tls_of(uplink("encryption = \"tls\"\n", "postgresql://127.0.0.1/p")), mqtt::TlsOptions{});
  EXPECT_EQ(tls_of(uplink("tls = {}\n", "postgresql://127.0.0.1/p")), mqtt::TlsOptions{});
  EXPECT_THAT(only_warning(uplink("encryption = \"none\"\n")), HasSubstr("unencrypted"));
  EXPECT_EQ(tls_of(uplink("encryption = \"none\"\n")), std::nullopt);
  EXPECT_THAT(only_problem(uplink("encryption = \"none\"\ntls = {}\n")), StartsWith("6 uplink.postgresql[0].tls: "));
  EXPECT_THAT(only_problem(uplink("tls = {}\n", "postgresql:///p?host=/run")), HasSubstr("Unix socket"));
  EXPECT_THAT(only_problem(uplink("encryption = \"tls\"\n", "postgresql:///p?host=/run")), HasSubstr("Unix socket"));
  EXPECT_THAT(only_warning(uplink("tls = { insecure_skip_verification_i_know_what_i_do = true }\n")),
              HasSubstr("the server's certificate is not checked"));
}

TEST_F(ConfigPostgresqlTest, a_password_that_may_go_in_the_clear_is_warned_of) {
  write("secret", "hunter2");
  const std::string password = "password = { file = \"secret\" }\n";
  for (const std::string here : {"postgresql://127.0.0.1/p", "postgresql://[::1]/p", "postgresql://localhost/p"}) {
    EXPECT_THAT(only_warning(uplink(password, here)),
                AllOf(HasSubstr("password: is sent in the clear without TLS to whoever listens at that port"),
                      HasSubstr("use a Unix socket")));
  }
  EXPECT_TRUE(load(uplink(password, "postgresql:///p?host=/run/postgresql"))->warnings.empty());
  EXPECT_TRUE(load(uplink(password + "tls = {}\n", "postgresql://127.0.0.1/p"))->warnings.empty());
  EXPECT_TRUE(load(uplink("", "postgresql://127.0.0.1/p"))->warnings.empty());
}

TEST_F(ConfigPostgresqlTest, tables_have_names_and_one_each) {
  EXPECT_THAT(only_problem(uplink("table = \"plant-{stream}\"\n")), StartsWith("5 uplink.postgresql[0].table: "));
  EXPECT_THAT(only_problem(uplink("table = \"{gateway}\"\n")), HasSubstr("{stream}"));
  EXPECT_THAT(only_problem(uplink("table = \"records\"\n")), HasSubstr("one of their own"));
  EXPECT_THAT(only_problem(uplink("cursor_table = \"tidegate_events\"\n")), HasSubstr("one of their own"));
  EXPECT_THAT(only_problem(uplink("cursor_table = \"c\\\"\"\n")), StartsWith("5 uplink.postgresql[0].cursor_table: "));
  EXPECT_EQ(load_good(uplink("table = \"records\"\nstreams = [\"readings\"]\n")).postgresql_uplinks.size(), 1U);
}

// libpq takes an empty password, and no address, for none given.
TEST_F(ConfigPostgresqlTest, what_the_environment_would_put_in_is_refused) {
  const auto with = [this](const char* name, const std::string& text) {
    ::setenv(name, "x", 1);
    const std::string problem = only_problem(text);
    ::unsetenv(name);
    return problem;
  };
  EXPECT_THAT(with("PGPASSWORD", uplink("")), HasSubstr("PGPASSWORD"));
  EXPECT_THAT(with("PGHOSTADDR", uplink("", "postgresql:///p?host=/run")), HasSubstr("PGHOSTADDR"));
  EXPECT_THAT(with("PGOPTIONS", uplink("")), HasSubstr("PGOPTIONS"));
  EXPECT_THAT(with("PGSERVICE", uplink("")), HasSubstr("PGSERVICE"));
  write("secret", "pass\n");
  ::setenv("PGPASSWORD", "x", 1);
  ::setenv("PGHOSTADDR", "x", 1);
  load_good(uplink("password = { file = \"secret\" }\n"));
  ::unsetenv("PGPASSWORD");
  ::unsetenv("PGHOSTADDR");
}

TEST_F(ConfigPostgresqlTest, lanes_and_dead_letters_do_not_go_with_it) {
  EXPECT_THAT(only_problem(uplink("order = \"live-first\"\n")), StartsWith("5 uplink.postgresql[0].order: "));
  EXPECT_THAT(only_problem(uplink("dead_letter_after = 5\n")), HasSubstr("dead_letter_after"));
}

}  // namespace
}  // namespace tidegate::daemon
