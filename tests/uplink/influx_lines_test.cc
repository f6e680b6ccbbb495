#include "uplink/influx_lines.h"

#include <gtest/gtest.h>

namespace tidegate::uplink {
namespace {

class InfluxLinesTest : public ::testing::Test {
 protected:
  std::string lines(Stream stream, const std::string& entries, const std::string& gateway = "gw",
                    bool integers_as_floats = false) {
    OutgoingBatch batch;
    batch.stream = stream;
    batch.epoch = 3;
    batch.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":1700000000000,\"" +
                                                        std::string(to_string(stream)) + "\":[" + entries + "]}");
    InfluxLines influx(gateway, integers_as_floats);
    std::string text;
    EXPECT_TRUE(influx.append(text, batch));
    left_out_ = influx.left_out();
    return text;
  }
  std::string reading(const std::string& tag, const std::string& value, bool integers_as_floats = false) {
    return lines(Stream::readings,
                 "{\"seq\":1,\"tag\":\"" + tag + "\",\"time\":1000,\"value\":" + value + ",\"quality\":\"good\"}", "gw",
                 integers_as_floats);
  }

  InfluxLines::LeftOut left_out_;
};

TEST_F(InfluxLinesTest, AValueIsAFieldOfItsKind) {
  const auto line = [](const std::string& value) {
    return "boiler/temp,gateway=gw,device=boiler value=" + value + ",quality=\"good\" 1000000000\n";
  };
  EXPECT_EQ(reading("boiler/temp", "21.5"), line("21.5"));
  EXPECT_EQ(reading("boiler/temp", "1e+300"), line("1e+300"));
  EXPECT_EQ(reading("boiler/temp", "-7"), line("-7i"));
  EXPECT_EQ(reading("boiler/temp", "9223372036854775807"), line("9223372036854775807i"));
  EXPECT_EQ(reading("boiler/temp", "true"), line("true"));
  EXPECT_EQ(reading("boiler/temp", "\"a \\\"b\\\\c, d=e\""), line("\"a \\\"b\\\\c, d=e\""));
  EXPECT_EQ(left_out_, InfluxLines::LeftOut());
}

TEST_F(InfluxLinesTest, IntegersMayBeFloatsSoThatATagThatHasBothIsOneSeries) {
  EXPECT_EQ(reading("t", "7", true), "t,gateway=gw value=7,quality=\"good\" 1000000000\n");
  EXPECT_EQ(reading("t", "18446744073709551615", true),
            "t,gateway=gw value=18446744073709551616.0,quality=\"good\" 1000000000\n");
}

TEST_F(InfluxLinesTest, AnIntegerThatTheProtocolCannotSayIsLeftOutAndCounted) {
  EXPECT_EQ(reading("t", "9223372036854775808"), "t,gateway=gw quality=\"good\" 1000000000\n");
  EXPECT_EQ(left_out_, (InfluxLines::LeftOut{1, 0}));
}

TEST_F(InfluxLinesTest, ARecordWhoseTimeTheProtocolCannotSayIsLeftOutAsAWhole) {
  const std::string good = R"({"seq":2,"tag":"t","time":1000,"value":1.5,"quality":"good"})";
  const std::string late = R"({"seq":1,"tag":"t","time":9223372036855,"value":1.5,"quality":"good"})";
  EXPECT_EQ(lines(Stream::readings, late + "," + good), "t,gateway=gw value=1.5,quality=\"good\" 1000000000\n");
  EXPECT_EQ(left_out_, (InfluxLines::LeftOut{0, 1}));
}

TEST_F(InfluxLinesTest, WithoutAValueTheQualitySaysWhy) {
  EXPECT_EQ(lines(Stream::readings, R"({"seq":1,"tag":"t","time":1000,"value":null,"quality":"bad","reason":"nan"})"),
            "t,gateway=gw quality=\"bad\",reason=\"nan\" 1000000000\n");
}

TEST_F(InfluxLinesTest, TimesAreNanoseconds) {
  EXPECT_EQ(
      lines(Stream::readings, R"({"seq":1,"tag":"t","time":1000,"time_ns":1000000001,"value":1.5,"quality":"good"})"),
      "t,gateway=gw value=1.5,quality=\"good\" 1000000001\n");
  EXPECT_EQ(lines(Stream::readings, R"({"seq":1,"tag":"t","time":-1,"value":1.5,"quality":"good"})"),
            "t,gateway=gw value=1.5,quality=\"good\" -1000000\n");
}

TEST_F(InfluxLinesTest, NamesAreEscapedByTheRulesOfTheirPlace) {
  EXPECT_EQ(lines(Stream::readings, R"({"seq":1,"tag":"#a b,c=d/t","time":0,"value":1.5,"quality":"good"})", "g w=1,x"),
            "\\#a\\ b\\,c=d/t,gateway=g\\ w\\=1\\,x,device=#a\\ b\\,c\\=d value=1.5,quality=\"good\" 0\n");
  // A line break would begin another line, a backslash at the end would escape what follows.
  EXPECT_EQ(lines(Stream::readings, R"({"seq":1,"tag":"a\nb/t\\","time":0,"value":1.5,"quality":"good"})"),
            "a\\ b/t\\\\ ,gateway=gw,device=a\\ b value=1.5,quality=\"good\" 0\n");
}

TEST_F(InfluxLinesTest, AlarmsAndEventsAreSeriesOfTheirOwn) {
  EXPECT_EQ(
      lines(Stream::alarms,
            R"({"seq":4,"alarm":"hot/b/t","rule":"hot","tag":"b/t","state":"raised","severity":"critical",)"
            R"("message":"is 91","value":91,"time":1000,"cause":{"epoch":1,"seq":2}})"),
      "tidegate_alarms,gateway=gw,alarm=hot/b/t,rule=hot,tag=b/t,severity=critical "
      "seq=4i,state=\"raised\",message=\"is 91\",value=91i,cause=\"{\\\"epoch\\\":1,\\\"seq\\\":2}\" 1000000000\n");
  EXPECT_EQ(lines(Stream::events, R"({"seq":5,"event":"gap","from":1,"to":9,"reason":"overflow"})"),
            "tidegate_events,gateway=gw,event=gap seq=5i,from=1i,to=9i,reason=\"overflow\" 1700000000000000000\n");
}

TEST_F(InfluxLinesTest, APayloadThatIsNoBatchIsAnError) {
  OutgoingBatch batch;
  InfluxLines influx("gw", false);
  std::string text;
  for (const char* payload : {"", "{}", "[]", R"({"sent":1})", R"({"sent":1,"readings":5})"}) {
    batch.payload = std::make_shared<const std::string>(payload);
    const auto done = influx.append(text, batch);
    ASSERT_FALSE(done) << payload;
    EXPECT_EQ(done.error().code, ErrorCode::give_up_item);
  }
}

}  // namespace
}  // namespace tidegate::uplink
