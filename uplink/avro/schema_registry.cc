#include "uplink/avro/schema_registry.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "uplink/byte_text.h"
#include "uplink/http_headers.h"

namespace tidegate::uplink {
namespace {

// A registry that looks up a schema answers with the whole of it.
constexpr std::size_t kAnswerBytesKept = std::size_t{64} * 1024;

HttpUplinkOptions request_options(const SchemaRegistryOptions& options) {
  HttpUplinkOptions request;
  request.tls = options.tls;
  request.timeout = request.connect_timeout = request.stalled_after = options.timeout;
  return request;
}

}  // namespace

SchemaRegistry::SchemaRegistry(const CurlLibrary& curl, SchemaRegistryOptions options)
    : options_(std::move(options)), request_(request_options(options_)), fetch_(curl) {}

Result<std::int32_t> SchemaRegistry::id_of(const std::string& subject, std::string_view schema) {
  retry_after_ = Duration::zero();
  const auto lines = headers();
  if (!lines) return tl::unexpected(lines.error());
  std::string body = "{\"schema\":";
  append_json_string(body, schema);
  body += '}';
  const std::string path = "/subjects/" + percent_encoded(subject) + (options_.registers ? "/versions" : "");
  std::string trouble;
  for (const std::string& url : options_.urls) {
    request_.url = url + path;
    const HttpAnswer answer = fetch_.post(request_, *lines, body, kAnswerBytesKept);
    retry_after_ = std::max(retry_after_, answer.retry_after);
    const RegistryVerdict verdict = judge_registry_answer({url, subject, options_.registers}, answer, sent_);
    if (verdict.id) return *verdict.id;
    trouble += (trouble.empty() ? "" : "; ") + verdict.trouble;
    if (!verdict.may_ask_another) break;
  }
  return fail(ErrorCode::retry, trouble);
}

Result<std::vector<std::string>> SchemaRegistry::headers() {
  for (HttpHeader* const secret : {&options_.password, &options_.token}) {
    if (auto read = read_secret_again(*secret); !read) return tl::unexpected(read.error());
  }
  std::vector<std::string> lines{
      "User-Agent: tidegate/" TIDEGATE_VERSION, "Expect:", "Content-Type: application/vnd.schemaregistry.v1+json",
      "Accept: application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json"};
  for (const HttpHeader* const secret : {&options_.password, &options_.token}) sent_.add(secret->value);
  if (!options_.token.value.empty()) lines.push_back("Authorization: Bearer " + options_.token.value);
  if (!options_.username.empty()) {
    const std::string login = base64(options_.username + ":" + options_.password.value);
    sent_.add(login);
    lines.push_back("Authorization: Basic " + login);
  }
  return lines;
}

}  // namespace tidegate::uplink
