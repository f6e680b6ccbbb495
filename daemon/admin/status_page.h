#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

/// The status page at "/" and what belongs to it, "/page.js", "/style.css" and "/icon.svg"; nothing for other paths. It
/// is of daemon/admin/page/, and asks for everything else by the API. Its Content-Security-Policy lets it speak to
/// nobody else.
std::optional<AdminResponse> find_page_file(std::string_view path);

enum class LogInProblem : std::uint8_t { none, wrong_token, too_many, too_many_of_all };
/// The page that asks for the token, with what was wrong with the last one.
AdminResponse log_in_page(LogInProblem problem);

// What the build makes of daemon/admin/page/.
extern const std::string_view kPage_index_html;
extern const std::string_view kPage_login_html;
extern const std::string_view kPage_style_css;
extern const std::string_view kPage_page_js;
extern const std::string_view kPage_icon_svg;

}  // namespace tidegate::daemon
