#include "uplink/postgresql/postgresql_session.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "uplink/postgresql/postgresql_addresses.h"
#include "uplink/postgresql/postgresql_columns.h"
#include "uplink/postgresql/postgresql_conninfo.h"
#include "uplink/postgresql/postgresql_troubles.h"

namespace tidegate::uplink {
namespace {

constexpr const char* kNoUniqueIndex =
    "; a table of records must have no unique index where a replay sends them once more";

bool has_records(const PostgresqlSession::Batches& batches, Stream stream) {
  return std::any_of(batches.begin(), batches.end(),
                     [stream](const OutgoingBatch& batch) { return batch.stream == stream && batch.count > 0; });
}

std::string copy_statement(const std::string& table, Stream stream) {
  std::string list;
  for (const auto& column : postgresql_columns(stream)) list += (list.empty() ? "" : ", ") + column.name;
  return "COPY " + table + " (" + list + ") FROM STDIN";
}

}  // namespace

PostgresqlSession::PostgresqlSession(const PostgresqlLibrary& library, const PostgresqlUplinkOptions& options,
                                     const std::string& gateway, PostgresqlTables tables, const std::string& instance,
                                     std::function<bool()> gives_up)
    : library_(library),
      options_(options),
      gateway_(gateway),
      tables_(std::move(tables)),
      gives_up_(std::move(gives_up)),
      encoder_(gateway),
      cursor_(tables_.cursors, gateway, options.forwarder.name, instance) {}

Result<PostgresqlCursor::Claim> PostgresqlSession::open(const TargetCursor& beginning) {
  has_lost_claim_ = false;
  if (auto done = connect(); !done) return tl::unexpected(done.error());
  if (auto done = set_up(); !done) return tl::unexpected(done.error());
  const BootTime deadline = clock_.boot_now() + options_.timeout;
  if (std::exchange(was_held_up_, false)) {
    if (auto done = end_earlier_sessions(deadline); !done) return tl::unexpected(done.error());
  }
  auto triggers = prepare_postgresql_tables(*connection_, tables_, options_.create_tables, deadline);
  if (!triggers) return tl::unexpected(triggers.error());
  triggers_ = std::move(*triggers);
  auto claimed = cursor_.claim(*connection_, beginning, deadline);
  was_held_up_ = !claimed && (connection_->ran_out() || connection_->sqlstate() == kPostgresqlLocked);
  return claimed;
}

Result<void> PostgresqlSession::end_earlier_sessions(BootTime deadline) {
  const auto ended = connection_->query(
      postgresql_end_others(postgresql_application_name(gateway_, options_.forwarder.name)), deadline);
  if (!ended) return tl::unexpected(ended.error());
  log_warning("uplink", "{}: earlier sessions of this uplink that held its cursor were ended at the server: {}",
              options_.forwarder.name, ended->size());
  return {};
}

// One address after the other; what is said of the first counts.
Result<void> PostgresqlSession::connect() {
  const auto addresses = look_up_addresses(options_.host, clock_.boot_now() + options_.connect_timeout, gives_up_);
  if (!addresses) return tl::unexpected(addresses.error());
  std::optional<Error> first;
  for (const std::string& address : *addresses) {
    connection_ = std::make_unique<PostgresqlConnection>(library_, clock_, gives_up_);
    const auto parameters = postgresql_parameters(options_, gateway_, address, library_.libVersion(), lists_);
    const auto connected = connection_->connect(parameters, clock_.boot_now() + options_.connect_timeout);
    if (connected) return {};
    const std::string within = " within " + format_duration(options_.connect_timeout) + " (connect_timeout)";
    if (!first)
      first = Error{connected.error().code, connected.error().message + (connection_->ran_out() ? within : "")};
    if (gives_up_()) break;
  }
  connection_.reset();
  return tl::unexpected(first.value_or(Error{ErrorCode::link_down, "the host has no address"}));
}

Result<void> PostgresqlSession::set_up() {
  const auto rows =
      connection_->query(postgresql_session_setup(options_), clock_.boot_now() + options_.connect_timeout);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty() || rows->back().size() != 3) return fail(ErrorCode::link_down, "the server answers something else");
  const auto& row = rows->back();
  if (row[0] != "UTF8") {
    return fail(ErrorCode::invalid, "the database " + options_.database + " has the encoding " + row[0].value_or("") +
                                        " and must have UTF8, or it could not hold every text");
  }
  if (row[2] == "t") {
    return fail(ErrorCode::link_down, "the server is a standby, which is read only: name the primary in url");
  }
  if (row[1] == "on") {
    return fail(ErrorCode::link_down,
                "the database is read only for this user: look at its default_transaction_read_only");
  }
  return {};
}

bool PostgresqlSession::ran_out() const {
  return connection_->ran_out() || connection_->sqlstate() == kPostgresqlTooSlow;
}

