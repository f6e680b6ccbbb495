#include "mqtt/broker_host.h"

#include <gmock/gmock.h>

#include <future>

namespace tidegate::mqtt {
namespace {

using ::testing::HasSubstr;

TEST(BrokerHost, IsFoundInEveryFormOfAddress) {
  EXPECT_EQ(host_of("mqtt://broker.example:1883"), "broker.example");
  EXPECT_EQ(host_of("mqtts://broker.example"), "broker.example");
  EXPECT_EQ(host_of("mqtt://127.0.0.1:1883"), "127.0.0.1");
  EXPECT_EQ(host_of("mqtt://[::1]:1883"), "::1");
  EXPECT_EQ(host_of("mqtt://[fe80::1]"), "fe80::1");
  EXPECT_EQ(host_of("broker.example:1883"), "broker.example");
}

TEST(BrokerHost, HasAPortOfItsOwnOrTheUsualOne) {
  EXPECT_EQ(port_of("mqtt://broker.example:1234"), 1234);
  EXPECT_EQ(port_of("mqtts://[::1]:99"), 99);
  EXPECT_EQ(port_of("mqtt://broker.example"), 1883);
  EXPECT_EQ(port_of("mqtts://[fe80::1]"), 8883);
  EXPECT_TRUE(wants_tls("mqtts://broker.example"));
  EXPECT_FALSE(wants_tls("mqtt://broker.example"));
}

std::string problem_with(const std::string& host) {
  std::promise<std::string> answer;
  look_up(host, [&](std::string problem) { answer.set_value(std::move(problem)); });
  return answer.get_future().get();
}

TEST(BrokerHost, AddressesAndKnownNamesHaveNoProblem) {
  EXPECT_EQ(problem_with("127.0.0.1"), "");
  EXPECT_EQ(problem_with("::1"), "");
  EXPECT_EQ(problem_with("127.1"), "");  // looked up, and known without /etc/hosts
}

TEST(BrokerHost, AnUnknownNameIsNamed) {
  EXPECT_THAT(problem_with("no-such-broker.invalid"), HasSubstr("\"no-such-broker.invalid\" has no address"));
}

}  // namespace
}  // namespace tidegate::mqtt
