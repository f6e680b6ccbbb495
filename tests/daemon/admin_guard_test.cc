#include "daemon/admin/admin_guard.h"

#include <gmock/gmock.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kToken = "q7Lx0pWz4Rk2Vn8s";

/// A stream that says "more" for ever, or whenever the test does.
class EndlessStream final : public AdminStream {
 public:
  void next(Give give) override {
    if (!waits) return give("more");
    give_ = std::move(give);
  }
  void say(const std::string& piece) { give_(piece); }

  bool waits = false;

 private:
  Give give_;
};

class AdminGuardTest : public ::testing::TestWithParam<bool> {
 protected:
  AdminGuardTest()
      : guard_(
            clock_, [this]() -> const std::string& { return token_; },
            AdminGuard::Site{GetParam(), "plant-7", refusals_},
            [this](const AdminRequest& request, const AdminRespond& respond) { serve(request, respond); }) {}

  void serve(const AdminRequest& request, const AdminRespond& respond) {
    ++served_;
    AdminResponse response;
    response.body = "inside";
    if (request.path == "/readyz") response = refuse(503, "the disk is on fire");
    if (request.path == "/api/v1/live") response.stream = stream_;
    respond(std::move(response));
  }

  AdminResponse ask(const AdminRequest& request) {
    std::optional<AdminResponse> answer;
    guard_.answer(request, [&answer](AdminResponse response) { answer = std::move(response); });
    return answer.value();
  }
  static AdminRequest get(const std::string& path) {
    AdminRequest request;
    request.method = "GET";
    request.path = path;
    request.peer = "10.0.0.7";
    request.host = "box:8480";
    return request;
  }
  AdminResponse bearer(const std::string& header, const std::string& path = "/api/v1/status") {
    AdminRequest request = get(path);
    request.authorization = header;
    return ask(request);
  }
  AdminResponse log_in(const std::string& token, const std::string& peer = "10.0.0.7") {
    AdminRequest request = get("/login");
    request.method = "POST";
    request.peer = peer;
    request.content_type = "application/x-www-form-urlencoded";
    request.body = "token=" + token;
    return ask(request);
  }
  /// As the browser says it next.
  std::string cookie() {
    const std::string set = header(log_in(kToken), "Set-Cookie");
    return set.substr(0, set.find(';'));
  }
  AdminResponse with_cookie(const std::string& cookie, const std::string& path, const std::string& method = "GET",
                            const std::string& site = "same-origin") {
    AdminRequest request = get(path);
    request.method = method;
    request.cookie = "other=1; " + cookie;
    request.fetch_site = site;
    return ask(request);
  }
  static std::string header(const AdminResponse& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  testing::ManualClock clock_;
  std::shared_ptr<EndlessStream> stream_ = std::make_shared<EndlessStream>();
  std::string token_ = kToken;
  int served_ = 0;
  AdminRefusals refusals_;
  AdminGuard guard_;
};

TEST_P(AdminGuardTest, lets_in_who_shows_the_token_and_nobody_else) {
  for (const char* shown : {"Bearer q7Lx0pWz4Rk2Vn8s", "bearer q7Lx0pWz4Rk2Vn8s", "Bearer   q7Lx0pWz4Rk2Vn8s"}) {
    EXPECT_EQ(bearer(shown).body, "inside") << shown;
  }
  for (const char* shown :
       {"Bearer", "Bearer ", "Bearer q7Lx0pWz4Rk2Vn8", "Bearer q7Lx0pWz4Rk2Vn8s ", "Bearer Q7Lx0pWz4Rk2Vn8s"}) {
    const AdminResponse answer = bearer(shown);
    EXPECT_EQ(answer.status, 401U) << shown;
    EXPECT_TRUE(answer.is_for_stranger);
    EXPECT_THAT(answer.body, StartsWith("{\"error\":\"this is not the token"));
    EXPECT_THAT(AdminGuardTest::header(answer, "WWW-Authenticate"), StartsWith("Bearer"));
  }
  EXPECT_EQ(served_, 3);
}

TEST_P(AdminGuardTest, strangers_get_the_log_in_and_whether_all_is_well) {
  for (const char* path : {"/metrics", "/api/v1/status", "/api/v1/live", "/page.js", "/", "/nowhere", "/logout"}) {
    const AdminResponse answer = ask(get(path));
    EXPECT_EQ(answer.status, 401U) << path;
    EXPECT_THAT(answer.body, HasSubstr("--token-file")) << path;
    EXPECT_TRUE(answer.is_for_stranger);
  }
  EXPECT_EQ(served_, 0);
  for (const char* path : {"/healthz", "/style.css", "/icon.svg"}) {
    EXPECT_EQ(ask(get(path)).body, "inside") << path;
    EXPECT_TRUE(ask(get(path)).is_for_stranger);
  }
  EXPECT_EQ(ask(get("/readyz")).status, 503U);
  EXPECT_THAT(ask(get("/readyz")).body, Not(HasSubstr("fire")));
  EXPECT_THAT(bearer("Bearer q7Lx0pWz4Rk2Vn8s", "/readyz").body, HasSubstr("fire"));
  AdminRequest browser = get("/");
  browser.accept = "text/html,application/xhtml+xml,*/*;q=0.8";
  EXPECT_EQ(ask(browser).status, 303U);
  EXPECT_EQ(header(ask(browser), "Location"), "/login");
  browser.method = "POST";
  EXPECT_EQ(ask(browser).status, 401U);
}

TEST_P(AdminGuardTest, the_page_takes_the_token_once_and_gives_a_cookie) {
  const AdminResponse page = ask(get("/login"));
  EXPECT_EQ(page.status, 200U);
  EXPECT_THAT(page.body, AllOf(HasSubstr("<form method=\"post\" action=\"/login\">"), Not(HasSubstr("{problem}"))));
  EXPECT_THAT(header(page, "Content-Security-Policy"),
              AllOf(HasSubstr("form-action 'self'"), HasSubstr("frame-ancestors 'none'"), Not(HasSubstr("script"))));
  const AdminResponse wrong = log_in("hunter2");
  EXPECT_EQ(wrong.status, 401U);
  EXPECT_THAT(wrong.body, AllOf(HasSubstr("This is not the token"), Not(HasSubstr("hunter2"))));
  EXPECT_EQ(header(wrong, "Set-Cookie"), "");
  const AdminResponse right = log_in(kToken);
  EXPECT_EQ(right.status, 303U);
  EXPECT_EQ(header(right, "Location"), "/");
  const std::string set = header(right, "Set-Cookie");
  EXPECT_THAT(set, AllOf(HasSubstr("; Path=/"), HasSubstr("; HttpOnly"), HasSubstr("; SameSite=Strict"),
                         HasSubstr("; Max-Age=43200"), Not(HasSubstr("Domain")), Not(HasSubstr(kToken))));
  EXPECT_THAT(set, StartsWith(GetParam() ? "__Host-tidegate-" : "tidegate-"));
  EXPECT_EQ(set.find("; Secure") != std::string::npos, GetParam());
  const std::string cookie = set.substr(0, set.find(';'));
  EXPECT_EQ(with_cookie(cookie, "/").body, "inside");
  EXPECT_EQ(header(with_cookie(cookie, "/"), "Tidegate-Session"), "browser");
  EXPECT_EQ(header(with_cookie(cookie, "/login"), "Location"), "/");
  EXPECT_EQ(with_cookie(cookie + "0", "/metrics").status, 401U);
  clock_.advance(12h);
  EXPECT_EQ(with_cookie(cookie, "/metrics").status, 401U);
}

TEST_P(AdminGuardTest, a_form_of_another_kind_is_no_log_in) {
  AdminRequest request = get("/login");
  request.method = "POST";
  request.content_type = "application/json";
  request.body = std::string("token=") + kToken;
  EXPECT_EQ(ask(request).status, 415U);
  request.method = "PUT";
  EXPECT_EQ(ask(request).status, 405U);
}

TEST_P(AdminGuardTest, a_cookie_changes_something_only_from_our_own_page) {
  const std::string mine = cookie();
  EXPECT_EQ(with_cookie(mine, "/api/v1/reload", "POST").body, "inside");
  for (const char* site : {"cross-site", "same-site", "none"}) {
    EXPECT_EQ(with_cookie(mine, "/api/v1/reload", "POST", site).status, 403U) << site;
    EXPECT_EQ(with_cookie(mine, "/logout", "POST", site).status, 403U) << site;
  }
  AdminRequest old_browser = get("/api/v1/reload");
  old_browser.method = "POST";
  old_browser.cookie = mine;
  const std::string scheme = GetParam() ? "https://" : "http://";
  for (const std::string& origin : {std::string(), std::string("null"), std::string("https://evil.example"),
                                    scheme + "box", scheme + "box:8480.evil.example"}) {
    old_browser.origin = origin;
    EXPECT_EQ(ask(old_browser).status, 403U) << origin;
  }
  old_browser.origin = scheme + "BOX:8480";
  EXPECT_EQ(ask(old_browser).body, "inside");
}

TEST_P(AdminGuardTest, who_logs_out_is_a_stranger) {
  const std::string mine = cookie();
  const std::string other = cookie();
  EXPECT_EQ(with_cookie(mine, "/logout").body, "inside") << "GET is no log-out";
  const AdminResponse answer = with_cookie(mine, "/logout", "POST");
  EXPECT_EQ(answer.status, 200U);
  EXPECT_THAT(header(answer, "Set-Cookie"), ContainsRegex("tidegate-[0-9a-f]{8}=; "));
  EXPECT_EQ(with_cookie(mine, "/metrics").status, 401U);
  EXPECT_EQ(with_cookie(other, "/metrics").body, "inside");
}

TEST_P(AdminGuardTest, what_goes_on_ends_with_the_log_in) {
  const auto piece_of = [](const std::shared_ptr<AdminStream>& stream) {
    std::string got = "nothing";
    stream->next([&got](std::string piece) { got = std::move(piece); });
    return got;
  };
  const std::string mine = cookie();
  const auto out = with_cookie(mine, "/api/v1/live").stream;
  const auto old = with_cookie(cookie(), "/api/v1/live").stream;
  const auto script = bearer("Bearer q7Lx0pWz4Rk2Vn8s", "/api/v1/live").stream;
  for (const auto& stream : {out, old, script}) EXPECT_EQ(piece_of(stream), "more");
  with_cookie(mine, "/logout", "POST");
  EXPECT_EQ(piece_of(out), "");
  EXPECT_EQ(piece_of(old), "more");
  clock_.advance(12h);
  EXPECT_EQ(piece_of(old), "");
  EXPECT_EQ(piece_of(script), "more");
  token_ = "another-one-q7Lx0pWz";
  EXPECT_EQ(piece_of(script), "");
}

TEST_P(AdminGuardTest, another_token_ends_what_the_old_one_began) {
  const std::string mine = cookie();
  token_ = "another-one-q7Lx0pWz";
  EXPECT_EQ(with_cookie(mine, "/metrics").status, 401U);
  EXPECT_EQ(bearer("Bearer q7Lx0pWz4Rk2Vn8s").status, 401U);
  EXPECT_EQ(bearer("Bearer another-one-q7Lx0pWz").body, "inside");
}

TEST_P(AdminGuardTest, who_is_wrong_too_often_waits_also_with_the_right_token) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(bearer("Bearer wrong" + std::to_string(i)).status, 401U);
    EXPECT_EQ(log_in("also-wrong" + std::to_string(i)).status, 401U);
  }
  const std::string right = std::string("Bearer ") + kToken;
  EXPECT_EQ(bearer(right).status, 429U);
  EXPECT_EQ(header(bearer(right), "Retry-After"), "6");
  EXPECT_EQ(log_in(kToken).status, 429U);
  EXPECT_THAT(log_in(kToken).body, HasSubstr("Too many wrong tokens"));
  EXPECT_EQ(log_in(kToken, "10.0.0.8").status, 303U);
  clock_.advance(6s);
  EXPECT_EQ(bearer(right).body, "inside");
}

