// The daemon with an HTTP uplink: through nginx with TLS, through restarts of the server, and through kills.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/integration/http_receiver.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/network.h"
#include "tests/support/test_authority.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Publisher -> broker -> the daemon -> an HTTP server.
class HttpRig {
 public:
  HttpRig(std::uint64_t count, double rate, bool faults, std::vector<std::string> poison = {})
      : readings_{count}, source_("max_queued_messages 0\nlog_type subscribe\n"), receiver_(faults, std::move(poison)) {
    source_.start();
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, rate, 1});
  }

  std::string configuration(const std::string& url, const std::string& more = "") const {
    return "[[driver.mqtt]]\nname = \"local\"\nbroker = \"mqtt://127.0.0.1:" + std::to_string(source_.port()) +
           "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n"
           "  time = \"/ts\"\n[[uplink.http]]\nname = \"lake\"\nretry_most = \"1s\"\nurl = \"" +
           url + "\"\nbatch = { max_delay = \"100ms\", max_readings = 200 }\n" + more;
  }
  void start_gateway(const std::string& url, const std::string& more = "") {
    gateway_.configure(configuration(url, more));
    gateway_.start();
    if (!wait_until([this] { return source_.log().find("plant/+/+") != std::string::npos; }, seconds(60))) {
      throw std::runtime_error("the daemon does not subscribe: " + gateway_.log() + source_.log());
    }
  }

  /// All but `dead`, of each of which a gap record tells.
  void expect_all_arrived(milliseconds patience, std::uint64_t dead = 0) {
    std::size_t looked_at = 0;
    DeliveryReport report;
    const auto has_all = [&] {
      if (receiver_.taken() == looked_at) return false;
      looked_at = receiver_.taken();
      report = receiver_.check(readings_);
      return report.distinct == readings_.count - dead && report.gap_records >= dead;
    };
    EXPECT_TRUE(wait_until(has_all, patience)) << report.distinct << " of " << readings_.count;
    EXPECT_EQ(report.defects(), 0U) << ::testing::PrintToString(report.complaints);
    EXPECT_EQ(report.gap_records, dead);
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "the daemon said: " << gateway_.log();
    std::printf("arrived %llu in %llu batches, repeats %llu\n", static_cast<unsigned long long>(report.distinct),
                static_cast<unsigned long long>(report.batches), static_cast<unsigned long long>(report.repeats));
  }

  FinishedProcess deadletter(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "deadletter");
    arguments.insert(arguments.end(), {"--config", gateway_.config_file()});
    return gateway_.command(std::move(arguments));
  }

  HttpReceiver& receiver() { return receiver_; }
  GatewayProcess& gateway() { return gateway_; }
  NumberedPublisher& publisher() { return *publisher_; }

 private:
  NumberedReadings readings_;
  MosquittoBroker source_;
  HttpReceiver receiver_;
  GatewayProcess gateway_;
  std::unique_ptr<NumberedPublisher> publisher_;
};

/// nginx as a proxy that speaks TLS and HTTP/2 and wants a certificate of the client.
class TlsProxy {
 public:
  explicit TlsProxy(std::uint16_t target) : port_(free_port()) {
    authority_.make_authority("ca");
    authority_.make_certificate("server", "ca", "IP:127.0.0.1");
    authority_.make_certificate("client", "ca", "DNS:gateway");
    std::string paths;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      paths += std::string(kind) + "_temp_path " + (directory_ / kind) + ";\n";
    }
    write_file(directory_ / "nginx.conf",
               "user root;\ndaemon off;\nworker_processes 1;\npid " + (directory_ / "pid") + ";\nerror_log " +
                   (directory_ / "error.log") + ";\nevents {}\nhttp {\naccess_log " + (directory_ / "access.log") +
                   ";\n" + paths + "client_max_body_size 8k;\nserver {\nlisten 127.0.0.1:" + std::to_string(port_) +
                   " ssl http2;\nssl_certificate " + authority_.certificate("server") + ";\nssl_certificate_key " +
                   authority_.key("server") + ";\nssl_client_certificate " + authority_.certificate("ca") +
                   ";\nssl_verify_client on;\nlocation / { proxy_pass http://127.0.0.1:" + std::to_string(target) +
                   "; }\n}\n}\n");
    process_ = std::make_unique<ProcessUnderTest>(
        ProcessUnderTest::Options{{"/usr/sbin/nginx", "-e", directory_ / "error.log", "-c", directory_ / "nginx.conf"},
                                  {},
                                  directory_ / "out",
                                  directory_ / "out"});
  }
  ~TlsProxy() {
    process_->send_signal(SIGTERM);
    process_->wait_for_end(seconds(20));
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/in"; }
  std::string tls_keys() const {
    return "[uplink.http.tls]\nca = \"" + authority_.certificate("ca") + "\"\ncert = \"" +
           authority_.certificate("client") + "\"\nkey = \"" + authority_.key("client") + "\"\n";
  }
  std::string log() const { return read_file(directory_ / "access.log"); }

 private:
  TemporaryDirectory directory_;
  TestAuthority authority_;
  std::uint16_t port_;
  std::unique_ptr<ProcessUnderTest> process_;
};

