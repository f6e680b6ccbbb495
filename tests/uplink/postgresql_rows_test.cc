#include "uplink/postgresql/postgresql_rows.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

namespace tidegate::uplink::testing {
namespace {

OutgoingBatch batch_of(Stream stream, const std::string& entries, bool is_historical = false) {
  OutgoingBatch batch;
  batch.stream = stream;
  batch.epoch = 3;
  batch.payload = std::make_shared<const std::string>(
      std::string(R"({"v":1,"gateway":"gw","stream":")") + to_string(stream) + R"(","sent":1,"historical":)" +
      (is_historical ? "true" : "false") + ",\"" + to_string(stream) + "\":[" + entries + "]}");
  return batch;
}

std::string rows_of(const OutgoingBatch& batch) {
  std::string rows;
  const auto done = PostgresqlRows("gw").append(rows, batch);
  EXPECT_TRUE(done) << (done ? "" : done.error().message);
  return rows;
}

std::string reading(const std::string& value) {
  return R"({"seq":7,"tag":"a/b","time":1500,"value":)" + value + R"(,"quality":"good"})";
}

// value_double, value_int, value_bool, value_text, historical, as_json.
std::string values_of(const std::string& value) {
  const std::string row = rows_of(batch_of(Stream::readings, reading(value)));
  const std::string before = "gw\t3\t7\t1970-01-01 00:00:01.500000+00\t\\N\ta/b\tgood\t\\N\t\\N\t";
  EXPECT_EQ(row.substr(0, before.size()), before);
  return row.size() > before.size() ? row.substr(before.size()) : row;
}

TEST(PostgresqlRows, every_kind_of_value_has_a_column_of_its_own) {
  EXPECT_EQ(values_of("21.5"), "21.5\t\\N\t\\N\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("1e300"), "1e300\t\\N\t\\N\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("-0.0"), "-0.0\t\\N\t\\N\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("21"), "\\N\t21\t\\N\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("-9223372036854775808"), "\\N\t-9223372036854775808\t\\N\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("true"), "\\N\t\\N\tt\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("false"), "\\N\t\\N\tf\t\\N\tf\t\\N\n");
  EXPECT_EQ(values_of("\"\""), "\\N\t\\N\t\\N\t\tf\t\\N\n");
  EXPECT_EQ(values_of("null"), "\\N\t\\N\t\\N\t\\N\tf\t\\N\n");
}

TEST(PostgresqlRows, a_text_is_escaped_as_copy_wants_it) {
  EXPECT_EQ(values_of(R"("a\tb\nc\rd\\.e\\N\u00e4")"), "\\N\t\\N\t\\N\ta\\tb\\nc\\rd\\\\.e\\\\N\xc3\xa4\tf\t\\N\n");
}

// The entry as it is stands in as_json then.
TEST(PostgresqlRows, what_no_column_can_hold_is_kept_as_json) {
  const auto left_over = [](const std::string& entry) {
    std::string field;
    append_copy_text(field, entry);
    return "\\N\t\\N\t\\N\t\\N\tf\t" + field + "\n";
  };
  for (const std::string value : {"9223372036854775808", "18446744073709551615", R"("a\u0000b")", R"("\ud800")"}) {
    EXPECT_EQ(values_of(value), left_over(reading(value))) << value;
  }
}

TEST(PostgresqlRows, what_else_an_entry_says_has_its_place) {
  const std::string entry =
      R"({"seq":8,"tag":"a/b","time":1,"time_ns":1234567,"value":null,"quality":"bad","reason":"nan","time_quality":"unsynced","more":[1]})";
  EXPECT_EQ(rows_of(batch_of(Stream::readings, entry, true)),
            "gw\t3\t8\t1970-01-01 00:00:00.001234+00\t1234567\ta/b\tbad\tnan\tunsynced\t\\N\t\\N\t\\N\t\\N\tt\t\\N\n");
  const std::string micro = R"({"seq":8,"tag":"a/b","time":1,"time_ns":1234000,"value":null,"quality":"bad"})";
  EXPECT_EQ(rows_of(batch_of(Stream::readings, micro)),
            "gw\t3\t8\t1970-01-01 00:00:00.001234+00\t\\N\ta/b\tbad\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\tf\t\\N\n");
}

TEST(PostgresqlRows, alarms_and_events_have_their_entry_beside_their_columns) {
  const std::string alarm =
      R"({"seq":1,"alarm":"r/t","rule":"r","tag":"t","state":"raised","severity":"info","message":"m","value":2,"time":0})";
  EXPECT_EQ(
      rows_of(batch_of(Stream::alarms, alarm)),
      "gw\t3\t1\t1970-01-01 00:00:00+00\t\\N\tr/t\tr\tt\traised\tinfo\tm\t\\N\t2\t\\N\t\\N\t" + alarm + "\t\\N\n");
  const std::string event = R"({"seq":2,"event":"start","time":0,"epoch":4})";
  EXPECT_EQ(rows_of(batch_of(Stream::events, event)),
            "gw\t3\t2\t1970-01-01 00:00:00+00\t\\N\tstart\t" + event + "\t\\N\n");
  const std::string odd = R"({"seq":2,"event":"start","detail":"\u0000"})";
  EXPECT_EQ(rows_of(batch_of(Stream::events, odd)),
            "gw\t3\t2\t\\N\t\\N\tstart\t\\N\t{\"seq\":2,\"event\":\"start\",\"detail\":\"\\\\u0000\"}\n");
}

TEST(PostgresqlRows, several_entries_are_several_rows_and_none_is_none) {
  EXPECT_EQ(rows_of(batch_of(Stream::readings, "")), "");
  const std::string rows =
      rows_of(batch_of(Stream::readings, reading("1") + "," + reading("18446744073709551615") + "," + reading("2.5")));
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 3);
}

TEST(PostgresqlRows, what_is_no_batch_is_an_error) {
  OutgoingBatch batch = batch_of(Stream::readings, "1");
  std::string rows;
  EXPECT_FALSE(PostgresqlRows("gw").append(rows, batch));
  batch.payload = std::make_shared<const std::string>("[");
  EXPECT_FALSE(PostgresqlRows("gw").append(rows, batch));
}

TEST(PostgresqlRows, a_time_of_any_year_is_cut_off_towards_the_past) {
  const auto text = [](std::int64_t nanoseconds) {
    std::string out;
    append_timestamp(out, WallTime(std::chrono::nanoseconds(nanoseconds)));
    return out;
  };
  EXPECT_EQ(text(0), "1970-01-01 00:00:00+00");
  EXPECT_EQ(text(-1), "1969-12-31 23:59:59.999999+00");
  EXPECT_EQ(text(1'582'934'400'000'001'999), "2020-02-29 00:00:00.000001+00");
  EXPECT_EQ(text(INT64_MAX), "2262-04-11 23:47:16.854775+00");
  EXPECT_EQ(text(INT64_MIN), "1677-09-21 00:12:43.145224+00");
}

TEST(PostgresqlRows, jsonb_takes_no_nul_and_no_half_of_a_pair) {
  for (const char* const json : {R"("a")", R"("\\u0000")", R"("\u0001")", R"("\ud83d\ude00")", R"("\uD83D\uDE00")"}) {
    EXPECT_TRUE(fits_jsonb(json)) << json;
  }
  for (const char* const json : {R"("\u0000")", R"("\\\u0000")", R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")",
                                 R"("\ud83dx")", R"("\u00)"}) {
    EXPECT_FALSE(fits_jsonb(json)) << json;
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
