#include "uplink/postgresql/postgresql_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tidegate::uplink::testing {
namespace {

using ::testing::HasSubstr;

TEST(PostgresqlNames, a_table_is_quoted_with_its_schema_and_the_stream_filled_in) {
  EXPECT_EQ(postgresql_table("tidegate_{stream}", Stream::readings).value(), R"("tidegate_readings")");
  EXPECT_EQ(postgresql_table("Plant.{stream}", Stream::alarms).value(), R"("Plant"."alarms")");
  EXPECT_EQ(postgresql_cursor_table("plant.cursors").value(), R"("plant"."cursors")");
}

TEST(PostgresqlNames, what_is_no_name_is_refused) {
  for (const std::string name : {"", ".", "a.", ".a", "a.b.c", "1a", "a b", "a\"b", "a;b", "a-b", "tabelle_\xc3\xa4",
                                 "0123", "a{gateway}", "a{"}) {
    EXPECT_FALSE(postgresql_table(name, Stream::readings)) << name;
  }
  EXPECT_TRUE(postgresql_table(std::string(63, 'a'), Stream::readings));
  const auto longer = postgresql_table(std::string(64, 'a'), Stream::readings);
  ASSERT_FALSE(longer);
  EXPECT_THAT(longer.error().message, HasSubstr("1 to 63"));
}

TEST(PostgresqlNames, each_stream_and_the_cursors_need_a_table_of_their_own) {
  PostgresqlUplinkOptions options;
  EXPECT_EQ(postgresql_tables(options).value().of(Stream::events), R"("tidegate_events")");
  options.table = "records";
  EXPECT_THAT(postgresql_tables(options).error().message, HasSubstr(R"("records")"));
  options.forwarder.streams = {Stream::readings};
  EXPECT_EQ(postgresql_tables(options).value().of(Stream::alarms), "");
  options.cursor_table = "records";
  EXPECT_FALSE(postgresql_tables(options));
}

TEST(PostgresqlNames, a_literal_ends_where_it_should) {
  EXPECT_EQ(postgresql_literal("plant-7"), "E'plant-7'");
  EXPECT_EQ(postgresql_literal(R"(a'b\c)"), R"(E'a''b\\c')");
}

}  // namespace
}  // namespace tidegate::uplink::testing
