#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "uplink/curl_library.h"
#include "uplink/http_answer.h"
#include "uplink/http_options.h"
#include "uplink/http_request.h"

namespace tidegate::uplink {

/// Requests whose answers are waited for, one after the other, on one thread that has no SIGPIPE. The library outlives
/// it.
class HttpFetch {
 public:
  explicit HttpFetch(const CurlLibrary& curl) : curl_(curl), multi_(curl.multi_init()), request_(curl) {}
  ~HttpFetch();
  HttpFetch(const HttpFetch&) = delete;
  HttpFetch& operator=(const HttpFetch&) = delete;

  /// Lasts as long as the options allow. `answer_bytes_most` of the answer's body are kept. Of the options those of the
  /// connection count.
  HttpAnswer post(const HttpUplinkOptions& options, const std::vector<std::string>& headers, std::string body,
                  std::size_t answer_bytes_most);
  /// Ends what is waited for, and whatever comes. Any thread.
  void cancel();

 private:
  HttpAnswer await_answer();

  const CurlLibrary& curl_;
  CURLM* const multi_;
  HttpRequest request_;
  std::atomic<bool> is_cancelled_ = false;
};

}  // namespace tidegate::uplink
