#include "uplink/batch_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace tidegate::uplink {
namespace {

using ::testing::HasSubstr;

WallTime wall(std::int64_t nanoseconds) { return WallTime(std::chrono::nanoseconds(nanoseconds)); }

class BatchEncoderTest : public ::testing::Test {
 protected:
  BatchEncoderTest() : temperature_(tags_.intern("boiler/temp")), encoder_("plant-7", tags_) {
    times_.quality = ClockQuality::synced;
    reading_.tag = temperature_;
    reading_.time = wall(1'732'059'999'123'000'000);
    reading_.value = 21.5;
  }

  std::string encode() {
    std::string entries;
    encoder_.append_reading(entries, 123400, reading_, times_);
    return entries;
  }
  std::string encode_value(Value value) {
    reading_.value = std::move(value);
    const std::string entry = encode();
    const std::size_t at = entry.find("\"value\":") + 8;
    return entry.substr(at, entry.rfind(",\"quality\"") - at);
  }
  std::string finish(std::string entries, const BatchHead& head) {
    encoder_.finish(entries, head);
    return entries;
  }

  TagRegistry tags_;
  TagId temperature_;
  BatchEncoder encoder_;
  Reading reading_;
  FrameTimes times_;
};

TEST_F(BatchEncoderTest, WritesTheExampleOfTheInterface) {
  BatchHead head;
  head.epoch = 3;
  head.from = 123388;
  head.to = 123401;
  head.count = 2;
  head.sent = wall(1'732'060'000'456'000'000);
  std::string entries = encode();
  reading_.tag = tags_.intern("boiler/run");
  reading_.value = true;
  reading_.quality = Quality::bad;
  reading_.reason = Reason::stale;
  times_.quality = ClockQuality::unsynced;
  encoder_.append_reading(entries, 123401, reading_, times_);
  EXPECT_EQ(finish(entries, head),
            "{\"v\":1,\"gateway\":\"plant-7\",\"stream\":\"readings\",\"lane\":\"live\",\"epoch\":3,\"from\":123388,"
            "\"to\":123401,\"count\":2,\"sent\":1732060000456,\"historical\":false,\"readings\":["
            "{\"seq\":123400,\"tag\":\"boiler/temp\",\"time\":1732059999123,\"value\":21.5,\"quality\":\"good\"},"
            "{\"seq\":123401,\"tag\":\"boiler/run\",\"time\":1732059999123,\"value\":true,\"quality\":\"bad\","
            "\"reason\":\"stale\",\"time_quality\":\"unsynced\"}]}");
}

TEST_F(BatchEncoderTest, NamesTheEndOfTheEpochBeforeBehindFromAndTo) {
  BatchHead head;
  head.epoch = 3;
  head.from = 119001;
  head.to = 119500;
  head.historical = true;
  head.prev = ChainEnd{2, 119000};
  const std::string batch = finish("", head);
  EXPECT_THAT(batch, HasSubstr("\"lane\":\"backlog\",\"epoch\":3,\"from\":119001,\"to\":119500,\"count\":0,"));
  EXPECT_THAT(batch, HasSubstr("\"historical\":true,\"prev\":{\"epoch\":2,\"to\":119000},\"readings\":[]}"));
}

TEST_F(BatchEncoderTest, NeverMakesAHeadLongerThanItSays) {
  BatchHead head;
  head.epoch = std::numeric_limits<std::uint32_t>::max();
  head.count = std::numeric_limits<std::uint32_t>::max();
  head.from = head.to = std::numeric_limits<std::uint64_t>::max();
  head.historical = true;
  head.sent = WallTime::min();
  head.prev = ChainEnd{head.epoch, head.to};
  for (const Stream stream : kAllStreams) {
    head.stream = stream;
    EXPECT_LE(finish("", head).size(), encoder_.frame_bytes_max());
  }
}

TEST_F(BatchEncoderTest, ChangesOnlyTheHeadOfAMessageThatIsSentAgain) {
  BatchHead head;
  head.from = 7;
  head.to = 9;
  std::string message = encode();
  const std::string entries = message;
  const std::size_t at = encoder_.finish(message, head);
  head.historical = true;
  const std::size_t at_again = encoder_.finish_again(message, at, head);
  EXPECT_EQ(message, finish(entries, head));
  EXPECT_EQ(message.substr(at_again), entries + "]}");
}

TEST_F(BatchEncoderTest, KeepsTheKindOfANumber) {
  EXPECT_EQ(encode_value(std::int64_t{-3}), "-3");
  EXPECT_EQ(encode_value(std::uint64_t{3}), "3");
  EXPECT_EQ(encode_value(3.0), "3.0");
  EXPECT_EQ(encode_value(-0.0), "-0.0");
  EXPECT_EQ(encode_value(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(encode_value(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(encode_value(0.1), "0.1");
  EXPECT_EQ(encode_value(123456789012345680.0), "123456789012345680.0");
  EXPECT_EQ(encode_value(false), "false");
  EXPECT_EQ(encode_value(std::monostate{}), "null");
  EXPECT_EQ(encode_value(std::string("a\"b\n\xc3\xa4")), "\"a\\\"b\\n\xc3\xa4\"");
  EXPECT_EQ(encode_value(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(encode_value(-std::numeric_limits<double>::infinity()), "null");
}

TEST_F(BatchEncoderTest, WritesEveryDoubleSoThatItReadsBackTheSameAndAsADouble) {
  constexpr std::uint64_t kSeed = 20260101;
  std::mt19937_64 random(kSeed);
  simdjson::dom::parser parser;
  for (int i = 0; i < 20'000; ++i) {
    const double number = i % 2 == 0 ? std::bit_cast<double>(random()) : static_cast<double>(random() % 100'000) / 100;
    if (!std::isfinite(number)) continue;
    simdjson::dom::element element;
    const std::string text = encode_value(number);
    ASSERT_EQ(parser.parse(text).get(element), simdjson::SUCCESS) << text;
    ASSERT_TRUE(element.is_double()) << text << ", seed " << kSeed;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(element.get_double().value()), std::bit_cast<std::uint64_t>(number)) << text;
  }
}

TEST_F(BatchEncoderTest, GivesNanosecondsOnlyWhereTheTimeIsFinerThanMilliseconds) {
  reading_.time = wall(1'732'059'999'123'000'001);
  EXPECT_THAT(encode(), HasSubstr("\"time\":1732059999123,\"time_ns\":1732059999123000001,\"value\""));
  reading_.time = wall(-1);
  EXPECT_THAT(encode(), HasSubstr("\"time\":-1,\"time_ns\":-1,\"value\""));
  reading_.time = wall(-2'000'000);
  EXPECT_THAT(encode(), HasSubstr("\"time\":-2,\"value\""));
}

TEST_F(BatchEncoderTest, DoubtsTheTimeOnlyWhenItIsOfAClockThatIsNotSynced) {
  times_.quality = ClockQuality::estimated;
  EXPECT_THAT(encode(), HasSubstr(",\"time_quality\":\"estimated\"}"));
  reading_.origin = TimeOrigin::source;
  EXPECT_THAT(encode(), Not(HasSubstr("time_quality")));
  reading_.origin = TimeOrigin::ingest;
  times_.quality = ClockQuality::synced;
  EXPECT_THAT(encode(), Not(HasSubstr("time_quality")));
}

TEST_F(BatchEncoderTest, HoldsTheLongestReadingInOnePiece) {
  reading_.time = wall(std::numeric_limits<std::int64_t>::min() + 1);
  reading_.value = -std::numeric_limits<double>::denorm_min() * 3;
  reading_.quality = Quality::uncertain;
  reading_.reason = Reason::illegal_function;
  times_.quality = ClockQuality::estimated;
  std::string entries = encode();
  encoder_.append_reading(entries, std::numeric_limits<std::uint64_t>::max(), reading_, times_);
  simdjson::dom::parser parser;
  EXPECT_EQ(parser.parse("[" + entries + "]").error(), simdjson::SUCCESS) << entries;
}

TEST_F(BatchEncoderTest, EscapesTagsAndGatewayNames) {
  BatchEncoder encoder("a\"b", tags_);
  reading_.tag = tags_.intern("d\"e\\v/\xc3\xa4");
  std::string entries;
  encoder.append_reading(entries, 1, reading_, times_);
  encoder.finish(entries, BatchHead{});
  EXPECT_THAT(entries, HasSubstr("\"gateway\":\"a\\\"b\","));
  EXPECT_THAT(entries, HasSubstr("\"tag\":\"d\\\"e\\\\v/\xc3\xa4\",\"time\""));
}

TEST_F(BatchEncoderTest, LearnsTagsThatAreClaimedLater) {
  encode();
  for (int i = 0; i < 300; ++i) {
    reading_.tag = tags_.intern("late/" + std::to_string(i));
    EXPECT_THAT(encode(), HasSubstr("\"tag\":\"late/" + std::to_string(i) + "\","));
  }
  reading_.tag = kNoTag;
  EXPECT_THAT(encode(), HasSubstr("\"tag\":null,"));
}

TEST_F(BatchEncoderTest, PutsTheSequenceFirstInAStoredDocument) {
  std::string entries;
  encoder_.append_document(entries, 5, "{\"event\":\"start\"}");
  encoder_.append_document(entries, 6, "{}");
  encoder_.append_document(entries, 7, "{ \"event\":1 }");
  EXPECT_EQ(entries, "{\"seq\":5,\"event\":\"start\"},{\"seq\":6},{\"seq\":7, \"event\":1 }");
}

TEST_F(BatchEncoderTest, CarriesADocumentThatIsNoObjectAsText) {
  std::string entries;
  encoder_.append_document(entries, 5, "");
  encoder_.append_document(entries, 6, "[1]");
  EXPECT_EQ(entries, "{\"seq\":5,\"document\":\"\"},{\"seq\":6,\"document\":\"[1]\"}");
}

TEST_F(BatchEncoderTest, WritesADocumentThatIsNoUtf8AsText) {
  std::string entries;
  encoder_.append_document(entries, 5, "{\"detail\":\"\xff\"}");
  EXPECT_EQ(entries, R"({"seq":5,"document":"{\"detail\":\"\\xff\"}"})");
}

}  // namespace
}  // namespace tidegate::uplink
