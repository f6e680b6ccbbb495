#include "daemon/admin/admin_client.h"

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

// <utility> stands before Asio: Boost 1.74 uses std::exchange without it.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>

#include "core/text.h"
#include "daemon/admin/tls_stream.h"
#include "daemon/config/admin_address.h"
#include "mqtt/tls_client.h"

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
  std::string address;  // in words
  http::request<http::string_body> request;
  Duration patience;
};

template <class Stream>
Result<AdminAnswer> ask(net::io_context& context, Stream& stream, const Question& question) {
  const auto& request = question.request;
  beast::get_lowest_layer(stream).expires_after(question.patience);
  NetError problem = run_to_end(context, [&](auto done) { http::async_write(stream, request, std::move(done)); });
  if (problem) return broken(question.address, problem, question.patience);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kAnswerBytesMax);
  beast::get_lowest_layer(stream).expires_after(question.patience);
  problem = run_to_end(context, [&](auto done) { http::async_read_header(stream, buffer, parser, std::move(done)); });
  // Boost 1.74 does not keep to its limit where the length is known before.
  if (!problem && parser.content_length().value_or(0) > kAnswerBytesMax) problem = http::error::body_limit;
  if (!problem) {
    problem = run_to_end(context, [&](auto done) { http::async_read(stream, buffer, parser, std::move(done)); });
  }
  if (problem) return broken(question.address, problem, question.patience);
  auto& answer = parser.get();
  const auto retry_after = answer[http::field::retry_after];
  return AdminAnswer{answer.result_int(), std::move(answer.body()), {retry_after.data(), retry_after.size()}};
}

tl::unexpected<Error> no_tls(const Question& question, const std::string& why, const AdminDoor& door) {
  const std::string advice =
      !door.certificate_file.empty() ? "; it has to show the certificate in " + door.certificate_file
      : door.ca_file.empty()
          ? "; --admin-ca gives the authority of its certificate"
          : "; its certificate has to come from " + door.ca_file + " and to bear the name " + door.address.host;
  return fail(ErrorCode::link_down, "no TLS with " + question.address + ": " + why + advice);
}

Result<AdminAnswer> ask_in_tls(net::io_context& context, beast::basic_stream<net::ip::tcp> plain,
                               const Question& question, const AdminDoor& door) {
  const auto client = door.certificate_file.empty() ? mqtt::TlsClient::make({door.ca_file, "", "", true})
                                                    : mqtt::TlsClient::make_for(door.certificate_file);
  if (!client) return tl::unexpected(client.error());
  auto channel = (*client)->connect(door.address.host);
  if (!channel) return tl::unexpected(channel.error());
  TlsStream<beast::basic_stream<net::ip::tcp>> stream(std::move(plain), std::move(*channel));
  stream.next_layer().expires_after(question.patience);
  const NetError problem = run_to_end(context, [&](auto done) { stream.async_handshake(std::move(done)); });
  if (problem == beast::error::timeout) return broken(question.address, problem, question.patience);
  if (problem) return no_tls(question, stream.failure().empty() ? problem.message() : stream.failure(), door);
  return ask(context, stream, question);
}

template <class Protocol, class Endpoints>
Result<AdminAnswer> connect_and_ask(net::io_context& context, const Endpoints& endpoints, const Question& question,
                                    const AdminDoor& door) {
  beast::basic_stream<Protocol> stream(context);
  stream.expires_after(question.patience);
  const NetError problem = run_to_end(context, [&](auto done) { stream.async_connect(endpoints, std::move(done)); });
  if (problem) return unreachable(question.address, problem);
  if constexpr (std::is_same_v<Protocol, net::ip::tcp>) {
    if (door.is_tls) return ask_in_tls(context, std::move(stream), question, door);
  }
  return ask(context, stream, question);
}

Result<AdminAnswer> send(const AdminDoor& door, http::request<http::string_body> request, Duration patience) {
  const AdminAddress& address = door.address;
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  if (!door.token.empty()) request.set(http::field::authorization, "Bearer " + door.token);
  request.prepare_payload();
  const Question question{format_admin_address(address), std::move(request), patience};
  net::io_context context;
  if (address.kind == AdminAddress::Kind::unix_socket) {
    using Local = net::local::stream_protocol;
    return connect_and_ask<Local>(context, Local::endpoint(address.path), question, door);
  }
  NetError problem;
  net::ip::tcp::resolver resolver(context);
  const auto endpoints = resolver.resolve(address.host, std::to_string(address.port), problem);
  if (problem) return unreachable(question.address, problem);
  return connect_and_ask<net::ip::tcp>(context, endpoints, question, door);
}

// What a refusal says, without the JSON around it; any other answer as it is.
std::string refusal_text(const std::string& body) {
  simdjson::dom::parser parser;
  std::string_view error;
  return clip(parser.parse(body)["error"].get(error) == simdjson::SUCCESS ? error : body, 300);
}

}  // namespace

Result<std::string> admin_body(const AdminDoor& door, const std::string& target, Result<AdminAnswer> answer) {
  constexpr unsigned kOk = 200;
  constexpr unsigned kTooMany = 429;
  constexpr unsigned kUnavailable = 503;
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status == kOk) return std::move(answer->body);
  const bool is_over_soon = answer->status == kTooMany || answer->status == kUnavailable;
  const std::string when = answer->retry_after.empty() ? "" : "; in " + clip(answer->retry_after, 20) + " s again";
  return fail(is_over_soon ? ErrorCode::retry : ErrorCode::invalid, format_admin_address(door.address) + target +
                                                                        " answered " + std::to_string(answer->status) +
                                                                        ": " + refusal_text(answer->body) + when);
}

Result<AdminAnswer> admin_ask(const AdminDoor& door, std::string_view method, const std::string& target,
                              const std::string& json, Duration patience) {
  http::request<http::string_body> request(http::string_to_verb({method.data(), method.size()}), target, 11);
  if (!json.empty()) request.set(http::field::content_type, "application/json");
  request.body() = json;
  return send(door, std::move(request), patience);
}

Result<std::string> admin_get(const AdminDoor& door, const std::string& target, Duration patience) {
  return admin_body(door, target, admin_ask(door, "GET", target, "", patience));
}

Result<std::string> admin_post(const AdminDoor& door, const std::string& target, const std::string& json) {
  return admin_body(door, target, admin_ask(door, "POST", target, json, kAdminPatience));
}

}  // namespace tidegate::daemon
