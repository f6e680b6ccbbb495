#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/config/host_port.h"
#include "daemon/config/keys.h"
#include "daemon/config/postgresql_url.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/tls_rows.h"
#include "daemon/config/uplink_rows.h"
#include "uplink/postgresql/postgresql_names.h"
#include "uplink/postgresql_checks.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using uplink::PostgresqlUplinkOptions;

Result<void> check_table(const std::string& table) {
  for (const Stream stream : kAllStreams) {
    if (const auto name = uplink::postgresql_table(table, stream); !name) return tl::unexpected(name.error());
  }
  return {};
}

Result<void> check_cursor_table(const std::string& table) {
  const auto name = uplink::postgresql_cursor_table(table);
  return name ? Result<void>() : tl::unexpected(name.error());
}

bool stays_here(const PostgresqlUplinkOptions& uplink) {
  return uplink.host.starts_with('/') || is_loopback_host(uplink.host);
}

// libpq knows no way to refuse that before version 16.
void warn_of_clear_text(const Scope& scope) {
  if (!scope.has("password")) return;
  scope.odd("password",
            "is sent in the clear without TLS to whoever listens at that port and asks for it so; use a Unix socket, "
            "such as \"postgresql:///DATABASE?host=/run/postgresql\", or the table \"tls\"");
}

void finish_tls(PostgresqlUplinkOptions& uplink, bool is_plain, const Scope& scope) {
  const bool has_table = scope.has("tls") && scope.is_sound("tls");
  if (!scope.is_sound("url") || uplink.host.empty()) return;
  if (has_table && uplink.host.starts_with('/')) {
    return scope.wrong("tls", "is not for a Unix socket, over which PostgreSQL has no TLS");
  }
  if (uplink.host.starts_with('/') && scope.has("encryption") && !is_plain) {
    return scope.wrong("encryption", "cannot be \"tls\" with a Unix socket, over which PostgreSQL has no TLS");
  }
  if (has_table && is_plain) return scope.wrong("tls", "does not go with encryption = \"none\"");
  if (has_table) check_tls_table(*uplink.tls, "server", scope.table("tls"));
  if (has_table) return;
  const bool wants_tls = scope.has("encryption") ? !is_plain : !stays_here(uplink);
  wants_tls ? (void)uplink.tls.emplace() : uplink.tls.reset();
  if (wants_tls || uplink.host.starts_with('/')) return;
  if (stays_here(uplink)) return warn_of_clear_text(scope);
  scope.odd("encryption", std::string("records go over the network unencrypted") +
                              (scope.has("password") ? ", and the password in whatever form the server asks for" : "") +
                              "; leave it out, and set the table \"tls\" where the server's authority is your own");
}

// libpq takes an empty parameter for one that is not given, so that these cannot be overridden.
void refuse_environment(const PostgresqlUplinkOptions& uplink, const Scope& scope) {
  const auto refuse = [&scope](const char* name, std::string_view key) {
    if (const char* const value = std::getenv(name); value == nullptr || *value == '\0') return;
    scope.wrong(key, std::string("is not all that libpq would heed: the environment has ") + name + "; unset it");
  };
  if (!scope.has("password")) refuse("PGPASSWORD", "");
  if (uplink.host.starts_with('/')) refuse("PGHOSTADDR", "url");
  for (const char* const name : {"PGOPTIONS", "PGSERVICE", "PGREQUIREPEER"}) refuse(name, "");
}

void finish_postgresql(PostgresqlUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  refuse_environment(uplink, scope);
  uplink.forwarder.takes_letters = false;  // the cursor would follow them
  // Whatever goes wrong ends the link.
  uplink.forwarder.blames_size_for_lost_links = uplink.forwarder.doubts_short_links = false;
  finish_tls(uplink, uplink.is_plain, scope);
  if (scope.is_sound("table") && scope.is_sound("cursor_table")) {
    const auto tables = uplink::postgresql_tables(uplink);
    if (!tables) scope.wrong("table", tables.error().message);
  }
  if (const auto library = uplink::load_postgresql_library(); !library) scope.wrong("", library.error().message);
}

