#include "mqtt/sparkplug_payload.h"

#include <gmock/gmock.h>

#include <string>

namespace tidegate::mqtt {
namespace {

using ::testing::HasSubstr;

std::string bytes(std::initializer_list<int> values) {
  std::string made;
  for (const int value : values) made += static_cast<char>(value);
  return made;
}

// By hand, from the field numbers of the specification (6.4) and the wire format of Protocol Buffers.
TEST(SparkplugPayload, ReadsWhatWasEncodedByHand) {
  const std::string metric = bytes({0x0a, 0x04}) + "temp" +                   // name
                             bytes({0x10, 0x07,                               // alias 7
                                    0x18, 0xe8, 0x07,                         // timestamp 1000
                                    0x20, 0x0a,                               // datatype Double
                                    0x69, 0, 0, 0, 0, 0, 0x80, 0x35, 0x40});  // double_value 21.5
  const std::string other = bytes({0x10, 0xac, 0x02,                          // alias 300
                                   0x28, 0x01,                                // is_historical
                                   0x38, 0x01,                                // is_null
                                   0x4a, 0x02, 0x0a, 0x00,                    // properties, which nobody needs
                                   0x8a, 0x01, 0x00});                        // dataset_value, which nobody takes
  const std::string payload = bytes({0x08, 0xd2, 0x09}) +                     // timestamp 1234
                              bytes({0x12, static_cast<int>(metric.size())}) + metric +
                              bytes({0x18, 0x05,       // seq
                                     0x22, 0x01, 'u',  // uuid
                                     0x12, static_cast<int>(other.size())}) +
                              other;
  const auto read = decode_sparkplug(payload, 10);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->timestamp, 1234u);
  EXPECT_EQ(read->seq, 5u);
  ASSERT_EQ(read->metrics.size(), 2u);
  const SparkplugMetric& first = read->metrics[0];
  EXPECT_EQ(first.name, "temp");
  EXPECT_EQ(first.alias, 7u);
  EXPECT_EQ(first.timestamp, 1000u);
  EXPECT_EQ(first.type, SparkplugType::float64);
  EXPECT_EQ(first.value, SparkplugValue(21.5));
  EXPECT_FALSE(first.is_null || first.is_historical);
  const SparkplugMetric& second = read->metrics[1];
  EXPECT_FALSE(second.name.has_value() || second.timestamp.has_value());
  EXPECT_EQ(second.alias, 300u);
  EXPECT_TRUE(second.is_null && second.is_historical);
  EXPECT_EQ(second.value, SparkplugValue());
}

TEST(SparkplugPayload, WritesTheBytesOfARebirthCommand) {
  SparkplugMetric metric;
  metric.name = "Node Control/Rebirth";
  metric.type = SparkplugType::boolean;
  metric.value = true;
  SparkplugPayload payload;
  payload.timestamp = 1234;
  payload.metrics.push_back(metric);
  EXPECT_EQ(encode_sparkplug(payload),
            bytes({0x08, 0xd2, 0x09, 0x12, 26, 0x0a, 20}) + "Node Control/Rebirth" + bytes({0x20, 0x0b, 0x70, 0x01}));
}

TEST(SparkplugPayload, EveryKindOfValueComesBack) {
  SparkplugPayload payload;
  payload.seq = 255;
  for (const SparkplugValue& value :
       {SparkplugValue(std::uint32_t{0xffffffff}), SparkplugValue(std::uint64_t{0xffffffffffffffff}),
        SparkplugValue(0.1F), SparkplugValue(-1e300), SparkplugValue(false), SparkplugValue(std::string("\xff\0", 2)),
        SparkplugValue()}) {
    payload.metrics.emplace_back().value = value;
  }
  const auto read = decode_sparkplug(encode_sparkplug(payload), 10);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->seq, 255u);
  ASSERT_EQ(read->metrics.size(), payload.metrics.size());
  for (std::size_t i = 0; i < payload.metrics.size(); ++i) {
    EXPECT_EQ(read->metrics[i].value, payload.metrics[i].value) << i;
  }
}