TEST_P(AdminGuardTest, a_request_without_a_token_or_with_an_old_cookie_is_no_wrong_try) {
  const std::string mine = cookie();
  with_cookie(mine, "/logout", "POST");
  for (int i = 0; i < 100; ++i) {
    ask(get("/metrics"));
    with_cookie(mine, "/metrics");
  }
  EXPECT_EQ(log_in(kToken).status, 303U);
}

// Which browsers give to both, where both are reached by tunnels of one machine.
TEST_P(AdminGuardTest, a_cookie_of_another_gateway_does_not_replace_its_own) {
  AdminGuard other(
      clock_, [this]() -> const std::string& { return token_; }, AdminGuard::Site{GetParam(), "plant-8", refusals_},
      [this](const AdminRequest& request, const AdminRespond& respond) { serve(request, respond); });
  const std::string mine = cookie();
  AdminRequest request = get("/login");
  request.method = "POST";
  request.content_type = "application/x-www-form-urlencoded";
  request.body = std::string("token=") + kToken;
  std::string theirs;
  other.answer(request, [&theirs](const AdminResponse& response) { theirs = header(response, "Set-Cookie"); });
  EXPECT_NE(theirs.substr(0, theirs.find('=')), mine.substr(0, mine.find('=')));
  EXPECT_EQ(with_cookie(theirs.substr(0, theirs.find(';')) + "; " + mine, "/metrics").body, "inside");
}

