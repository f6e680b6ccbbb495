#include "daemon/event_record.h"

#include "daemon/json_writer.h"

namespace tidegate::daemon {

std::string event_record(std::string_view event, WallTime time,
                         std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  std::string document;
  JsonWriter json(document);
  json.begin_object().member("event", event);
  json.member("time", std::int64_t{std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count()});
  for (const auto& [name, text] : members) {
    if (!text.empty()) json.member(name, text);
  }
  json.end_object();
  return document;
}

}  // namespace tidegate::daemon
