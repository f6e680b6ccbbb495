// With PostgreSQL itself: the daemon, a server of its own, and what stands between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tests/integration/gateway_process.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/network.h"
#include "tests/support/postgresql_server.h"
#include "tests/support/test_authority.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr seconds kPatience{120};
constexpr const char* kUp = R"(tidegate_uplink_up{uplink="lake"})";
constexpr const char* kDelivered = R"(tidegate_readings_delivered_total{uplink="lake",stream="readings"})";

constexpr const char* kAlarmRule =
    "[[rule]]\nname = \"low\"\ntype = \"threshold\"\ntags = [\"sim-1/*\"]\nraise = \"> -1000\"\n";

std::string uplink_table(const std::string& url, const std::string& more = "") {
  return "[[uplink.postgresql]]\nname = \"lake\"\nretry_most = \"1s\"\nurl = \"" + url +
         "\"\nusername = \"gateway\"\n" + more;
}

/// Publisher -> source broker -> the daemon -> PostgreSQL.
class PostgresqlRig {
 public:
  explicit PostgresqlRig(NumberedReadings readings = {}, double rate = 0)
      : readings_(readings), rate_(rate), source_("max_queued_messages 0\nlog_type subscribe\n") {
    source_.start();
    server.start();
  }

  std::string configuration(const std::string& url, const std::string& more = "") const {
    const std::string relay = relay_config(source_.port(), 0);
    return relay.substr(0, relay.find("[[uplink")) + uplink_table(url, more);
  }
  void start(const std::string& url, const std::string& more = "") {
    gateway.configure(configuration(url, more));
    gateway.start();
    const auto is_subscribed = [this] { return source_.log().find("plant/+/+") != std::string::npos; };
    ASSERT_TRUE(wait_until(is_subscribed, kPatience)) << gateway.log();
    if (readings_.count == 0) return;
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, rate_});
    publisher_->start();
  }
  void publish(const std::string& topic, const std::string& payload) const {
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(source_.port()),
                                  "-q", "1", "-t", topic, "-m", payload});
    ASSERT_EQ(done.end.exit_code, 0) << done.errors;
  }
  bool wait_for_published(std::uint64_t count) { return publisher_->wait_for_acknowledged(count, kPatience); }

  std::string distinct_numbers() const {
    if (server.value("SELECT to_regclass('tidegate_readings')").empty()) return "no table";
    return server.value("SELECT count(DISTINCT value_int) FROM tidegate_readings");
  }
  // What a source sends twice is two records, with an (epoch, seq) each. Transactions have their numbers in the order
  // in which they came; where their rows lie says nothing, as room in earlier pages is used as well.
  void expect_each_record_once() {
    EXPECT_TRUE(publisher_->wait_for_all(kPatience));
    const std::string all = std::to_string(readings_.count);
    EXPECT_TRUE(wait_until([&] { return distinct_numbers() == all; }, kPatience))
        << distinct_numbers() << gateway.log();
    const auto is_quiet = [this] {
      return gateway.metric(R"(tidegate_uplink_backlog_readings{uplink="lake",stream="readings"})") == 0;
    };
    EXPECT_TRUE(wait_until(is_quiet, kPatience));
    EXPECT_EQ(server.value("SELECT count(*) - count(DISTINCT (epoch, seq)) FROM tidegate_readings"), "0");
    EXPECT_EQ(
        server.value("SELECT count(*) FROM tidegate_readings WHERE tag <> 'dev-' || value_int % 100 || '/temp' OR "
                     "time <> to_timestamp((1760000000000 + value_int) / 1000.0)"),
        "0");
    EXPECT_EQ(
        server.value("SELECT count(*) FROM (SELECT min(place) < lag(max(place)) OVER (ORDER BY number) AS late FROM "
                     "(SELECT xmin::text::bigint AS number, epoch::bigint * 1000000000 + seq AS place FROM "
                     "tidegate_readings) AS r GROUP BY number) AS s WHERE late"),
        "0");
    // No number of an epoch is missing, and each is accounted for.
    EXPECT_EQ(server.value("SELECT sum(missing) FROM (SELECT max(seq) - min(seq) + 1 - count(*) AS missing FROM "
                           "tidegate_readings GROUP BY epoch) AS s"),
              "0");
    EXPECT_EQ(std::to_string(static_cast<std::uint64_t>(gateway.metric(kDelivered))),
              server.value("SELECT count(*) FROM tidegate_readings"));
  }

  PostgresqlServer server;
  GatewayProcess gateway;

 private:
  const NumberedReadings readings_;
  const double rate_;
  MosquittoBroker source_;
  std::unique_ptr<NumberedPublisher> publisher_;
};

