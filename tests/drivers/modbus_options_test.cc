#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/modbus/options.h"

namespace tidegate::drivers {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModbusBusOptions url(const std::string& text) {
  ModbusBusOptions options;
  const auto parsed = parse_modbus_url(text, options);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
  return options;
}

std::string url_error(const std::string& text) {
  ModbusBusOptions options;
  const auto parsed = parse_modbus_url(text, options);
  EXPECT_FALSE(parsed) << text;
  return parsed ? "" : parsed.error().message;
}

std::string address_error(const std::string& text) {
  const auto parsed = parse_modbus_address(text);
  EXPECT_FALSE(parsed) << text;
  return parsed ? "" : parsed.error().message;
}

void expect_address(const std::string& text, ModbusTable table, unsigned address) {
  const auto parsed = parse_modbus_address(text);
  ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
  EXPECT_EQ(parsed->table, table) << text;
  EXPECT_EQ(parsed->address, address) << text;
}

TEST(ModbusUrl, TcpTakesAddressesNamesAndPorts) {
  EXPECT_EQ(url("tcp://10.0.0.5").port, 502);
  EXPECT_EQ(url("tcp://10.0.0.5:1502").port, 1502);
  EXPECT_EQ(url("tcp://10.0.0.5:1502").host, "10.0.0.5");
  EXPECT_EQ(url("tcp://plc-7.line_1.example:503/").host, "plc-7.line_1.example");
  EXPECT_EQ(url("tcp://[fd00::5]:1502").host, "fd00::5");
  EXPECT_EQ(url("tcp://[fe80::1%eth0]").host, "fe80::1%eth0");
  EXPECT_EQ(url("tcp://[::1]").port, 502);
  EXPECT_EQ(url("tcp://localhost").transport, ModbusTransport::tcp);
}

TEST(ModbusUrl, RtuTakesThePathAndTheLineSettings) {
  const auto plain = url("rtu:///dev/ttyUSB0");
  EXPECT_EQ(plain.transport, ModbusTransport::rtu);
  EXPECT_EQ(plain.path, "/dev/ttyUSB0");
  EXPECT_EQ(plain.baud, 9600);
  EXPECT_EQ(plain.parity, 'N');
  EXPECT_EQ(plain.stop_bits, 1);
  const auto full = url("rtu:///dev/serial/by-id/usb-1?baud=19200&parity=even&stop=2&data=8");
  EXPECT_EQ(full.path, "/dev/serial/by-id/usb-1");
  EXPECT_EQ(full.baud, 19200);
  EXPECT_EQ(full.parity, 'E');
  EXPECT_EQ(full.stop_bits, 2);
  EXPECT_EQ(url("rtu:///dev/ttyS0?parity=odd").parity, 'O');
  EXPECT_EQ(url("rtu:///dev/ttyS0?parity=none").parity, 'N');
}

TEST(ModbusUrl, EveryRefusalSaysWhatWasFoundAndWhatIsAllowed) {
  EXPECT_THAT(url_error("tcp://10.0.0.5:0"), AllOf(HasSubstr("\"0\""), HasSubstr("1 to 65535")));
  EXPECT_THAT(url_error("tcp://10.0.0.5:65536"), AllOf(HasSubstr("65536"), HasSubstr("1 to 65535")));
  EXPECT_THAT(url_error("tcp://10.0.0.5:5o2"), HasSubstr("port \"...\"")) << "it might be a password";
  EXPECT_THAT(url_error("tcp://10.0.0.5:"), HasSubstr("1 to 65535"));
  EXPECT_THAT(url_error("tcp://"), HasSubstr("host"));
  EXPECT_THAT(url_error("tcp://fd00::5"), HasSubstr("port"));
  EXPECT_THAT(url_error("tcp://[fd00::5"), HasSubstr("[fd00::5]"));
  EXPECT_THAT(url_error("tcp://[fd00::5]502"), HasSubstr("[fd00::5]"));
  EXPECT_THAT(url_error("tcp://host?unit=1"), HasSubstr("\"host?...\""));
  EXPECT_THAT(url_error("rtu://dev/ttyUSB0"), AllOf(HasSubstr("dev/ttyUSB0"), HasSubstr("three slashes")));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?baud=12345"), AllOf(HasSubstr("12345"), HasSubstr("19200")));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?parity=E"), AllOf(HasSubstr("parity=E"), HasSubstr("even")));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?stop=3"), AllOf(HasSubstr("stop=3"), HasSubstr("1 and 2")));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?data=7"), HasSubstr("8 data bits"));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?speed=9600"), AllOf(HasSubstr("speed"), HasSubstr("baud")));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?baud"), HasSubstr("baud=19200"));
  EXPECT_THAT(url_error("rtu:///dev/ttyUSB0?"), HasSubstr("key=value"));
  EXPECT_THAT(url_error("udp://10.0.0.5"), AllOf(HasSubstr("udp://10.0.0.5"), HasSubstr("tcp://")));
  EXPECT_THAT(url_error(""), HasSubstr("rtu:///"));
}

