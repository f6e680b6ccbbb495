#pragma once

#include <optional>
#include <string_view>

#include "daemon/admin_server.h"

namespace tidegate::daemon {

/// The status page at "/" and what belongs to it, "/page.js", "/style.css" and "/icon.svg"; nothing for other paths. It
/// is of daemon/page/, and asks for everything else by the API. Its Content-Security-Policy lets it speak to nobody
/// else.
std::optional<AdminResponse> find_page_file(std::string_view path);

// What the build makes of daemon/page/.
extern const std::string_view kPage_html;
extern const std::string_view kPage_css;
extern const std::string_view kPage_js;
extern const std::string_view kPage_svg;

}  // namespace tidegate::daemon