TEST(PostgresqlShort, KeepsValuesOfAllKindsAsTheyAre) {
  PostgresqlRig rig;
  rig.start(rig.server.socket_url());
  const std::vector<std::string> values{"21.5",
                                        "-0.0",
                                        "5e-324",
                                        "1.7976931348623157e308",
                                        "0.1",
                                        "42",
                                        "-9223372036854775808",
                                        "9223372036854775807",
                                        "18446744073709551615",
                                        "true",
                                        "false",
                                        R"("")",
                                        R"("a\tb\nc\\d 'e' \u00e4 \ud83d\ude00")",
                                        R"("a\u0000b")"};
  for (std::size_t i = 0; i < values.size(); ++i) {
    rig.publish("plant/kinds/v" + std::to_string(i), R"({"ts":1760000000001,"value":)" + values[i] + "}");
  }
  const auto all = [&] {
    return rig.server.value("SELECT to_regclass('tidegate_readings')").empty()
               ? ""
               : rig.server.value("SELECT count(*) FROM tidegate_readings");
  };
  ASSERT_TRUE(wait_until([&] { return all() == std::to_string(values.size()); }, kPatience)) << rig.gateway.log();
  const auto rows = rig.server.query(
      "SELECT value_double, value_int, value_bool, value_text, as_json IS NOT NULL FROM tidegate_readings ORDER BY "
      "seq");
  using Row = PostgresqlServer::Row;
  const auto none = std::nullopt;
  EXPECT_EQ(rows[0], (Row{"21.5", none, none, none, "f"}));
  EXPECT_EQ(rows[1], (Row{"-0", none, none, none, "f"}));
  EXPECT_EQ(rows[2], (Row{"5e-324", none, none, none, "f"}));
  EXPECT_EQ(rows[3], (Row{"1.7976931348623157e+308", none, none, none, "f"}));
  EXPECT_EQ(rows[4], (Row{"0.1", none, none, none, "f"}));
  EXPECT_EQ(rows[5], (Row{none, "42", none, none, "f"}));
  EXPECT_EQ(rows[6], (Row{none, "-9223372036854775808", none, none, "f"}));
  EXPECT_EQ(rows[7], (Row{none, "9223372036854775807", none, none, "f"}));
  EXPECT_EQ(rows[8], (Row{none, none, none, none, "t"}));
  EXPECT_EQ(rows[9], (Row{none, none, "t", none, "f"}));
  EXPECT_EQ(rows[10], (Row{none, none, "f", none, "f"}));
  EXPECT_EQ(rows[11], (Row{none, none, none, "", "f"}));
  EXPECT_EQ(rows[12], (Row{none, none, none, "a\tb\nc\\d 'e' \xc3\xa4 \xf0\x9f\x98\x80", "f"}));
  EXPECT_EQ(rows[13], (Row{none, none, none, none, "t"}));
  EXPECT_EQ(rig.server.value("SELECT as_json::json->>'value' FROM tidegate_readings WHERE tag = 'kinds/v8'"),
            "18446744073709551615");
  EXPECT_THAT(rig.server.value("SELECT as_json FROM tidegate_readings WHERE tag = 'kinds/v13'"),
              HasSubstr(R"("value":"a\u0000b")"));
  EXPECT_EQ(rig.server.value("SELECT count(*) FROM tidegate_readings WHERE time = '2025-10-09 08:53:20.001+00'"), "14");
  EXPECT_EQ(rig.server.value("SELECT entry->>'event' FROM tidegate_events ORDER BY seq LIMIT 1"), "start");
  rig.gateway.stop();
}

