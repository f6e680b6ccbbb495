#include "daemon/admin/admin_guard.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/small_letters.h"
#include "core/text.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/admin/status_page.h"
#include "mqtt/sha256.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kAddressesToldMax = 8;
constexpr const char* kWanted =
    "a token is needed here, \"Authorization: Bearer TOKEN\"; commands have it from --token-file or TIDEGATE_TOKEN, a "
    "browser from /login";

AdminResponse for_stranger(AdminResponse response) {
  response.is_for_stranger = true;
  return response;
}

AdminResponse refuse_stranger(std::string_view why) {
  AdminResponse response = for_stranger(refuse(401, why));
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"tidegate\"");
  return response;
}

AdminResponse go_to(const char* place) {
  AdminResponse response;
  response.status = 303;
  response.headers.emplace_back("Location", place);
  return response;
}

std::string in_seconds(Duration wait) { return std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()); }

bool is_reading(const AdminRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

// Of "Bearer TOKEN" (RFC 6750, the scheme in any case). Nothing of other schemes: those are of a proxy in front.
std::optional<std::string_view> bearer_of(std::string_view header) {
  constexpr std::string_view kScheme = "bearer";
  const std::size_t end = std::min(header.find(' '), header.size());
  if (small_letters(std::string(header.substr(0, end))) != kScheme) return std::nullopt;
  header.remove_prefix(end);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  return header;
}

AdminResponse put_off(AdminResponse response, const LoginLimits::Wait& wait) {
  response.headers.emplace_back("Retry-After", in_seconds(wait.time));
  return for_stranger(std::move(response));
}

std::string cookie_named(const AdminRequest& request, std::string_view name) {
  for (std::string_view part : split(request.cookie, ';')) {
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      return std::string(part.substr(name.size() + 1));
    }
  }
  return "";
}

std::string field_of(std::string_view form, std::string_view name) {
  for (const std::string_view part : split(form, '&')) {
    const std::size_t equals = part.find('=');
    if (equals != std::string_view::npos && part.substr(0, equals) == name) {
      return form_decode(part.substr(equals + 1));
    }
  }
  return "";
}

// __Host-: browsers take and send it only over TLS and for this very host. Of a host they do not tell ports apart, so
// that gateways behind tunnels, which are all localhost, need names of their own.
std::string cookie_name_of(const AdminGuard::Site& site) {
  constexpr std::size_t kBytes = 4;
  std::string name = site.is_tls ? "__Host-tidegate-" : "tidegate-";
  for (const char byte : mqtt::sha256(site.gateway).substr(0, kBytes)) {
    name += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return name;
}

/// Ends when whoever reads it would not be let in any more.
class GuardedStream final : public AdminStream {
 public:
  GuardedStream(std::shared_ptr<AdminStream> inner, std::function<bool()> still_let_in)
      : inner_(std::move(inner)), still_let_in_(std::move(still_let_in)) {}
  void next(Give give) override {
    if (!still_let_in_()) return give("");
    // What is waited for may be long in coming.
    inner_->next([give = std::move(give), still_let_in = still_let_in_](std::string piece) {
      give(still_let_in() ? std::move(piece) : std::string());
    });
  }

 private:
  const std::shared_ptr<AdminStream> inner_;
  const std::function<bool()> still_let_in_;
};

}  // namespace

AdminGuard::AdminGuard(const Clock& clock, Token token, const Site& site, AdminHandler inner)
    : clock_(clock),
      token_(std::move(token)),
      is_tls_(site.is_tls),
      refusals_(site.refusals),
      cookie_name_(cookie_name_of(site)),
      inner_(std::move(inner)) {}

void AdminGuard::answer(const AdminRequest& request, const AdminRespond& respond) {
  look_at_token();
  const std::string session = session_of(request);
  if (request.path == "/login") return answer_log_in(request, respond, !session.empty());
  if (bearer_of(request.authorization)) return answer_bearer(request, respond);
  if (!session.empty()) return answer_session(request, respond, session);
  answer_stranger(request, respond);
}

void AdminGuard::look_at_token() {
  std::string digest = mqtt::sha256(token_());
  if (digest == digest_) return;
  digest_ = std::move(digest);
  ++tokens_;
  sessions_.end_all();
}

AdminGuard::Verdict AdminGuard::judge(const AdminRequest& request, std::string_view shown) {
  const BootTime now = clock_.boot_now();
  const std::string digest = mqtt::sha256(shown);
  const bool is_right = is_same_secret(digest, digest_);
  if (is_right || !limits_.is_known(request.peer, digest)) {
    if (const auto wait = limits_.wait(request.peer, now)) {
      refusals_.add(AdminRefusal::too_many);
      return {false, wait};
    }
    if (is_right) {
      limits_.note_success(request.peer, now);
      return {true};
    }
    limits_.note_failure(request.peer, digest, now);
  }
  refusals_.add(AdminRefusal::wrong_token);
  tell_failure(request.peer, now);
  return {false};
}

AdminResponse AdminGuard::refuse_other_site(std::string_view why) {
  refusals_.add(AdminRefusal::other_site);
  return refuse(403, why);
}

void AdminGuard::tell_failure(const std::string& peer, BootTime now) {
  const auto left_out = complaints_.admit("token", now);
  if (!left_out) {
    if (not_told_of_.size() < kAddressesToldMax) not_told_of_.insert(peer);
    return;
  }
  not_told_of_.erase(peer);
  std::string others;
  for (const std::string& address : std::exchange(not_told_of_, {}))
    others += (others.empty() ? ", also from " : ", ") + address;
  log_warning("gateway", "admin address: a wrong token from {}{}{}", peer.empty() ? "the Unix socket" : peer,
              since_last_line(*left_out), others);
}

