#include "drivers/mqtt/message_decoder.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/value.h"

namespace tidegate::drivers {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr WallTime kArrival{std::chrono::nanoseconds(1'760'000'000'123'456'789)};
constexpr const char* kArrivalText = "1760000000123000000";

// What a message becomes, as lines "path=value quality reason time origin", the usual left out.
class MessageDecoderTest : public ::testing::Test {
 protected:
  MqttSubscribeOptions& subscribe(const std::string& topic) {
    MqttSubscribeOptions& made = options_.subscribe.emplace_back();
    made.topic = topic;
    return made;
  }
  void make(std::size_t text_bytes_max = kValueTextBytesMax) {
    options_.name = "local";
    auto made = MessageDecoder::make(options_, tags_, text_bytes_max);
    ASSERT_TRUE(made) << made.error().message;
    decoder_ = std::move(*made);
    decoder_->set_time(quality_, BootTime(std::chrono::seconds(1)));
  }
  std::vector<std::string> decode(const std::string& topic, const std::string& payload) {
    if (!decoder_) make();
    std::vector<Reading> readings;
    // In memory of exactly this size, so that a sanitizer sees who reads behind it.
    const std::vector<char> bytes(payload.begin(), payload.end());
    refusal_ =
        decoder_->decode({topic, {bytes.data(), bytes.size()}, kArrival, BootTime{}, retained_, false}, readings);
    std::vector<std::string> lines;
    for (const Reading& reading : readings) lines.push_back(line_of(reading));
    return lines;
  }
  std::vector<std::string> decode_value(const std::string& payload) { return decode("d/t", payload); }
  std::map<std::string, std::uint64_t> refused() const { return decoder_->refused(); }
  std::map<std::string, std::uint64_t> remarked() const { return decoder_->remarked(); }

  std::string line_of(const Reading& reading) const {
    std::string line = tags_.tag(reading.tag).path + "=";
    append_json(line, reading.value);
    if (reading.quality != Quality::good) line += std::string(" ") + to_string(reading.quality);
    if (reading.reason != Reason::none) line += std::string(" ") + to_string(reading.reason);
    const std::string time = std::to_string(reading.time.time_since_epoch().count());
    if (reading.origin == TimeOrigin::source) line += " at " + time;
    if (reading.origin == TimeOrigin::ingest && time != kArrivalText) line += " came " + time;
    return line;
  }

