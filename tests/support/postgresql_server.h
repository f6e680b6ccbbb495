#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// PostgreSQL in a process of its own, with a cluster of its own in a temporary directory, at a port of 127.0.0.1 and a
/// Unix socket that stay when it is stopped and started again. Runs as the user postgres where we are root, whom it
/// does not let. It dies with the thread that started it. Functions throw std::runtime_error, with its own words.
class PostgresqlServer {
 public:
  using Row = std::vector<std::optional<std::string>>;

  /// Makes the cluster: database "plant" comes with the first start, user "gateway" owns it and needs no password.
  /// `configuration` are more lines of postgresql.conf.
  explicit PostgresqlServer(const std::string& configuration = "");
  PostgresqlServer(const PostgresqlServer&) = delete;
  PostgresqlServer& operator=(const PostgresqlServer&) = delete;
  ~PostgresqlServer();

  /// Returns when it answers.
  void start();
  /// Ends connections and shuts down.
  void stop();
  /// "Immediate": as if the power went, but for the files.
  void stop_at_once();
  /// What pg_hba.conf has, from the next start() or reload on; {dir} is directory().
  void set_access(const std::string& lines);
  void reload();

  std::uint16_t port() const { return port_; }
  std::string directory() const { return directory_.path(); }
  std::string url() const { return "postgresql://127.0.0.1:" + std::to_string(port_) + "/plant"; }
  std::string socket_url() const;
  std::string log() const { return read_file(directory_ / "log"); }
  /// A file that the server may read, with the rights that a private key needs.
  std::string put_file(const std::string& name, const std::string& content) const;

  /// As the superuser in "plant", on a connection of its own; the rows of the last statement.
  std::vector<Row> query(const std::string& statements) const;
  /// The first field of it; "" for null or nothing.
  std::string value(const std::string& statements) const;

 private:
  std::vector<std::string> as_owner(std::vector<std::string> arguments) const;
  void make_cluster(const std::string& configuration) const;
  std::string model_cluster() const;
  void keep_as_model(const std::string& model) const;
  void make_database() const;
  void end(int signal);
  std::vector<Row> ask(const std::string& database, const std::string& statements) const;

  TemporaryDirectory directory_;
  const std::string programs_;
  const std::uint16_t port_;
  bool has_database_ = false;
  std::unique_ptr<ProcessUnderTest> process_;
};

}  // namespace tidegate::testing