TEST(HttpUplinkShort, BringsAllThroughATlsProxyThatTakesNoLargeBatches) {
  HttpRig rig(5'000, 2'000, false);
  const TlsProxy proxy(rig.receiver().server().port());
  rig.start_gateway(proxy.url(), proxy.tls_keys());
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  EXPECT_NE(proxy.log().find("HTTP/2.0\" 200"), std::string::npos);
  EXPECT_NE(proxy.log().find("\" 413 "), std::string::npos) << "which the batches were too large for";
  rig.gateway().stop();
}

TEST(HttpUplinkShort, ARefusalIsShownWithWhatTheTargetSays) {
  HttpRig rig(10, 100, false);
  const TlsProxy proxy(rig.receiver().server().port());
  // Without a certificate of ours nginx answers 400.
  std::string keys = proxy.tls_keys();
  keys.resize(keys.find("cert ="));
  rig.start_gateway(proxy.url(), keys);
  rig.publisher().start();
  const auto shown = [&] {
    return http_get(rig.gateway().admin_port(), "/api/v1/status").body.find("are refused: 400: ") != std::string::npos;
  };
  EXPECT_TRUE(wait_until(shown, seconds(60))) << rig.gateway().log();
  rig.gateway().stop();
}

TEST(HttpUplinkShort, BringsAllThroughRestartsOfTheServerAndKillsOfTheDaemon) {
  constexpr std::uint64_t kCount = 12'000;
  HttpRig rig(kCount, 3'000, true);
  rig.start_gateway(rig.receiver().server().url("/in"));
  rig.publisher().start();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(rig.publisher().wait_for_acknowledged(round * kCount / 4, seconds(120)));
    rig.receiver().server().stop();
    rig.gateway().kill();
    rig.gateway().start();
    rig.receiver().server().start();
  }
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  rig.gateway().stop();
}

TEST(HttpUplinkShort, BringsAllThroughReloadsThatChangeTheUplink) {
  constexpr std::uint64_t kCount = 6'000;
  HttpRig rig(kCount, 3'000, true);
  const std::string url = rig.receiver().server().url("/in");
  rig.start_gateway(url);
  rig.publisher().start();
  for (std::uint64_t round = 1; round <= 5; ++round) {
    ASSERT_TRUE(rig.publisher().wait_for_acknowledged(round * kCount / 6, seconds(120)));
    rig.gateway().change_to(rig.configuration(url, "inflight = " + std::to_string(round) + "\n"));
  }
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(120)));
  rig.expect_all_arrived(seconds(120));
  rig.gateway().stop();
}