// Over both: the gateway is killed, the server falls and comes back, while readings come.
TEST(KillShort, HasEachReadingOnceInPostgresql) {
  PostgresqlRig rig({8'000}, 2'000);
  rig.start(rig.server.url());
  for (std::uint64_t step = 1; step <= 4; ++step) {
    ASSERT_TRUE(rig.wait_for_published(step * 1'500));
    if (step % 2 == 0) {
      rig.server.stop_at_once();
      rig.server.start();
    }
    rig.gateway.kill();
    rig.gateway.start();
  }
  rig.expect_each_record_once();
  rig.gateway.stop();
}

TEST(PostgresqlShort, HasEachReadingOnceThroughABadNetwork) {
  PostgresqlRig rig({6'000}, 2'000);
  FaultProxy proxy(rig.server.port());
  rig.start("postgresql://" + proxy.address() + "/plant", "connect_timeout = \"1s\"\ntimeout = \"1s\"\n");
  NetworkFault fault;
  for (int round = 1; round <= 2; ++round) {
    ASSERT_TRUE(rig.wait_for_published(static_cast<std::uint64_t>(round) * 2'000));
    fault.resets = round % 2 == 1;
    fault.swallows = round % 2 == 0;
    const auto before = proxy.counts();
    proxy.set(fault);
    const auto is_felt = [&] {
      const auto now = proxy.counts();
      return now.resets > before.resets + 1 || now.swallowed_bytes > before.swallowed_bytes;
    };
    EXPECT_TRUE(wait_until(is_felt, kPatience));
    proxy.set({});
  }
  rig.expect_each_record_once();
  rig.gateway.stop();
}

// Each begins the uplink anew, with a connection of its own, where the last one has committed.
TEST(PostgresqlShort, HasEachReadingOnceThroughReloadsThatChangeTheUplink) {
  PostgresqlRig rig({4'000}, 2'000);
  rig.start(rig.server.url());
  for (std::uint64_t step = 1; step <= 5; ++step) {
    ASSERT_TRUE(rig.wait_for_published(step * 700));
    rig.gateway.change_to(rig.configuration(
        rig.server.url(), "batch = { max_delay = \"50ms\", max_readings = " + std::to_string(step * 10) + " }\n"));
  }
  rig.expect_each_record_once();
  rig.gateway.stop();
}

// What the target has counts: the copy does not know what was delivered since, and gives its numbers out again.
TEST(PostgresqlShort, HasEachReadingOnceThoughAnOlderCopyOfTheDiskComesBack) {
  PostgresqlRig rig({2'000}, 2'000);
  rig.server.stop();  // so that the copy has records that are not delivered yet
  rig.start(rig.server.url());
  ASSERT_TRUE(rig.wait_for_published(800));
  rig.gateway.stop();
  rig.server.start();
  const TemporaryDirectory copy;
  const auto data = rig.gateway.data_directory();
  std::filesystem::copy(data, copy / "data", std::filesystem::copy_options::recursive);
  rig.gateway.start();
  rig.expect_each_record_once();
  rig.gateway.stop();
  std::filesystem::remove_all(data);
  std::filesystem::copy(copy / "data", data, std::filesystem::copy_options::recursive);
  rig.gateway.start();
  for (const std::string value : {"5001", "5002", "5003"})
    rig.publish("plant/a/b", R"({"ts":1,"value":)" + value + "}");
  EXPECT_TRUE(wait_until([&] { return rig.distinct_numbers() == "2003"; }, kPatience)) << rig.gateway.log();
  EXPECT_EQ(rig.server.value("SELECT count(*) - count(DISTINCT (epoch, seq, value_int)) FROM tidegate_readings"), "0");
  EXPECT_THAT(rig.gateway.log(), HasSubstr("an older copy of the disk came back"));
  rig.gateway.stop();
}

TEST(PostgresqlShort, SendsOverTheTlsOfTheServerItself) {
  const TestAuthority authority;
  authority.make_authority("ca");
  authority.make_certificate("server", "ca", "IP:127.0.0.1");
  PostgresqlServer server("ssl = on\nssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\n");
  server.put_file("server.crt", read_file(authority.certificate("server")));
  server.put_file("server.key", read_file(authority.key("server")));
  server.set_access("local all postgres trust\nhostssl all all 127.0.0.1/32 trust\n");
  server.start();
  GatewayProcess gateway;
  gateway.configure("[[driver.simulator]]\nname = \"sim\"\ninterval = \"100ms\"\n" +
                    uplink_table(server.url(), "tls = { ca = \"" + authority.certificate("ca") + "\" }\n"));
  gateway.start();
  EXPECT_TRUE(gateway.wait_for_metric(kDelivered, 10, kPatience)) << gateway.log();
  EXPECT_THAT(
      server.value("SELECT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'gateway'"),
      HasSubstr("TLSv1."));
  gateway.stop();
}

TEST(PostgresqlShort, EndsTheUplinkOfAnEarlierProcessOfThatName) {
  PostgresqlRig rig;
  rig.start(rig.server.url());
  ASSERT_TRUE(rig.gateway.wait_for_metric(kUp, 1, kPatience)) << rig.gateway.log();
  GatewayProcess twin;
  twin.configure("[[driver.simulator]]\nname = \"sim\"\ninterval = \"20ms\"\n" + uplink_table(rig.server.url()));
  twin.start();
  ASSERT_TRUE(twin.wait_for_metric(kUp, 1, kPatience)) << twin.log();
  rig.publish("plant/a/b", R"({"ts":1,"value":1})");
  const auto is_said = [&] { return rig.gateway.status_of("lake").find("another process sends") != std::string::npos; };
  EXPECT_TRUE(wait_until(is_said, kPatience)) << rig.gateway.log();
  EXPECT_TRUE(twin.wait_for_metric(kDelivered, 100, kPatience));
  EXPECT_EQ(twin.metric(kUp), 1);
  twin.stop();
  rig.gateway.stop();
}

/// What the status says until it is put right.
class PostgresqlTroublesShort : public ::testing::Test {
 protected:
  PostgresqlTroublesShort() { server_.start(); }

  void start(const std::string& more = "") { start_at(server_.url(), more); }
  void start_at(const std::string& url, const std::string& more) {
    gateway_.configure("[[driver.simulator]]\nname = \"sim\"\ninterval = \"100ms\"\n" + uplink_table(url, more));
    gateway_.start();
  }
  void expect_said(const std::string& text) {
    EXPECT_TRUE(wait_until([&] { return gateway_.status_of("lake").find(text) != std::string::npos; }, seconds(30)))
        << text << "\n"
        << gateway_.status_of("lake") << gateway_.log();
    EXPECT_EQ(gateway_.metric(kUp), 0);
  }
  void expect_up() { EXPECT_TRUE(gateway_.wait_for_metric(kUp, 1, kPatience)) << gateway_.log(); }
  void expect_delivered() { EXPECT_TRUE(gateway_.wait_for_metric(kDelivered, 1, kPatience)) << gateway_.log(); }

  PostgresqlServer server_;
  GatewayProcess gateway_;
};

TEST_F(PostgresqlTroublesShort, NamesATableThatIsMissing) {
  start("create_tables = false\n");
  expect_said("there is no table");
  server_.query(
      "SET ROLE gateway; CREATE TABLE tidegate_readings (gateway text, epoch bigint, seq bigint, time timestamptz)");
  expect_said("lacks columns, add them: time_ns bigint, tag text");
  server_.query(
      "SET ROLE gateway; ALTER TABLE tidegate_readings ADD time_ns bigint, ADD tag varchar, ADD quality text, ADD "
      "reason "
      "text, ADD time_quality text, ADD value_double real, ADD value_int numeric, ADD value_bool boolean, ADD "
      "value_text "
      "text, ADD historical boolean, ADD as_json text, ADD mine int DEFAULT 1");
  expect_said("value_double is real");
  server_.query("ALTER TABLE tidegate_readings ALTER value_double TYPE double precision");
  expect_said("there is no table \\\"tidegate_alarms\\\"");
  gateway_.stop();
  start();  // which makes the rest
  expect_delivered();
  gateway_.stop();
}

// What of one stream is refused holds no other up; when it is taken at last it is all there.
TEST_F(PostgresqlTroublesShort, DeliversReadingsWhileAlarmsAndEventsAreRefused) {
  server_.query(
      "CREATE TABLE taken (yes boolean); INSERT INTO taken VALUES (false); GRANT SELECT ON taken TO public; "
      "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NOT (SELECT yes FROM taken) THEN RAISE "
      "check_violation; END IF; RETURN NEW; END'");
  start("batch = { max_delay = \"50ms\" }\n" + std::string(kAlarmRule));
  expect_delivered();
  for (const std::string table : {"tidegate_alarms", "tidegate_events"}) {
    server_.query("CREATE TRIGGER judge BEFORE INSERT ON " + table + " FOR EACH ROW EXECUTE FUNCTION judge()");
  }
  gateway_.stop();
  gateway_.start();
  expect_said("23514");
  for (int i = 0; i < 2; ++i) {
    const std::string count = "SELECT count(*) FROM tidegate_readings";
    const int before = std::stoi(server_.value(count));
    EXPECT_TRUE(wait_until([&] { return std::stoi(server_.value(count)) > before + 5; }, seconds(10)))
        << gateway_.log();
  }
  const auto is_behind = [this](const std::string& stream) {
    return gateway_.metric("tidegate_uplink_backlog_readings{uplink=\"lake\",stream=\"" + stream + "\"}");
  };
  EXPECT_GT(is_behind("events"), 0);
  EXPECT_LT(is_behind("readings"), 30);
  server_.query("UPDATE taken SET yes = true");
  expect_up();
  for (const std::string table : {"tidegate_readings", "tidegate_alarms", "tidegate_events"}) {
    EXPECT_EQ(server_.value("SELECT sum(missing) FROM (SELECT max(seq) - min(seq) + 1 - count(*) AS missing FROM " +
                            table + " GROUP BY epoch) AS s"),
              "0");
    EXPECT_EQ(server_.value("SELECT count(*) - count(DISTINCT (epoch, seq)) FROM " + table), "0");
  }
  const auto alarm = server_.query(
      "SELECT alarm, rule, tag, state, value_double IS NOT NULL, entry->>'state' FROM "
      "tidegate_alarms ORDER BY epoch, seq LIMIT 1");
  ASSERT_EQ(alarm.size(), 1U);
  EXPECT_EQ(alarm[0][1], "low");
  EXPECT_EQ(alarm[0][3], "raised");
  EXPECT_EQ(alarm[0][5], "raised");
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, NamesTheRightsThatAreMissing) {
  server_.query("CREATE SCHEMA plant; REVOKE ALL ON SCHEMA plant FROM public");
  start("table = \"plant.{stream}\"\ncursor_table = \"plant.cursors\"\n");
  expect_said("permission denied for schema plant (42501)");
  server_.query("GRANT USAGE, CREATE ON SCHEMA plant TO gateway");
  expect_delivered();
  server_.query("ALTER TABLE plant.readings OWNER TO postgres");
  expect_said("GRANT INSERT ON it to the user");
  server_.query("GRANT INSERT ON plant.readings TO gateway");
  expect_up();
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, SaysThatTheLoginIsRefusedAndNeverThePassword) {
  server_.query("ALTER ROLE gateway PASSWORD 'right-9021'");
  server_.set_access("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
  server_.reload();
  write_file(gateway_.directory() + "/secret", "wrong-4417\n");
  start("password = { file = \"" + gateway_.directory() + "/secret\" }\n");
  expect_said("28P01");
  expect_said("password authentication failed");
  gateway_.stop();
  write_file(gateway_.directory() + "/secret", "right-9021\n");
  start("password = { file = \"" + gateway_.directory() + "/secret\" }\n");
  expect_delivered();
  const std::string process = "/proc/" + std::to_string(gateway_.process().pid());
  for (const std::string password : {"wrong-4417", "right-9021"}) {
    EXPECT_THAT(gateway_.log(), Not(HasSubstr(password)));
    EXPECT_THAT(gateway_.status_of("lake"), Not(HasSubstr(password)));
    EXPECT_THAT(read_file(process + "/cmdline") + read_file(process + "/environ"), Not(HasSubstr(password)));
    EXPECT_THAT(server_.log(), Not(HasSubstr(password)));
  }
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, SaysThatTheDatabaseIsReadOnly) {
  server_.query("ALTER ROLE gateway SET default_transaction_read_only = on");
  start();
  expect_said("read only");
  server_.query("ALTER ROLE gateway RESET default_transaction_read_only");
  expect_delivered();
  server_.stop();
  server_.put_file("data/standby.signal", "");
  server_.start();
  expect_said("standby");
  server_.stop();
  std::filesystem::remove(server_.directory() + "/data/standby.signal");
  server_.start();
  expect_up();
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, SaysThatTheDatabaseIsMissing) {
  start_at("postgresql://127.0.0.1:" + std::to_string(server_.port()) + "/elsewhere", "");
  expect_said("3D000");
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, KeepsRemarksOfTheServerToItself) {
  start();
  expect_delivered();
  server_.query(
      "CREATE FUNCTION remark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''noise-7717''; RETURN NEW; "
      "END'; "
      "CREATE TRIGGER remark BEFORE INSERT ON tidegate_readings FOR EACH ROW EXECUTE FUNCTION remark()");
  const auto is_remarked = [this] { return server_.log().find("noise-7717") != std::string::npos; };
  EXPECT_TRUE(wait_until(is_remarked, kPatience));
  const double before = gateway_.metric(kDelivered);
  EXPECT_TRUE(gateway_.wait_for_metric(kDelivered, before + 5, kPatience));
  gateway_.stop();
  EXPECT_THAT(gateway_.log(), Not(HasSubstr("noise-7717")));
}

TEST_F(PostgresqlTroublesShort, SaysThatTheServerTakesNoMoreConnections) {
  server_.query("ALTER ROLE gateway CONNECTION LIMIT 0");
  start();
  expect_said("53300");
  server_.query("ALTER ROLE gateway CONNECTION LIMIT -1");
  expect_delivered();
  gateway_.stop();
}

TEST_F(PostgresqlTroublesShort, SaysThatThereIsNoServer) {
  start_at("postgresql://127.0.0.1:" + std::to_string(free_port()) + "/plant", "");
  expect_said("Connection refused");
  gateway_.stop();
  start_at("postgresql://nowhere.invalid/plant", "");
  expect_said("nowhere.invalid");  // what the resolver says differs, and so does how long it takes
  gateway_.stop();
}

// A server without TLS is not talked to in the clear instead.
TEST_F(PostgresqlTroublesShort, SaysThatTheServerHasNoTls) {
  start("encryption = \"tls\"\n");
  expect_said("server does not support SSL");
  gateway_.stop();
}

// What no uplink asks for is not in the process.
TEST_F(PostgresqlTroublesShort, LoadsTheLibraryOnlyForItsUplink) {
  const auto maps = [](GatewayProcess& gateway) {
    return read_file("/proc/" + std::to_string(gateway.process().pid()) + "/maps");
  };
  GatewayProcess without;
  without.configure("[[uplink.file]]\nname = \"f\"\npath = \"{dir}/f\"\n");
  without.start();
  EXPECT_THAT(maps(without), Not(HasSubstr("libpq")));
  start();
  EXPECT_THAT(maps(gateway_), HasSubstr("libpq.so.5"));
}

}  // namespace
}  // namespace tidegate::testing
