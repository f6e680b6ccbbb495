#include "daemon/admin/json_request.h"

#include <string>

#include "core/small_letters.h"
#include "core/text.h"

namespace tidegate::daemon {

// In any case (RFC 9110, 8.3.1), and whatever parameters come behind it.
std::optional<AdminResponse> refuse_unless_json(const AdminRequest& request) {
  const std::string type = small_letters(request.content_type.substr(0, request.content_type.find_first_of("; ")));
  if (type == "application/json") return std::nullopt;
  const std::string found = type.empty() ? "none" : '"' + clip(request.content_type) + '"';
  return refuse(415, "the content type is to be application/json, found " + found);
}

}  // namespace tidegate::daemon