// It is of a proxy in front, which may pass it on.
TEST_P(AdminGuardTest, what_is_shown_of_another_scheme_is_no_try_and_hides_no_cookie) {
  const std::string mine = cookie();
  AdminRequest request = get("/metrics");
  for (const char* shown : {"Basic dXNlcjpwYXNz", "Digest username=\"u\"", "q7Lx0pWz4Rk2Vn8s", "Bearers x"}) {
    request.authorization = shown;
    for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(request).status, 401U) << shown;
    EXPECT_THAT(ask(request).body, HasSubstr("a token is needed here")) << shown;
    AdminRequest with_both = request;
    with_both.cookie = mine;
    EXPECT_EQ(ask(with_both).body, "inside") << shown;
  }
  EXPECT_EQ(bearer(std::string("Bearer ") + kToken).body, "inside");
}

TEST_P(AdminGuardTest, the_same_wrong_token_again_costs_nothing) {
  const std::string old = kToken;
  token_ = "another-one-q7Lx0pWz";
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(bearer("Bearer " + old).status, 401U);
    EXPECT_EQ(log_in("a%20typo").status, 401U);
  }
  EXPECT_EQ(bearer("Bearer " + token_).body, "inside");
  for (int i = 0; i < 8; ++i) EXPECT_EQ(bearer("Bearer guess-" + std::to_string(i)).status, 401U);
  EXPECT_EQ(bearer("Bearer guess-8").status, 429U);
  EXPECT_EQ(bearer("Bearer " + old).status, 401U);
  EXPECT_EQ(bearer("Bearer " + token_).status, 429U);
  token_ = old;  // right again
  EXPECT_EQ(bearer("Bearer " + old).status, 429U);
  clock_.advance(6s);
  EXPECT_EQ(bearer("Bearer " + old).body, "inside");
}

