#pragma once

#include <curl/curl.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "uplink/curl_library.h"
#include "uplink/http_answer.h"
#include "uplink/http_options.h"
#include "uplink/revocation_lists.h"

namespace tidegate::uplink {

/// One batch as a request of libcurl's, from its beginning to its answer; used again for the next, so that what libcurl
/// keeps for it is kept. Stays where it is: libcurl points into it. The library outlives it.
class HttpRequest {
 public:
  explicit HttpRequest(const CurlLibrary& curl) : curl_(curl), easy_(curl.easy_init()) {}
  ~HttpRequest();
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;

  /// Makes it ready to be added to a multi handle. Error `retry` when libcurl refuses.
  Result<void> set_up(const HttpUplinkOptions& options, const std::string& url, const std::vector<std::string>& headers,
                      OutgoingBatch batch, std::string body);
  /// Of the answer's body, instead of its beginning; after set_up().
  void keep_answer(std::size_t bytes_most) { answer_bytes_kept_ = bytes_most; }
  /// What came of it, once libcurl says that it is done.
  HttpAnswer answer(CURLcode code) const;
  /// It is on no multi handle any more, and keeps nothing of the batch for the next one.
  void let_go();

  CURL* handle() const { return easy_; }
  const OutgoingBatch& batch() const { return batch_; }

 private:
  static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self);
  std::string problem_of(CURLcode code) const;
  bool is_connected() const;
  void note_retry_after(std::string_view line);
  Result<void> set_headers(const std::vector<std::string>& headers);
  void set_target(const HttpUplinkOptions& options, const std::string& url);
  void set_limits(const HttpUplinkOptions& options);
  void set_tls(const mqtt::TlsOptions& tls);
  template <class Value>
  void set(CURLoption option, Value value);

  const CurlLibrary& curl_;
  CURL* easy_;
  CURLcode refused_ = CURLE_OK;  // the first option that was
  curl_slist* headers_ = nullptr;
  OutgoingBatch batch_;
  std::string body_;
  RevocationLists revocations_;
  bool has_headers_ = false;  // of the final answer, all of them
  bool is_told_to_wait_long_ = false;
  std::string answer_;  // the beginning of its body
  std::size_t answer_bytes_ = 0;
  std::size_t answer_bytes_kept_ = 0;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

}  // namespace tidegate::uplink
