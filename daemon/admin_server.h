#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/time.h"
#include "daemon/config/admin_address.h"
#include "daemon/event_loop.h"

namespace tidegate::daemon {

struct AdminRequest {
  std::string method;
  std::string path;                          // without the query
  std::map<std::string, std::string> query;  // percent-decoded
  std::string content_type;
  std::string body;
};

/// An answer that goes on: the server asks for more each time the peer has taken what came before, so that no more than
/// one piece of it waits. It lets go of the stream when the peer is gone, or takes nothing for kStreamPatience.
class AdminStream {
 public:
  virtual ~AdminStream() = default;
  using Give = std::function<void(std::string)>;
  /// `give` is called once, at once or later, on the core thread; with an empty text for the end.
  virtual void next(Give give) = 0;
};

inline constexpr Duration kStreamPatience = std::chrono::seconds(10);

struct AdminResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers{};  // besides those that every answer has
  std::shared_ptr<AdminStream> stream{};                       // null: the body is all
};

/// {"error":WHY}
AdminResponse refuse(unsigned status, std::string_view why);

using AdminRespond = std::function<void(AdminResponse)>;
/// Answers a request, at once or later, on the core thread, exactly once.
using AdminHandler = std::function<void(const AdminRequest&, AdminRespond)>;

/// HTTP/1.1 on "HOST:PORT" or "unix:/path" (Boost.Beast). Bounded: so many connections, so large a request, so long to
/// wait for one. Only requests to a host that is_own_host() are answered. Runs on the event loop.
class AdminServer {
 public:
  virtual ~AdminServer() = default;
  /// Where it listens, with the real port.
  virtual std::string address() const = 0;
  virtual void stop() = 0;
};

Result<std::unique_ptr<AdminServer>> start_admin_server(EventLoop& loop, const AdminAddress& address,
                                                        AdminHandler handler);

inline constexpr Duration kAdminPatience = std::chrono::seconds(30);

struct AdminAnswer {
  unsigned status = 0;
  std::string body;
};

/// One request to the admin address, with a JSON document where there is one; the answer whatever its status is, or an
/// error that names the address. Blocking, and so long at most for each step: connecting, asking, the answer.
Result<AdminAnswer> admin_ask(const AdminAddress& address, std::string_view method, const std::string& target,
                              const std::string& json, Duration patience);

/// One GET; the body, or an error that names the address and what was answered.
Result<std::string> admin_get(const AdminAddress& address, const std::string& target,
                              Duration patience = kAdminPatience);
/// One POST of a JSON document, likewise.
Result<std::string> admin_post(const AdminAddress& address, const std::string& target, const std::string& json);

}  // namespace tidegate::daemon
