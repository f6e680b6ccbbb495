#include "mqtt/broker_host.h"

#include <gtest/gtest.h>

namespace tidegate::mqtt {
namespace {

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

}  // namespace
}  // namespace tidegate::mqtt
