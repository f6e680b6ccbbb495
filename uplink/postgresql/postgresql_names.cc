#include "uplink/postgresql/postgresql_names.h"

#include <algorithm>

#include "core/text.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kIdentifierBytesMax = 63;  // the server cuts longer ones off
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

bool is_identifier(std::string_view name) {
  return !name.empty() && name.size() <= kIdentifierBytesMax && kLetters.find(name.front()) != std::string_view::npos &&
         name.find_first_not_of(kCharacters) == std::string_view::npos;
}

Result<std::string> quoted_table(const Result<std::string>& name) {
  if (!name) return name;
  const auto parts = split(*name, '.');
  std::string quoted;
  bool is_legal = parts.size() <= 2;
  for (const std::string_view part : parts) {
    is_legal = is_legal && is_identifier(part);
    quoted += (quoted.empty() ? "\"" : ".\"") + std::string(part) + "\"";
  }
  if (is_legal) return quoted;
  return fail(ErrorCode::invalid, "table \"" + clip(*name) +
                                      "\" is no name that is taken: it must be TABLE or SCHEMA.TABLE, each of 1 to 63 "
                                      "of the characters a-z A-Z 0-9 _ and without a digit in front");
}

}  // namespace

Result<std::string> postgresql_table(std::string_view table_template, Stream stream) {
  return quoted_table(fill_placeholders(table_template, {{"stream", to_string(stream)}}));
}

Result<std::string> postgresql_cursor_table(std::string_view name) { return quoted_table(std::string(name)); }

Result<PostgresqlTables> postgresql_tables(const PostgresqlUplinkOptions& options) {
  PostgresqlTables tables;
  const auto cursors = postgresql_cursor_table(options.cursor_table);
  if (!cursors) return tl::unexpected(cursors.error());
  tables.cursors = *cursors;
  for (const Stream stream : options.forwarder.streams) {
    const auto table = postgresql_table(options.table, stream);
    if (!table) return tl::unexpected(table.error());
    const bool is_taken = *table == tables.cursors ||
                          std::find(tables.records.begin(), tables.records.end(), *table) != tables.records.end();
    if (is_taken) {
      return fail(
          ErrorCode::invalid,
          "table " + *table + " would be that of two things: each stream, and the cursors, need one of their own");
    }
    tables.records[static_cast<std::size_t>(stream)] = *table;
  }
  return tables;
}

std::string postgresql_literal(std::string_view text) {
  std::string literal = "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') literal += c;
    literal += c;
  }
  return literal + "'";
}

}  // namespace tidegate::uplink