void AdminGuard::answer_bearer(const AdminRequest& request, const AdminRespond& respond) {
  const Verdict verdict = judge(request, bearer_of(request.authorization).value_or(""));
  if (verdict.wait) {
    return respond(
        put_off(refuse(429, verdict.wait->is_for_all ? "too many wrong tokens come from many addresses: try again later"
                                                     : "too many wrong tokens came from there: try again later"),
                *verdict.wait));
  }
  if (!verdict.is_right) return respond(refuse_stranger("this is not the token of gateway.admin_token"));
  let_in(
      request, respond,
      [this, tokens = tokens_] {
        look_at_token();
        return tokens == tokens_;
      },
      false);
}

// A cookie comes with whatever the browser asks for; what changes something is asked for by our own page.
void AdminGuard::answer_session(const AdminRequest& request, const AdminRespond& respond, const std::string& session) {
  if (!is_reading(request) && !is_same_origin(request)) {
    return respond(
        refuse_other_site("with the cookie of a log-in only the status page itself asks for changes: show the token "
                          "instead"));
  }
  if (request.path == "/logout" && request.method == "POST") {
    sessions_.end(session);
    AdminResponse response;
    response.body = R"({"status":"logged out"})";
    response.headers.emplace_back("Set-Cookie", cookie("", Duration::zero()));
    return respond(std::move(response));
  }
  let_in(
      request, respond,
      [this, session] {
        look_at_token();
        return sessions_.holds(session, clock_.boot_now());
      },
      true);
}

void AdminGuard::let_in(const AdminRequest& request, const AdminRespond& respond, StillLetIn still_let_in,
                        bool is_session) {
  inner_(request, [respond, still_let_in = std::move(still_let_in), is_session](AdminResponse response) {
    if (response.stream) {
      response.stream = std::make_shared<GuardedStream>(std::move(response.stream), still_let_in);
    }
    // The page then offers to end it.
    if (is_session) response.headers.emplace_back("Tidegate-Session", "browser");
    respond(std::move(response));
  });
}

void AdminGuard::answer_stranger(const AdminRequest& request, const AdminRespond& respond) {
  const bool is_health = request.path == "/healthz" || request.path == "/readyz";
  if (is_reading(request) && is_health) {
    return inner_(request, [respond](AdminResponse response) {
      // Why not is for who is let in.
      if (response.status != 200) response.body = R"({"error":"not now"})";
      respond(for_stranger(std::move(response)));
    });
  }
  if (is_reading(request) && (request.path == "/style.css" || request.path == "/icon.svg")) {
    return inner_(request, [respond](AdminResponse response) { respond(for_stranger(std::move(response))); });
  }
  if (is_reading(request) && request.path == "/" && request.accept.find("text/html") != std::string::npos) {
    return respond(for_stranger(go_to("/login")));
  }
  refusals_.add(AdminRefusal::no_token);
  respond(refuse_stranger(kWanted));
}

void AdminGuard::answer_log_in(const AdminRequest& request, const AdminRespond& respond, bool has_session) {
  if (request.method == "POST") return respond(try_to_log_in(request));
  if (!is_reading(request)) return respond(for_stranger(refuse(405, "only GET and POST are answered here")));
  if (has_session) return respond(go_to("/"));
  respond(for_stranger(log_in_page(LogInProblem::none)));
}

AdminResponse AdminGuard::try_to_log_in(const AdminRequest& request) {
  if (!small_letters(request.content_type).starts_with("application/x-www-form-urlencoded")) {
    return for_stranger(
        refuse(415, "the content type must be application/x-www-form-urlencoded, as the page sends it"));
  }
  if (is_of_another_page(request)) {
    return for_stranger(refuse_other_site("a page of another site asks for this: log in by the page of this address"));
  }
  const Verdict verdict = judge(request, field_of(request.body, "token"));
  if (verdict.wait) {
    return put_off(log_in_page(verdict.wait->is_for_all ? LogInProblem::too_many_of_all : LogInProblem::too_many),
                   *verdict.wait);
  }
  if (!verdict.is_right) return for_stranger(log_in_page(LogInProblem::wrong_token));
  const std::string value = sessions_.begin(clock_.boot_now());
  if (value.empty()) return for_stranger(refuse(503, "the system has no random numbers yet: try again"));
  AdminResponse response = go_to("/");
  response.headers.emplace_back("Set-Cookie", cookie(value, AdminSessions::kLifetime));
  return response;
}

std::string AdminGuard::session_of(const AdminRequest& request) const {
  std::string value = cookie_named(request, cookie_name_);
  return !value.empty() && sessions_.holds(value, clock_.boot_now()) ? value : std::string();
}

std::string AdminGuard::cookie(const std::string& value, Duration lifetime) const {
  return cookie_name_ + "=" + value + "; Path=/; HttpOnly; SameSite=Strict" + (is_tls_ ? "; Secure" : "") +
         "; Max-Age=" + in_seconds(lifetime);
}

bool AdminGuard::is_same_origin(const AdminRequest& request) const {
  if (!request.fetch_site.empty()) return request.fetch_site == "same-origin";
  return !request.host.empty() &&
         small_letters(request.origin) == (is_tls_ ? "https://" : "http://") + small_letters(request.host);
}

// A form needs no permission to be sent elsewhere. Programs say nothing of where they come from.
bool AdminGuard::is_of_another_page(const AdminRequest& request) const {
  if (request.fetch_site == "none") return false;  // asked for by the user
  return (!request.fetch_site.empty() || !request.origin.empty()) && !is_same_origin(request);
}

}  // namespace tidegate::daemon