TEST_P(AdminGuardTest, a_form_of_another_site_is_no_try) {
  AdminRequest form = get("/login");
  form.method = "POST";
  form.content_type = "application/x-www-form-urlencoded";
  const std::string scheme = GetParam() ? "https://" : "http://";
  for (int i = 0; i < 20; ++i) {
    form.body = "token=guess-" + std::to_string(i);
    form.origin = i % 2 == 0 ? "https://evil.example" : "null";
    EXPECT_EQ(ask(form).status, 403U) << form.origin;
  }
  form.body = std::string("token=") + kToken;
  EXPECT_EQ(ask(form).status, 403U);
  form.origin = scheme + "box:8480";
  EXPECT_EQ(ask(form).status, 303U);
  form.fetch_site = "same-site";
  EXPECT_EQ(ask(form).status, 403U);
  // A proxy may ask by another name than the browser.
  form.origin = "https://proxy.example";
  form.fetch_site = "same-origin";
  EXPECT_EQ(ask(form).status, 303U);
}

TEST_P(AdminGuardTest, says_whether_it_waits_for_an_address_or_for_all) {
  for (int i = 0; i < 10; ++i) log_in("wrong" + std::to_string(i), "10.0.0.9");
  EXPECT_THAT(log_in(kToken, "10.0.0.9").body, HasSubstr("came from this address"));
  for (int i = 0; i < 120; ++i) log_in("wrong", "10.0.1." + std::to_string(i));
  EXPECT_THAT(log_in(kToken, "10.0.0.8").body, HasSubstr("come from many addresses"));
  EXPECT_THAT(bearer("Bearer x").body, HasSubstr("come from many addresses"));
}

