#include <gmock/gmock.h>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

// A reader of a hundred lines of Python that was made from docs/ring-log-format.md reads what the program reads.
TEST(FormatDocumentShort, IsEnoughToWriteAReaderFrom) {
  const std::uint16_t port = free_port();
  GatewayProcess gateway;
  gateway.configure(
      "[buffer]\nsize = \"1MiB\"\n[[driver.simulator]]\nname = \"sim\"\ndevices = 3\ntags = 20\ninterval = \"10ms\"\n"
      "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" +
      std::to_string(port) +
      "\"\n"
      "  [[driver.mqtt_listener.subscribe]]\n  topic = \"p/{device}\"\n  values = \"*\"\n  time = \"/ts\"\n"
      "[[rule]]\nname = \"high\"\ntype = \"threshold\"\ntags = [\"sim-*\"]\nraise = \"> 50\"\nclear = \"< 40\"\n");
  gateway.start();
  for (int i = 0; i < 20; ++i) {
    const std::string number = std::to_string(i);
    const std::string payload = R"({"ts":176000000012)" + number.substr(0, 1) + R"(,"int":-)" + number +
                                R"(,"large":18446744073709551615,"two":2)" + number +
                                R"(.57,"long":0.1234567890123,"huge":1e300,"half":)" + number +
                                R"(.5,"zero":-0.0,"yes":true,"no":false,"text":"Wärme )" + number + R"("})";
    ASSERT_EQ(run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(port), "-q", "1", "-t",
                          "p/dev-" + number, "-m", payload})
                  .end.exit_code,
              0);
    if (i == 10) {
      gateway.kill();
      gateway.start();
    }
  }
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_readings_accepted_total{driver=\"sim\"}", 20'000, seconds(60)));
  gateway.stop();
  const auto compared = run_to_end({"/usr/bin/python3", "-B", TIDEGATE_SOURCE_DIR "/tests/buffer/read_log_check.py",
                                    program_path(), gateway.data_directory()},
                                   {}, seconds(100));
  EXPECT_EQ(compared.end.exit_code, 0) << compared.errors;
  EXPECT_THAT(compared.output, ::testing::HasSubstr("readings: "));
}

}  // namespace
}  // namespace tidegate::testing
