// Bad certificates before the HTTP, the Kafka and the PostgreSQL uplink, whose libraries make connections of their own,
// and before a schema registry.
#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/bad_certificates.h"
#include "tests/support/http_server.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/network.h"
#include "tests/support/postgresql_server.h"
#include "tests/support/schema_registry.h"
#include "tests/support/tls_front.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

/// One server behind many fronts, each with a certificate of its own, and a gateway with an uplink to each of them.
class UplinkCertificatesShort : public ::testing::Test {
 protected:
  struct Peer {
    Peer(const BadCertificates::Server& server, std::uint16_t target, bool is_asked_first)
        : name(server.name), front({server.chain, server.key, target, is_asked_first}) {}
    std::string name;
    TlsFront front;
  };

  UplinkCertificatesShort() {
    write_file(authorities_, read_file(certificates_.authority()) + read_file(certificates_.revocations()));
  }

  /// A front for each certificate; the first has the good one.
  void add_peers(std::uint16_t target, bool is_asked_first = false) {
    peers_.emplace_back(certificates_.good(), target, is_asked_first);
    peers_.emplace_back(certificates_.revoked(), target, is_asked_first);
    for (const auto& server : certificates_.bad()) peers_.emplace_back(server, target, is_asked_first);
    ASSERT_EQ(peers_.size(), 13U);
  }
  /// `url`: a line of the uplink's table, with {address}. `checked`: which table of its says how that is checked.
  void start_gateway(const std::string& kind, const std::string& url, const std::string& checked = "tls") {
    std::string configuration = "[[driver.simulator]]\nname = \"sim\"\ndevices = 1\ntags = 1\ninterval = \"1s\"\n";
    for (const Peer& peer : peers_) {
      // Lists of revoked certificates are of no issuer of most of the bad ones, who would all be refused for that.
      const bool has_list = peer.name == "good" || peer.name == "revoked";
      std::string line = url;
      line.replace(line.find("{address}"), std::string("{address}").size(), peer.front.address());
      configuration += "[[uplink." + kind + "]]\nname = \"" + peer.name + "\"\nretry_most = \"1s\"\n" + line +
                       "\n[uplink." + kind + "." + checked + "]\nca = \"" +
                       (has_list ? authorities_ : certificates_.authority()) + "\"\n";
    }
    gateway_.configure(configuration);
    gateway_.start();
  }
  /// Which of the bad ones do not have a refused certificate in their status.
  std::vector<std::string> not_refused() const {
    std::vector<std::string> found;
    for (const Peer& peer : peers_) {
      const std::string own = gateway_.status_of(peer.name);
      const bool is_refused = own.find("certificate") != std::string::npos;
      if (peer.name != "good" && !is_refused) found.push_back(peer.name + ": " + own);
    }
    return found;
  }
  /// Beside a good one, which is used.
  void expect_no_bad_one_is_taken() {
    EXPECT_TRUE(gateway_.wait_for_metric(R"(tidegate_readings_delivered_total{uplink="good",stream="readings"})", 3,
                                         seconds(60)))
        << gateway_.log();
    expect_bad_ones_are_refused();
  }
  void expect_bad_ones_are_refused() {
    std::vector<std::string> left;
    EXPECT_TRUE(wait_until([&] { return (left = not_refused()).empty(); }, seconds(60)))
        << ::testing::PrintToString(left);
    for (const Peer& peer : peers_) {
      EXPECT_GE(peer.front.connections(), 1U) << peer.name;
      if (peer.name == "good") continue;
      // libcurl and libpq look at the name when the handshake is over, and then say nothing.
      EXPECT_EQ(peer.front.application_bytes(), 0U) << peer.name;
    }
    EXPECT_GE(peers_.front().front.application_bytes(), 1U);
    gateway_.stop();
  }

  const BadCertificates certificates_;
  std::list<Peer> peers_;
  GatewayProcess gateway_;
  const std::string authorities_ = gateway_.directory() + "/ca-and-revocations.pem";
};

TEST_F(UplinkCertificatesShort, NoBadOneIsTakenOverHttp) {
  ScriptedHttpServer server([](const HttpRequestSeen&) { return http_reply(204); });
  add_peers(server.port());
  start_gateway("http", R"(url = "https://{address}/in")");
  expect_no_bad_one_is_taken();
}

TEST_F(UplinkCertificatesShort, NoBadOneIsTakenByPostgresql) {
  PostgresqlServer server;
  server.start();
  add_peers(server.port(), true);
  start_gateway("postgresql", R"(url = "postgresql://{address}/plant"
username = "gateway")");
  expect_no_bad_one_is_taken();
  EXPECT_EQ(server.value("SELECT count(*) FROM tidegate_cursors"), "1");
}

TEST_F(UplinkCertificatesShort, NoBadOneIsTakenByKafka) {
  KafkaCluster cluster;
  cluster.create_topic("tidegate.readings", 1);
  const std::string broker = cluster.brokers().front();
  const auto port = static_cast<std::uint16_t>(std::stoul(broker.substr(broker.find(':') + 1)));
  add_peers(port);
  TlsFront& good = peers_.front().front;
  good.rewrite_answers(advertise_port(port, good.port()));
  start_gateway("kafka", R"(brokers = ["{address}"])");
  expect_no_bad_one_is_taken();
  for (const Peer& peer : peers_) EXPECT_EQ(peer.front.handshakes() > 0, peer.name == "good") << peer.name;
}

TEST_F(UplinkCertificatesShort, NoBadOneIsTakenOfKafkasSchemaRegistry) {
  KafkaCluster cluster;
  cluster.create_topic("tidegate.readings", 1);
  FakeSchemaRegistry registry;
  add_peers(registry.port());
  start_gateway("kafka",
                "brokers = [\"" + cluster.brokers().front() +
                    "\"]\nformat = \"avro\"\n[uplink.kafka.schema_registry]\nurl = \"https://{address}\"",
                "schema_registry.tls");
  expect_no_bad_one_is_taken();
  EXPECT_EQ(registry.requests().size(), 3U);  // of the good one, a stream each
}

// Of the endpoint that has the tokens for Kafka; the brokers are asked nothing without one.
TEST_F(UplinkCertificatesShort, NoBadOneIsTakenOfATokenEndpointForKafka) {
  ScriptedHttpServer server(
      [](const HttpRequestSeen&) { return http_reply(200, R"({"access_token":"opaque","expires_in":3600})"); });
  add_peers(server.port());
  write_file(gateway_.directory() + "/secret", "secret");
  start_gateway("kafka",
                R"(brokers = ["127.0.0.1:)" + std::to_string(free_port()) + R"("]
sasl.mechanism = "OAUTHBEARER"
sasl.token_url = "https://{address}/token"
sasl.client_id = "gateway"
sasl.client_secret = { file = ")" +
                    gateway_.directory() + R"(/secret" })",
                "sasl.tls");
  ASSERT_TRUE(wait_until([this] { return peers_.front().front.application_bytes() > 0; }, seconds(60)));
  expect_bad_ones_are_refused();
}

}  // namespace
}  // namespace tidegate::testing
