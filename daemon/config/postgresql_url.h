#pragma once

#include <string>

#include "core/error.h"
#include "uplink/postgresql_options.h"

namespace tidegate::daemon {

/// "postgresql://HOST[:PORT]/DATABASE", or "postgresql:///DATABASE?host=/DIRECTORY[&port=PORT]" for a Unix socket, into
/// host, port and database. A login in it is an error, and is not shown.
Result<void> parse_postgresql_url(const std::string& url, uplink::PostgresqlUplinkOptions& into);

}  // namespace tidegate::daemon
