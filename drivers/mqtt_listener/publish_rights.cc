#include "drivers/mqtt_listener/publish_rights.h"

#include <algorithm>

#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

// Empty when a name cannot stand in a filter.
std::string fill_in(std::string_view filter, const std::string& user, const std::string& client_id) {
  std::string filled;
  for (std::size_t i = 0; i < filter.size(); ++i) {
    const std::string_view two = filter.substr(i, 2);
    if (two == "%u" || two == "%c") {
      const std::string& name = two == "%u" ? user : client_id;
      if (name.empty() || name.find_first_of("+#/") != std::string::npos) return {};
      filled += name;
      ++i;
    } else {
      filled += filter[i];
    }
  }
  return filled;
}

// Whether a filter of one of the rights, filled in, is what `holds` asks for.
template <class Holds>
bool any_right(const std::vector<PublishRight>& rights, const std::string& user, const std::string& client_id,
               const Holds& holds) {
  return std::any_of(rights.begin(), rights.end(), [&](const PublishRight& right) {
    if (!right.user.empty() && right.user != user) return false;
    return std::any_of(right.filters.begin(), right.filters.end(), [&](const std::string& filter) {
      const std::string filled = fill_in(filter, user, client_id);
      return !filled.empty() && holds(filled);
    });
  });
}

}  // namespace

bool may_publish(const std::vector<PublishRight>& rights, const std::string& user, const std::string& client_id,
                 std::string_view topic) {
  if (rights.empty()) return true;
  return any_right(rights, user, client_id,
                   [&](const std::string& filter) { return mqtt::filter_matches(filter, topic); });
}

bool may_watch(const std::vector<PublishRight>& rights, const std::string& user, const std::string& client_id,
               std::string_view filter) {
  return any_right(rights, user, client_id,
                   [&](const std::string& right) { return mqtt::filter_covers(right, filter); });
}

bool is_watched_tree(std::string_view topic) {
  return mqtt::filter_matches("tidegate/values/#", topic) || mqtt::filter_matches("tidegate/alarms/#", topic);
}

}  // namespace tidegate::drivers