TEST(ModbusUrl, RtuOverTcpIsRefusedWithAWayOut) {
  EXPECT_THAT(url_error("rtu+tcp://10.0.0.5:4001"), AllOf(HasSubstr("not supported yet"), HasSubstr("tcp://")));
}

TEST(ModbusAddressText, TablesWithProtocolAddresses) {
  expect_address("holding:100", ModbusTable::holding, 100);
  expect_address("input:8", ModbusTable::input, 8);
  expect_address("coil:3", ModbusTable::coil, 3);
  expect_address("discrete:0", ModbusTable::discrete, 0);
  expect_address("holding:65535", ModbusTable::holding, 65535);
}

TEST(ModbusAddressText, ReferenceNumbersCountFromOne) {
  expect_address("40011", ModbusTable::holding, 10);
  expect_address("40001", ModbusTable::holding, 0);
  expect_address("49999", ModbusTable::holding, 9998);
  expect_address("30001", ModbusTable::input, 0);
  expect_address("10001", ModbusTable::discrete, 0);
  expect_address("00001", ModbusTable::coil, 0);
  expect_address("09999", ModbusTable::coil, 9998);
  expect_address("400001", ModbusTable::holding, 0);
  expect_address("465536", ModbusTable::holding, 65535);
  expect_address("000001", ModbusTable::coil, 0);
  expect_address("100010", ModbusTable::discrete, 9);
}

TEST(ModbusAddressText, EveryRefusalSaysWhatIsAllowed) {
  for (const auto* text :
       {"", "holding", "holding:", "holding:-1", "holding:65536", "holding:1x", "holding: 1", "Holding:1", "register:1",
        "4001", "4000011", "40000", "400000", "465537", "20001", "50001", "4000a", "+0001", ":5"}) {
    EXPECT_THAT(address_error(text),
                AllOf(HasSubstr("\"" + std::string(text) + "\""), HasSubstr("holding:100"), HasSubstr("40011")));
  }
}

TEST(ModbusTypeText, AllTypesAndNoOthers) {
  ModbusTagOptions tag;
  const std::pair<const char*, ModbusType> types[] = {
      {"bool", ModbusType::boolean},  {"int16", ModbusType::int16},     {"uint16", ModbusType::uint16},
      {"int32", ModbusType::int32},   {"uint32", ModbusType::uint32},   {"int64", ModbusType::int64},
      {"uint64", ModbusType::uint64}, {"float32", ModbusType::float32}, {"float64", ModbusType::float64},
      {"bcd16", ModbusType::bcd16},   {"bcd32", ModbusType::bcd32}};
  for (const auto& [text, type] : types) {
    ASSERT_TRUE(parse_modbus_type(text, tag)) << text;
    EXPECT_EQ(tag.type, type) << text;
  }
  ASSERT_TRUE(parse_modbus_type("string(8)", tag));
  EXPECT_EQ(tag.type, ModbusType::string);
  EXPECT_EQ(tag.string_bytes, 8);
  ASSERT_TRUE(parse_modbus_type("string(250)", tag));
  for (const auto* text : {"", "float", "string", "string()", "string(0)", "string(251)", "string(8", "Float32"}) {
    const auto parsed = parse_modbus_type(text, tag);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, AllOf(HasSubstr("\"" + std::string(text) + "\""), HasSubstr("string(250)")));
  }
}

TEST(ModbusByteOrderText, FourOrdersAndNoOthers) {
  EXPECT_EQ(parse_byte_order("ABCD"), ByteOrder::abcd);
  EXPECT_EQ(parse_byte_order("CDAB"), ByteOrder::cdab);
  EXPECT_EQ(parse_byte_order("BADC"), ByteOrder::badc);
  EXPECT_EQ(parse_byte_order("DCBA"), ByteOrder::dcba);
  for (const auto* text : {"", "abcd", "ACBD", "ABCDE"}) {
    const auto parsed = parse_byte_order(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, AllOf(HasSubstr("\"" + std::string(text) + "\""), HasSubstr("CDAB")));
  }
}