// Section 6.4 too: a property set is field 9 of a metric, keys are its field 1, values its field 2.
TEST(SparkplugPayload, PropertiesAreKeysAndTypedValues) {
  const std::string quality = bytes({0x0a, 0x07}) + "Quality" + bytes({0x12, 0x05, 0x08, 0x03, 0x18, 0xc0, 0x01});
  EXPECT_EQ(encode_sparkplug_properties({{"Quality", SparkplugType::int32, std::uint32_t{192}}}), quality);
  SparkplugPayload payload;
  payload.metrics.emplace_back();
  payload.metrics[0].properties = quality;
  EXPECT_EQ(encode_sparkplug(payload), bytes({0x12, 0x12, 0x4a, 0x10}) + quality);
  const auto read = decode_sparkplug(encode_sparkplug(payload), 10);
  ASSERT_TRUE(read);
  const auto properties = decode_sparkplug_properties(read->metrics[0].properties);
  ASSERT_TRUE(properties);
  ASSERT_EQ(properties->size(), 1U);
  EXPECT_EQ(properties->at(0).key, "Quality");
  EXPECT_EQ(properties->at(0).type, SparkplugType::int32);
  EXPECT_EQ(properties->at(0).value, SparkplugValue(std::uint32_t{192}));
  EXPECT_FALSE(decode_sparkplug_properties(bytes({0x0a, 0x01, 'k'}))) << "a key without a value";
  EXPECT_FALSE(decode_sparkplug_properties(bytes({0x0a, 0x07, 'k'})));
}

TEST(SparkplugPayload, EveryCutOffIsRefusedOrAShorterPayload) {
  SparkplugPayload payload;
  payload.timestamp = 1'760'000'000'000;
  payload.seq = 3;
  payload.metrics.emplace_back().name = "one";
  payload.metrics.emplace_back().name = "two";
  const std::string whole = encode_sparkplug(payload);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = decode_sparkplug(std::string_view(whole).substr(0, size), 10);
    if (read) {
      EXPECT_FALSE(read->metrics.size() == 2 && read->seq) << size;
    } else {
      EXPECT_EQ(read.error().code, ErrorCode::invalid) << size;
    }
  }
  const auto bad = decode_sparkplug(bytes({0x12, 0x01, 0x0a}), 10);
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("metric 0"));
}

// Behind the limit stands what would be refused as `invalid` if anybody had parsed it.
TEST(SparkplugPayload, MoreMetricsThanMayBeAreRefusedBeforeTheyAreParsed) {
  const std::string head = bytes({0x08, 1, 0x22, 1, 'u', 0x2b, 0x12, 0, 0x2c});  // a group holds no metric of ours
  const std::string two = head + bytes({0x12, 0, 0x18, 4, 0x12, 2, 0x10, 7});
  const auto read = decode_sparkplug(two, 2);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->metrics.size(), 2u);
  EXPECT_EQ(read->seq, 4u);
  const auto refused = decode_sparkplug(two + bytes({0x12, 0, 0xff}), 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::give_up_item);
  EXPECT_THAT(refused.error().message, HasSubstr("more than 2 metrics"));
  const auto torn = decode_sparkplug(two + bytes({0xff}), 2);
  ASSERT_FALSE(torn);
  EXPECT_EQ(torn.error().code, ErrorCode::invalid);
}

TEST(SparkplugPayload, AMebibyteOfEmptyMetricsIsRefused) {
  std::string payload;
  while (payload.size() < 1024 * 1024) payload += bytes({0x12, 0});
  const auto refused = decode_sparkplug(payload, 10'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::give_up_item);
  EXPECT_TRUE(decode_sparkplug(payload.substr(0, 20'000), 10'000));
}

TEST(SparkplugPayload, TypesHaveTheirNames) {
  EXPECT_EQ(name_of_sparkplug_type(SparkplugType::uint64), "UInt64");
  EXPECT_EQ(name_of_sparkplug_type(static_cast<SparkplugType>(16)), "DataSet");
  EXPECT_EQ(name_of_sparkplug_type(static_cast<SparkplugType>(34)), "DateTimeArray");
  EXPECT_EQ(name_of_sparkplug_type(static_cast<SparkplugType>(35)), "type 35");
}

}  // namespace
}  // namespace tidegate::mqtt
