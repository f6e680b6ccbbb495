#include "uplink/postgresql/postgresql_library.h"

#include "core/shared_library.h"
#include "mqtt/tls_floor.h"
#include "uplink/postgresql_checks.h"

namespace tidegate::uplink {

Result<PostgresqlLibrary> PostgresqlLibrary::load() {
  mqtt::raise_tls_floor();
  const auto library = SharedLibrary::load("libpq.so.5", "libpq5");
  if (!library) return tl::unexpected(library.error());
  PostgresqlLibrary functions;
#define TIDEGATE_POSTGRESQL_FIND(name) \
  if (auto found = library->find("PQ" #name, functions.name); !found) return tl::unexpected(found.error());
  TIDEGATE_POSTGRESQL_FUNCTIONS(TIDEGATE_POSTGRESQL_FIND)
#undef TIDEGATE_POSTGRESQL_FIND
  return functions;
}

Result<void> load_postgresql_library() {
  const auto library = PostgresqlLibrary::load();
  return library ? Result<void>() : tl::unexpected(library.error());
}

}  // namespace tidegate::uplink
