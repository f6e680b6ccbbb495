#include "uplink/postgresql/postgresql_cursor.h"

#include <charconv>
#include <utility>

#include "uplink/postgresql/postgresql_names.h"
#include "uplink/postgresql/postgresql_troubles.h"

namespace tidegate::uplink {
namespace {

constexpr const char* kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED; ";

std::string session_of(const std::string& instance, std::uint64_t number) {
  return instance + "/" + std::to_string(number);
}

std::string reason(const PostgresqlConnection& connection, const Error& error) {
  const bool is_locked = connection.sqlstate() == kPostgresqlLocked;
  return (is_locked ? "another session holds this uplink's cursor: " : "") + error.message;
}

}  // namespace

PostgresqlCursor::PostgresqlCursor(std::string table, const std::string& gateway, const std::string& uplink,
                                   std::string instance)
    : table_(std::move(table)),
      gateway_(postgresql_literal(gateway)),
      uplink_(postgresql_literal(uplink)),
      where_(" WHERE gateway = " + gateway_ + " AND uplink = " + uplink_),
      instance_(std::move(instance)) {}

Result<PostgresqlCursor::Claim> PostgresqlCursor::claim(PostgresqlConnection& connection, const TargetCursor& beginning,
                                                        BootTime deadline) {
  const auto rows = connection.query(
      kBegin + ("SELECT generation, session, cursor FROM " + table_) + where_ + " FOR UPDATE", deadline);
  if (!rows) return fail(rows.error().code, "table " + table_ + ": " + reason(connection, rows.error()));
  if (rows->size() > 1) {
    return fail(ErrorCode::invalid, "table " + table_ + " has " + std::to_string(rows->size()) + " rows for gateway " +
                                        gateway_ + ", uplink " + uplink_ +
                                        " and must have one: delete the others, and add UNIQUE (gateway, uplink)");
  }
  ++sessions_;
  const std::string session = session_of(instance_, sessions_);
  Claim claim;
  std::uint64_t before = 0;
  std::string statement;
  if (rows->empty()) {
    statement = "INSERT INTO " + table_ + " (gateway, uplink, generation, session, cursor, updated) VALUES (" +
                gateway_ + ", " + uplink_ + ", 1, " + postgresql_literal(session) + ", " +
                postgresql_literal(to_json(beginning)) + ", now()) RETURNING generation";
  } else {
    const auto& row = rows->front();
    const std::string generation = row[0].value_or("0");
    std::from_chars(generation.data(), generation.data() + generation.size(), before);
    const std::string owner = row[1].value_or("");
    const std::string instance = owner.substr(0, owner.find('/'));
    if (generation_ != 0 && before > generation_ && instance != instance_) {
      claim.successor = instance;
      return claim;
    }
    auto cursor = parse_target_cursor(row[2].value_or(""));
    if (!cursor) {
      return fail(ErrorCode::invalid, "table " + table_ + ": what stands there for gateway " + gateway_ + ", uplink " +
                                          uplink_ + " " + cursor.error().message);
    }
    claim.found = std::move(*cursor);
    statement = "UPDATE " + table_ + " SET generation = generation + 1, session = " + postgresql_literal(session) +
                ", updated = now()" + where_ + " RETURNING generation";
  }
  const auto generation = write(connection, statement, deadline);
  if (!generation)
    return fail(generation.error().code, "table " + table_ + ": " + reason(connection, generation.error()));
  generation_ = *generation;
  return claim;
}

Result<std::uint64_t> PostgresqlCursor::write(PostgresqlConnection& connection, const std::string& statement,
                                              BootTime deadline) const {
  const auto rows = connection.query(statement, deadline);
  if (!rows) return tl::unexpected(rows.error());
  std::uint64_t generation = 0;
  if (!rows->empty()) {
    const std::string text = rows->front().front().value_or("");
    std::from_chars(text.data(), text.data() + text.size(), generation);
  }
  if (generation == 0) return fail(ErrorCode::invalid, "the cursor was not written: is there a trigger or a policy?");
  if (const auto committed = connection.query("COMMIT", deadline); !committed) {
    return tl::unexpected(committed.error());
  }
  return generation;
}

std::string PostgresqlCursor::move_statement(const TargetCursor& to) const {
  return "UPDATE " + table_ + " SET cursor = " + postgresql_literal(to_json(to)) + ", updated = now()" + where_ +
         " AND generation = " + std::to_string(generation_) +
         " AND session = " + postgresql_literal(session_of(instance_, sessions_));
}

}  // namespace tidegate::uplink
