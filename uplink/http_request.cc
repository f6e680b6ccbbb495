#include "uplink/http_request.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "core/free_room.h"
#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kAnswerBytesKept = 4 * 1024;
// Where each record of a batch has its answer there.
constexpr std::size_t kRecordAnswerBytesKept = 512 * 1024;
// Enough for a target that names each record of a batch; what does not end by then is given up, and the status counts.
constexpr std::size_t kAnswerBytesMost = 1024 * 1024;
constexpr curl_off_t kRetryAfterSecondsMost = 365L * 24 * 3600;
constexpr long kLeastBytesPerSecond = 10;

long milliseconds(Duration duration) {
  return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}
long seconds(Duration duration) { return static_cast<long>(std::chrono::ceil<std::chrono::seconds>(duration).count()); }

// "after 3 ms" and "after 10002 milliseconds" make another problem of the same one each time.
std::string without_times(std::string text) {
  constexpr std::string_view kAfter = " after ";
  for (std::size_t at = text.find(kAfter); at != std::string::npos; at = text.find(kAfter, at + 1)) {
    const std::size_t digits = at + kAfter.size();
    const std::size_t behind = std::min(text.find_first_not_of("0123456789", digits), text.size());
    const std::string_view rest = std::string_view(text).substr(behind);
    for (const std::string_view unit : {" milliseconds", " ms"}) {
      if (behind == digits || !rest.starts_with(unit)) continue;
      text.erase(at, behind + unit.size() - at);
      break;
    }
  }
  return text;
}

// `small` has small letters.
bool is_same_name(std::string_view name, std::string_view small) {
  return std::equal(name.begin(), name.end(), small.begin(), small.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

// What to look at, where libcurl's text does not say so.
const char* advice_for(CURLcode code) {
  if (code == CURLE_COULDNT_CONNECT) return ": check address, port, route and whether the server runs";
  if (code == CURLE_COULDNT_RESOLVE_HOST) return ": check the name, and the name servers of this machine";
  return "";
}

}  // namespace

HttpRequest::~HttpRequest() {
  if (easy_ != nullptr) curl_.easy_cleanup(easy_);
  curl_.slist_free_all(headers_);
}

template <class Value>
void HttpRequest::set(CURLoption option, Value value) {
  const CURLcode code = curl_.easy_setopt(easy_, option, value);
  if (refused_ == CURLE_OK) refused_ = code;
}

Result<void> HttpRequest::set_up(const HttpUplinkOptions& options, const std::string& url,
                                 const std::vector<std::string>& headers, OutgoingBatch batch, std::string body) {
  if (easy_ == nullptr) return fail(ErrorCode::retry, "libcurl has no memory for a request");
  curl_.easy_reset(easy_);
  refused_ = CURLE_OK;
  batch_ = std::move(batch);
  body_ = std::move(body);
  has_headers_ = false;
  is_told_to_wait_long_ = false;
  answer_.clear();
  answer_bytes_ = 0;
  const bool has_records = options.format == BatchFormat::kinesis || options.format == BatchFormat::pubsub;
  answer_bytes_kept_ = has_records ? kRecordAnswerBytesKept : kAnswerBytesKept;
  error_.front() = '\0';
  if (auto done = set_headers(headers); !done) return done;
  set_target(options, url);
  set_limits(options);
  if (url.starts_with("https:")) set_tls(options.tls);
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_HEADERFUNCTION, &HttpRequest::take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &HttpRequest::take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  if (refused_ == CURLE_OK) return {};
  return fail(ErrorCode::retry, std::string("libcurl refuses a request: ") + curl_.easy_strerror(refused_));
}

void HttpRequest::let_go() {
  batch_ = {};
  free_room(body_);
  free_room(answer_);
}

Result<void> HttpRequest::set_headers(const std::vector<std::string>& headers) {
  curl_.slist_free_all(std::exchange(headers_, nullptr));
  for (const std::string& line : headers) {
    curl_slist* const longer = curl_.slist_append(headers_, line.c_str());
    if (longer == nullptr) return fail(ErrorCode::retry, "libcurl has no memory for a header");
    headers_ = longer;
  }
  set(CURLOPT_HTTPHEADER, headers_);
  return {};
}

void HttpRequest::set_target(const HttpUplinkOptions& options, const std::string& url) {
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, options.proxy.c_str());  // "" turns off what the environment says
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // From memory, so that libcurl can send it again by itself when a connection that was kept turns out to be closed.
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
  set(CURLOPT_POSTFIELDS, body_.data());
  if (options.method == HttpMethod::put) set(CURLOPT_CUSTOMREQUEST, "PUT");
}

