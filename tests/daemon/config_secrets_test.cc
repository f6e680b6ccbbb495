#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kMqtt = "[[uplink.mqtt]]\nname = \"a\"\nbroker = \"mqtt://h\"\n";
constexpr const char* kHttp = "[[uplink.http]]\nname = \"a\"\nurl = \"http://h/\"\n";
constexpr const char* kKafka = "[[uplink.kafka]]\nname = \"a\"\nbrokers = [\"h\"]\ntopic = \"{stream}\"\n";

/// Secrets in places where they do not belong: what is said of that goes to logs and into reports of faults.
class ConfigSecretsTest : public ConfigTest {
 protected:
  std::string problems(const std::string& text) { return all(load_bad(text)); }
};

// Every key that takes an address, with AT in the place of the address.
std::vector<std::string> keys_of_addresses() {
  return {"[gateway]\nadmin = 'AT'\n",
          "[[driver.mqtt]]\nname = 'a'\nbroker = 'AT'\n",
          "[[driver.mqtt_listener]]\nname = 'a'\nlisten = 'AT'\n",
          "[[driver.modbus]]\nname = 'a'\nurl = 'AT'\n",
          "[[uplink.mqtt]]\nname = 'a'\nbroker = 'AT'\n",
          "[[uplink.http]]\nname = 'a'\nurl = 'AT'\n",
          std::string(kHttp) + "proxy = 'AT'\n",
          "[[uplink.kafka]]\nname = 'a'\ntopic = '{stream}'\nbrokers = ['AT']\n",
          std::string(kKafka) + "format = 'avro'\nschema_registry = { url = 'AT' }\n",
          std::string(kKafka) + "sasl = { mechanism = 'OAUTHBEARER', client_id = 'x', token_url = 'AT' }\n",
          "[[uplink.postgresql]]\nname = 'a'\nurl = 'AT'\n"};
}

TEST_F(ConfigSecretsTest, no_address_that_is_wrong_is_shown_with_what_may_be_a_password) {
  for (const std::string& key : keys_of_addresses()) {
    for (const char* address :
         {"hub:hunter2", "hub:hunter2:1883", "http://hub:hunter2", "mqtt://hub:hunter2/x", "tcp://hub:hunter2",
          "joe:hunter2@hub", "tcp://joe:hunter2@hub:502", "rtu://joe:hunter2@hub", "postgresql://joe:hunter2@hub/db",
          "https://joe:hunter2@hub/", "//hub:hunter2", "http:/hub:hunter2"}) {
      std::string text = key;
      text.replace(text.find("AT'"), 2, address);
      EXPECT_THAT(problems(text), Not(HasSubstr("hunter2"))) << text;
    }
  }
}

TEST_F(ConfigSecretsTest, no_secret_is_shown_that_stands_where_it_does_not_belong) {
  const std::string sasl = std::string(kKafka) + "sasl = ";
  for (const std::string& text :
       {std::string(kMqtt) + "password = 'hunter2'\n", std::string(kMqtt) + "password = ['hunter2']\n",
        std::string(kMqtt) + "password = { text = 'hunter2' }\n", std::string(kMqtt) + "password = hunter2\n",
        std::string(kMqtt) + "password = 'hunter2\n", std::string(kMqtt) + "password: hunter2\n",
        std::string(kMqtt) + "passwort = 'hunter2'\n", std::string(kMqtt) + "tls = 'hunter2'\n",
        std::string(kMqtt) + "tls = { key = '-----BEGIN hunter2' }\n",
        std::string(kHttp) + "headers = 'Authorization: hunter2'\n",
        std::string(kHttp) + "headers = { 'Authorization: Bearer hunter2' = '' }\n",
        std::string(kHttp) + "headers = { 'Authorization=hunter2' = '' }\n",
        std::string(kHttp) + "headers = { Authorization = 'Bearer hunter2' }\n", sasl + "'hunter2'\n",
        sasl + "{ mechanism = 'PLAIN', username = 'u', password = 'hunter2' }\n", sasl + "['hunter2']\n",
        std::string("uplink.kafka = 'hunter2'\n")}) {
    EXPECT_THAT(problems(text), Not(HasSubstr("hunter2"))) << text;
  }
}

}  // namespace
}  // namespace tidegate::daemon
