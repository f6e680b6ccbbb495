#include "uplink/postgresql/postgresql_connection.h"

#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <utility>

#include "core/log.h"
#include "uplink/postgresql/postgresql_troubles.h"

namespace tidegate::uplink {
namespace {

using std::chrono::milliseconds;

constexpr Duration kLookAround = milliseconds(100);  // how often gives_up is asked

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

PostgresqlConnection::~PostgresqlConnection() {
  if (connection_ != nullptr) library_.finish(connection_);
}

Result<void> PostgresqlConnection::connect(const PostgresqlParameters& parameters, BootTime deadline) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = library_.connectStartParams(names.data(), values.data(), 0);
  if (connection_ == nullptr) return fail(ErrorCode::retry, "libpq has no memory");
  library_.setNoticeReceiver(connection_, take_notice, this);
  library_.setErrorVerbosity(connection_, PQERRORS_VERBOSE);  // only so the message has the code of the error
  PostgresPollingStatusType state =
      library_.status(connection_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) {
      return tl::unexpected(describe_postgresql(parse_postgresql_message(library_.errorMessage(connection_))));
    }
    if (auto ready = wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline); !ready) return ready;
    state = library_.connectPoll(connection_);
  }
  library_.setErrorVerbosity(connection_, PQERRORS_DEFAULT);
  if (library_.setnonblocking(connection_, 1) != 0) return tl::unexpected(lost());
  return {};
}

