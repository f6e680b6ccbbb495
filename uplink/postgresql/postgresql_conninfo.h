#pragma once

#include <string>
#include <utility>
#include <vector>

#include "uplink/postgresql_options.h"
#include "uplink/revocation_lists.h"

namespace tidegate::uplink {

using PostgresqlParameters = std::vector<std::pair<std::string, std::string>>;

/// What libpq is to be told of a connection. `address` is that of the host in digits, or empty for a Unix socket.
/// `library_version` is PQlibVersion(). Files in a home directory are not heeded, nor is what the environment says of
/// certificates and encryption. An empty value counts as none, so that PGPASSWORD without a password, PGHOSTADDR with a
/// Unix socket, PGOPTIONS, PGSERVICE and PGREQUIREPEER would be heeded: a configuration is refused where those are set.
PostgresqlParameters postgresql_parameters(const PostgresqlUplinkOptions& options, const std::string& gateway,
                                           const std::string& address, int library_version, RevocationLists& lists);

/// What the server shows of the sessions of a gateway's uplink, and of no other: 63 bytes at the most.
std::string postgresql_application_name(const std::string& gateway, const std::string& uplink);

/// A statement that ends all sessions of that name but the one that says it.
std::string postgresql_end_others(const std::string& application_name);

/// One statement that sets what a session of ours needs; settings that this server does not have are left out.
std::string postgresql_session_setup(const PostgresqlUplinkOptions& options);

}  // namespace tidegate::uplink