TEST_P(AdminGuardTest, says_nothing_more_when_the_log_in_ended_while_it_waited) {
  const std::string mine = cookie();
  stream_->waits = true;
  const auto live = with_cookie(mine, "/api/v1/live").stream;
  std::string got = "nothing";
  live->next([&got](std::string piece) { got = std::move(piece); });
  EXPECT_EQ(got, "nothing");
  with_cookie(mine, "/logout", "POST");
  stream_->say("secret");
  EXPECT_EQ(got, "");
}

TEST_P(AdminGuardTest, counts_whom_it_turns_away_by_reason) {
  const auto counts = [this] {
    return std::array{refusals_.of(AdminRefusal::no_token), refusals_.of(AdminRefusal::wrong_token),
                      refusals_.of(AdminRefusal::too_many), refusals_.of(AdminRefusal::other_site)};
  };
  const std::string mine = cookie();
  with_cookie(mine, "/metrics");
  for (const char* path : {"/healthz", "/login", "/style.css"}) ask(get(path));
  EXPECT_THAT(counts(), ElementsAre(0, 0, 0, 0));
  ask(get("/metrics"));
  EXPECT_THAT(counts(), ElementsAre(1, 0, 0, 0));
  with_cookie(mine, "/api/v1/reload", "POST", "cross-site");
  EXPECT_THAT(counts(), ElementsAre(1, 0, 0, 1));
  AdminRequest form = get("/login");
  form.method = "POST";
  form.content_type = "application/x-www-form-urlencoded";
  form.origin = "https://evil.example";
  ask(form);
  EXPECT_THAT(counts(), ElementsAre(1, 0, 0, 2));
  bearer("Bearer wrong");
  log_in("wrong");  // known by now, and counted all the same
  EXPECT_THAT(counts(), ElementsAre(1, 2, 0, 2));
  for (int i = 0; i < 9; ++i) log_in("wrong" + std::to_string(i));
  log_in(kToken);
  bearer("Bearer another");
  EXPECT_THAT(counts(), ElementsAre(1, 11, 2, 2));
}

INSTANTIATE_TEST_SUITE_P(Tls, AdminGuardTest, ::testing::Bool());

}  // namespace
}  // namespace tidegate::daemon
