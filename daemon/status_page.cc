#include "daemon/status_page.h"

#include <algorithm>
#include <array>

namespace tidegate::daemon {
namespace {

struct PageFile {
  std::string_view path;
  const char* type;
  const std::string_view* content;
};

constexpr std::array kFiles{PageFile{"/", "text/html; charset=utf-8", &kPage_html},
                            PageFile{"/page.js", "text/javascript; charset=utf-8", &kPage_js},
                            PageFile{"/style.css", "text/css; charset=utf-8", &kPage_css},
                            PageFile{"/icon.svg", "image/svg+xml", &kPage_svg}};

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

}  // namespace

std::optional<AdminResponse> find_page_file(std::string_view path) {
  const auto* const file =
      std::find_if(kFiles.begin(), kFiles.end(), [&](const auto& one) { return one.path == path; });
  if (file == kFiles.end()) return std::nullopt;
  AdminResponse response;
  response.content_type = file->type;
  response.body = *file->content;
  response.headers = {{"Content-Security-Policy", kPolicy},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  return response;
}

}  // namespace tidegate::daemon
