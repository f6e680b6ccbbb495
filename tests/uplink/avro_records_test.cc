#include "uplink/avro/avro_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rules/alarm.h"
#include "tests/support/avro_decoded.h"
#include "tests/support/seed.h"
#include "uplink/batch_encoder.h"
#include "uplink/kafka/kafka_messages.h"

namespace tidegate::uplink {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tidegate::testing::AvroDecoded;

constexpr std::int64_t kLongMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLongMin = std::numeric_limits<std::int64_t>::min();
constexpr AvroSchemaIds kIds{0x01020304, 7, 2147483647};
constexpr std::size_t kFrameBytes = 5;

OutgoingBatch batch_of(Stream stream, std::string payload) {
  OutgoingBatch batch;
  batch.stream = stream;
  batch.epoch = 3;
  batch.payload = std::make_shared<const std::string>(std::move(payload));
  return batch;
}

class AvroRecordsTest : public ::testing::Test {
 protected:
  void add(Value value, WallTime time = WallTime(std::chrono::milliseconds(1'732'059'999'123))) {
    Reading reading;
    reading.tag = tags_.intern("boiler/temp");
    reading.time = time;
    reading.value = std::move(value);
    add_reading(reading);
  }
  void add_reading(const Reading& reading) { encoder_.append_reading(entries_, sequence_++, reading, times_); }

  std::vector<std::string> encode_readings() {
    BatchHead head;
    head.epoch = 3;
    std::string payload = entries_;
    encoder_.finish(payload, head);
    return encode(batch_of(Stream::readings, payload));
  }
  // Without their frames, which are looked at here.
  std::vector<std::string> encode(const OutgoingBatch& batch) {
    AvroRecords records("plant-7", kIds);
    std::vector<std::string> bodies;
    const auto id = static_cast<std::uint32_t>(kIds[static_cast<std::size_t>(batch.stream)]);
    const auto made = records.for_each(batch, [&](std::string_view tag, std::string_view message) {
      tags_seen_.emplace_back(tag);
      EXPECT_EQ(message.at(0), '\0');
      std::uint32_t found = 0;
      for (std::size_t i = 1; i < kFrameBytes; ++i) found = found << 8U | static_cast<unsigned char>(message.at(i));
      EXPECT_EQ(found, id);
      bodies.emplace_back(message.substr(kFrameBytes));
      return true;
    });
    EXPECT_TRUE(made) << made.error().message;
    return bodies;
  }
  std::string document(Stream stream, const std::string& members) {
    const std::string name = to_string(stream);
    const auto bodies = encode(batch_of(stream, R"({"sent":1,")" + name + R"(":[{"seq":8,)" + members + "}]}"));
    return AvroDecoded(avro_schema(stream), bodies).text(0);
  }

  TagRegistry tags_;
  BatchEncoder encoder_{"plant-7", tags_};
  FrameTimes times_{WallTime{}, BootTime{}, ClockQuality::synced};
  std::string entries_;
  std::uint64_t sequence_ = 123'400;
  std::vector<std::string> tags_seen_;
};

TEST_F(AvroRecordsTest, WritesEveryKindOfValueAsItself) {
  add({});
  add(true);
  add(false);
  add(std::int64_t{-1});
  add(kLongMin);
  add(std::uint64_t{21});
  add(static_cast<std::uint64_t>(kLongMax));
  add(static_cast<std::uint64_t>(kLongMax) + 1);
  add(std::numeric_limits<std::uint64_t>::max());
  add(21.0);
  add(-0.0);
  add(5e-324);
  add(std::string("Grüße \" \\ \n \t end"));
  add(std::string());
  AvroDecoded decoded(avro_schema(Stream::readings), encode_readings());
  std::vector<std::string> values;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const auto record = decoded.at(i);
    values.push_back(simdjson::minify(record["value"].value()) + " " + simdjson::minify(record["number"].value()));
  }
  EXPECT_THAT(values, ElementsAre("null null", R"({"boolean":true} 1.0)", R"({"boolean":false} 0.0)",
                                  R"({"long":-1} -1.0)", R"({"long":-9223372036854775808} -9.223372036854776e+18)",
                                  R"({"long":21} 21.0)", R"({"long":9223372036854775807} 9.223372036854776e+18)",
                                  R"({"decimal":"9223372036854775808"} 9.223372036854776e+18)",
                                  R"({"decimal":"18446744073709551615"} 1.8446744073709552e+19)",
                                  R"({"double":21.0} 21.0)", R"({"double":-0.0} -0.0)", R"({"double":5e-324} 5e-324)",
                                  R"({"string":"Grüße \" \\ \n \t end"} null)", R"({"string":""} null)"));
}

