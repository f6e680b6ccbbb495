#pragma once

#include <string>

#include "core/error.h"

namespace tidegate::uplink {

// Codes that more than words depend on.
inline constexpr const char* kPostgresqlLocked = "55P03";   // lock_timeout
inline constexpr const char* kPostgresqlTooSlow = "57014";  // statement_timeout
inline constexpr const char* kPostgresqlDuplicate = "23505";

/// What the server has said against something.
struct PostgresqlComplaint {
  std::string sqlstate;  // five characters; empty: that is not known
  std::string text;      // in one line
};

/// What went wrong, and what helps. The code is `link_down` where the connection is gone or cannot be had, `retry`
/// where the server cannot do it now, and `invalid` where it refuses what it was told to do.
Error describe_postgresql(const PostgresqlComplaint& complaint);

/// Of a message that libpq has put together with all its details: "...FATAL:  28P01: password authentication failed".
/// In one line, without the place in the server's source.
PostgresqlComplaint parse_postgresql_message(const std::string& message);

/// What a message has in several lines, in one.
std::string one_line(std::string text);

}  // namespace tidegate::uplink
