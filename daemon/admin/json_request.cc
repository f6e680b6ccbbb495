#include "daemon/admin/json_request.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "core/text.h"

namespace tidegate::daemon {

// In any case (RFC 9110, 8.3.1), and whatever parameters come behind it.
std::optional<AdminResponse> refuse_unless_json(const AdminRequest& request) {
  constexpr std::string_view kJson = "application/json";
  const auto is_same = [](char found, char wanted) {
    return found == wanted || (found >= 'A' && found <= 'Z' && found - 'A' + 'a' == wanted);
  };
  const std::string_view type =
      std::string_view(request.content_type).substr(0, request.content_type.find_first_of("; "));
  if (std::equal(type.begin(), type.end(), kJson.begin(), kJson.end(), is_same)) return std::nullopt;
  const std::string found = type.empty() ? "none" : '"' + clip(request.content_type) + '"';
  return refuse(415, "the content type is to be application/json, found " + found);
}

}  // namespace tidegate::daemon
