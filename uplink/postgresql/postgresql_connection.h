#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/time.h"
#include "uplink/postgresql/postgresql_conninfo.h"
#include "uplink/postgresql/postgresql_library.h"

namespace tidegate::uplink {

/// A connection to a server, worked at without ever waiting in libpq: each step ends by its deadline, or when
/// `gives_up` says so. After an error it is of no more use but to be destroyed, which ends what it has begun. Messages
/// of errors have what the server has said and what helps. One thread; `library` outlives it.
class PostgresqlConnection {
 public:
  using Field = std::optional<std::string>;
  using Rows = std::vector<std::vector<Field>>;
  /// An answer to one statement.
  struct Answer {
    std::string command;         // "UPDATE 1", "COMMIT"
    std::uint64_t affected = 0;  // rows
    Rows rows;
    bool wants_copy = false;  // copy() what it waits for, then end_copy()
    bool is_last = false;     // there is none; nothing more follows
  };

  PostgresqlConnection(const PostgresqlLibrary& library, const Clock& clock, std::function<bool()> gives_up)
      : library_(library), clock_(clock), gives_up_(std::move(gives_up)) {}
  PostgresqlConnection(const PostgresqlConnection&) = delete;
  PostgresqlConnection& operator=(const PostgresqlConnection&) = delete;
  ~PostgresqlConnection();

  Result<void> connect(const PostgresqlParameters& parameters, BootTime deadline);

  /// Statements, separated by ';': their answers are got one after the other by next().
  Result<void> send(const std::string& statements, BootTime deadline);
  Result<Answer> next(BootTime deadline);
  Result<void> copy(std::string_view rows, BootTime deadline);
  Result<void> end_copy(BootTime deadline);

  /// Statements none of which copies; what the last one that gave some has for rows.
  Result<Rows> query(const std::string& statements, BootTime deadline);

  /// What the server's last refusal had for a code; empty when it has refused nothing.
  const std::string& sqlstate() const { return sqlstate_; }
  /// Whether a deadline was over.
  bool ran_out() const { return ran_out_; }

  /// Readable when the server says something by itself, such as that it ends.
  int descriptor() const;
  /// Reads that.
  Result<void> look();

 private:
  using ResultHandle = std::unique_ptr<PGresult, decltype(&::PQclear)>;

  Result<void> wait(short events, BootTime deadline);
  Result<void> flush(BootTime deadline);
  Result<void> read();
  Answer answer_of(const PGresult* result) const;
  Error refusal(const PGresult* result);
  Error lost() const;
  static void take_notice(void* self, const PGresult* notice);

  const PostgresqlLibrary& library_;
  const Clock& clock_;
  const std::function<bool()> gives_up_;
  PGconn* connection_ = nullptr;
  std::string sqlstate_;
  static constexpr std::size_t kAnswerBytesMost = std::size_t{16} << 20;
  std::size_t answer_bytes_ = 0;  // read since the last answer, as far as the network knows
  bool ran_out_ = false;
  std::string farewell_;  // what the server has said before it ended the connection
};

}  // namespace tidegate::uplink
