#include "uplink/postgresql/postgresql_cursor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "core/clock.h"
#include "tests/support/postgresql_server.h"
#include "uplink/postgresql/postgresql_session.h"
#include "uplink/postgresql/postgresql_tables.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using tidegate::testing::PostgresqlServer;

class PostgresqlCursorTest : public ::testing::Test {
 protected:
  PostgresqlCursorTest() : library_(PostgresqlLibrary::load().value()) {
    server_.start();
    options_.host = "127.0.0.1";
    options_.port = server_.port();
    options_.database = "plant";
    options_.username = "gateway";
    options_.forwarder.name = "lake";
    const auto connection = connect();
    const auto tables = postgresql_tables(options_).value();
    EXPECT_TRUE(prepare_postgresql_tables(*connection, tables, true, deadline()));
  }

  BootTime deadline() const { return clock_.boot_now() + seconds(30); }
  std::unique_ptr<PostgresqlConnection> connect() {
    auto connection = std::make_unique<PostgresqlConnection>(library_, clock_, [] { return false; });
    const auto parameters = postgresql_parameters(options_, "gw", "127.0.0.1", library_.libVersion(), lists_);
    const auto connected = connection->connect(parameters, deadline());
    EXPECT_TRUE(connected) << connected.error().message;
    return connection;
  }
  static PostgresqlCursor cursor(const std::string& instance) {
    return {R"("tidegate_cursors")", "gw", "lake", instance};
  }
  static TargetCursor place(std::uint64_t next) { return {{"ab", {1}}, "x", {{Stream::readings, {1, next}}}}; }
  PostgresqlCursor::Claim claim(PostgresqlCursor& cursor, PostgresqlConnection& connection) {
    auto claimed = cursor.claim(connection, place(0), deadline());
    EXPECT_TRUE(claimed) << claimed.error().message;
    return claimed.value_or(PostgresqlCursor::Claim{});
  }
  std::uint64_t rows_touched(PostgresqlConnection& connection, const std::string& statement) {
    EXPECT_TRUE(connection.send(statement, deadline()));
    const auto answer = connection.next(deadline());
    EXPECT_TRUE(connection.next(deadline()));
    return answer ? answer->affected : 99;
  }

  const SystemClock clock_;
  PostgresqlServer server_;
  PostgresqlUplinkOptions options_;
  RevocationLists lists_;
  const PostgresqlLibrary library_;
};

TEST_F(PostgresqlCursorTest, a_claim_reads_back_what_was_moved) {
  const auto connection = connect();
  auto ours = cursor("a");
  EXPECT_EQ(claim(ours, *connection).found, std::nullopt);
  EXPECT_EQ(rows_touched(*connection, ours.move_statement(place(7))), 1U);
  EXPECT_EQ(claim(ours, *connection).found, place(7));
  auto others = cursor("b");
  EXPECT_EQ(claim(others, *connection).found, place(7));
}

// It may lie in a buffer of a connection that is given up, and be read by the server behind the next claim.
TEST_F(PostgresqlCursorTest, a_statement_of_an_earlier_session_finds_no_row) {
  const auto earlier = connect();
  const auto later = connect();
  auto ours = cursor("a");
  claim(ours, *earlier);
  const std::string late = ours.move_statement(place(1));
  claim(ours, *later);
  EXPECT_EQ(rows_touched(*later, ours.move_statement(place(5))), 1U);
  EXPECT_EQ(rows_touched(*earlier, late), 0U);
  EXPECT_EQ(claim(ours, *later).found, place(5));
}

TEST_F(PostgresqlCursorTest, who_was_followed_by_another_process_leaves_the_row_to_it) {
  const auto first = connect();
  const auto second = connect();
  auto ours = cursor("a");
  auto theirs = cursor("b");
  claim(ours, *first);
  claim(theirs, *second);
  EXPECT_EQ(rows_touched(*first, ours.move_statement(place(1))), 0U);
  EXPECT_EQ(claim(ours, *first).successor, "b");
  first->query("ROLLBACK", deadline());
  EXPECT_EQ(rows_touched(*second, theirs.move_statement(place(2))), 1U);
}

// What stands there then is of a process of before.
TEST_F(PostgresqlCursorTest, a_row_that_came_from_a_backup_is_claimed) {
  const auto connection = connect();
  auto ours = cursor("a");
  claim(ours, *connection);
  claim(ours, *connection);
  server_.query("UPDATE tidegate_cursors SET generation = 1, session = 'old/1'");
  EXPECT_EQ(claim(ours, *connection).successor, "");
  EXPECT_EQ(rows_touched(*connection, ours.move_statement(place(3))), 1U);
  server_.query("DELETE FROM tidegate_cursors");
  EXPECT_EQ(claim(ours, *connection).found, std::nullopt);
}