TEST_F(AvroRecordsTest, WritesWhatElseAReadingHas) {
  add(21.5);
  Reading reading;
  reading.tag = tags_.intern("boiler/run");
  reading.time = WallTime(std::chrono::nanoseconds(1'732'059'999'123'456'789));
  reading.quality = Quality::bad;
  reading.reason = Reason::stale;
  times_.quality = ClockQuality::unsynced;
  add_reading(reading);
  reading.tag = kNoTag;
  add_reading(reading);
  const AvroDecoded decoded(avro_schema(Stream::readings), encode_readings());
  EXPECT_EQ(decoded.text(0),
            R"({"gateway": "plant-7", "epoch": 3, "seq": 123400, "tag": "boiler/temp", "time": 1732059999123, )"
            R"("time_ns": null, "value": {"double": 21.5}, "number": 21.5, "quality": "good", "reason": null, )"
            R"("time_quality": null, "more": null})");
  EXPECT_EQ(decoded.text(1),
            R"({"gateway": "plant-7", "epoch": 3, "seq": 123401, "tag": "boiler/run", "time": 1732059999123, )"
            R"("time_ns": 1732059999123456789, "value": null, "number": null, "quality": "bad", "reason": "stale", )"
            R"("time_quality": "unsynced", "more": null})");
  EXPECT_THAT(decoded.text(2), HasSubstr(R"("tag": null)"));
  EXPECT_THAT(tags_seen_, ElementsAre("boiler/temp", "boiler/run", ""));
}

TEST_F(AvroRecordsTest, LosesNothingOfAReadingThatItHasNoFieldFor) {
  const auto decoded = document(
      Stream::readings, R"("tag":"a","time":5,"value":[1,"x"],"quality":"good","unit":"K","reason":7,"z":"ä\n")");
  EXPECT_EQ(decoded,
            R"({"gateway": "plant-7", "epoch": 3, "seq": 8, "tag": "a", "time": 5, "time_ns": null, "value": null, )"
            R"("number": null, "quality": "good", "reason": null, "time_quality": null, )"
            R"("more": "{\"value\":[1,\"x\"],\"unit\":\"K\",\"reason\":7,\"z\":\"\u00e4\\n\"}"})");
}

