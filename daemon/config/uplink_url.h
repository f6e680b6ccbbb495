#pragma once

#include <string>

#include "core/error.h"

namespace tidegate::daemon {

/// "http://HOST[:PORT][/PATH][?QUERY]" or "https://...", with {gateway} and {stream}, without a login, a fragment or a
/// secret in the query; `instead` says what to do with one. What was found is shown without its login and its query.
Result<void> check_uplink_url(const std::string& url, const std::string& instead);
/// "http://HOST[:PORT]" or "https://..." of a proxy.
Result<void> check_proxy_url(const std::string& url);
/// "https://host:8443/x" to "host"; of a URL that was found right.
std::string host_of(const std::string& url);

}  // namespace tidegate::daemon