  TagRegistry tags_;
  MqttDriverOptions options_;
  ClockQuality quality_ = ClockQuality::synced;
  std::unique_ptr<MessageDecoder> decoder_;
  Refusal refusal_ = Refusal::none;
  bool retained_ = false;
};

TEST_F(MessageDecoderTest, JsonValuesKeepTheirKind) {
  subscribe("{device}/{tag}").value = "/v";
  struct Row {
    const char* payload;
    const char* line;
  };
  const Row rows[] = {{R"({"v":21.5})", "d/t=21.5"},
                      {R"({"v":1})", "d/t=1"},
                      {R"({"v":-9223372036854775808})", "d/t=-9223372036854775808"},
                      {R"({"v":9223372036854775807})", "d/t=9223372036854775807"},
                      {R"({"v":18446744073709551615})", "d/t=18446744073709551615"},
                      {R"({"v":1.0})", "d/t=1.0"},
                      {R"({"v":1e3})", "d/t=1000.0"},
                      {R"({"v":18446744073709551616})", "d/t=1.8446744073709552e19"},
                      {R"({"a":"18446744073709551616\"","v":-99999999999999999999})", "d/t=-1e20"},
                      {R"({"v":true})", "d/t=true"},
                      {R"({"v":false})", "d/t=false"},
                      {R"({"v":"on\u00e4"})", "d/t=\"onä\""},
                      {R"({"v":""})", "d/t=\"\""},
                      {R"({"v":null})", "d/t=null bad"},
                      {R"( { "x" : [1] , "v" : 5 } )", "d/t=5"}};
  for (const Row& row : rows) {
    const auto lines = decode_value(row.payload);
    ASSERT_EQ(lines.size(), 1U) << row.payload;
    const std::string value = lines[0];
    if (value != row.line) {
      // Doubles may be written in another of their shortest forms; then they must be equal as numbers.
      EXPECT_DOUBLE_EQ(std::stod(value.substr(4)), std::stod(std::string(row.line).substr(4))) << row.payload;
    }
  }
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(MessageDecoderTest, ANumberBeyond64BitsLeavesTheOthersOfItsMessageWhole) {
  subscribe("s/{device}").values = {{"a", "/a"}, {"b", "/b"}, {"c", "/c"}, {"d", "/d"}};
  EXPECT_THAT(decode("s/x", R"({"a":18446744073709551615,"b":-9223372036854775808,"c":18446744073709551616,)"
                            R"("d":1234567890123456789})"),
              ElementsAre("x/a=18446744073709551615", "x/b=-9223372036854775808",
                          AnyOf(StartsWith("x/c=1.8446744073709552e"), StartsWith("x/c=18446744073709551616")),
                          "x/d=1234567890123456789"));
}

TEST_F(MessageDecoderTest, BadJsonIsCountedByReasonAndMakesNoReading) {
  subscribe("{device}/{tag}").value = "/v";
  struct Row {
    const char* payload;
    const char* reason;
  };
  const Row rows[] = {{"", "not_json"},
                      {" ", "not_json"},
                      {"{", "not_json"},
                      {R"({"v":1)", "not_json"},
                      {R"({"v":1}x)", "not_json"},
                      {R"({"v":NaN})", "not_json"},
                      {R"({'v':1})", "not_json"},
                      {"{\"v\":\"\xff\"}", "not_json"},
                      {"\x01\x02\x03", "not_json"},
                      {R"({"v":1e400})", "bad_number"},
                      {R"({"v":-1e400})", "bad_number"},
                      {R"({"v":01})", "bad_number"},
                      {R"({})", "value_missing"},
                      {R"({"V":1})", "value_missing"},
                      {R"([1])", "value_missing"},
                      {R"(5)", "value_missing"},
                      {R"({"v":{}})", "value_not_scalar"},
                      {R"({"v":[1]})", "value_not_scalar"}};
  std::map<std::string, std::uint64_t> expected;
  for (const Row& row : rows) {
    EXPECT_THAT(decode_value(row.payload), IsEmpty()) << row.payload;
    ++expected[row.reason];
    ASSERT_EQ(refused(), expected) << row.payload;
  }
}

TEST_F(MessageDecoderTest, EveryCutOffOfAPayloadIsRefused) {
  subscribe("{device}/{tag}").value = "/v";
  const std::string whole = R"({"a":[1,{"b":"\u00e4"}],"v":12345.678e-1})";
  ASSERT_EQ(decode_value(whole).size(), 1U);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(decode_value(whole.substr(0, size)), IsEmpty()) << size;
  }
  EXPECT_THAT(refused(), ElementsAre(Pair("not_json", whole.size())));
}

