#include "uplink/postgresql/postgresql_columns.h"

#include <array>

namespace tidegate::uplink {
namespace {

const std::vector<std::string> kText{"text", "character varying"};
const std::vector<std::string> kWhole{"bigint", "numeric"};
const std::vector<std::string> kTime{"timestamp with time zone"};
const std::vector<std::string> kDouble{"double precision"};
const std::vector<std::string> kFlag{"boolean"};
const std::vector<std::string> kJson{"jsonb", "json"};

PostgresqlColumns columns_of(Stream stream) {
  PostgresqlColumns columns{
      {"gateway", kText}, {"epoch", kWhole}, {"seq", kWhole}, {"time", kTime}, {"time_ns", kWhole}};
  for (const std::string& member : postgresql_text_members(stream)) columns.push_back({member, kText});
  if (stream != Stream::events) {
    columns.push_back({"value_double", kDouble});
    columns.push_back({"value_int", kWhole});
    columns.push_back({"value_bool", kFlag});
    columns.push_back({"value_text", kText});
  }
  columns.push_back(stream == Stream::readings ? PostgresqlColumn{"historical", kFlag}
                                               : PostgresqlColumn{"entry", kJson});
  columns.push_back({"as_json", kText});
  return columns;
}

template <class Make>
auto by_stream(Make make) {
  std::array<decltype(make(Stream::readings)), kStreamCount> all;
  for (const Stream stream : kAllStreams) all[static_cast<std::size_t>(stream)] = make(stream);
  return all;
}

std::vector<std::string> text_members_of(Stream stream) {
  switch (stream) {
    case Stream::readings:
      return {"tag", "quality", "reason", "time_quality"};
    case Stream::alarms:
      return {"alarm", "rule", "tag", "state", "severity", "message"};
    case Stream::events:
      return {"event"};
  }
  return {};
}

}  // namespace

const PostgresqlColumns& postgresql_columns(Stream stream) {
  static const auto kColumns = by_stream(columns_of);
  return kColumns[static_cast<std::size_t>(stream)];
}

const std::vector<std::string>& postgresql_text_members(Stream stream) {
  static const auto kMembers = by_stream(text_members_of);
  return kMembers[static_cast<std::size_t>(stream)];
}

const PostgresqlColumns& postgresql_cursor_columns() {
  static const PostgresqlColumns kColumns{{"gateway", kText}, {"uplink", kText}, {"generation", kWhole},
                                          {"session", kText}, {"cursor", kText}, {"updated", kTime}};
  return kColumns;
}

}  // namespace tidegate::uplink
