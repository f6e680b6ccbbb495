#pragma once

#include <string>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "daemon/admin/admin_server.h"

namespace tidegate::daemon {

using AdminMessage = boost::beast::http::request<boost::beast::http::string_body>;

/// All but the peer.
AdminRequest to_admin_request(const AdminMessage& message);

/// As browsers say themselves. What pages elsewhere ask for they cannot read, but it would hold connections and places
/// of those who listen. That somebody follows a link to the status page, or from there to the log-in, is no harm.
bool is_of_another_site(const AdminMessage& message);

/// A whole answer to who speaks HTTP where TLS is spoken.
std::string answer_in_the_clear();

}  // namespace tidegate::daemon