TEST_F(MessageDecoderTest, DeepNestingIsRefusedAndNotACrash) {
  subscribe("{device}/{tag}").value = "/v";
  EXPECT_THAT(decode_value(std::string(100'000, '[')), IsEmpty());
  EXPECT_THAT(decode_value(R"({"v":7})"), ElementsAre("d/t=7"));
}

TEST_F(MessageDecoderTest, TheWholePayloadIsTheValueWhenNoPointerIsGiven) {
  subscribe("{device}/{tag}");
  EXPECT_THAT(decode_value("21.5"), ElementsAre("d/t=21.5"));
  EXPECT_THAT(decode_value("\"on\""), ElementsAre("d/t=\"on\""));
}

TEST_F(MessageDecoderTest, PointersReachIntoObjectsAndArrays) {
  subscribe("{device}/{tag}").value = "/a~1b/1/m~0n";
  EXPECT_THAT(decode_value(R"({"a/b":[0,{"m~n":3}]})"), ElementsAre("d/t=3"));
  EXPECT_THAT(decode_value(R"({"a/b":[0]})"), IsEmpty());
  EXPECT_THAT(decode_value(R"({"a/b":{"1":{"m~n":4}}})"), ElementsAre("d/t=4"));
}

TEST_F(MessageDecoderTest, PlainNumbersAreReadStrictly) {
  subscribe("{device}/{tag}").payload = PayloadFormat::number;
  EXPECT_THAT(decode_value("21.5"), ElementsAre("d/t=21.5"));
  EXPECT_THAT(decode_value(" -7\r\n"), ElementsAre("d/t=-7"));
  EXPECT_THAT(decode_value("18446744073709551615"), ElementsAre("d/t=18446744073709551615"));
  EXPECT_THAT(decode_value("1e3"), ElementsAre("d/t=1000.0"));
  std::uint64_t count = 0;
  for (const char* bad :
       {"", " ", "x", "1 2", "1,5", "0x10", "nan", "NaN", "inf", "-Infinity", "1e", "--1", "+-1", "21.5 C"}) {
    EXPECT_THAT(decode_value(bad), IsEmpty()) << bad;
    ASSERT_EQ(refused()["not_a_number"], ++count) << bad;
  }
  EXPECT_THAT(decode_value("1e999"), IsEmpty());
  EXPECT_EQ(refused()["bad_number"], 1U);
}

TEST_F(MessageDecoderTest, TextIsTakenAsItIsWhenItIsUtf8) {
  subscribe("{device}/{tag}").payload = PayloadFormat::text;
  EXPECT_THAT(decode_value("läuft"), ElementsAre("d/t=\"läuft\""));
  EXPECT_THAT(decode_value(""), ElementsAre("d/t=\"\""));
  EXPECT_THAT(decode_value("\xc3"), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("not_utf8", 1)));
}

TEST_F(MessageDecoderTest, ATextThatTheLogWouldNotTakeIsRefused) {
  subscribe("s/{device}").values = {{"a", "/a"}, {"b", "/b"}};
  make(100);
  const std::string longest(100, 'x');
  EXPECT_THAT(decode("s/x", R"({"a":")" + longest + R"(y","b":")" + longest + R"("})"),
              ElementsAre("x/b=\"" + longest + "\""));
  EXPECT_THAT(refused(), ElementsAre(Pair("text_too_long", 1)));
  EXPECT_EQ(refusal_, Refusal::text_too_long);
}

// Reads a message as a line of CSV whose columns are the tags a, b, c and d.
class CsvTest : public MessageDecoderTest {
 protected:
  CsvTest() {
    rule_.payload = PayloadFormat::csv;
    rule_.values = {{"a", "/0"}, {"b", "/1"}, {"c", "/2"}, {"d", "/3"}};
  }

  MqttSubscribeOptions& rule_ = subscribe("d/{device}");
};

TEST_F(CsvTest, ColumnsBecomeTags) {
  EXPECT_THAT(decode_value("21.5,-3,on,18446744073709551615"),
              ElementsAre("t/a=21.5", "t/b=-3", "t/c=\"on\"", "t/d=18446744073709551615"));
  EXPECT_THAT(decode_value("1,2,3,4,5,6"), ElementsAre("t/a=1", "t/b=2", "t/c=3", "t/d=4"))
      << "nobody asked for the others";
  EXPECT_THAT(refused(), IsEmpty());
  EXPECT_THAT(decode_value("1,2"), ElementsAre("t/a=1", "t/b=2"));
  EXPECT_THAT(refused(), ElementsAre(Pair("value_missing", 2)));
}

TEST_F(CsvTest, NumbersKeepTheirTypeAndAllElseIsText) {
  EXPECT_THAT(decode_value("21.0,1e3,+7,+0.5"), ElementsAre("t/a=21.0", "t/b=1000.0", "t/c=7", "t/d=0.5"));
  EXPECT_THAT(decode_value("-0.0,18446744073709551616,.5,007"),
              ElementsAre("t/a=-0.0", "t/b=18446744073709551616.0", "t/c=0.5", "t/d=7"));
  EXPECT_THAT(decode_value("0x10,1 2,+-1,21.5 C"),
              ElementsAre("t/a=\"0x10\"", "t/b=\"1 2\"", "t/c=\"+-1\"", "t/d=\"21.5 C\""));
  EXPECT_THAT(decode_value("true,1;2,+,'x'"), ElementsAre("t/a=\"true\"", "t/b=\"1;2\"", "t/c=\"+\"", "t/d=\"'x'\""))
      << "the comma alone separates";
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(CsvTest, WhatIsEmptyOrNoNumberOfAnySizeIsNull) {
  EXPECT_THAT(decode_value(",1, ,"), ElementsAre("t/a=null bad", "t/b=1", "t/c=null bad", "t/d=null bad"));
  EXPECT_THAT(decode_value("nan,NaN,-nan,+NAN"),
              ElementsAre("t/a=null bad", "t/b=null bad", "t/c=null bad", "t/d=null bad"));
  EXPECT_THAT(decode_value("1e999,12e99999,-1e400,1"),
              ElementsAre("t/a=null bad", "t/b=null bad", "t/c=null bad", "t/d=1"));
  EXPECT_THAT(decode_value("inf,-Infinity,\"nan\",info"),
              ElementsAre("t/a=null bad", "t/b=null bad", "t/c=\"nan\"", "t/d=\"info\""));
  rule_.values = {{"a", "/0"}};
  make();
  EXPECT_THAT(decode_value("\n"), ElementsAre("t/a=null bad")) << "an empty line is one empty field";
  EXPECT_THAT(refused(), IsEmpty());
  EXPECT_THAT(decode_value(""), IsEmpty()) << "what clears a retained message is no line";
  EXPECT_THAT(refused(), ElementsAre(Pair("not_csv", 1)));
}

TEST_F(CsvTest, QuotesHoldText) {
  EXPECT_THAT(decode_value(R"("1","a,b","say ""so""","")"),
              ElementsAre("t/a=\"1\"", "t/b=\"a,b\"", R"(t/c="say \"so\"")", "t/d=\"\""));
  EXPECT_THAT(decode_value("\t\"a\" , \" b \" ,\"\\\",  c c  "),
              ElementsAre("t/a=\"a\"", "t/b=\" b \"", R"(t/c="\\")", "t/d=\"c c\""));
  EXPECT_THAT(decode_value(R"("""",ä,"ä",1)"), ElementsAre(R"(t/a="\"")", "t/b=\"ä\"", "t/c=\"ä\"", "t/d=1"));
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(CsvTest, ALineMayHaveItsEnd) {
  for (const char* end : {"", "\n", "\r\n", "\r", " \r\n"}) {
    EXPECT_THAT(decode_value(std::string("1,2,3,\"x\"") + end), ElementsAre("t/a=1", "t/b=2", "t/c=3", "t/d=\"x\""));
    EXPECT_THAT(decode_value(std::string("1,2,3,4") + end), ElementsAre("t/a=1", "t/b=2", "t/c=3", "t/d=4"));
  }
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(CsvTest, ALineThatIsNoneIsRefusedByReason) {
  std::uint64_t count = 0;
  for (const char* line : {"1\n2", "1\n\n", "1\r2", "\n1", "\"1\n2\"", "a\"b", "a\"\"", "\"a", "\"", "\"a\"b",
                           "\"a\"\"", "1,\"a\" 2", "1,2,3,4,5,\"", "\"a\"\"b\"c"}) {
    EXPECT_THAT(decode_value(line), IsEmpty()) << line;
    EXPECT_EQ(refused()["not_csv"], ++count) << line;
  }
  EXPECT_THAT(decode_value("1,2,3,\xff"), IsEmpty());
  EXPECT_THAT(decode_value("1,\"\xc3\",3,4"), IsEmpty());
  EXPECT_THAT(refused(), UnorderedElementsAre(Pair("not_csv", count), Pair("not_utf8", 2)));
}

TEST_F(CsvTest, ALineOfSixtyFourKibibytesIsTakenAndOneOfAMegabyteIsNot) {
  constexpr std::size_t kMost = std::size_t{64} * 1024;
  rule_.values = {{"a", "/0"}, {"b", "/" + std::to_string(kMost - 1)}};
  EXPECT_THAT(decode_value("1" + std::string(kMost - 1, ',')), ElementsAre("t/a=1", "t/b=null bad"));
  EXPECT_THAT(decode_value("\"" + std::string(kMost - 4, '\x01') + "\",2"), ElementsAre(StartsWith("t/a=\"\\u0001")));
  EXPECT_THAT(refused(), ElementsAre(Pair("value_missing", 1)));
  EXPECT_THAT(decode_value("1" + std::string(kMost, ',')), IsEmpty());
  EXPECT_THAT(decode_value("1" + std::string(1'000'000, ',')), IsEmpty());
  EXPECT_THAT(decode_value(std::string(1'000'000, '"')), IsEmpty());
  EXPECT_EQ(refused()["not_csv"], 3U);
}

TEST_F(CsvTest, AColumnHoldsTheTime) {
  rule_.values = {{"a", "/1"}};
  rule_.time = "/0";
  const std::pair<TimeUnit, const char*> times[]{
      {TimeUnit::seconds, "1760000000"},
      {TimeUnit::seconds, "+1760000000.0"},
      {TimeUnit::milliseconds, " 1760000000000 "},
      {TimeUnit::microseconds, "1760000000000000"},
      {TimeUnit::nanoseconds, "1760000000000000000"},
      {TimeUnit::iso8601, "2025-10-09T08:53:20Z"},
      {TimeUnit::iso8601, "\"2025-10-09T10:53:20+02:00\""},
  };
  for (const auto& [unit, time] : times) {
    rule_.time_unit = unit;
    make();
    EXPECT_THAT(decode_value(std::string(time) + ",1"), ElementsAre("t/a=1 at 1760000000000000000")) << time;
    EXPECT_THAT(remarked(), IsEmpty()) << time;
    for (const char* bad : {"", "soon", "nan", "\"1760000000\"", "-1", "18446744073709551615"}) {
      EXPECT_THAT(decode_value(std::string(bad) + ",1"), ElementsAre("t/a=1 uncertain")) << bad;
    }
    EXPECT_THAT(remarked(), ElementsAre(Pair("bad_time", 6)));
  }
}

TEST_F(MessageDecoderTest, OneTopicCanBeReadAsCsvAndAsJson) {
  auto& csv = subscribe("d/{device}");
  csv.payload = PayloadFormat::csv;
  csv.values = {{"csv", "/0"}};
  subscribe("d/{device}").values = {{"json", ""}};
  EXPECT_THAT(decode_value("007"), ElementsAre("t/csv=7"));
  EXPECT_THAT(decode_value("7"), ElementsAre("t/csv=7", "t/json=7"));
  EXPECT_THAT(refused(), ElementsAre(Pair("bad_number", 1)));
}

TEST_F(MessageDecoderTest, SeveralValuesBecomeSeveralTags) {
  subscribe("s/{device}").values = {{"temp", "/t"}, {"hum", "/h"}};
  EXPECT_THAT(decode("s/x", R"({"t":1,"h":2})"), ElementsAre("x/temp=1", "x/hum=2"));
  EXPECT_THAT(decode("s/x", R"({"h":3})"), ElementsAre("x/hum=3"));
  EXPECT_THAT(refused(), ElementsAre(Pair("value_missing", 1)));
}

TEST_F(MessageDecoderTest, AllScalarMembersBecomeTagsButTheTime) {
  auto& options = subscribe("s/{device}");
  options.values_all = true;
  options.time = "/ts";
  EXPECT_THAT(decode("s/x", R"({"ts":1732060000123,"a":1,"b":"on","c":{"d":1},"e":[2],"n":null})"),
              ElementsAre("x/a=1 at 1732060000123000000", "x/b=\"on\" at 1732060000123000000",
                          "x/n=null bad at 1732060000123000000"));
  EXPECT_THAT(decode("s/x", R"({"a":2,"ts":1732060000123})"), ElementsAre("x/a=2 at 1732060000123000000"));
  EXPECT_THAT(decode("s/x", "[1]"), IsEmpty());
  EXPECT_EQ(refused()["not_an_object"], 1U);
}

// JSON does not say which of two members of one name counts, and readers of it differ.
TEST_F(MessageDecoderTest, DoesNotGuessWhichOfTwoNamesCounts) {
  MqttSubscribeOptions& rule = subscribe("{device}/{tag}");
  rule.value = "/v";
  rule.time = "/at/ms";
  EXPECT_THAT(decode_value(R"({"v":1,"v":2,"at":{"ms":1760000000000}})"), IsEmpty());
  EXPECT_EQ(refused()["key_twice"], 1U);
  EXPECT_THAT(decode_value(R"({"v":1,"at":{"ms":5},"at":{"ms":1760000000000}})"), ElementsAre("d/t=1 uncertain"));
  EXPECT_EQ(remarked()["bad_time"], 1U);
  EXPECT_THAT(decode_value(R"({"v":1,"x":0,"x":0,"at":{"ms":1760000000000}})"),
              ElementsAre("d/t=1 at 1760000000000000000"))
      << "names that nobody asks for";
}

TEST_F(MessageDecoderTest, LeavesOutOfAllMembersWhatIsThereTwice) {
  subscribe("{device}").values_all = true;
  EXPECT_THAT(decode("d", R"({"a":1,"b":2,"c":3,"b":4,"b":5})"), UnorderedElementsAre("d/a=1", "d/c=3"));
  EXPECT_EQ(refused()["key_twice"], 3U);
}

TEST_F(MessageDecoderTest, AMemberWithoutANameMakesNoTag) {
  subscribe("s/{device}").values_all = true;
  EXPECT_THAT(decode("s/x", R"({"":1,"a+b":2,"ok":3})"), ElementsAre("x/ok=3"));
  EXPECT_THAT(refused(), ElementsAre(Pair("tag_invalid", 2)));
}

TEST_F(MessageDecoderTest, EachElementOfAnArrayIsTakenWithItsOwnTimeAndNames) {
  auto& options = subscribe("batch/{site}");
  options.each = "/readings";
  options.value = "/v";
  options.time = "/ts";
  options.device = "/dev";
  options.tag = "/id";
  EXPECT_THAT(
      decode("batch/1", R"({"readings":[{"dev":"p","id":"a","v":1,"ts":1732060000000},
                                                {"dev":"p","id":7,"v":2,"ts":1732060000001},
                                                {"dev":"q","id":"a","v":3,"ts":1732060000002},
                                                {"dev":"q","v":4,"ts":1732060000003},
                                                {"dev":"","id":"a","v":4,"ts":1732060000003},
                                                {"dev":"q","id":"a","ts":1732060000004},
                                                5]})"),
      ElementsAre("p/a=1 at 1732060000000000000", "p/7=2 at 1732060000001000000", "q/a=3 at 1732060000002000000"));
  EXPECT_THAT(refused(), ElementsAre(Pair("name_missing", 3), Pair("value_missing", 1)));
  EXPECT_THAT(decode("batch/1", R"({"readings":{}})"), IsEmpty());
  EXPECT_THAT(decode("batch/1", R"([])"), IsEmpty());
  EXPECT_EQ(refused()["not_an_array"], 2U);
}

TEST_F(MessageDecoderTest, NamesOfThePayloadAreNotMixedUp) {
  auto& options = subscribe("b");
  options.each = "/r";
  options.value = "/v";
  options.device = "/d";
  options.tag = "/t";
  EXPECT_THAT(decode("b", R"({"r":[{"d":"a","t":"b/c","v":1},{"d":"a/b","t":"c","v":2},{"d":"a","t":"c","v":3}]})"),
              ElementsAre("a/b/c=1", "a/b/c=2", "a/c=3"));
}

TEST_F(MessageDecoderTest, SeveralValuesInEachElement) {
  auto& options = subscribe("b/{device}");
  options.each = "";
  options.each = "/r";
  options.values = {{"t", "/t"}, {"h", "/h"}};
  EXPECT_THAT(decode("b/x", R"({"r":[{"t":1,"h":2},{"t":3,"h":4}]})"), ElementsAre("x/t=1", "x/h=2", "x/t=3", "x/h=4"));
}

TEST_F(MessageDecoderTest, ATimeThatIsNoneLeavesTheTimeOfArrivalAndSaysSo) {
  auto& options = subscribe("{device}/{tag}");
  options.value = "/v";
  options.time = "/ts";
  std::uint64_t count = 0;
  for (const char* payload :
       {R"({"v":1})", R"({"v":1,"ts":"x"})", R"({"v":1,"ts":null})", R"({"v":1,"ts":-5})", R"({"v":1,"ts":0})",
        R"({"v":1,"ts":true})", R"({"v":1,"ts":[1]})", R"({"v":1,"ts":1e300})", R"({"v":1,"ts":18446744073709551615})",
        R"({"v":1,"ts":1760086400124})"}) {  // a day and a millisecond ahead
    EXPECT_THAT(decode_value(payload), ElementsAre("d/t=1 uncertain")) << payload;
    ASSERT_EQ(remarked()["bad_time"], ++count) << payload;
  }
  EXPECT_THAT(decode_value(R"({"v":1,"ts":1760086400123})"), ElementsAre("d/t=1 at 1760086400123000000"));
  EXPECT_THAT(decode_value(R"({"v":null})"), ElementsAre("d/t=null bad"));
}

TEST_F(MessageDecoderTest, WhatTheBrokerRetainedIsUncertainUnlessItHasATimeOfItsOwn) {
  auto& options = subscribe("{device}/{tag}");
  options.value = "/v";
  options.time = "/ts";
  retained_ = true;
  EXPECT_THAT(decode_value(R"({"v":1,"ts":1760000000000})"), ElementsAre("d/t=1 at 1760000000000000000"));
  EXPECT_THAT(refused(), IsEmpty());
  EXPECT_THAT(decode_value(R"({"v":1})"), ElementsAre("d/t=1 uncertain stale"));
  EXPECT_THAT(decode_value(R"({"v":null})"), ElementsAre("d/t=null bad"));
  EXPECT_EQ(remarked()["retained"], 2U);
  EXPECT_THAT(refused(), IsEmpty()) << "it is taken";
  retained_ = false;
  EXPECT_THAT(decode_value(R"({"v":1,"ts":1760000000000})"), ElementsAre("d/t=1 at 1760000000000000000"));
}

TEST_F(MessageDecoderTest, AClockThatIsNotSyncedJudgesNoTimeOfTheFuture) {
  quality_ = ClockQuality::unsynced;
  auto& options = subscribe("{device}/{tag}");
  options.value = "/v";
  options.time = "/ts";
  EXPECT_THAT(decode_value(R"({"v":1,"ts":1860000000000})"), ElementsAre("d/t=1 at 1860000000000000000"));
}

TEST_F(MessageDecoderTest, ANullAmongSeveralValuesDoesNotSpoilTheOthers) {
  subscribe("s/{device}").values = {{"a", "/a"}, {"b", "/b"}};
  EXPECT_THAT(decode("s/x", R"({"a":null,"b":1})"), ElementsAre("x/a=null bad", "x/b=1"));
}

TEST_F(MessageDecoderTest, ATopicOfNobodyIsCounted) {
  subscribe("plant/{device}/{tag}");
  EXPECT_THAT(decode("other/x", "1"), IsEmpty());
  EXPECT_THAT(decode("other/x", "1"), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("no_such_topic", 2)));
}

TEST_F(MessageDecoderTest, EverySubscriptionThatMatchesTakesTheMessage) {
  auto& first = subscribe("s/{device}");
  first.tag = "temp";
  first.value = "/t";
  auto& second = subscribe("s/{device}");
  second.tag = "hum";
  second.value = "/h";
  EXPECT_THAT(decode("s/x", R"({"t":1,"h":2})"), ElementsAre("x/temp=1", "x/hum=2"));
}

TEST_F(MessageDecoderTest, WithoutADeviceTheDriverGivesItsName) {
  subscribe("t/{tag}");
  EXPECT_THAT(decode("t/a", "1"), ElementsAre("local/a=1"));
}

TEST_F(MessageDecoderTest, AnInvalidTagIsCountedEachTime) {
  subscribe("t/{device}/{tag...}");
  EXPECT_THAT(decode("t/d/a//b", "1"), IsEmpty());
  EXPECT_THAT(decode("t/d/a//b", "1"), IsEmpty());
  EXPECT_THAT(decode("t/d/" + std::string(300, 'x'), "1"), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("tag_invalid", 3)));
}

TEST_F(MessageDecoderTest, ATagOfAnotherDriverIsLeftToIt) {
  Tag tag;
  tag.path = "d/t";
  tag.driver = "line-1";
  ASSERT_TRUE(tags_.claim(tag));
  subscribe("{device}/{tag}");
  EXPECT_THAT(decode_value("1"), IsEmpty());
  EXPECT_THAT(refused(), ElementsAre(Pair("tag_of_other_driver", 1)));
}

TEST_F(MessageDecoderTest, AutomaticTagsHaveALimit) {
  options_.automatic_tags_max = 2;
  subscribe("{device}/{tag}");
  EXPECT_EQ(decode("a/1", "1").size(), 1U);
  EXPECT_EQ(decode("a/2", "1").size(), 1U);
  EXPECT_THAT(decode("a/3", "1"), IsEmpty());
  EXPECT_EQ(decode("a/1", "1").size(), 1U);
  EXPECT_THAT(refused(), ElementsAre(Pair("too_many_tags", 1)));
}

TEST_F(MessageDecoderTest, RemembersOnlySoManyNamesOfPayloadsOverAllTopics) {
  auto& options = subscribe("s/{device}");
  options.values_all = true;
  options_.automatic_tags_max = 70'000;
  make();
  std::size_t remembered = 0;
  std::size_t tags = 0;
  for (int topic = 0; topic < 70; ++topic) {
    std::string payload;
    for (int i = 0; i < 1000; ++i) payload += (i == 0 ? "{\"m" : ",\"m") + std::to_string(i) + "\":1";
    tags += decode("s/" + std::to_string(topic), payload + "}").size();
    remembered = std::max(remembered, decoder_->names_remembered());
  }
  EXPECT_EQ(tags, 70'000U);
  EXPECT_GT(remembered, 60'000U);
  EXPECT_LE(remembered, 65'536U);
  EXPECT_THAT(decode("s/1", R"({"m1":5,"m2":6})"), ElementsAre("1/m1=5", "1/m2=6"));
}

// What is remembered of names goes with the topics.
TEST_F(MessageDecoderTest, WhatManySubscriptionsMakeOfATopicCounts) {
  options_.automatic_tags_max = 20'000;
  subscribe("n/{device}/{tag}").values_all = true;
  for (int i = 0; i < 100; ++i) subscribe("n/{device}/{tag}").value = "/" + std::to_string(i);
  for (int i = 0; i < 9000; ++i) ASSERT_EQ(decode("n/d/" + std::to_string(i), R"({"z":1})").size(), 1U);
  EXPECT_LT(decoder_->names_remembered(), 5'000U);
}

TEST_F(MessageDecoderTest, RemembersNoNameThatMakesNoTag) {
  auto& options = subscribe("s/{device}");
  options.values_all = true;
  options_.automatic_tags_max = 1;
  EXPECT_THAT(decode("s/x", R"({"a":1,"b":2,"+":3})"), ElementsAre("x/a=1"));
  EXPECT_EQ(decoder_->names_remembered(), 1U);
}

// A sensor that is replaced, or that says in words what is wrong with it.
TEST_F(MessageDecoderTest, ATagTakesValuesOfAnyTypeOneAfterTheOther) {
  subscribe("{device}/{tag}").value = "/v";
  EXPECT_THAT(decode_value(R"({"v":1})"), ElementsAre("d/t=1"));
  EXPECT_THAT(decode_value(R"({"v":1.5})"), ElementsAre("d/t=1.5"));
  EXPECT_THAT(decode_value(R"({"v":"defect"})"), ElementsAre("d/t=\"defect\""));
  EXPECT_THAT(decode_value(R"({"v":true})"), ElementsAre("d/t=true"));
  EXPECT_THAT(decode_value(R"({"v":null})"), ElementsAre("d/t=null bad"));
  EXPECT_THAT(decode_value(R"({"v":2})"), ElementsAre("d/t=2"));
  EXPECT_EQ(tags_.size(), 1U);
  EXPECT_THAT(refused(), IsEmpty());
}

TEST_F(MessageDecoderTest, FixedTagsAreClaimedAtOnceAndDoNotCountAsAutomatic) {
  options_.automatic_tags_max = 0;
  auto& options = subscribe("any/topic");
  options.device = "boiler";
  options.tag = "temp";
  options.unit = "°C";
  make();
  const auto id = tags_.find("boiler/temp");
  ASSERT_TRUE(id);
  EXPECT_EQ(tags_.tag(*id).driver, "local");
  EXPECT_EQ(tags_.tag(*id).unit, "°C");
  EXPECT_THAT(decode("any/topic", "3"), ElementsAre("boiler/temp=3"));
}

TEST_F(MessageDecoderTest, AFixedTagOfAnotherDriverIsAnErrorWithItsPlace) {
  Tag tag;
  tag.path = "boiler/temp";
  tag.driver = "line-1";
  ASSERT_TRUE(tags_.claim(tag));
  auto& options = subscribe("any/topic");
  options.device = "boiler";
  options.tag = "temp";
  options.where.text = "tidegate.toml:12";
  const auto made = MessageDecoder::make(options_, tags_);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("tidegate.toml:12: "));
  EXPECT_THAT(made.error().message, HasSubstr("line-1"));
}

TEST_F(MessageDecoderTest, OptionsThatNameNoTagAreAnError) {
  subscribe("plant/{device}").where.text = "x:1";
  const auto made = MessageDecoder::make(options_, tags_);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("nothing names the tag"));
}

}  // namespace
}  // namespace tidegate::drivers