TEST(HttpUplinkShort, WhatTheTargetRefusesForGoodIsADeadLetterAndAllElseArrives) {
  HttpRig rig(2'000, 2'000, false, {"\"value\":1000,"});
  rig.start_gateway(rig.receiver().server().url("/in"), "dead_letter_after = 2\n");
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  GatewayProcess& gateway = rig.gateway();
  const std::string letters = "tidegate_uplink_dead_letters{uplink=\"lake\"}";
  EXPECT_TRUE(gateway.wait_for_metric(letters, 1, seconds(60))) << gateway.log();
  rig.expect_all_arrived(seconds(60), 1);
  const auto expect_one = [&] {
    const auto listed = rig.deadletter({"ls", "--uplink", "lake", "--json"});
    EXPECT_EQ(listed.end.exit_code, 0) << listed.errors;
    EXPECT_EQ(lines_with(listed.output, "\"value\":1000,").size(), 1U) << listed.output;
    EXPECT_EQ(lines_with(listed.output, "").size(), 1U) << listed.output;
    EXPECT_NE(listed.output.find("\"reason\":\"422: not that one\""), std::string::npos) << listed.output;
  };
  expect_one();
  gateway.kill();
  gateway.start();
  // What the kill took back of the cursor comes once more.
  const std::string backlog = "tidegate_uplink_backlog_readings{uplink=\"lake\",stream=\"readings\"}";
  EXPECT_TRUE(wait_until([&] { return gateway.metric(backlog) == 0; }, seconds(60))) << gateway.log();
  expect_one();
  EXPECT_NE(rig.deadletter({"ls"}).output.find("422: not that one"), std::string::npos);
  const std::string status = gateway.status_of("lake");
  EXPECT_NE(status.find("\"dead-letter\":1"), std::string::npos) << status;
  EXPECT_NE(status.find("\"dead_letters\":1,\"last_dead_letter_reason\":\"422: not that one\""), std::string::npos)
      << status;
  EXPECT_EQ(status.find("account_mismatch"), std::string::npos) << status;

  EXPECT_EQ(rig.deadletter({"drop", "--uplink", "lake", "--id", "4711"}).end.exit_code, 1);
  for (const char* id : {"-1", "0", "100000000000000000000000", "9223372036854775808", "0x1", "1.0"}) {
    const auto refused = rig.deadletter({"drop", "--uplink", "lake", "--id", id});
    EXPECT_EQ(refused.end.exit_code, 64) << id << refused.output;
    EXPECT_NE(refused.errors.find("allowed is an id"), std::string::npos) << refused.errors;
  }
  for (const char* body : {R"({"uplink":"lake","ids":[4711],"ids":[1]})", R"({"uplink":"lake","ids":[-1]})",
                           R"({"uplink":"lake","ids":[0]})", R"({"uplink":"lake","ids":[9223372036854775808]})",
                           R"({"uplink":"lake","ids":[100000000000000000000000]})"}) {
    EXPECT_EQ(http_post(gateway.admin_port(), "/api/v1/deadletters/drop", body, "application/json").status, 400)
        << body;
  }
  for (const char* what : {"drop", "retry"}) {
    const auto unknown = rig.deadletter({what, "--uplink", "sea", "--all"});
    EXPECT_EQ(unknown.end.exit_code, 1) << what << unknown.output;
    EXPECT_NE(unknown.errors.find("no uplink sea; there are: lake"), std::string::npos) << unknown.errors;
  }
  EXPECT_EQ(rig.deadletter({"drop", "--uplink", "sea", "--id", "1"}).end.exit_code, 1);
  const std::string listed = rig.deadletter({"ls"}).output;
  const std::string id = listed.substr(0, listed.find(' '));
  const auto dropped = rig.deadletter({"drop", "--uplink", "lake", "--id", id, "--id", id});
  EXPECT_EQ(dropped.output, "1 dead letter of lake dropped\n");
  EXPECT_EQ(dropped.end.exit_code, 0) << dropped.errors;
  const auto none = rig.deadletter({"ls"});
  EXPECT_EQ(none.output, "");
  EXPECT_EQ(none.errors, "no dead letter is kept\n");
  EXPECT_EQ(gateway.metric(letters), 0);
  gateway.stop();
}