class CheckModbusBus : public ::testing::Test {
 protected:
  CheckModbusBus() {
    options_.name = "line-1";
    options_.devices.push_back({});
    options_.devices[0].name = "boiler";
    options_.devices[0].tags.push_back({});
    tag().name = "temp";
  }
  ModbusTagOptions& tag() { return options_.devices[0].tags[0]; }
  std::string refusal() const {
    const auto checked = check_modbus_bus(options_);
    return checked ? "accepted" : checked.error().message;
  }
  ModbusBusOptions options_;
};

TEST_F(CheckModbusBus, AcceptsWhatMakesSense) {
  tag().type = ModbusType::float32;
  tag().scale = 0.1;
  tag().min = 0;
  tag().max = 90;
  tag().deadband = 0.5;
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(CheckModbusBus, NamesBusDeviceAndTagInEveryRefusal) {
  tag().bit = 16;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("line-1"), HasSubstr("boiler"), HasSubstr("temp"), HasSubstr("0 to 15")));
}

TEST_F(CheckModbusBus, RefusesTypesThatDoNotFitTheTable) {
  tag().address.table = ModbusTable::coil;
  EXPECT_EQ(refusal(), "accepted");
  tag().type = ModbusType::float32;
  EXPECT_THAT(refusal(), HasSubstr("type bool"));
  tag().type = ModbusType::boolean;
  tag().bit = 3;
  EXPECT_THAT(refusal(), HasSubstr("bit is for registers"));
  tag().address.table = ModbusTable::holding;
  tag().type = ModbusType::int32;
  EXPECT_THAT(refusal(), HasSubstr("uint16, int16 or bool"));
}

TEST_F(CheckModbusBus, RefusesNumberSettingsOnBoolsAndText) {
  tag().type = ModbusType::boolean;
  tag().scale = 2;
  EXPECT_THAT(refusal(), HasSubstr("for numbers"));
  tag().scale.reset();
  tag().deadband = 1;
  EXPECT_THAT(refusal(), HasSubstr("for numbers"));
  tag().type = ModbusType::string;
  tag().string_bytes = 4;
  EXPECT_THAT(refusal(), HasSubstr("for numbers"));
  tag().deadband.reset();
  EXPECT_EQ(refusal(), "accepted");
  tag().order = ByteOrder::cdab;
  EXPECT_THAT(refusal(), HasSubstr("ABCD and BADC"));
}

TEST_F(CheckModbusBus, RefusesLimitsThatCannotBeMet) {
  tag().min = 2;
  tag().max = 1;
  EXPECT_THAT(refusal(), HasSubstr("min is above max"));
  tag().min.reset();
  tag().scale = 0;
  EXPECT_THAT(refusal(), HasSubstr("scale is 0"));
  tag().scale.reset();
  tag().type = ModbusType::float64;
  tag().address.address = 65533;
  EXPECT_THAT(refusal(), HasSubstr("behind 65535"));
  tag().address.address = 65532;
  EXPECT_EQ(refusal(), "accepted");
}

TEST_F(CheckModbusBus, RefusesNamesUsedTwiceAndNamesThatAreNoPath) {
  options_.devices[0].tags.push_back(tag());
  EXPECT_THAT(refusal(), HasSubstr("two tags are named \"temp\""));
  options_.devices[0].tags.pop_back();
  options_.devices.push_back(options_.devices[0]);
  EXPECT_THAT(refusal(), HasSubstr("two devices are named \"boiler\""));
  options_.devices.pop_back();
  tag().name = "te#mp";
  EXPECT_THAT(refusal(), HasSubstr("te#mp"));
}

TEST_F(CheckModbusBus, RefusesUnitsAndTimesOutOfRange) {
  options_.devices[0].unit = 0;
  EXPECT_EQ(refusal(), "accepted");
  options_.transport = ModbusTransport::rtu;
  EXPECT_THAT(refusal(), HasSubstr("1 to 247"));
  options_.devices[0].unit = 248;
  EXPECT_THAT(refusal(), HasSubstr("1 to 247"));
  options_.devices[0].unit = 247;
  options_.timeout = std::chrono::milliseconds(1);
  EXPECT_THAT(refusal(), HasSubstr("10ms to 60s"));
  options_.timeout = std::chrono::seconds(5);
  options_.backoff_most = std::chrono::seconds(1);
  EXPECT_THAT(refusal(), HasSubstr("at least the timeout"));
  options_.backoff_most = std::chrono::seconds(60);
  options_.retries = -1;
  EXPECT_THAT(refusal(), HasSubstr("0 to 10"));
  options_.retries = 0;
  options_.devices[0].interval = Duration::zero();
  EXPECT_THAT(refusal(), HasSubstr("interval"));
}

}  // namespace
}  // namespace tidegate::drivers
