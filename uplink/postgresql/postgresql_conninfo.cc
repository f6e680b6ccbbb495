#include "uplink/postgresql/postgresql_conninfo.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "uplink/postgresql/postgresql_names.h"

namespace tidegate::uplink {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kKnowsSystemAuthorities = 160000;
constexpr const char* kDebianAuthorities = "/etc/ssl/certs/ca-certificates.crt";
// An empty value would mean the default, which lies in the home directory. Nothing can be below a file.
constexpr const char* kNoFile = "/dev/null/none";
constexpr const char* kDeadAfterMilliseconds = "45000";  // with bytes on their way that nobody acknowledges

std::string file_or_none(const std::string& path) { return path.empty() ? kNoFile : path; }

void add_tls(const mqtt::TlsOptions& tls, int library_version, RevocationLists& lists, PostgresqlParameters& into) {
  into.emplace_back("ssl_min_protocol_version", "TLSv1.2");
  into.emplace_back("sslcert", file_or_none(tls.cert_file));
  into.emplace_back("sslkey", file_or_none(tls.key_file));
  into.emplace_back("sslmode", tls.verify ? "verify-full" : "require");
  if (!tls.verify) {
    into.emplace_back("sslrootcert", kNoFile);  // one that is there is heeded also by "require"
  } else if (!tls.ca_file.empty()) {
    into.emplace_back("sslrootcert", tls.ca_file);
  } else {
    into.emplace_back("sslrootcert", library_version >= kKnowsSystemAuthorities ? "system" : kDebianAuthorities);
  }
  const bool has_lists = tls.verify && !tls.ca_file.empty() && lists.are_in(tls.ca_file);
  into.emplace_back("sslcrl", has_lists ? tls.ca_file : kNoFile);
}

std::string milliseconds_of(Duration duration) {
  return std::to_string(std::chrono::ceil<milliseconds>(duration).count());
}

}  // namespace

PostgresqlParameters postgresql_parameters(const PostgresqlUplinkOptions& options, const std::string& gateway,
                                           const std::string& address, int library_version, RevocationLists& lists) {
  PostgresqlParameters parameters{
      {"host", options.host},
      {"port", std::to_string(options.port)},
      {"dbname", options.database},
      {"user", options.username},
      {"password", options.password},
      {"passfile", kNoFile},
      {"application_name", postgresql_application_name(gateway, options.forwarder.name)},
      {"client_encoding", "UTF8"},
      {"gssencmode", "disable"},
      {"target_session_attrs", "any"},
      {"channel_binding", "prefer"},
      {"keepalives", "1"},
      {"keepalives_idle", "20"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "4"},
      {"tcp_user_timeout", kDeadAfterMilliseconds},
  };
  if (!address.empty()) parameters.emplace_back("hostaddr", address);
  if (options.tls) {
    add_tls(*options.tls, library_version, lists, parameters);
  } else {
    parameters.emplace_back("sslmode", "disable");
  }
  return parameters;
}

// The server cuts longer ones off, and characters that are not ASCII become '?' there.
std::string postgresql_application_name(const std::string& gateway, const std::string& uplink) {
  constexpr std::size_t kBytesMax = 63;
  const std::string name = "tidegate " + gateway + "/" + uplink;
  const bool is_plain = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
  if (is_plain && name.size() <= kBytesMax) return name;
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("tidegate {:016x}", hash);
}

std::string postgresql_end_others(const std::string& application_name) {
  return "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = " +
         postgresql_literal(application_name) +
         " AND usename = current_user AND datname = pg_catalog.current_database() AND pid <> "
         "pg_catalog.pg_backend_pid()";
}

// The server too finds that we are gone, and lets go of the cursor that a transaction of ours holds.
std::string postgresql_session_setup(const PostgresqlUplinkOptions& options) {
  const PostgresqlParameters settings{
      {"statement_timeout", milliseconds_of(options.timeout)},
      {"lock_timeout", milliseconds_of(options.connect_timeout)},
      {"idle_in_transaction_session_timeout", milliseconds_of(options.timeout + seconds(10))},
      {"idle_session_timeout", "0"},
      {"tcp_keepalives_idle", "20"},
      {"tcp_keepalives_interval", "5"},
      {"tcp_keepalives_count", "4"},
      {"tcp_user_timeout", kDeadAfterMilliseconds},
  };
  std::string values;
  for (const auto& [name, value] : settings) {
    values += (values.empty() ? "(" : ", (") + postgresql_literal(name) + ", " + postgresql_literal(value) + ")";
  }
  return "SELECT pg_catalog.set_config(s.name, s.setting, false) FROM (VALUES " + values +
         ") AS s(name, setting) JOIN pg_catalog.pg_settings USING (name); "
         "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) "
         "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'; "
         "SELECT pg_catalog.current_setting('server_encoding'), pg_catalog.current_setting('transaction_read_only'), "
         "pg_catalog.pg_is_in_recovery()";
}

}  // namespace tidegate::uplink
