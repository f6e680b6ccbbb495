#include <cstdint>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "core/text.h"
#include "daemon/admin_address.h"
#include "daemon/admin_server.h"

namespace tidegate::daemon {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using NetError = boost::system::error_code;

constexpr std::uint64_t kAnswerBytesMax = 64 * 1024 * 1024;

tl::unexpected<Error> unreachable(const std::string& address, const NetError& problem) {
  return fail(ErrorCode::link_down, "no daemon answers at " + address + ": " + problem.message() +
                                        "; is it running? --admin or --config names another address");
}

template <class Socket>
Result<std::string> ask(Socket& socket, const std::string& address, http::request<http::string_body> request) {
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  request.prepare_payload();
  NetError problem;
  http::write(socket, request, problem);
  if (problem) return unreachable(address, problem);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kAnswerBytesMax);
  http::read(socket, buffer, parser, problem);
  if (problem) return unreachable(address, problem);
  auto& answer = parser.get();
  if (answer.result() != http::status::ok) {
    return fail(ErrorCode::invalid, address + std::string(request.target()) + " answered " +
                                        std::to_string(answer.result_int()) + ": " + clip(answer.body(), 300));
  }
  return std::move(answer.body());
}

Result<std::string> send(const AdminAddress& address, http::request<http::string_body> request) {
  const std::string name = format_admin_address(address);
  net::io_context context;
  NetError problem;
  if (address.kind == AdminAddress::Kind::unix_socket) {
    net::local::stream_protocol::socket socket(context);
    socket.connect(net::local::stream_protocol::endpoint(address.path), problem);
    if (problem) return unreachable(name, problem);
    return ask(socket, name, std::move(request));
  }
  net::ip::tcp::resolver resolver(context);
  const auto endpoints = resolver.resolve(address.host, std::to_string(address.port), problem);
  if (problem) return unreachable(name, problem);
  net::ip::tcp::socket socket(context);
  for (const auto& endpoint : endpoints) {
    socket.close(problem);
    socket.connect(endpoint.endpoint(), problem);
    if (!problem) break;
  }
  if (problem) return unreachable(name, problem);
  return ask(socket, name, std::move(request));
}

}  // namespace

Result<std::string> admin_get(const AdminAddress& address, const std::string& target) {
  return send(address, http::request<http::string_body>(http::verb::get, target, 11));
}

Result<std::string> admin_post(const AdminAddress& address, const std::string& target, const std::string& json) {
  http::request<http::string_body> request(http::verb::post, target, 11);
  request.set(http::field::content_type, "application/json");
  request.body() = json;
  return send(address, std::move(request));
}

}  // namespace tidegate::daemon
