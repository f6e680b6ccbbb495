#include "tests/support/postgresql_server.h"

#include <libpq-fe.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "core/parse_whole.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{60};
constexpr const char* kOwner = "postgres";

std::runtime_error failure(const std::string& what) { return std::runtime_error("PostgreSQL: " + what); }

// Debian has the programs of each version in a directory of its own.
std::string newest_programs() {
  std::filesystem::path newest;
  int best = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = parse_whole<int>(entry.path().filename().string()).value_or(0);
    if (version <= best || !std::filesystem::exists(entry.path() / "bin/initdb")) continue;  // only its client
    newest = entry.path() / "bin";
    best = version;
  }
  if (newest.empty()) throw failure("there is no /usr/lib/postgresql/*/bin/initdb: scripts/setup installs it");
  return newest;
}

bool are_we_root() { return ::geteuid() == 0; }

// Who the server runs as has to get there.
void expect_way_to(const std::filesystem::path& path) {
  for (auto folder = path.parent_path(); folder != folder.root_path(); folder = folder.parent_path()) {
    const auto rights = std::filesystem::status(folder).permissions();
    if ((rights & std::filesystem::perms::others_exec) != std::filesystem::perms::none) continue;
    throw failure("the user postgres, whom the server runs as, may not enter " + folder.string() +
                  ": set TMPDIR to a directory that everybody may enter");
  }
}

void give_to_owner(const std::string& path) {
  if (!are_we_root()) return;
  const passwd* const owner = ::getpwnam(kOwner);
  if (owner == nullptr || ::chown(path.c_str(), owner->pw_uid, owner->pw_gid) != 0) {
    throw failure("cannot give " + path + " to the user postgres");
  }
}

void copy_folder(const std::string& from, const std::string& to) {
  const auto copied = run_to_end({"/bin/cp", "-a", "--reflink=auto", from, to}, {}, kPatience);
  if (copied.end.exit_code != 0) throw failure(copied.errors);
}

}  // namespace

PostgresqlServer::PostgresqlServer(const std::string& configuration)
    : programs_(newest_programs()), port_(free_port()) {
  make_cluster(configuration);
}

PostgresqlServer::~PostgresqlServer() {
  if (process_ && process_->is_running()) {
    process_->send_signal(SIGQUIT);
    (void)process_->wait_for_end(seconds(10));
  }
}

std::vector<std::string> PostgresqlServer::as_owner(std::vector<std::string> arguments) const {
  if (!are_we_root()) return arguments;
  // Who changes its user forgets the signal that it is to get when its parent dies.
  std::vector<std::string> all{"/usr/bin/setpriv", std::string("--reuid=") + kOwner, std::string("--regid=") + kOwner,
                               "--clear-groups", "--pdeathsig=KILL"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

void PostgresqlServer::make_cluster(const std::string& configuration) const {
  if (are_we_root()) expect_way_to(directory_.path());
  give_to_owner(directory_.path());
  const std::string model = model_cluster();
  if (std::filesystem::exists(model)) {
    copy_folder(model, directory_ / "data");
  } else {
    const auto made = run_to_end(as_owner({programs_ + "/initdb", "-D", directory_ / "data", "-U", "postgres", "-A",
                                           "trust", "-E", "UTF8", "--no-locale", "--no-sync"}),
                                 {}, kPatience);
    if (made.end.exit_code != 0) throw failure(made.output + made.errors);
    keep_as_model(model);
  }
  const std::string file = directory_ / "data/postgresql.conf";
  write_file(file, read_file(file) + "\nlisten_addresses = '127.0.0.1'\nport = " + std::to_string(port_) +
                       "\nunix_socket_directories = '" + directory() + "'\nfsync = off\nshared_buffers = 32MB\n" +
                       "logging_collector = off\nautovacuum = off\n" + configuration);
}

// In the build folder, as initdb has left it. There is another one for who must not or cannot use that of another user.
std::string PostgresqlServer::model_cluster() const {
  const auto build = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const std::string version = std::filesystem::path(programs_).parent_path().filename();
  return build / ("postgresql-" + version + "-cluster-" + std::to_string(::geteuid()));
}

// Several may do so at once: it is there as a whole or not at all.
void PostgresqlServer::keep_as_model(const std::string& model) const {
  const std::string draft = model + "." + std::to_string(::getpid());
  copy_folder(directory_ / "data", draft);
  std::error_code problem;
  std::filesystem::rename(draft, model, problem);
  if (problem) std::filesystem::remove_all(draft);
}

void PostgresqlServer::set_access(const std::string& lines) {
  std::string text = lines;
  for (auto at = text.find("{dir}"); at != std::string::npos; at = text.find("{dir}")) text.replace(at, 5, directory());
  write_file(directory_ / "data/pg_hba.conf", text);
}

void PostgresqlServer::reload() { process_->send_signal(SIGHUP); }

void PostgresqlServer::start() {
  const std::string log = directory_ / "log";
  process_ = std::make_unique<ProcessUnderTest>(
      ProcessUnderTest::Options{as_owner({programs_ + "/postgres", "-D", directory_ / "data"}), {}, log, log});
  const auto answers = [this] {
    if (!process_->is_running()) return true;
    try {
      return !ask("postgres", "SELECT 1").empty();
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  if (!wait_until(answers, kPatience) || !process_->is_running()) throw failure("does not start: " + this->log());
  if (!std::exchange(has_database_, true)) make_database();
}

void PostgresqlServer::make_database() const {
  ask("postgres", "CREATE ROLE gateway LOGIN");
  ask("postgres", "CREATE DATABASE plant OWNER gateway");
}

void PostgresqlServer::stop() { end(SIGINT); }
void PostgresqlServer::stop_at_once() { end(SIGQUIT); }

void PostgresqlServer::end(int signal) {
  process_->send_signal(signal);
  if (!process_->wait_for_end(kPatience)) throw failure("does not end on signal " + std::to_string(signal));
}

std::string PostgresqlServer::socket_url() const {
  return "postgresql:///plant?host=" + directory() + "&port=" + std::to_string(port_);
}

std::string PostgresqlServer::put_file(const std::string& name, const std::string& content) const {
  const std::string path = directory_ / name;
  write_file(path, content);
  if (::chmod(path.c_str(), 0600) != 0) throw failure("chmod " + path);
  give_to_owner(path);
  return path;
}

std::vector<PostgresqlServer::Row> PostgresqlServer::query(const std::string& statements) const {
  return ask("plant", statements);
}

std::string PostgresqlServer::value(const std::string& statements) const {
  const auto rows = query(statements);
  return rows.empty() || rows.front().empty() ? "" : rows.front().front().value_or("");
}

std::vector<PostgresqlServer::Row> PostgresqlServer::ask(const std::string& database,
                                                         const std::string& statements) const {
  const std::string parameters = "host=" + directory() + " port=" + std::to_string(port_) + " dbname=" + database +
                                 " user=postgres connect_timeout=10 options='-c client_min_messages=error'";
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(parameters.c_str()), PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) throw failure(PQerrorMessage(connection.get()));
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), statements.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw failure(PQerrorMessage(connection.get()));
  std::vector<Row> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    Row& fields = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      if (PQgetisnull(result.get(), row, column) != 0) {
        fields.emplace_back();
      } else {
        fields.emplace_back(PQgetvalue(result.get(), row, column));
      }
    }
  }
  return rows;
}

}  // namespace tidegate::testing