Result<void> PostgresqlConnection::wait(short events, BootTime deadline) {
  for (;;) {
    const Duration left = deadline - clock_.boot_now();
    if (gives_up_()) return fail(ErrorCode::link_down, "the connection is given up, because the service stops");
    if (left <= Duration::zero()) {
      ran_out_ = true;
      return fail(ErrorCode::link_down, "the server does not answer");
    }
    pollfd watched{library_.socket(connection_), events, 0};
    const auto most = std::chrono::ceil<milliseconds>(std::min(left, kLookAround));
    const int ready = ::poll(&watched, 1, static_cast<int>(most.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return tl::unexpected(Error{ErrorCode::link_down, describe_errno("poll", errno)});
  }
}

// What is read for an answer the library keeps until that is whole, however much it is.
Result<void> PostgresqlConnection::read() {
  int bytes = 0;
  if (::ioctl(library_.socket(connection_), FIONREAD, &bytes) == 0) answer_bytes_ += static_cast<std::size_t>(bytes);
  if (answer_bytes_ > kAnswerBytesMost) {
    return fail(ErrorCode::link_down, "the server sends more than 16 MiB where an answer of a few lines is due");
  }
  if (library_.consumeInput(connection_) == 0) return tl::unexpected(lost());
  return {};
}

Result<void> PostgresqlConnection::flush(BootTime deadline) {
  for (;;) {
    const int left = library_.flush(connection_);
    if (left == 0) return {};
    if (left < 0) return tl::unexpected(lost());
    if (auto ready = wait(POLLIN | POLLOUT, deadline); !ready) return ready;
    if (auto done = read(); !done) return done;
  }
}

Result<void> PostgresqlConnection::send(const std::string& statements, BootTime deadline) {
  answer_bytes_ = 0;
  if (library_.sendQuery(connection_, statements.c_str()) != 1) return tl::unexpected(lost());
  return flush(deadline);
}

Result<PostgresqlConnection::Answer> PostgresqlConnection::next(BootTime deadline) {
  while (library_.isBusy(connection_) != 0) {
    if (auto ready = wait(POLLIN, deadline); !ready) return tl::unexpected(ready.error());
    if (auto done = read(); !done) return tl::unexpected(done.error());
  }
  const ResultHandle result(library_.getResult(connection_), library_.clear);
  answer_bytes_ = 0;
  if (!result) {
    Answer none;
    none.is_last = true;
    return none;
  }
  switch (library_.resultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_COPY_IN:
    case PGRES_EMPTY_QUERY:
      return answer_of(result.get());
    default:
      return tl::unexpected(refusal(result.get()));
  }
}

PostgresqlConnection::Answer PostgresqlConnection::answer_of(const PGresult* result) const {
  Answer answer;
  auto* const got = const_cast<PGresult*>(result);  // which older versions of the header ask for, to change nothing
  answer.command = text_or_empty(library_.cmdStatus(got));
  const std::string affected = text_or_empty(library_.cmdTuples(got));
  std::from_chars(affected.data(), affected.data() + affected.size(), answer.affected);
  answer.wants_copy = library_.resultStatus(result) == PGRES_COPY_IN;
  const int columns = library_.nfields(result);
  for (int row = 0; row < library_.ntuples(result); ++row) {
    auto& fields = answer.rows.emplace_back();
    for (int column = 0; column < columns; ++column) {
      const bool is_null = library_.getisnull(result, row, column) != 0;
      const auto bytes = static_cast<std::size_t>(library_.getlength(result, row, column));
      fields.push_back(is_null ? Field() : Field(std::string(library_.getvalue(result, row, column), bytes)));
    }
  }
  return answer;
}

Result<void> PostgresqlConnection::copy(std::string_view rows, BootTime deadline) {
  constexpr std::size_t kPiece = 64 * 1024;  // so much the library keeps by itself
  while (!rows.empty()) {
    const std::string_view piece = rows.substr(0, kPiece);
    const int taken = library_.putCopyData(connection_, piece.data(), static_cast<int>(piece.size()));
    if (taken < 0) return tl::unexpected(lost());
    if (taken > 0) rows.remove_prefix(piece.size());
    if (auto done = flush(deadline); !done) return done;
  }
  return {};
}

Result<void> PostgresqlConnection::end_copy(BootTime deadline) {
  for (;;) {
    const int ended = library_.putCopyEnd(connection_, nullptr);
    if (ended < 0) return tl::unexpected(lost());
    if (auto done = flush(deadline); !done || ended > 0) return done;
  }
}

Result<PostgresqlConnection::Rows> PostgresqlConnection::query(const std::string& statements, BootTime deadline) {
  if (auto sent = send(statements, deadline); !sent) return tl::unexpected(sent.error());
  Rows rows;
  for (;;) {
    auto answer = next(deadline);
    if (!answer) return tl::unexpected(answer.error());
    if (answer->is_last) return rows;
    if (!answer->rows.empty()) rows = std::move(answer->rows);
  }
}

int PostgresqlConnection::descriptor() const { return library_.socket(connection_); }

Result<void> PostgresqlConnection::look() {
  if (auto done = read(); !done) return done;
  (void)library_.isBusy(connection_);  // what takes apart that which was read
  return {};
}

Error PostgresqlConnection::refusal(const PGresult* result) {
  PostgresqlComplaint complaint;
  sqlstate_ = text_or_empty(library_.resultErrorField(result, PG_DIAG_SQLSTATE));
  complaint.sqlstate = sqlstate_;
  complaint.text = text_or_empty(library_.resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  const std::string detail = text_or_empty(library_.resultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
  if (!detail.empty()) complaint.text += ": " + detail;
  if (complaint.text.empty()) complaint.text = text_or_empty(library_.resultErrorMessage(result));
  if (complaint.sqlstate.empty() && !farewell_.empty()) return lost();
  complaint.text = one_line(std::move(complaint.text));
  return describe_postgresql(complaint);
}

Error PostgresqlConnection::lost() const {
  if (!farewell_.empty()) return {ErrorCode::link_down, "the server ends the connection: " + farewell_};
  return {ErrorCode::link_down, one_line(library_.errorMessage(connection_))};
}

// What a server says in the middle of nothing before it ends a connection comes as a notice too.
void PostgresqlConnection::take_notice(void* self, const PGresult* notice) {
  auto* const connection = static_cast<PostgresqlConnection*>(self);
  const auto field = [&](int code) { return text_or_empty(connection->library_.resultErrorField(notice, code)); };
  const std::string text = one_line(field(PG_DIAG_MESSAGE_PRIMARY));
  if (field(PG_DIAG_SEVERITY_NONLOCALIZED) == "FATAL") connection->farewell_ = text;
  log_debug("uplink", "the server of PostgreSQL remarks: {} ({})", text, field(PG_DIAG_SQLSTATE));
}

}  // namespace tidegate::uplink
