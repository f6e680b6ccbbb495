#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"
#include "uplink/postgresql_options.h"

namespace tidegate::uplink {

/// The table of a stream, quoted: {stream} is filled in, `plant.tidegate_{stream}` becomes "plant"."tidegate_readings".
/// Error `invalid` when that is no name as we take it: a table or SCHEMA.TABLE, each of 1 to 63 of the characters
/// a-z A-Z 0-9 _ and beginning with none of the digits.
Result<std::string> postgresql_table(std::string_view table_template, Stream stream);

/// The table of the cursors, quoted; it has no placeholder.
Result<std::string> postgresql_cursor_table(std::string_view name);

/// The tables of an uplink, quoted as they stand in statements.
struct PostgresqlTables {
  std::array<std::string, kStreamCount> records;  // empty: the stream is not sent
  std::string cursors;

  const std::string& of(Stream stream) const { return records[static_cast<std::size_t>(stream)]; }
};

/// Error `invalid` when a name is none, or two of them are the same.
Result<PostgresqlTables> postgresql_tables(const PostgresqlUplinkOptions& options);

/// A literal of SQL, whatever standard_conforming_strings is. The text must not hold a NUL.
std::string postgresql_literal(std::string_view text);

}  // namespace tidegate::uplink