TEST_F(PostgresqlCursorTest, what_is_under_way_holds_a_claim_up_and_is_seen_by_it) {
  const auto earlier = connect();
  const auto later = connect();
  auto ours = cursor("a");
  claim(ours, *earlier);
  ASSERT_TRUE(earlier->query("BEGIN; " + ours.move_statement(place(9)), deadline()));
  ASSERT_TRUE(later->query("SET lock_timeout = '100ms'", deadline()));
  const auto refused = ours.claim(*later, place(0), deadline());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("another session holds this uplink's cursor"));
  ASSERT_TRUE(earlier->query("COMMIT", deadline()));
  const auto next = connect();
  EXPECT_EQ(claim(ours, *next).found, place(9));
}

// As behind a proxy that keeps its connection to the server though ours is gone.
TEST_F(PostgresqlCursorTest, an_earlier_session_that_keeps_the_row_is_ended) {
  const auto earlier = connect();
  auto before = cursor("a");
  claim(before, *earlier);
  ASSERT_TRUE(earlier->send("BEGIN; " + before.move_statement(place(9)) + "; COPY tidegate_readings FROM STDIN; COMMIT",
                            deadline()));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(earlier->next(deadline()));
  options_.connect_timeout = seconds(1);  // of the lock too
  PostgresqlSession session(library_, options_, "gw", postgresql_tables(options_).value(), "b", [] { return false; });
  const auto refused = session.open(place(0));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("another session holds this uplink's cursor"));
  const auto claimed = session.open(place(0));
  ASSERT_TRUE(claimed) << claimed.error().message;
  EXPECT_EQ(claimed->found, place(0));
}

TEST_F(PostgresqlCursorTest, a_claim_that_fails_for_another_reason_ends_no_session) {
  const auto other = connect();
  auto theirs = cursor("a");
  claim(theirs, *other);
  server_.query("UPDATE tidegate_cursors SET cursor = 'none'");
  PostgresqlSession session(library_, options_, "gw", postgresql_tables(options_).value(), "b", [] { return false; });
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(session.open(place(0)));
  EXPECT_TRUE(other->query("SELECT 1", deadline()));
}

TEST_F(PostgresqlCursorTest, tables_that_keep_nothing_or_not_one_row_are_refused) {
  PostgresqlSession session(library_, options_, "gw", postgresql_tables(options_).value(), "a", [] { return false; });
  const auto said = [&] {
    const auto opened = session.open(place(0));
    session.close();
    return opened ? "" : opened.error().message;
  };
  EXPECT_EQ(said(), "");
  server_.query("ALTER TABLE tidegate_readings SET UNLOGGED");
  EXPECT_THAT(said(), HasSubstr("table \"tidegate_readings\" is UNLOGGED"));
  server_.query("ALTER TABLE tidegate_readings SET LOGGED; CREATE UNLOGGED TABLE part () INHERITS (tidegate_readings)");
  EXPECT_THAT(said(), HasSubstr("has a partition that is UNLOGGED"));
  server_.query(
      "DROP TABLE part; ALTER TABLE tidegate_events RENAME TO e; CREATE VIEW tidegate_events AS SELECT * FROM e; "
      "ALTER VIEW tidegate_events OWNER TO gateway");
  EXPECT_THAT(said(), HasSubstr("is a view or a foreign table"));
  server_.query("DROP VIEW tidegate_events; ALTER TABLE e RENAME TO tidegate_events");
  server_.query(
      "ALTER TABLE tidegate_cursors DROP CONSTRAINT tidegate_cursors_pkey; CREATE UNIQUE INDEX i ON tidegate_cursors "
      "(gateway, uplink) WHERE generation > 0; CREATE UNIQUE INDEX j ON tidegate_cursors (gateway, session)");
  EXPECT_THAT(said(), HasSubstr("has no unique index over gateway and uplink"));
  server_.query("CREATE UNIQUE INDEX k ON tidegate_cursors (uplink, gateway)");
  EXPECT_EQ(said(), "");
}

TEST_F(PostgresqlCursorTest, a_row_that_is_there_twice_is_refused) {
  const auto connection = connect();
  auto ours = cursor("a");
  claim(ours, *connection);
  server_.query(
      "ALTER TABLE tidegate_cursors DROP CONSTRAINT tidegate_cursors_pkey; INSERT INTO tidegate_cursors SELECT * FROM "
      "tidegate_cursors");
  const auto claimed = ours.claim(*connection, place(0), deadline());
  ASSERT_FALSE(claimed);
  EXPECT_THAT(claimed.error().message, HasSubstr("has 2 rows for gateway E'gw', uplink E'lake' and must have one"));
}

TEST_F(PostgresqlCursorTest, what_is_no_cursor_is_named) {
  const auto connection = connect();
  auto ours = cursor("a");
  claim(ours, *connection);
  server_.query("UPDATE tidegate_cursors SET cursor = 'none'");
  const auto claimed = ours.claim(*connection, place(0), deadline());
  ASSERT_FALSE(claimed);
  EXPECT_THAT(claimed.error().message, HasSubstr("is no cursor of an uplink: none"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