Result<void> PostgresqlSession::commit(const Batches& batches, const TargetCursor& cursor) {
  deadline_ = clock_.boot_now() + options_.timeout;
  stopped_at_.reset();
  is_copying_ = ran_out_in_copy_ = has_lost_claim_ = false;
  auto written = write(batches, cursor);
  if (written || !ran_out()) return written;
  ran_out_in_copy_ = is_copying_;
  const std::string what = batches.size() == 1 ? "a batch was" : std::to_string(batches.size()) + " batches were";
  const std::string step =
      is_copying_ ? "table " + tables_.of(*stopped_at_) + ": " + what + " not copied" : "the transaction was not done";
  return fail(ErrorCode::link_down, step + " within " + format_duration(options_.timeout) +
                                        " (timeout): raise timeout, or lower batch.max_bytes; " +
                                        written.error().message);
}

// COMMIT goes out when it is known that every row was taken.
Result<void> PostgresqlSession::write(const Batches& batches, const TargetCursor& cursor) {
  std::string statements = "BEGIN ISOLATION LEVEL READ COMMITTED; " + cursor_.move_statement(cursor);
  for (const Stream stream : kAllStreams) {
    if (has_records(batches, stream)) statements += "; " + copy_statement(tables_.of(stream), stream);
  }
  if (auto sent = connection_->send(statements, deadline_); !sent) return sent;
  if (auto done = expect("BEGIN"); !done) return done;
  if (auto done = move_cursor(); !done) return done;
  for (const Stream stream : kAllStreams) {
    if (!has_records(batches, stream)) continue;
    stopped_at_ = stream;
    if (auto done = copy(batches, stream); !done) return done;
  }
  stopped_at_.reset();
  if (auto done = expect_end(); !done) return done;
  if (auto sent = connection_->send("COMMIT", deadline_); !sent) return sent;
  if (auto done = expect("COMMIT"); !done) return done;
  return expect_end();
}

// Before the first record: who finds that the cursor is another's sends none.
Result<void> PostgresqlSession::move_cursor() {
  const auto moved = connection_->next(deadline_);
  if (!moved) return fail(moved.error().code, "table " + tables_.cursors + ": " + moved.error().message);
  if (moved->affected == 1) return {};
  has_lost_claim_ = true;
  return fail(ErrorCode::link_down, "the uplink's row in the table " + tables_.cursors + " is not ours any more");
}

Result<void> PostgresqlSession::copy(const Batches& batches, Stream stream) {
  const auto named = [&](const Error& error) {
    const bool is_twice = connection_->sqlstate() == kPostgresqlDuplicate;
    return is_twice ? fail(ErrorCode::invalid, "table " + tables_.of(stream) + ": " + error.message + kNoUniqueIndex)
                    : fail(error.code, "table " + tables_.of(stream) + ": " + error.message);
  };
  const auto asked = connection_->next(deadline_);
  if (!asked) return named(asked.error());
  if (!asked->wants_copy) return fail(ErrorCode::link_down, "the server does not take a copy: " + asked->command);
  is_copying_ = true;
  std::uint64_t sent = 0;
  for (const OutgoingBatch& batch : batches) {
    if (batch.stream != stream || batch.count == 0) continue;
    if (auto made = encoder_.append(rows_.begin(), batch); !made) return made;
    if (auto copied = connection_->copy(rows_.text(), deadline_); !copied) return named(copied.error());
    sent += batch.count;
  }
  if (auto ended = connection_->end_copy(deadline_); !ended) return named(ended.error());
  const auto done = connection_->next(deadline_);
  if (!done) return named(done.error());
  is_copying_ = false;
  return expect_all_taken(stream, sent, done->affected);
}

// A trigger may leave rows out, and nobody would hear of it.
Result<void> PostgresqlSession::expect_all_taken(Stream stream, std::uint64_t sent, std::uint64_t taken) {
  if (taken == sent) return {};
  const std::string& triggers = triggers_[static_cast<std::size_t>(stream)];
  return fail(ErrorCode::invalid, "table " + tables_.of(stream) + " took " + std::to_string(taken) + " of " +
                                      std::to_string(sent) + " rows, and must take all: " +
                                      (triggers.empty() ? "does a trigger" : "does its trigger " + triggers) +
                                      " return null for some?");
}

// COMMIT in a transaction that has failed is answered with ROLLBACK.
Result<void> PostgresqlSession::expect(const char* command) {
  const auto answer = connection_->next(deadline_);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->command == command) return {};
  return fail(ErrorCode::link_down, std::string(command) + " was answered with \"" + answer->command + "\"");
}

Result<void> PostgresqlSession::expect_end() {
  const auto end = connection_->next(deadline_);
  if (!end) return tl::unexpected(end.error());
  if (!end->is_last) return fail(ErrorCode::link_down, "the server says more than it was asked");
  return {};
}

}  // namespace tidegate::uplink