std::vector<Key> connection_rows() {
  using namespace rows;
  using Owner = PostgresqlUplinkOptions;
  return {
      name_row<Owner>(),
      parsed<Owner>("url", parse_postgresql_url)
          .required()
          .must_be("\"postgresql://HOST[:PORT]/DATABASE\" or \"postgresql:///DATABASE?host=/DIRECTORY\"")
          .example("\"postgresql://db.example/plant\"")
          .says("The server and the database, without a login. The port is 5432 when none is given; "
                "`postgresql:///plant?host=/run/postgresql` is a Unix socket."),
      text<Owner>("username", &Owner::username).required().example("\"gateway\"").says("Login."),
      secret<Owner>("password", &Owner::password)
          .example("{ file = \"secret\" }")
          .says("Password of the login; none is needed where the server knows us by our certificate, or by who we are "
                "on this machine."),
      choice<Owner, bool>("encryption", &Owner::is_plain, {{"tls", false}, {"none", true}})
          .by_default_is("tls; none for a loopback address without the table `tls`, and for a Unix socket")
          .example("\"none\"")
          .says("`tls` is at least version 1.2, with a certificate of the server that is checked and bears the host's "
                "name. `none` sends everything as it is, for a network that nobody else is in."),
      duration<Owner>("connect_timeout", &Owner::connect_timeout, 1s, 5min)
          .by_default("10s")
          .says("How long one try to connect may take, TLS and login included."),
      duration<Owner>("timeout", &Owner::timeout, 1s, 1h)
          .by_default("60s")
          .says("How long a transaction may take as a whole. After one that took longer less goes into the next."),
  };
}

std::vector<Key> table_rows() {
  using namespace rows;
  using Owner = PostgresqlUplinkOptions;
  return {
      checked<Owner>("table", &Owner::table, check_table)
          .must_be("TABLE or SCHEMA.TABLE with {stream}")
          .by_default("tidegate_{stream}")
          .says("Where records go, a table a stream: their columns are told in [postgresql.md](postgresql.md). Upper "
                "case counts."),
      checked<Owner>("cursor_table", &Owner::cursor_table, check_cursor_table)
          .must_be("TABLE or SCHEMA.TABLE")
          .by_default("tidegate_cursors")
          .says("Where the cursors of gateways are kept, each in one transaction with the records before it."),
      boolean<Owner>("create_tables", &Owner::create_tables)
          .by_default(true)
          .says(
              "Makes tables that are not there. Those that are there are only looked at: a hypertable, partitions and "
              "indexes are made beforehand."),
  };
}

// The cursor in the database is one place a stream, and lanes are two.
Key order_row() {
  using namespace rows;
  return only_word("order", "oldest-first")
      .by_default("oldest-first")
      .says(
          "What goes first after an outage. There is no `live-first` here: the cursor in the database is one place a "
          "stream.");
}

}  // namespace

Section postgresql_uplink_keys() {
  using namespace rows;
  using Owner = PostgresqlUplinkOptions;
  Section section =
      list<Config>("postgresql", &Config::postgresql_uplinks,
                   "A row a record into tables of PostgreSQL or TimescaleDB, each there once: the uplink's "
                   "cursor is kept there in the same transactions. Needs the package libpq5.");
  section.keys = connection_rows();
  for (Key& key : table_rows()) section.keys.push_back(std::move(key));
  for (Key& key : forwarder_rows<Owner>()) {
    section.keys.push_back(key.name == "order" ? order_row() : std::move(key));
  }
  Section tls = table<Owner>(
      "tls", [](Owner & owner) -> auto& { return owner.tls.emplace(); },
      "How the server is checked and how we show who we are. The connection is TLS when this table is there.");
  tls.keys = tls_rows("server");
  section.sections = {std::move(tls), batch_keys<Owner>(), weight_keys<Owner>()};
  section.finish = finish<Owner>(finish_postgresql);
  return section;
}

}  // namespace tidegate::daemon
