#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/mqtt/message_decoder.h"

namespace tidegate::drivers {
namespace {

class MqttUnitsTest : public ::testing::Test {
 protected:
  MqttSubscribeOptions& subscribe(const std::string& topic) {
    MqttSubscribeOptions& made = options_.subscribe.emplace_back();
    made.topic = topic;
    return made;
  }
  static void with_units(MqttSubscribeOptions& made, PayloadFormat payload) {
    made.payload = payload;
    made.unit = "V";
    made.units = {{"temp", "°C"}, {"hum", "%"}, {"none", ""}};
  }
  void make() {
    options_.name = "local";
    auto made = MessageDecoder::make(options_, tags_);
    ASSERT_TRUE(made) << made.error().message;
    decoder_ = std::move(*made);
  }
  void decode(const std::string& topic, const std::string& payload) {
    std::vector<Reading> readings;
    EXPECT_EQ(decoder_->decode({topic, payload, WallTime{}, BootTime{}, false, false}, readings), Refusal::none)
        << topic << " " << payload;
  }

  TagRegistry tags_;
  MqttDriverOptions options_;
  std::unique_ptr<MessageDecoder> decoder_;
};

TEST_F(MqttUnitsTest, EveryKindOfPayloadHasThemByName) {
  auto& object = subscribe("object/{device}");
  object.values = {{"temp", "/t"}, {"hum", "/h"}, {"u", "/u"}, {"none", "/n"}};
  with_units(object, PayloadFormat::json);
  auto& fixed = subscribe("fixed");
  fixed.device = "f";
  fixed.tag = "hum";  // does not count beside a name
  fixed.values = {{"temp", "/t"}, {"u", "/u"}};
  with_units(fixed, PayloadFormat::json);
  auto& members = subscribe("members/{device}");
  members.values_all = true;
  with_units(members, PayloadFormat::json);
  auto& elements = subscribe("elements/{device}");
  elements.each = "/r";
  elements.tag = "/name";
  elements.value = "/v";
  with_units(elements, PayloadFormat::json);
  auto& line = subscribe("line/{device}");
  line.values = {{"temp", "/0"}, {"u", "/1"}};
  with_units(line, PayloadFormat::csv);
  with_units(subscribe("number/{device}/{tag}"), PayloadFormat::number);
  with_units(subscribe("text/{device}/{tag}"), PayloadFormat::text);
  make();
  decode("object/o", R"({"t":1,"h":2,"u":3,"n":4})");
  decode("fixed", R"({"t":1,"u":3})");
  decode("members/m", R"({"temp":1,"other":3})");
  decode("elements/e", R"({"r":[{"name":"temp","v":1},{"name":"u","v":2}]})");
  decode("line/l", "1,2");
  for (const char* tag : {"temp", "hum", "u"}) {
    decode(std::string("number/n/") + tag, "1");
    decode(std::string("text/t/") + tag, "1");
  }
  const std::map<std::string, std::string> units{
      {"o/temp", "°C"}, {"o/hum", "%"},   {"o/u", "V"},     {"o/none", ""},   {"f/hum/temp", "°C"}, {"f/hum/u", "V"},
      {"m/temp", "°C"}, {"m/other", "V"}, {"e/temp", "°C"}, {"e/u", "V"},     {"l/temp", "°C"},     {"l/u", "V"},
      {"n/temp", "°C"}, {"n/hum", "%"},   {"n/u", "V"},     {"t/temp", "°C"}, {"t/hum", "%"},       {"t/u", "V"}};
  for (const auto& [path, unit] : units) {
    const auto id = tags_.find(path);
    ASSERT_TRUE(id) << path;
    EXPECT_EQ(tags_.tag(*id).unit, unit) << path;
  }
  EXPECT_EQ(tags_.size(), units.size());
}

}  // namespace
}  // namespace tidegate::drivers
