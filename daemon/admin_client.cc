#include <cstdint>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "core/text.h"
#include "daemon/admin_server.h"
#include "daemon/config/admin_address.h"

namespace tidegate::daemon {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using NetError = boost::system::error_code;

constexpr std::uint64_t kAnswerBytesMax = 64 * 1024 * 1024;

tl::unexpected<Error> unreachable(const std::string& address, const NetError& problem) {
  return fail(ErrorCode::link_down, "no daemon answers at " + address + ": " + problem.message() +
                                        "; is it running? --admin or --config names another address");
}

tl::unexpected<Error> broken(const std::string& address, const NetError& problem, Duration patience) {
  if (problem == beast::error::timeout) {
    return fail(ErrorCode::link_down, "the daemon at " + address + " does not answer within " +
                                          format_duration(std::chrono::ceil<std::chrono::milliseconds>(patience)));
  }
  if (problem == http::error::body_limit) {
    return fail(ErrorCode::give_up_item, "the answer of " + address + " is longer than 64 MiB");
  }
  return fail(ErrorCode::link_down,
              "the connection to " + address + " broke before the answer was whole: " + problem.message());
}

// Runs one asynchronous operation to its end: only those of a stream have a deadline.
template <class Start>
NetError run_to_end(net::io_context& context, const Start& start) {
  NetError outcome;
  start([&outcome](const NetError& problem, const auto&...) { outcome = problem; });
  context.restart();
  context.run();
  return outcome;
}

struct Question {
  std::string address;
  http::request<http::string_body> request;
  Duration patience;
};

template <class Stream>
Result<AdminAnswer> ask(net::io_context& context, Stream& stream, Question question) {
  auto& request = question.request;
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  request.prepare_payload();
  stream.expires_after(question.patience);
  NetError problem = run_to_end(context, [&](auto done) { http::async_write(stream, request, std::move(done)); });
  if (problem) return broken(question.address, problem, question.patience);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kAnswerBytesMax);
  stream.expires_after(question.patience);
  problem = run_to_end(context, [&](auto done) { http::async_read_header(stream, buffer, parser, std::move(done)); });
  // Boost 1.74 does not keep to its limit where the length is known before.
  if (!problem && parser.content_length().value_or(0) > kAnswerBytesMax) problem = http::error::body_limit;
  if (!problem) {
    problem = run_to_end(context, [&](auto done) { http::async_read(stream, buffer, parser, std::move(done)); });
  }
  if (problem) return broken(question.address, problem, question.patience);
  auto& answer = parser.get();
  return AdminAnswer{answer.result_int(), std::move(answer.body())};
}

template <class Protocol, class Endpoints>
Result<AdminAnswer> connect_and_ask(net::io_context& context, const Endpoints& endpoints, Question question) {
  beast::basic_stream<Protocol> stream(context);
  stream.expires_after(question.patience);
  const NetError problem = run_to_end(context, [&](auto done) { stream.async_connect(endpoints, std::move(done)); });
  if (problem) return unreachable(question.address, problem);
  return ask(context, stream, std::move(question));
}

Result<AdminAnswer> send(const AdminAddress& address, http::request<http::string_body> request, Duration patience) {
  Question question{format_admin_address(address), std::move(request), patience};
  net::io_context context;
  if (address.kind == AdminAddress::Kind::unix_socket) {
    using Local = net::local::stream_protocol;
    return connect_and_ask<Local>(context, Local::endpoint(address.path), std::move(question));
  }
  NetError problem;
  net::ip::tcp::resolver resolver(context);
  const auto endpoints = resolver.resolve(address.host, std::to_string(address.port), problem);
  if (problem) return unreachable(question.address, problem);
  return connect_and_ask<net::ip::tcp>(context, endpoints, std::move(question));
}

Result<std::string> body_of(const AdminAddress& address, const std::string& target, Result<AdminAnswer> answer) {
  constexpr unsigned kOk = 200;
  constexpr unsigned kUnavailable = 503;  // which may be over soon
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status == kOk) return std::move(answer->body);
  return fail(answer->status == kUnavailable ? ErrorCode::retry : ErrorCode::invalid,
              format_admin_address(address) + target + " answered " + std::to_string(answer->status) + ": " +
                  clip(answer->body, 300));
}

}  // namespace

Result<AdminAnswer> admin_ask(const AdminAddress& address, std::string_view method, const std::string& target,
                              const std::string& json, Duration patience) {
  http::request<http::string_body> request(http::string_to_verb({method.data(), method.size()}), target, 11);
  if (!json.empty()) request.set(http::field::content_type, "application/json");
  request.body() = json;
  return send(address, std::move(request), patience);
}

Result<std::string> admin_get(const AdminAddress& address, const std::string& target, Duration patience) {
  return body_of(address, target, admin_ask(address, "GET", target, "", patience));
}

Result<std::string> admin_post(const AdminAddress& address, const std::string& target, const std::string& json) {
  return body_of(address, target, admin_ask(address, "POST", target, json, kAdminPatience));
}

}  // namespace tidegate::daemon