TEST(HttpUplinkShort, ADeadLetterIsSentAgainBesideTheChainAndGoneWhenItIsTaken) {
  HttpRig rig(500, 2'000, false, {"\"value\":200,"});
  rig.start_gateway(rig.receiver().server().url("/in"), "dead_letter_after = 5\n");
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  GatewayProcess& gateway = rig.gateway();
  const std::string letters = "tidegate_uplink_dead_letters{uplink=\"lake\"}";
  EXPECT_TRUE(gateway.wait_for_metric(letters, 1, seconds(60))) << gateway.log();
  rig.expect_all_arrived(seconds(60), 1);

  const auto refused = rig.deadletter({"retry", "--uplink", "lake", "--all"});
  EXPECT_EQ(refused.end.exit_code, 1);
  EXPECT_EQ(refused.output, "1  refused again: 422: not that one\n0 of 1 dead letters of lake are delivered\n");
  EXPECT_EQ(gateway.metric(letters), 1);
  EXPECT_NE(rig.deadletter({"retry", "--uplink", "lake", "--id", "4711"}).errors.find("no dead letter 4711"),
            std::string::npos);
  EXPECT_NE(rig.deadletter({"retry", "--uplink", "sea", "--id", "1"}).errors.find("no uplink sea"), std::string::npos);
  rig.receiver().mend();
  const auto delivered = rig.deadletter({"retry", "--uplink", "lake", "--id", "1", "--id", "1"});
  EXPECT_EQ(delivered.output, "1  delivered\n1 of 1 dead letters of lake are delivered\n") << delivered.errors;
  EXPECT_EQ(delivered.end.exit_code, 0);
  EXPECT_EQ(gateway.metric(letters), 0);
  EXPECT_EQ(rig.receiver().check(NumberedReadings{500}).distinct, 500U);
  const std::string status = gateway.status_of("lake");
  EXPECT_NE(status.find("\"replayed\":1"), std::string::npos) << status;
  EXPECT_EQ(status.find("account_mismatch"), std::string::npos) << status;
  gateway.stop();
}

// It was never taken, so nobody knows whether a server of its own is the one that refuses.
TEST(HttpUplinkShort, ATagThatIsAlwaysRefusedGoesAsideAsSoonAsSomebodySaysSo) {
  HttpRig rig(250, 2'000, false, {"\"tag\":\"dev-7/temp\""});
  rig.start_gateway(rig.receiver().server().url("/in"), "dead_letter_after = 1\n");
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  GatewayProcess& gateway = rig.gateway();
  EXPECT_NE(rig.deadletter({"put", "--uplink", "sea", "--at", "1:7"}).errors.find("no uplink sea"), std::string::npos);
  EXPECT_NE(rig.deadletter({"put", "--uplink", "lake", "--at", "7"}).errors.find("at: 7: EPOCH:SEQUENCE"),
            std::string::npos);
  const auto other = rig.deadletter({"put", "--uplink", "lake", "--at", "1:4711"});
  EXPECT_EQ(other.end.exit_code, 1);
  EXPECT_NE(other.errors.find("readings 1:4711 is not the record"), std::string::npos) << other.errors;
  const std::string advice = "tidegate deadletter put --uplink lake --stream readings --at ";
  const auto put_next = [&] {
    const std::string status = gateway.status_of("lake");
    const auto at = status.find(advice);
    if (at == std::string::npos) return false;
    const auto from = at + advice.size();
    const auto put =
        rig.deadletter({"put", "--uplink", "lake", "--at", status.substr(from, status.find('`', from) - from)});
    return put.end.exit_code == 0;
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(wait_until(put_next, seconds(60))) << i << gateway.status_of("lake") << gateway.log();
  }
  rig.expect_all_arrived(seconds(60), 3);
  const auto listed = rig.deadletter({"ls", "--uplink", "lake"});
  EXPECT_EQ(lines_with(listed.output, "dev-7/temp").size(), 3U) << listed.output;
  const std::string status = gateway.status_of("lake");
  EXPECT_NE(status.find("\"dead-letter\":3"), std::string::npos) << status;
  EXPECT_EQ(status.find("account_mismatch"), std::string::npos) << status;
  gateway.stop();
}

struct PoisonSetup {
  const char* name;
  const char* keys;
  bool is_backlog;  // all is there before the uplink can send
};

class HttpPoison : public ::testing::TestWithParam<PoisonSetup> {};

// As configured by default: the first, one alone in the middle, fifteen in a row, and the last but some.
TEST_P(HttpPoison, GoesAsideByDefaultAndHoldsNothingUpForLong) {
  constexpr std::uint64_t kCount = 3'000;
  std::vector<std::string> poison{"\"value\":0,", "\"value\":777,", "\"value\":2990,"};
  for (int i = 0; i < 15; ++i) poison.push_back("\"value\":" + std::to_string(1'500 + i) + ",");
  HttpRig rig(kCount, GetParam().is_backlog ? 5'000 : 1'000, false, poison);
  if (GetParam().is_backlog) rig.receiver().server().stop();
  rig.start_gateway(rig.receiver().server().url("/in"), GetParam().keys);
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  if (GetParam().is_backlog) rig.receiver().server().start();
  const std::string letters = "tidegate_uplink_dead_letters{uplink=\"lake\"}";
  EXPECT_TRUE(rig.gateway().wait_for_metric(letters, static_cast<double>(poison.size()), seconds(300)))
      << rig.gateway().log();
  rig.expect_all_arrived(seconds(60), poison.size());
  const std::string status = rig.gateway().status_of("lake");
  EXPECT_EQ(status.find("account_mismatch"), std::string::npos) << status;
  EXPECT_EQ(status.find("\"refused\""), std::string::npos) << status;
  EXPECT_TRUE(lines_with(rig.gateway().log(), "lake is down: readings are refused").empty()) << rig.gateway().log();
  rig.gateway().stop();
}

INSTANTIATE_TEST_SUITE_P(Setups, HttpPoison,
                         ::testing::Values(PoisonSetup{"Live", "", false}, PoisonSetup{"Backlog", "", true},
                                           PoisonSetup{"BacklogOneInFlight", "inflight = 1\n", true},
                                           PoisonSetup{"BacklogLiveFirst", "order = \"live-first\"\n", true}),
                         [](const auto& setup) { return std::string(setup.param.name); });

TEST(HttpRefusal, ATargetThatRefusesEverythingMakesNoLetterAndIsDownOnce) {
  HttpRig rig(500, 500, false, {"\"v\":1"});
  rig.start_gateway(rig.receiver().server().url("/in"));
  rig.publisher().start();
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  GatewayProcess& gateway = rig.gateway();
  const auto is_down = [&] { return gateway.status_of("lake").find("\"up\":false") != std::string::npos; };
  EXPECT_TRUE(wait_until(is_down, seconds(120))) << gateway.status_of("lake");
  EXPECT_NE(gateway.status_of("lake").find("are refused: 422: not that one"), std::string::npos);
  EXPECT_EQ(gateway.metric("tidegate_uplink_dead_letters{uplink=\"lake\"}"), 0);
  rig.receiver().mend();
  rig.expect_all_arrived(seconds(90), 0);
  EXPECT_EQ(lines_with(gateway.log(), "lake is down").size(), 1U) << gateway.log();
  gateway.stop();
}

// 1 and 10 to 19 are refused, and three may be kept.
TEST(HttpUplinkShort, StandsStillWithAsManyDeadLettersAsMayBeUntilTheyAreDropped) {
  std::vector<std::string> poison{"\"value\":1,"};
  for (int i = 10; i < 20; ++i) poison.push_back("\"value\":" + std::to_string(i) + ",");
  HttpRig rig(130, 1'000, false, poison);
  rig.start_gateway(rig.receiver().server().url("/in"), "dead_letter_after = 1\ndead_letters_max = 3\n");
  rig.publisher().start();
  GatewayProcess& gateway = rig.gateway();
  const auto status_says = [&](const std::string& what) {
    return gateway.status_of("lake").find(what) != std::string::npos;
  };
  EXPECT_TRUE(wait_until([&] { return status_says("cannot be kept as a dead letter: there are 3"); }, seconds(60)))
      << gateway.status_of("lake") << gateway.log();
  EXPECT_EQ(gateway.metric("tidegate_uplink_dead_letters{uplink=\"lake\"}"), 3);
  const auto drops_to_the_end = [&] {
    EXPECT_EQ(rig.deadletter({"drop", "--uplink", "lake", "--all"}).end.exit_code, 0);
    return status_says("\"dead-letter\":11");
  };
  EXPECT_TRUE(wait_until(drops_to_the_end, seconds(60))) << gateway.status_of("lake") << gateway.log();
  EXPECT_TRUE(wait_until([&] { return status_says("\"up\":true"); }, seconds(60))) << gateway.status_of("lake");
  rig.expect_all_arrived(seconds(60), 11);
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
