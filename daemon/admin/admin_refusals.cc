#include "daemon/admin/admin_refusals.h"

namespace tidegate::daemon {

const char* to_string(AdminRefusal why) {
  switch (why) {
    case AdminRefusal::no_token:
      return "no_token";
    case AdminRefusal::wrong_token:
      return "wrong_token";
    case AdminRefusal::too_many:
      return "too_many";
    case AdminRefusal::other_site:
      return "other_site";
    case AdminRefusal::other_host:
      return "other_host";
    case AdminRefusal::no_tls:
      return "no_tls";
  }
  return "";
}

}  // namespace tidegate::daemon
