#include "uplink/csv_lines.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tidegate::uplink::testing {
namespace {

class CsvLinesTest : public ::testing::Test {
 protected:
  // The one line of an entry, without its end.
  static std::string line(Stream stream, const std::string& entry, bool spreadsheet_safe = false,
                          const std::string& gateway = "gw") {
    OutgoingBatch batch;
    batch.stream = stream;
    batch.epoch = 3;
    batch.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":1700000000000,\"" +
                                                        std::string(to_string(stream)) + "\":[" + entry + "]}");
    const CsvLines csv(gateway, spreadsheet_safe);
    std::string text;
    EXPECT_TRUE(csv.append(text, batch));
    EXPECT_TRUE(text.starts_with(csv.form(stream).beginning)) << text;
    EXPECT_TRUE(text.ends_with("\r\n")) << text;
    return text.substr(0, text.size() - 2);
  }
  static std::string value(const std::string& json, bool spreadsheet_safe = false) {
    const std::string text =
        line(Stream::readings, R"({"seq":7,"tag":"b/t","time":1760000000001,"value":)" + json + R"(,"quality":"good"})",
             spreadsheet_safe);
    const std::string before = R"("readings","gw",3,7,"b/t",2025-10-09T08:53:20.001Z,)";
    EXPECT_TRUE(text.starts_with(before)) << text;
    EXPECT_TRUE(text.ends_with(R"(,"good",,)")) << text;
    return text.substr(before.size(), text.size() - before.size() - 9);
  }
};

TEST_F(CsvLinesTest, EveryKindOfValueKeepsItsDigitsAndSaysWhatItIs) {
  EXPECT_EQ(value("21.5"), "21.5,float");
  EXPECT_EQ(value("21.0"), "21.0,float");
  EXPECT_EQ(value("0.3333333333333333"), "0.3333333333333333,float");
  EXPECT_EQ(value("-9223372036854775808"), "-9223372036854775808,int");
  EXPECT_EQ(value("18446744073709551615"), "18446744073709551615,int");
  EXPECT_EQ(value("true"), "true,bool");
  EXPECT_EQ(value("null"), ",null");
  EXPECT_EQ(value("\"\""), "\"\",text");
  EXPECT_EQ(value("\"true\""), "\"true\",text");
}

TEST_F(CsvLinesTest, ATextIsQuotedWithWhateverIsInIt) {
  EXPECT_EQ(value(R"("say \"hi\", a\nb\r\n\u00b0C")"), "\"say \"\"hi\"\", a\nb\r\n°C\",text");
  EXPECT_EQ(value(R"("a\u0000b")"),
            "\"a\xef\xbf\xbd"
            "b\",text")
      << "a zero byte would look like what a crash leaves";
}

TEST_F(CsvLinesTest, WhatASpreadsheetWouldRunGetsAnApostropheWhereThatIsWanted) {
  EXPECT_EQ(value(R"("=1+1")"), "\"=1+1\",text");
  for (const char* text : {"=1+1", "+1", "-1", "@SUM(A1)"}) {
    EXPECT_EQ(value('"' + std::string(text) + '"', true), "\"'" + std::string(text) + "\",text");
  }
  EXPECT_EQ(value(R"("\t=1")", true), "\"'\t=1\",text");
  EXPECT_EQ(value(R"("\r=1")", true), "\"'\r=1\",text");
  EXPECT_EQ(value(R"("\n=1")", true), "\"'\n=1\",text");
  EXPECT_EQ(value(R"("a=1")", true), "\"a=1\",text");
  EXPECT_EQ(value("-1", true), "-1,int") << "numbers are none";
  EXPECT_EQ(line(Stream::events, R"({"seq":1,"event":"stop","time":0})", true, "=gw"),
            "\"events\",\"'=gw\",3,1,\"stop\",1970-01-01T00:00:00.000Z,");
}

TEST_F(CsvLinesTest, AFinerTimeHasNineDigits) {
  EXPECT_EQ(line(Stream::readings, R"({"seq":1,"tag":"t","time":1000,"time_ns":1000000001,"value":1,"quality":"bad",)"
                                   R"("reason":"stale","time_quality":"unsynced"})"),
            R"("readings","gw",3,1,"t",1970-01-01T00:00:01.000000001Z,1,int,"bad","stale","unsynced")");
  EXPECT_EQ(line(Stream::readings, R"({"seq":1,"tag":"t","time":-1,"time_ns":-1,"value":1,"quality":"good"})"),
            R"("readings","gw",3,1,"t",1969-12-31T23:59:59.999999999Z,1,int,"good",,)");
}

TEST_F(CsvLinesTest, WhatHasNoColumnOfItsOwnIsKeptAsJson) {
  EXPECT_EQ(line(Stream::alarms, R"({"seq":4,"alarm":"hot/b/t","rule":"hot","tag":"b/t","state":"raised",)"
                                 R"("severity":"critical","message":"b/t is 95","value":95.5,"time":1000,)"
                                 R"("cause":{"epoch":1,"seq":9}})"),
            R"("alarms","gw",3,4,"hot/b/t","hot","b/t","raised","critical","b/t is 95",95.5,float,)"
            R"(1970-01-01T00:00:01.000Z,"{""cause"":{""epoch"":1,""seq"":9}}")");
  EXPECT_EQ(line(Stream::events, R"({"seq":8,"event":"gap","time":0,"stream":"readings","epoch":1})"),
            R"("events","gw",3,8,"gap",1970-01-01T00:00:00.000Z,"{""stream"":""readings"",""epoch"":1}")");
  EXPECT_EQ(line(Stream::events, R"({"seq":8,"document":"no \" object"})"),
            R"("events","gw",3,8,,,"{""document"":""no \"" object""}")");
}

TEST_F(CsvLinesTest, TheHeaderHasAsManyColumnsAsALine) {
  const CsvLines csv("gw", false);
  EXPECT_EQ(csv.form(Stream::alarms).header,
            "stream,gateway,epoch,seq,alarm,rule,tag,state,severity,message,value,kind,time,more\r\n");
  EXPECT_EQ(csv.form(Stream::events).header, "stream,gateway,epoch,seq,event,time,more\r\n");
  EXPECT_EQ(csv.form(Stream::events).beginning, "\"events\",");
}

TEST_F(CsvLinesTest, WhatIsNoBatchIsAnError) {
  OutgoingBatch batch;
  batch.payload = std::make_shared<const std::string>("{\"v\":1");
  std::string text;
  EXPECT_EQ(CsvLines("gw", false).append(text, batch).error().code, ErrorCode::give_up_item);
  for (const char* entries : {"5", R"({"seq":1},"text")", "[{}]"}) {
    batch.payload =
        std::make_shared<const std::string>(R"({"v":1,"sent":1,"readings":[)" + std::string(entries) + "]}");
    const auto made = CsvLines("gw", false).append(text, batch);
    ASSERT_FALSE(made) << entries;
    EXPECT_EQ(made.error().code, ErrorCode::give_up_item);
    EXPECT_NE(made.error().message.find("it needs \"sent\" and an array of objects \"readings\""), std::string::npos)
        << made.error().message;
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
