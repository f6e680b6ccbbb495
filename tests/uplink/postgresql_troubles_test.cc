#include "uplink/postgresql/postgresql_troubles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "uplink/postgresql/postgresql_columns.h"
#include "uplink/postgresql/postgresql_conninfo.h"
#include "uplink/postgresql/postgresql_tables.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::HasSubstr;

TEST(PostgresqlTroubles, each_says_what_helps_and_what_comes_next) {
  const auto full = describe_postgresql({"53100", "could not extend file"});
  EXPECT_EQ(full.code, ErrorCode::retry);
  EXPECT_THAT(full.message, HasSubstr("disk is full"));
  EXPECT_THAT(full.message, HasSubstr("could not extend file (53100)"));
  const auto rights = describe_postgresql({"42501", "permission denied for table x"});
  EXPECT_EQ(rights.code, ErrorCode::invalid);
  EXPECT_THAT(rights.message, HasSubstr("docs/postgresql.md"));
  EXPECT_THAT(describe_postgresql({"53300", "too many clients"}).message, HasSubstr("max_connections"));
  EXPECT_THAT(describe_postgresql({"25006", "cannot execute UPDATE"}).message, HasSubstr("primary"));
  EXPECT_EQ(describe_postgresql({"57P01", "terminating"}).code, ErrorCode::link_down);
  EXPECT_EQ(describe_postgresql({"40001", "serialize"}).code, ErrorCode::retry);
  EXPECT_EQ(describe_postgresql({"23514", "check"}).code, ErrorCode::invalid);
  const auto raced = describe_postgresql({"23505", "violates unique constraint \"pg_type_typname_nsp_index\""});
  EXPECT_EQ(raced.code, ErrorCode::retry);
  EXPECT_THAT(raced.message, HasSubstr("another has just made it: "));
  EXPECT_EQ(describe_postgresql({"23505", "violates unique constraint \"mine\""}).message,
            "violates unique constraint \"mine\" (23505)");
  EXPECT_THAT(describe_postgresql({"55P03", "canceling"}).message, ::testing::Not(HasSubstr("cursor")));
  EXPECT_EQ(describe_postgresql({"", "no route"}).code, ErrorCode::link_down);
  EXPECT_EQ(describe_postgresql({"QQ123", "something"}).message, "something (QQ123)");
}

TEST(PostgresqlTroubles, the_code_is_found_in_a_message_of_libpq) {
  const auto found = parse_postgresql_message(
      "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: password authentication failed for user "
      "\"gateway\"\nLOCATION:  auth_failed, auth.c:326\n");
  EXPECT_EQ(found.sqlstate, "28P01");
  EXPECT_EQ(found.text,
            "connection to server at \"127.0.0.1\", port 5432 failed: FATAL: password authentication failed for user "
            "\"gateway\"");
  const auto other = parse_postgresql_message("connection failed: Connection refused\n\tIs the server running?\n");
  EXPECT_EQ(other.sqlstate, "");
  EXPECT_EQ(other.text, "connection failed: Connection refused; Is the server running?");
}

TEST(PostgresqlTroubles, columns_that_are_missing_or_lose_something_are_named) {
  PostgresqlConnection::Rows found;
  for (const auto& column : postgresql_columns(Stream::readings))
    found.push_back({column.name, column.types.front(), "t"});
  const auto judge = [&] { return judge_postgresql_columns("\"t\"", postgresql_columns(Stream::readings), found); };
  EXPECT_EQ(judge(), "");
  found[3][1] = "timestamp without time zone";
  EXPECT_THAT(judge(), HasSubstr("time is timestamp without time zone and must be timestamp with time zone"));
  found[3][1] = "timestamp with time zone";
  found[9][1] = "real";
  EXPECT_THAT(judge(), HasSubstr("value_double is real"));
  found[9][1] = "double precision";
  found[0][2] = "f";
  EXPECT_THAT(judge(), HasSubstr("GRANT INSERT"));
  found.erase(found.begin() + 10);
  found.pop_back();
  EXPECT_THAT(judge(), HasSubstr("lacks columns, add them: value_int bigint, as_json text"));
}

TEST(PostgresqlTroubles, a_connection_is_checked_unless_it_is_said_otherwise) {
  PostgresqlUplinkOptions options;
  options.host = "db.example";
  RevocationLists lists;
  const auto parameter = [&](const std::string& name) {
    for (const auto& [known, value] : postgresql_parameters(options, "gw", "192.0.2.1", 150000, lists)) {
      if (known == name) return value;
    }
    return std::string("none");
  };
  EXPECT_EQ(parameter("sslmode"), "disable");
  options.tls.emplace();
  EXPECT_EQ(parameter("sslmode"), "verify-full");
  EXPECT_EQ(parameter("ssl_min_protocol_version"), "TLSv1.2");
  EXPECT_EQ(parameter("sslrootcert"), "/etc/ssl/certs/ca-certificates.crt");
  EXPECT_EQ(parameter("host"), "db.example");
  EXPECT_EQ(parameter("hostaddr"), "192.0.2.1");
  options.tls->ca_file = "/ca.pem";
  EXPECT_EQ(parameter("sslrootcert"), "/ca.pem");
  options.tls->verify = false;
  EXPECT_EQ(parameter("sslmode"), "require");
  EXPECT_EQ(parameter("sslrootcert"), "/dev/null/none");
}

TEST(PostgresqlTroubles, sessions_of_an_uplink_have_a_name_that_no_others_have) {
  EXPECT_EQ(postgresql_application_name("plant-7", "lake"), "tidegate plant-7/lake");
  const std::string longest(64, 'g');
  EXPECT_LE(postgresql_application_name(longest, "lake").size(), 63U);
  EXPECT_NE(postgresql_application_name(longest, "lake"), postgresql_application_name(longest, "lage"));
  EXPECT_NE(postgresql_application_name("w\xc3\xa4rme", "x"), postgresql_application_name("w\xc3\xb6rme", "x"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
