#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidegate::drivers {

/// What a user may publish to, or watch: topic filters, in which %u stands for the user's name and %c for the client
/// id.
struct PublishRight {
  std::string user;  // empty: of everybody
  std::vector<std::string> filters;
  bool operator==(const PublishRight&) const = default;
};

/// Without any rights everybody may publish to everything; with some, only to what one of them names. A name with `/`,
/// `+` or `#` in it fills no %u or %c: it would give more than was meant.
bool may_publish(const std::vector<PublishRight>& rights, const std::string& user, const std::string& client_id,
                 std::string_view topic);

/// Whether one of the rights matches all that the filter matches: without any, nobody may subscribe.
bool may_watch(const std::vector<PublishRight>& rights, const std::string& user, const std::string& client_id,
               std::string_view filter);

/// Where what is watched stands. On a listener with rights to watch, nobody may publish there.
bool is_watched_tree(std::string_view topic);

}  // namespace tidegate::drivers
