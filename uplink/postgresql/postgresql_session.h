#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/spare_room.h"
#include "uplink/forwarder.h"
#include "uplink/postgresql/postgresql_connection.h"
#include "uplink/postgresql/postgresql_cursor.h"
#include "uplink/postgresql/postgresql_rows.h"
#include "uplink/postgresql/postgresql_tables.h"
#include "uplink/postgresql_options.h"
#include "uplink/revocation_lists.h"

namespace tidegate::uplink {

/// Connects, looks at the tables, claims the cursor, and commits batches with it, one transaction after the other. Ends
/// with the first thing that goes wrong: what of it was committed the next claim() reads. One thread.
class PostgresqlSession {
 public:
  using Batches = std::vector<OutgoingBatch>;

  PostgresqlSession(const PostgresqlLibrary& library, const PostgresqlUplinkOptions& options,
                    const std::string& gateway, PostgresqlTables tables, const std::string& instance,
                    std::function<bool()> gives_up);

  /// `beginning` is the cursor of an uplink that has none there.
  Result<PostgresqlCursor::Claim> open(const TargetCursor& beginning);
  bool is_open() const { return connection_ != nullptr; }
  void close() { connection_.reset(); }

  /// The batches and the cursor behind them. After an error the session is to be closed.
  Result<void> commit(const Batches& batches, const TargetCursor& cursor);
  /// Whose records it was that the server did not take at the last commit; nothing: that is not known.
  std::optional<Stream> stopped_at() const { return stopped_at_; }
  /// Whether the time was over while the records of that were on their way.
  bool ran_out_in_copy() const { return ran_out_in_copy_; }
  /// Whether the cursor was not ours any more then.
  bool has_lost_claim() const { return has_lost_claim_; }

  int descriptor() const { return connection_->descriptor(); }
  /// When the descriptor is readable and nothing was asked.
  Result<void> look() { return connection_->look(); }

 private:
  Result<void> connect();
  Result<void> set_up();
  Result<void> end_earlier_sessions(BootTime deadline);
  Result<void> write(const Batches& batches, const TargetCursor& cursor);
  Result<void> move_cursor();
  Result<void> copy(const Batches& batches, Stream stream);
  Result<void> expect_all_taken(Stream stream, std::uint64_t sent, std::uint64_t taken);
  Result<void> expect(const char* command);
  Result<void> expect_end();
  bool ran_out() const;

  const PostgresqlLibrary& library_;
  const PostgresqlUplinkOptions& options_;
  const std::string gateway_;
  const PostgresqlTables tables_;
  const std::function<bool()> gives_up_;
  const SystemClock clock_;
  const PostgresqlRows encoder_;
  PostgresqlCursor cursor_;
  RevocationLists lists_;
  std::unique_ptr<PostgresqlConnection> connection_;
  PostgresqlTriggers triggers_;
  BootTime deadline_{};  // of the transaction
  std::optional<Stream> stopped_at_;
  bool is_copying_ = false;
  bool ran_out_in_copy_ = false;
  bool has_lost_claim_ = false;
  // The last claim waited in vain, perhaps for a lock of an earlier session that the server takes for alive: what is
  // between may keep its side of a connection open for ever. The next one ends that session first.
  bool was_held_up_ = false;
  ReusedText rows_;  // of a batch
};

}  // namespace tidegate::uplink
