#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/bad_certificates.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

/// Brokers, each with a certificate of its own, and a gateway with a way in and a way out to each of them.
class CertificatesShort : public ::testing::Test {
 protected:
  void add_broker(const BadCertificates::Server& server, const std::string& authorities) {
    brokers_.emplace_back("log_type all\ncertfile " + server.chain + "\nkeyfile " + server.key + "\n");
    ::setenv("OPENSSL_CONF", certificates_.lax_configuration().c_str(), 1);
    brokers_.back().start();
    ::unsetenv("OPENSSL_CONF");
    names_.push_back(server.name);
    const std::string broker = "broker = \"mqtts://" + brokers_.back().address() + "\"\n";
    const std::string subscription = "  [[driver.mqtt.subscribe]]\n  topic = \"p/{device}/{tag}\"\n  value = \"/v\"\n";
    const auto tls = [&](const std::string& table) {
      return "  [" + table + ".tls]\n  ca = \"" + authorities + "\"\n";
    };
    configuration_ += "[[uplink.mqtt]]\nname = \"out-" + server.name + "\"\n" + broker + tls("uplink.mqtt");
    for (const std::string ack : {"written", "durable"}) {
      configuration_ += "[[driver.mqtt]]\nname = \"" + ack + "-" + server.name + "\"\nack = \"" + ack + "\"\n" +
                        broker + tls("driver.mqtt") + subscription;
    }
  }
  void start_gateway() {
    gateway_.configure(configuration_);
    gateway_.start();
  }
  bool is_up(const std::string& name) const {
    return gateway_.metric("tidegate_driver_up{driver=\"" + name + "\"}") == 1 ||
           gateway_.metric("tidegate_uplink_up{uplink=\"" + name + "\"}") == 1;
  }
  /// Which of `names` do not have a refused certificate in their status.
  std::vector<std::string> not_refused(const std::vector<std::string>& names) const {
    std::vector<std::string> found;
    for (const auto& name : names) {
      const std::string own = gateway_.status_of(name);
      if (own.find("certificate") == std::string::npos) found.push_back(name + ": " + own);
    }
    return found;
  }

  const BadCertificates certificates_;
  std::list<MosquittoBroker> brokers_;
  std::vector<std::string> names_;
  std::string configuration_;
  GatewayProcess gateway_;
};

TEST_F(CertificatesShort, NoBadOneIsTaken) {
  write_file(gateway_.directory() + "/ca-and-revocations.pem",
             read_file(certificates_.authority()) + read_file(certificates_.revocations()));
  const std::string authorities = gateway_.directory() + "/ca-and-revocations.pem";
  add_broker(certificates_.good(), authorities);
  add_broker(certificates_.revoked(), authorities);
  for (const auto& server : certificates_.bad()) add_broker(server, certificates_.authority());
  ASSERT_EQ(names_.size(), 13U);
  start_gateway();
  std::vector<std::string> bad;
  for (const std::string way : {"out-", "written-", "durable-"}) {
    EXPECT_TRUE(wait_until([&] { return is_up(way + "good"); }, seconds(60))) << way;
    for (std::size_t i = 1; i < names_.size(); ++i) bad.push_back(way + names_[i]);
  }
  std::vector<std::string> left = bad;
  EXPECT_TRUE(wait_until([&] { return (left = not_refused(bad)).empty(); }, seconds(60)))
      << ::testing::PrintToString(left);
  auto broker = brokers_.begin();
  EXPECT_THAT(broker->log(), HasSubstr("New client connected")) << "so the others would have said it";
  for (std::size_t i = 1; i < names_.size(); ++i) {
    EXPECT_THAT((++broker)->log(), Not(HasSubstr("New client connected"))) << names_[i];
  }
  gateway_.stop();
}

}  // namespace
}  // namespace tidegate::testing
