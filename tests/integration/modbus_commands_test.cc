// `tidegate modbus` against a Modbus server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "drivers/modbus/simulated_server.h"
#include "tests/integration/gateway_process.h"

namespace tidegate::testing {
namespace {

using drivers::ModbusTable;
using ::testing::HasSubstr;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 64;

class ModbusCommandsShort : public ::testing::Test {
 protected:
  ModbusCommandsShort() {
    drivers::SimulatedModbusOptions options;
    options.units = {1, 5, 17};
    options.registers = 102;
    options.moving = false;
    server = drivers::start_simulated_modbus(options).value();
    server->set_value(5, ModbusTable::holding, 100, 0x41ac);  // 21.5 as float32
    server->set_value(5, ModbusTable::holding, 101, 0x0000);
  }
  ~ModbusCommandsShort() override { server->stop(); }

  std::string url() const { return "tcp://127.0.0.1:" + std::to_string(server->port()); }
  FinishedProcess modbus(const std::string& what, std::vector<std::string> more) {
    std::vector<std::string> arguments{"modbus", what, url(), "--timeout", timeout};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gateway.command(arguments);
  }

  std::string timeout = "5s";
  GatewayProcess gateway;
  std::unique_ptr<drivers::SimulatedModbusServer> server;
};

TEST_F(ModbusCommandsShort, ReadPrintsValuesOfATypeOneBehindTheOther) {
  const auto one = modbus("read", {"--unit", "5", "--address", "holding:100", "--type", "float32"});
  EXPECT_EQ(one.end.exit_code, kDone) << one.errors;
  EXPECT_EQ(one.output, "holding:100  0x41ac 0x0000  21.5\n");
  const auto two = modbus("read", {"--unit", "5", "--address", "400101", "--count", "2", "--json"});
  EXPECT_EQ(two.output,
            "{\"address\":\"holding:100\",\"words\":[16812],\"value\":16812}\n"
            "{\"address\":\"holding:101\",\"words\":[0],\"value\":0}\n");
}

TEST_F(ModbusCommandsShort, ReadSaysWhatIsWrongWithTheDevice) {
  const auto beyond = modbus("read", {"--unit", "5", "--address", "holding:500"});
  EXPECT_EQ(beyond.end.exit_code, kFailed);
  EXPECT_THAT(beyond.errors, HasSubstr("holding 500 of unit 5: the device has no such address"));
  timeout = "250ms";
  const auto silent = modbus("read", {"--unit", "6"});
  EXPECT_EQ(silent.end.exit_code, kFailed);
  EXPECT_THAT(silent.errors, HasSubstr("holding 0 of unit 6: no answer in time"));
  server->stop();
  EXPECT_EQ(modbus("read", {}).end.exit_code, kFailed);
}

TEST_F(ModbusCommandsShort, ScanFindsTheUnitsThatAnswer) {
  timeout = "500ms";
  const auto some = modbus("scan", {"--units", "1-6", "--address", "holding:100"});
  EXPECT_EQ(some.end.exit_code, kDone) << some.errors;
  EXPECT_THAT(some.output, HasSubstr("unit 1  holding:100  0x"));
  EXPECT_THAT(some.output, HasSubstr("unit 5  holding:100  0x41ac\n"));
  const auto refused = modbus("scan", {"--units", "17", "--address", "holding:9999"});
  EXPECT_EQ(refused.output, "unit 17  holding:9999  illegal_address\n");
  const auto none = modbus("scan", {"--units", "8-9"});
  EXPECT_EQ(none.end.exit_code, kFailed);
  EXPECT_THAT(none.errors, HasSubstr("none of 2 units answers"));
}

TEST_F(ModbusCommandsShort, ProbeShowsAllTypesAndOrdersAsFarAsTheTableGoes) {
  const auto two = modbus("probe", {"--unit", "5", "--address", "holding:100"});
  EXPECT_EQ(two.end.exit_code, kDone) << two.errors;
  EXPECT_THAT(two.output, HasSubstr("holding:100  0x41ac 0x0000\n"));
  EXPECT_THAT(two.output, HasSubstr("float32  ABCD  21.5\n"));
  EXPECT_THAT(two.output, HasSubstr("uint32   CDAB  16812\n"));
  EXPECT_EQ(two.output.find("float64"), std::string::npos) << "there are only two registers";
  const auto json = modbus("probe", {"--unit", "5", "--json"});
  EXPECT_THAT(json.output, HasSubstr("{\"type\":\"float64\",\"order\":\"DCBA\",\"value\":"));
}

TEST_F(ModbusCommandsShort, RefusesWhatCannotBeAskedAndAsksNothing) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{"--unit", "256"}, "--unit 256: allowed is 0 to 255"},
      {{"--address", "holding:65536"}, "holding:65536"},
      {{"--type", "float16"}, "float16"},
      {{"--order", "ABDC"}, "ABDC"},
      {{"--count", "126"}, "--count 126: one request takes 1 to 125"},
  };
  for (const auto& [arguments, said] : wrong) {
    const auto refused = modbus("read", arguments);
    EXPECT_EQ(refused.end.exit_code, kUsage) << said;
    EXPECT_THAT(refused.errors, HasSubstr(said));
  }
  const auto short_time = gateway.command({"modbus", "read", url(), "--timeout", "5ms"});
  EXPECT_EQ(short_time.end.exit_code, kUsage);
  EXPECT_THAT(short_time.errors, HasSubstr("--timeout \"5ms\": allowed is \"10ms\" to \"60s\""));
  EXPECT_EQ(modbus("probe", {"--address", "coil:3"}).end.exit_code, kUsage);
  EXPECT_EQ(modbus("scan", {"--units", "9-1"}).end.exit_code, kUsage);
  EXPECT_EQ(gateway.command({"modbus", "read", "http://127.0.0.1"}).end.exit_code, kUsage);
  EXPECT_EQ(gateway.command({"modbus", "read"}).end.exit_code, kUsage);
  EXPECT_EQ(server->connections(), 0U);
}

}  // namespace
}  // namespace tidegate::testing
