#include <utility>

#include "tests/daemon/config_fixture.h"

namespace tidegate::daemon {
namespace {

class ConfigUplinkTest : public ConfigTest {};

TEST_F(ConfigUplinkTest, rates_are_numbers_of_readings_a_second) {
  const std::string uplink = "[[uplink.file]]\nname = \"f\"\npath = \"p\"\nbackfill_rate = ";
  for (const auto& [text, rate] : {std::pair("5000/s", 5000.0), {"0.5/s", 0.5}, {"0.1/s", 0.1}, {"1000000/s", 1e6}}) {
    const auto configuration = load_good(uplink + "\"" + text + "\"\n");
    EXPECT_EQ(configuration.file_uplinks.at(0).forwarder.backfill_rate, rate) << text;
  }
  for (const char* text : {"5000", "/s", "s", "0/s", "0.09/s", "1000001/s", "-1/s", "nan/s", "1e3/s", "5 /s", "5/m",
                           "5/s ", "5/ss", "+5/s", "1/s/s", "5,0/s"}) {
    const auto problems = load_bad(uplink + "\"" + text + "\"\n");
    EXPECT_NE(all(problems).find("must be a rate from \"0.1/s\" to \"1000000/s\", found \"" + std::string(text) + "\""),
              std::string::npos)
        << all(problems);
  }
}

}  // namespace
}  // namespace tidegate::daemon
