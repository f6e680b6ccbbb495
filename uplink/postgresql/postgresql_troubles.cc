#include "uplink/postgresql/postgresql_troubles.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kStateBytes = 5;
constexpr std::size_t kTextBytesMax = 500;

struct Advice {
  std::string_view state;  // or the beginning of it, which is its class
  ErrorCode code;
  const char* before;
  const char* advice;
};

// The first that fits counts.
constexpr auto kDown = ErrorCode::link_down;
constexpr auto kRetry = ErrorCode::retry;
constexpr auto kRefused = ErrorCode::invalid;
constexpr std::array<Advice, 27> kAdvice{{
    {"28P01", kDown, "the server refuses the login: ", "; look at username and password"},
    {"28", kDown, "the server refuses the login: ", "; look at username, and at the server's pg_hba.conf"},
    {"3D000", kDown, "", "; make it, or name another one in url"},
    {"3F000", kRefused, "", "; make the schema, or name another one in table"},
    {"42501", kRefused, "", "; give this user the rights that docs/postgresql.md names"},
    {"42P01", kRefused, "", "; make the table, or set create_tables = true"},
    {"42703", kRefused, "", "; add the column as docs/postgresql.md has it"},
    {"25006", kDown, "the server is read only: ", "; name the primary in url"},
    {"53100", kRetry, "the server's disk is full: ", "; make room there, it goes on by itself then"},
    {"53200", kRetry, "the server has no memory left: ", ""},
    {"53300", kDown, "the server takes no more connections: ", "; raise its max_connections, or close others"},
    {"53", kRetry, "the server lacks something: ", ""},
    {"55P03", kRetry, "another session holds a lock for too long: ", "; it is tried again"},
    {"57014", kRetry,
     "the server has ended a statement: ", "; where it took too long, raise timeout, or lower batch.max_bytes"},
    {"57P01", kDown, "the server ends the connection: ", ""},
    {"57P02", kDown, "the server ends the connection: ", ""},
    {"57P03", kDown, "the server does not take connections now: ", ""},
    {"57P05", kDown, "the server ends the connection: ", ""},
    {"57", kDown, "", ""},
    {"25P03", kDown, "the server ends the connection: ", ""},
    {"40", kRetry, "the transaction was undone: ", "; it is tried again"},
    {"08", kDown, "", ""},
    {"58", kRetry, "the server has a trouble of its own: ", ""},
    {"XX", kRetry, "the server has a trouble of its own: ", ""},
    {"23505", kRetry, "another has just made it: ", ""},
    {"23", kRefused, "a record breaks a constraint of the table: ", "; nothing behind it is sent until it is taken"},
    {"22", kRefused, "a record does not fit the table: ", "; nothing behind it is sent until it is taken"},
}};

// Twice is there what somebody keeps, and not a table that two sessions make at a time, of which a catalogue says so.
bool is_of_records(const PostgresqlComplaint& complaint) {
  return complaint.sqlstate == "23505" && complaint.text.find("\"pg_") == std::string::npos;
}

bool is_state(std::string_view text) {
  return text.size() == kStateBytes && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isdigit(c) != 0 || std::isupper(c) != 0;
         });
}

}  // namespace

std::string one_line(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  std::string line;
  for (const char c : text) {
    const bool is_space = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (c == '\n') line += "; ";
    if (!is_space) line += c;
    if (is_space && !line.ends_with(' ')) line += ' ';
  }
  return clip(line, kTextBytesMax);
}

Error describe_postgresql(const PostgresqlComplaint& complaint) {
  if (complaint.sqlstate.empty()) return {kDown, complaint.text};
  for (const Advice& advice : kAdvice) {
    if (!std::string_view(complaint.sqlstate).starts_with(advice.state)) continue;
    const char* const before = is_of_records(complaint) ? "" : advice.before;
    return {advice.code, before + complaint.text + " (" + complaint.sqlstate + ")" + advice.advice};
  }
  return {kRefused, complaint.text + " (" + complaint.sqlstate + ")"};
}

PostgresqlComplaint parse_postgresql_message(const std::string& message) {
  std::string text = message.substr(0, message.find("\nLOCATION:"));
  constexpr std::string_view kBefore = ":  ";
  for (std::size_t at = text.find(kBefore); at != std::string::npos; at = text.find(kBefore, at + 1)) {
    const std::size_t state = at + kBefore.size();
    const std::string found = text.substr(state, kStateBytes);
    if (!is_state(found) || text.compare(state + kStateBytes, 2, ": ") != 0) continue;
    return {found, one_line(text.substr(0, at) + ": " + text.substr(state + kStateBytes + 2))};
  }
  return {"", one_line(text)};
}

}  // namespace tidegate::uplink
