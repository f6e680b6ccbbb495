#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/admin/admin_refusals.h"
#include "daemon/admin/admin_server.h"
#include "daemon/admin/admin_sessions.h"
#include "daemon/admin/login_limits.h"

namespace tidegate::daemon {

/// Lets in who shows the token of the configuration: in the header Authorization, or once in the page /login, which
/// gives the browser a cookie. Everybody else gets the page itself, and of /healthz and /readyz whether all is well.
/// Core thread; it outlives the answers that it gives.
class AdminGuard {
 public:
  /// The token as it is now: a reload may bring another one, which ends all sessions.
  using Token = std::function<const std::string&()>;

  struct Site {
    bool is_tls = false;
    std::string gateway;      // its id
    AdminRefusals& refusals;  // of whom it does not let in; outlives it
  };

  AdminGuard(const Clock& clock, Token token, const Site& site, AdminHandler inner);
  AdminGuard(const AdminGuard&) = delete;
  AdminGuard& operator=(const AdminGuard&) = delete;

  void answer(const AdminRequest& request, const AdminRespond& respond);

 private:
  using StillLetIn = std::function<bool()>;
  /// What comes of a token that was shown.
  struct Verdict {
    bool is_right = false;
    std::optional<LoginLimits::Wait> wait{};  // it was not looked at
  };

  void answer_bearer(const AdminRequest& request, const AdminRespond& respond);
  void answer_session(const AdminRequest& request, const AdminRespond& respond, const std::string& session);
  void answer_stranger(const AdminRequest& request, const AdminRespond& respond);
  void answer_log_in(const AdminRequest& request, const AdminRespond& respond, bool has_session);
  AdminResponse try_to_log_in(const AdminRequest& request);
  void let_in(const AdminRequest& request, const AdminRespond& respond, StillLetIn still_let_in, bool is_session);
  void look_at_token();
  Verdict judge(const AdminRequest& request, std::string_view shown);
  AdminResponse refuse_other_site(std::string_view why);
  void tell_failure(const std::string& peer, BootTime now);
  /// What the cookie of the request says, where that is a session.
  std::string session_of(const AdminRequest& request) const;
  bool is_same_origin(const AdminRequest& request) const;
  bool is_of_another_page(const AdminRequest& request) const;
  std::string cookie(const std::string& value, Duration lifetime) const;

  const Clock& clock_;
  const Token token_;
  const bool is_tls_;
  AdminRefusals& refusals_;
  const std::string cookie_name_;
  const AdminHandler inner_;
  std::string digest_;  // of the token
  std::uint64_t tokens_ = 0;
  AdminSessions sessions_;
  LoginLimits limits_;
  ComplaintFilter complaints_;
  std::set<std::string> not_told_of_;  // addresses of wrong tokens since the last line of the log
};

}  // namespace tidegate::daemon
