#include "uplink/avro/schema_registry.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "uplink/byte_text.h"
#include "uplink/http_headers.h"
#include "uplink/http_request.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {
namespace {

// A registry that looks up a schema answers with the whole of it.
constexpr std::size_t kAnswerBytesKept = std::size_t{64} * 1024;
constexpr int kPollMilliseconds = 1000;

HttpUplinkOptions request_options(const SchemaRegistryOptions& options) {
  HttpUplinkOptions request;
  request.tls = options.tls;
  request.timeout = request.connect_timeout = request.stalled_after = options.timeout;
  return request;
}

}  // namespace

SchemaRegistry::SchemaRegistry(const CurlLibrary& curl, SchemaRegistryOptions options)
    : curl_(curl), options_(std::move(options)), request_(request_options(options_)), multi_(curl.multi_init()) {}

SchemaRegistry::~SchemaRegistry() {
  if (multi_ != nullptr) curl_.multi_cleanup(multi_);
}

void SchemaRegistry::end() {
  is_ended_ = true;
  if (multi_ != nullptr) curl_.multi_wakeup(multi_);
}

Result<std::int32_t> SchemaRegistry::id_of(const std::string& subject, std::string_view schema) {
  const auto lines = headers();
  if (!lines) return tl::unexpected(lines.error());
  std::string body = "{\"schema\":";
  append_json_string(body, schema);
  body += '}';
  const std::string path = "/subjects/" + percent_encoded(subject) + (options_.registers ? "/versions" : "");
  std::string trouble;
  for (const std::string& url : options_.urls) {
    HttpAnswer answer = ask(url + path, *lines, body);
    answer.body = redact(std::move(answer.body));
    answer.location = redact(std::move(answer.location));
    const RegistryVerdict verdict = judge_registry_answer({url, subject, options_.registers}, answer);
    if (verdict.id) return *verdict.id;
    trouble += (trouble.empty() ? "" : "; ") + verdict.trouble;
    if (!verdict.may_ask_another || is_ended_) break;
  }
  return fail(ErrorCode::retry, trouble);
}

Result<std::vector<std::string>> SchemaRegistry::headers() {
  for (HttpHeader* const secret : {&options_.password, &options_.token}) {
    if (auto read = read_secret_again(*secret); !read) return tl::unexpected(read.error());
  }
  std::vector<std::string> lines{
      "Content-Type: application/vnd.schemaregistry.v1+json",
      "Accept: application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"};
  login_.clear();
  if (!options_.token.value.empty()) lines.push_back("Authorization: Bearer " + options_.token.value);
  if (!options_.username.empty()) {
    login_ = base64(options_.username + ":" + options_.password.value);
    lines.push_back("Authorization: Basic " + login_);
  }
  return lines;
}

HttpAnswer SchemaRegistry::ask(const std::string& url, const std::vector<std::string>& headers,
                               const std::string& body) {
  HttpAnswer none;
  HttpRequest request(curl_);
  if (multi_ == nullptr) {
    none.problem = "libcurl has no memory";
    return none;
  }
  if (const auto ready = request.set_up(request_, url, headers, {}, body); !ready) {
    none.problem = ready.error().message;
    return none;
  }
  request.keep_answer(kAnswerBytesKept);
  if (curl_.multi_add_handle(multi_, request.handle()) != CURLM_OK) {
    none.problem = "libcurl takes no request";
    return none;
  }
  none.problem = "the gateway stops";
  while (!is_ended_) {
    int running = 0;
    int left = 0;
    curl_.multi_perform(multi_, &running);
    if (const CURLMsg* const message = curl_.multi_info_read(multi_, &left)) {
      none = request.answer(message->data.result);
      break;
    }
    curl_.multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
  }
  curl_.multi_remove_handle(multi_, request.handle());
  return none;
}

std::string SchemaRegistry::redact(std::string text) const {
  for (const std::string& secret : {options_.password.value, options_.token.value, login_}) redact_secret(text, secret);
  return text;
}

}  // namespace tidegate::uplink