TEST_F(AvroRecordsTest, WritesAnAlarm) {
  EXPECT_EQ(document(Stream::alarms,
                     R"("alarm":"hot/boiler/temp","rule":"hot","tag":"boiler/temp","state":"raised","severity":"high",)"
                     R"("message":"too hot","value":18446744073709551615,"time":5,"time_ns":5000001,)"
                     R"("cause":{"epoch":3,"seq":7},"occurrence":{"epoch":2,"seq":1})"),
            R"({"gateway": "plant-7", "epoch": 3, "seq": 8, "alarm": "hot/boiler/temp", "rule": "hot", )"
            R"("tag": "boiler/temp", "state": "raised", "severity": "high", "message": "too hot", "time": 5, )"
            R"("time_ns": 5000001, "value": {"decimal": "18446744073709551615"}, "number": 1.8446744073709552e+19, )"
            R"("cause": {"epoch": 3, "seq": 7}, "occurrence": {"epoch": 2, "seq": 1}, )"
            R"("raised": null, "by": null, "note": null, "until": null, "more": null})");
  EXPECT_THAT(tags_seen_, ElementsAre("boiler/temp"));
  EXPECT_THAT(
      document(Stream::alarms, R"("cause":{"epoch":3,"seq":7,"x":1},"occurrence":5,"document":"damaged")"),
      HasSubstr(R"("cause": null, "occurrence": null, "raised": null, "by": null, "note": null, "until": null, )"
                R"("more": "{\"cause\":{\"epoch\":3,\"seq\":7,\"x\":1},\"occurrence\":5,\"document\":\"damaged\"}")"));
}

TEST_F(AvroRecordsTest, HasAFieldForAllThatAnAlarmHasInEachOfItsStates) {
  rules::AlarmTransition transition;
  transition.alarm = "hot/boiler/temp";
  transition.rule = "hot";
  transition.tag = "boiler/temp";
  transition.message = "too hot";
  transition.time = WallTime(std::chrono::milliseconds(5));
  transition.cause = {3, 7};
  transition.is_raised = true;
  transition.by = "anna";
  transition.note = "seen \"it\"";
  transition.until = WallTime(std::chrono::milliseconds(9));
  using rules::AlarmState;
  for (const AlarmState state : {AlarmState::raised, AlarmState::cleared, AlarmState::acknowledged, AlarmState::shelved,
                                 AlarmState::unshelved}) {
    transition.state = state;
    const std::string json = rules::to_document(transition);
    const std::string decoded = document(Stream::alarms, json.substr(1, json.size() - 2));
    const std::string of_operator = rules::is_of_rule(state) ? R"("raised": null, "by": null, "note": null)"
                                                             : R"("raised": true, "by": "anna", "note": "seen \"it\"")";
    const std::string until = state == AlarmState::shelved ? "9" : "null";
    EXPECT_THAT(decoded, HasSubstr(std::string(R"("state": ")") + to_string(state) + "\""));
    EXPECT_THAT(decoded, HasSubstr(R"("cause": {"epoch": 3, "seq": 7}, "occurrence": null, )" + of_operator +
                                   R"(, "until": )" + until + R"(, "more": null})"));
  }
}

TEST_F(AvroRecordsTest, WritesAnEvent) {
  EXPECT_EQ(document(Stream::events, R"("event":"start","time":5,"gateway":"plant-7","version":"1","epoch":4)"),
            R"({"gateway": "plant-7", "epoch": 3, "seq": 8, "event": "start", "time": 5, "detail": null, )"
            R"("uplink": null, "driver": null, "device": null, "gap": null, )"
            R"("more": "{\"version\":\"1\",\"epoch\":4}"})");
  EXPECT_THAT(document(Stream::events, R"("event":"stop","gateway":"another")"),
              HasSubstr(R"("more": "{\"gateway\":\"another\"}")"));
  EXPECT_THAT(tags_seen_, ElementsAre("", ""));
}

TEST_F(AvroRecordsTest, WritesAGapAsAWholeOrNotAtAll) {
  const std::string gap = R"("event":"gap","stream":"readings","epoch":1,"first":2,"last":3,"count":2,"reason":)";
  EXPECT_EQ(
      document(Stream::events, gap + R"("overflow","uplink":"lake","time_from":5)"),
      R"({"gateway": "plant-7", "epoch": 3, "seq": 8, "event": "gap", "time": null, "detail": null, )"
      R"("uplink": "lake", "driver": null, "device": null, "gap": {"stream": "readings", "epoch": 1, "first": 2, )"
      R"("last": 3, "count": 2, "reason": "overflow"}, "more": "{\"time_from\":5}"})");
  EXPECT_THAT(document(Stream::events, gap + "null"),
              HasSubstr(R"("gap": null, "more": "{\"stream\":\"readings\",\"epoch\":1,\"first\":2,\"last\":3,)"
                        R"(\"count\":2,\"reason\":null}")"));
}

TEST_F(AvroRecordsTest, StopsWhereItIsToldTo) {
  for (int i = 0; i < 3; ++i) add(i != 0);
  BatchHead head;
  std::string payload = entries_;
  encoder_.finish(payload, head);
  AvroRecords records("plant-7", kIds);
  int visits = 0;
  EXPECT_TRUE(records.for_each(batch_of(Stream::readings, payload), [&](auto, auto) { return ++visits < 2; }));
  EXPECT_EQ(visits, 2);
}

TEST_F(AvroRecordsTest, RefusesWhatIsNoBatch) {
  AvroRecords records("plant-7", kIds);
  for (const char* const payload : {"", "[]", R"({"readings":[{"seq":1}]})", R"({"readings":[5]})"}) {
    const auto made = records.for_each(batch_of(Stream::readings, payload), [](auto, auto) { return true; });
    ASSERT_FALSE(made) << payload;
    EXPECT_EQ(made.error().code, ErrorCode::give_up_item);
    EXPECT_THAT(made.error().message, HasSubstr("payload of stream readings is no batch: "));
  }
  EXPECT_FALSE(
      records.for_each(batch_of(Stream::events, R"({"events":[{"event":"gap"}]})"), [](auto, auto) { return true; }));
}

// What was visited would be sent again with each repeat of the batch.
TEST_F(AvroRecordsTest, VisitsNothingOfABatchThatEndsInAnEntryThatIsNone) {
  AvroRecords records("plant-7", kIds);
  int visits = 0;
  const auto visit = [&](auto, auto) { return ++visits > 0; };
  const std::string good = R"({"seq":1,"time":5,"value":1,"quality":"good"})";
  EXPECT_FALSE(records.for_each(batch_of(Stream::readings, R"({"readings":[)" + good + R"(,{"seq":2}]})"), visit));
  EXPECT_FALSE(records.for_each(batch_of(Stream::alarms, R"({"alarms":[{"seq":1},{"seq":"2"}]})"), visit));
  EXPECT_EQ(visits, 0);
  EXPECT_TRUE(records.for_each(batch_of(Stream::readings, R"({"readings":[)" + good + "]}"), visit));
  EXPECT_EQ(visits, 1);
}

TEST_F(AvroRecordsTest, GivesARecordTheKeyThatItHasAsJson) {
  add(true);
  BatchHead head;
  std::string payload = entries_;
  encoder_.finish(payload, head);
  for (const char* const key_template : {"{tag}", "{gateway}/{tag}", "{gateway}"}) {
    std::vector<std::string> keys;
    for (const bool is_avro : {false, true}) {
      KafkaMessages messages("plant-7", key_template, is_avro ? std::optional(kIds) : std::nullopt);
      for (const auto& batch : {batch_of(Stream::readings, payload),
                                batch_of(Stream::events, R"({"sent":1,"events":[{"seq":1,"event":"stop"}]})")}) {
        EXPECT_TRUE(messages.for_each(batch, [&](const KafkaProducer::Message& message) {
          keys.emplace_back(message.key);
          return true;
        }));
      }
    }
    ASSERT_EQ(keys.size(), 4U);
    EXPECT_EQ(keys[0], keys[2]);
    EXPECT_EQ(keys[1], keys[3]);
  }
}

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  // Of every length in bits.
  std::uint64_t number() { return random_() >> below(64); }
  Value value() {
    switch (below(6)) {
      case 0:
        return {};
      case 1:
        return below(2) == 0;
      case 2:
        return below(2) == 0 ? static_cast<std::int64_t>(number()) : -static_cast<std::int64_t>(number() >> 1U);
      case 3:
        return number();
      case 4:
        return real();
      default:
        return text();
    }
  }
  std::string text() {
    constexpr std::array<std::string_view, 8> kParts{"a", "\"", "\\", "\n", "ä", "€", "\U0001f600", "\x01"};
    std::string text;
    for (std::uint64_t left = below(300); left > 0; --left) text += kParts[below(kParts.size())];
    return text;
  }

 private:
  double real() {
    const auto drawn = std::bit_cast<double>(random_());
    return std::isfinite(drawn) ? drawn : 0.1;
  }

  std::mt19937_64 random_;
};

bool is_same(const Value& expected, const simdjson::dom::element& found) {
  if (std::holds_alternative<std::monostate>(expected)) return found.is_null();
  if (const auto* flag = std::get_if<bool>(&expected)) return found["boolean"].get_bool().value() == *flag;
  if (const auto* whole = std::get_if<std::int64_t>(&expected)) return found["long"].get_int64().value() == *whole;
  if (const auto* real = std::get_if<double>(&expected)) {
    return std::bit_cast<std::uint64_t>(found["double"].get_double().value()) == std::bit_cast<std::uint64_t>(*real);
  }
  if (const auto* text = std::get_if<std::string>(&expected)) return found["string"].get_string().value() == *text;
  const auto natural = std::get<std::uint64_t>(expected);
  if (natural <= static_cast<std::uint64_t>(kLongMax)) return found["long"].get_uint64().value() == natural;
  return found["decimal"].get_string().value() == std::to_string(natural);
}

TEST_F(AvroRecordsTest, WritesWhatApachesLibraryReadsBackWhateverItIs) {
  const std::uint64_t seed = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  std::printf("TIDEGATE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Draw draw(seed);
  std::vector<Reading> readings(5'000);
  for (Reading& reading : readings) {
    reading.tag = tags_.intern("device-" + std::to_string(draw.below(50)) + "/temp");
    reading.time = WallTime(std::chrono::nanoseconds(static_cast<std::int64_t>(draw.number())));
    reading.quality = static_cast<Quality>(draw.below(3));
    reading.reason = static_cast<Reason>(draw.below(16));
    reading.value = draw.value();
    add_reading(reading);
  }
  AvroDecoded decoded(avro_schema(Stream::readings), encode_readings());
  ASSERT_EQ(decoded.size(), readings.size());
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const Reading& reading = readings[i];
    const auto record = decoded.at(i);
    const std::int64_t time = reading.time.time_since_epoch().count();
    ASSERT_TRUE(is_same(reading.value, record["value"])) << decoded.text(i);
    ASSERT_EQ(record["seq"].get_uint64().value(), 123'400 + i);
    ASSERT_EQ(record["tag"].get_string().value(), tags_.tag(reading.tag).path);
    ASSERT_EQ(record["quality"].get_string().value(), to_string(reading.quality));
    ASSERT_EQ(record["reason"].is_null(), reading.reason == Reason::none) << decoded.text(i);
    const bool is_finer = time % 1'000'000 != 0;
    ASSERT_EQ(record["time_ns"].is_null(), !is_finer);
    if (!is_finer) continue;
    ASSERT_EQ(record["time_ns"].get_int64().value(), time);
  }
}

}  // namespace
}  // namespace tidegate::uplink
