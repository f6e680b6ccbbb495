#include "daemon/admin/admin_message.h"

#include <iterator>
#include <string_view>

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/verb.hpp>

#include "core/text.h"
#include "daemon/admin/percent_encode.h"

namespace tidegate::daemon {
namespace {

namespace http = boost::beast::http;

// Empty where there is none, or more than one: nobody has to say which of them counts.
template <class Name>
std::string text_of(const AdminMessage& message, Name name) {
  const auto [begin, end] = message.equal_range(name);
  if (begin == end || std::next(begin) != end) return "";
  const auto value = begin->value();
  return {value.data(), value.size()};
}

std::string_view target_of(const AdminMessage& message) { return {message.target().data(), message.target().size()}; }

std::string path_of(const AdminMessage& message) {
  const std::string_view target = target_of(message);
  return std::string(target.substr(0, target.find('?')));
}

}  // namespace

AdminRequest to_admin_request(const AdminMessage& message) {
  AdminRequest request;
  request.method = std::string(message.method_string());
  const auto type = message[http::field::content_type];
  request.content_type = std::string(type.data(), type.size());
  request.body = message.body();
  request.path = path_of(message);
  request.host = text_of(message, http::field::host);
  request.authorization = text_of(message, http::field::authorization);
  request.cookie = text_of(message, http::field::cookie);
  request.accept = text_of(message, http::field::accept);
  request.origin = text_of(message, http::field::origin);
  request.fetch_site = text_of(message, "Sec-Fetch-Site");
  const std::string_view target = target_of(message);
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return request;
  for (const auto part : split(target.substr(mark + 1), '&')) {
    const std::size_t equals = part.find('=');
    const std::string_view text = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    request.query[form_decode(part.substr(0, equals))] = form_decode(text);
  }
  return request;
}

bool is_of_another_site(const AdminMessage& message) {
  const auto says = [&](const char* field, std::string_view value) {
    const auto found = message[field];
    return std::string_view(found.data(), found.size()) == value;
  };
  if (!says("Sec-Fetch-Site", "cross-site") && !says("Sec-Fetch-Site", "same-site")) return false;
  const bool is_link = message.method() == http::verb::get && says("Sec-Fetch-Mode", "navigate");
  const std::string path = path_of(message);
  return !is_link || (path != "/" && path != "/login");
}

std::string answer_in_the_clear() {
  const std::string body =
      R"({"error":"this address speaks TLS: ask by https://, commands with --config or --admin-ca"})";
  return "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

}  // namespace tidegate::daemon
