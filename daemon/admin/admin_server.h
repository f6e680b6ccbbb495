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
#include "daemon/admin/admin_refusals.h"
#include "daemon/config/admin_address.h"
#include "daemon/event_loop.h"
#include "mqtt/tls_server.h"

namespace tidegate::daemon {

struct AdminRequest {
  std::string method;
  std::string path;                          // without the query
  std::map<std::string, std::string> query;  // percent-decoded
  std::string content_type;
  std::string body;
  std::string peer{};  // the network that it comes from, an address of IPv4 or 64 bits of IPv6; empty: a Unix socket
  // Headers; empty where there is none, or more than one.
  std::string host{};
  std::string authorization{};
  std::string cookie{};
  std::string accept{};
  std::string origin{};
  std::string fetch_site{};
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
  bool is_for_stranger = false;                                // given to who has not been let in
};

/// {"error":WHY}
AdminResponse refuse(unsigned status, std::string_view why);

using AdminRespond = std::function<void(AdminResponse)>;
/// Answers a request, at once or later, on the core thread, exactly once.
using AdminHandler = std::function<void(const AdminRequest&, AdminRespond)>;

/// What an admin server works with.
struct AdminServerParts {
  AdminHandler handler;
  AdminRefusals& refusals;  // of whom it does not let come as far as the handler
  mqtt::ServerTls tls{};    // without a certificate there is none
};

/// HTTP/1.1 on "HOST:PORT" or "unix:/path" (Boost.Beast), with a certificate in TLS. Bounded: so many connections, so
/// large a request, so long to wait for one. Without TLS only requests to a host that is_own_host() are answered. Runs
/// on the event loop.
class AdminServer {
 public:
  virtual ~AdminServer() = default;
  /// Where it listens, with the real port.
  virtual std::string address() const = 0;
  /// Files of certificate and key, as they are now. What is wrong with them is in the log, and those of before go on.
  virtual void read_files_anew() = 0;
  virtual void stop() = 0;
};

Result<std::unique_ptr<AdminServer>> start_admin_server(EventLoop& loop, const AdminAddress& address,
                                                        AdminServerParts parts);

}  // namespace tidegate::daemon
