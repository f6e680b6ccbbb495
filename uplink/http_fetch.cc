#include "uplink/http_fetch.h"

#include <utility>

namespace tidegate::uplink {
namespace {

constexpr int kLongestWaitMilliseconds = 1000;

HttpAnswer no_answer(std::string problem) {
  HttpAnswer answer;
  answer.problem = std::move(problem);
  return answer;
}

}  // namespace

HttpFetch::~HttpFetch() {
  if (multi_ != nullptr) curl_.multi_cleanup(multi_);
}

HttpAnswer HttpFetch::post(const HttpUplinkOptions& options, const std::vector<std::string>& headers, std::string body,
                           std::size_t answer_bytes_most) {
  if (multi_ == nullptr) return no_answer("libcurl has no memory");
  if (const auto ready = request_.set_up(options, options.url, headers, {}, std::move(body)); !ready) {
    return no_answer(ready.error().message);
  }
  request_.keep_answer(answer_bytes_most);
  if (curl_.multi_add_handle(multi_, request_.handle()) != CURLM_OK) {
    return no_answer("libcurl takes no more requests");
  }
  HttpAnswer answer = await_answer();
  curl_.multi_remove_handle(multi_, request_.handle());
  return answer;
}

HttpAnswer HttpFetch::await_answer() {
  while (!is_cancelled_) {
    int running = 0;
    curl_.multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg* const message = curl_.multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) return request_.answer(message->data.result);
    }
    curl_.multi_poll(multi_, nullptr, 0, kLongestWaitMilliseconds, nullptr);
  }
  return no_answer("the service stops");
}

void HttpFetch::cancel() {
  is_cancelled_ = true;
  if (multi_ != nullptr) curl_.multi_wakeup(multi_);
}

}  // namespace tidegate::uplink