void HttpRequest::set_limits(const HttpUplinkOptions& options) {
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout));
  set(CURLOPT_TIMEOUT_MS, milliseconds(options.timeout));
  set(CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, seconds(options.stalled_after));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // a stop does not wait for a name server
}

void HttpRequest::set_tls(const mqtt::TlsOptions& tls) {
  // Where HTTP/2 is offered one connection carries all. Without TLS it is not, and there libcurl would hold everything
  // back until the first request has its answer.
  set(CURLOPT_PIPEWAIT, 1L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  // Each connection looks at the files as they are: no sessions and no authorities from before.
  set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
  set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
  if (!tls.ca_file.empty()) {
    set(CURLOPT_CAINFO, tls.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    // It reads the authorities only when the handshake has begun, too late for raise_tls_floor() to find lists there.
    if (revocations_.are_in(tls.ca_file)) set(CURLOPT_CRLFILE, tls.ca_file.c_str());
  }
  if (tls.cert_file.empty()) return;
  set(CURLOPT_SSLCERT, tls.cert_file.c_str());
  set(CURLOPT_SSLKEY, tls.key_file.c_str());
}

// libcurl takes an answer that breaks off within its headers for whole.
std::size_t HttpRequest::take_header(char* data, std::size_t size, std::size_t count, void* self) {
  const std::string_view line(data, size * count);
  auto& request = *static_cast<HttpRequest*>(self);
  if (line.starts_with("HTTP/")) request.has_headers_ = false;
  if (line == "\r\n" || line == "\n") request.has_headers_ = true;
  request.note_retry_after(line);
  return line.size();
}

// A number that libcurl cannot hold is none to it, and was meant to be a long time.
void HttpRequest::note_retry_after(std::string_view line) {
  constexpr std::size_t kDigitsHeld = 9;
  if (line.starts_with("HTTP/")) is_told_to_wait_long_ = false;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_same_name(line.substr(0, colon), "retry-after")) return;
  std::string_view value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  value.remove_prefix(std::min(value.find_first_not_of('0'), value.size()));
  const std::size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
  const bool is_number = value.find_first_not_of(" \t\r\n", digits) == std::string_view::npos;
  is_told_to_wait_long_ = is_number && digits > kDigitsHeld;
}

// A number other than that of the bytes makes libcurl give up the transfer.
std::size_t HttpRequest::take_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto& request = *static_cast<HttpRequest*>(self);
  const std::size_t bytes = size * count;
  request.answer_bytes_ += bytes;
  request.answer_.append(data, std::min(bytes, request.answer_bytes_kept_ - request.answer_.size()));
  return request.answer_bytes_ > kAnswerBytesMost ? 0 : bytes;
}

std::string HttpRequest::problem_of(CURLcode code) const {
  const std::string text =
      without_times(clip(error_.front() != '\0' ? error_.data() : curl_.easy_strerror(code), CURL_ERROR_SIZE));
  if (code == CURLE_OUT_OF_MEMORY && is_connected()) {
    return "a line of the answer's headers is too long (or there is no memory left)";
  }
  return text + advice_for(code);
}

bool HttpRequest::is_connected() const {
  double seconds = 0;
  curl_.easy_getinfo(easy_, CURLINFO_CONNECT_TIME, &seconds);
  return seconds > 0;
}

HttpAnswer HttpRequest::answer(CURLcode code) const {
  HttpAnswer answer;
  const bool is_given_up = code == CURLE_WRITE_ERROR && answer_bytes_ > kAnswerBytesMost;
  if (code != CURLE_OK && !is_given_up) {
    answer.problem = problem_of(code);
    return answer;
  }
  if (!has_headers_) {
    answer.problem = "the answer broke off within its headers";
    return answer;
  }
  curl_.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t retry_after = 0;
  curl_.easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &retry_after);
  // Anything may stand there, and nanoseconds hold 292 years.
  if (is_told_to_wait_long_) retry_after = kRetryAfterSecondsMost;
  answer.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(retry_after, 0, kRetryAfterSecondsMost));
  const char* location = nullptr;
  curl_.easy_getinfo(easy_, CURLINFO_REDIRECT_URL, &location);
  if (location != nullptr) answer.location = location;
  answer.body = answer_;
  return answer;
}

}  // namespace tidegate::uplink
