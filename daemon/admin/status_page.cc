#include "daemon/admin/status_page.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace tidegate::daemon {
namespace {

struct PageFile {
  std::string_view path;
  const char* type;
  const std::string_view* content;
};

constexpr std::array kFiles{PageFile{"/", "text/html; charset=utf-8", &kPage_index_html},
                            PageFile{"/page.js", "text/javascript; charset=utf-8", &kPage_page_js},
                            PageFile{"/style.css", "text/css; charset=utf-8", &kPage_style_css},
                            PageFile{"/icon.svg", "image/svg+xml", &kPage_icon_svg}};

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
// Its form goes to the gateway alone, and it runs nothing.
constexpr const char* kLogInPolicy =
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const char* text_of(LogInProblem problem) {
  switch (problem) {
    case LogInProblem::none:
      return "";
    case LogInProblem::wrong_token:
      return "This is not the token of this gateway.";
    case LogInProblem::too_many:
      return "Too many wrong tokens came from this address. Try again in some seconds.";
    case LogInProblem::too_many_of_all:
      return "Too many wrong tokens come from many addresses. Try again in some seconds.";
  }
  return "";
}

unsigned status_of(LogInProblem problem) {
  switch (problem) {
    case LogInProblem::none:
      return 200;
    case LogInProblem::wrong_token:
      return 401;
    case LogInProblem::too_many:
    case LogInProblem::too_many_of_all:
      return 429;
  }
  return 500;
}

AdminResponse page_response(const char* type, std::string body, const char* policy) {
  AdminResponse response;
  response.content_type = type;
  response.body = std::move(body);
  // With no-referrer the form of the log-in would not say where it comes from either.
  response.headers = {{"Content-Security-Policy", policy},
                      {"Referrer-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  return response;
}

}  // namespace

std::optional<AdminResponse> find_page_file(std::string_view path) {
  const auto* const file =
      std::find_if(kFiles.begin(), kFiles.end(), [&](const auto& one) { return one.path == path; });
  if (file == kFiles.end()) return std::nullopt;
  return page_response(file->type, std::string(*file->content), kPolicy);
}

AdminResponse log_in_page(LogInProblem problem) {
  constexpr std::string_view kPlace = "{problem}";
  std::string body(kPage_login_html);
  if (const std::size_t at = body.find(kPlace); at != std::string::npos) {
    body.replace(at, kPlace.size(), text_of(problem));
  }
  AdminResponse response = page_response("text/html; charset=utf-8", std::move(body), kLogInPolicy);
  response.status = status_of(problem);
  if (problem == LogInProblem::wrong_token) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"tidegate\"");
  }
  return response;
}

}  // namespace tidegate::daemon
