#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/text.h"
#include "uplink/aws_signer.h"
#include "uplink/curl_library.h"
#include "uplink/http_answer.h"
#include "uplink/http_body.h"
#include "uplink/http_headers.h"
#include "uplink/http_request.h"
#include "uplink/placeholders.h"
#include "uplink/start_thread.h"
#include "uplink/stream_troubles.h"
#include "uplink/transport.h"

namespace tidegate::uplink {
namespace {

// A thread around one multi handle of libcurl's. The link is always up: whether the target can be reached shows with
// each batch, and is told as trouble.
class HttpTransport final : public Transport {
 public:
  HttpTransport(HttpUplinkOptions options, std::string gateway, TransportHandlers handlers)
      : options_(std::move(options)),
        gateway_(std::move(gateway)),
        handlers_(std::move(handlers)),
        headers_(options_, gateway_),
        signer_(options_),
        body_(options_, gateway_) {}
  ~HttpTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    const auto curl = CurlLibrary::get();
    if (!curl) return tl::unexpected(curl.error());
    curl_ = *curl;
    if (auto ready = body_.prepare(); !ready) return ready;
    for (const Stream stream : kAllStreams) {
      auto url =
          fill_placeholders(options_.url, {{"gateway", percent_encoded(gateway_)}, {"stream", to_string(stream)}});
      if (!url) return tl::unexpected(url.error());
      urls_[static_cast<std::size_t>(stream)] = std::move(*url);
    }
    multi_ = curl_->multi_init();
    if (multi_ == nullptr) return fail(ErrorCode::retry, "libcurl has no memory for the uplink " + name());
    curl_->multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(most_at_a_time()));
    curl_->multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(most_at_a_time()));
    auto thread = start_thread(name(), [this] { run(); });
    if (!thread) return tl::unexpected(thread.error());
    thread_ = std::move(*thread);
    handlers_.link(true, "");
    return {};
  }

  void stop(Duration grace) override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      ends_at_ = clock_.boot_now() + grace;
    }
    if (thread_.joinable()) {
      curl_->multi_wakeup(multi_);
      thread_.join();
    }
    idle_.clear();
    if (multi_ != nullptr) curl_->multi_cleanup(std::exchange(multi_, nullptr));
  }

  void send(const OutgoingBatch& batch) override {
    {
      const std::lock_guard lock(mutex_);
      if (!is_stopping_) handed_over_.push_back(batch);
      if (is_stopping_) return handlers_.done(batch.id, false);
    }
    curl_->multi_wakeup(multi_);
  }

 private:
  static constexpr Duration kLongestWait = std::chrono::seconds(1);

  const std::string& name() const { return options_.forwarder.name; }
  std::size_t most_at_a_time() const { return std::max(options_.forwarder.inflight_max, std::uint32_t{1}); }

  void run() {
    while (const auto wait = next_wait()) {
      begin_waiting();
      int running = 0;
      curl_->multi_perform(multi_, &running);
      if (!end_finished()) curl_->multi_poll(multi_, nullptr, 0, static_cast<int>(wait->count()), nullptr);
    }
    for (auto& request : active_) {
      curl_->multi_remove_handle(multi_, request->handle());
      handlers_.done(request->batch().id, false);
    }
    for (const OutgoingBatch& batch : waiting_) handlers_.done(batch.id, false);
    active_.clear();
  }

  // Takes what was handed over; nothing when it is time to end.
  std::optional<std::chrono::milliseconds> next_wait() {
    const std::lock_guard lock(mutex_);
    std::move(handed_over_.begin(), handed_over_.end(), std::back_inserter(waiting_));
    handed_over_.clear();
    if (!is_stopping_) return std::chrono::ceil<std::chrono::milliseconds>(kLongestWait);
    const Duration left = ends_at_ - clock_.boot_now();
    if (left <= Duration::zero() || (waiting_.empty() && active_.empty())) return std::nullopt;
    return std::chrono::ceil<std::chrono::milliseconds>(std::min(left, kLongestWait));
  }

  // The forwarder may have given up batches that are still on their way here, so it does not count these.
  void begin_waiting() {
    while (!waiting_.empty() && active_.size() < most_at_a_time()) {
      const OutgoingBatch batch = std::move(waiting_.front());
      waiting_.pop_front();
      begin(batch);
    }
  }

  void begin(const OutgoingBatch& batch) {
    auto body = body_.make(batch);
    if (!body) return refuse_batch(batch, body.error());
    body_.say_left_out(name(), clock_.boot_now());
    if (body->empty() && body_.needs_entries()) return acknowledge(batch);
    const std::string& url = urls_[static_cast<std::size_t>(batch.stream)];
    const auto headers = make_headers(batch, url, *body);
    if (!headers) return fail_batch(batch, headers.error().message);
    auto request = take_request();
    if (auto ready = request->set_up(options_, url, *headers, batch, std::move(*body)); !ready) {
      return fail_batch(batch, ready.error().message);
    }
    if (curl_->multi_add_handle(multi_, request->handle()) != CURLM_OK) {
      return fail_batch(batch, "libcurl takes no more requests");
    }
    active_.push_back(std::move(request));
  }

  Result<std::vector<std::string>> make_headers(const OutgoingBatch& batch, const std::string& url,
                                                const std::string& body) {
    auto lines = headers_.lines(batch);
    if (!lines || options_.format != BatchFormat::kinesis) return lines;
    auto signature = signer_.lines(url, body, clock_.wall_now());
    if (signature) std::move(signature->begin(), signature->end(), std::back_inserter(*lines));
    return signature ? lines : signature;
  }

  std::unique_ptr<HttpRequest> take_request() {
    if (idle_.empty()) return std::make_unique<HttpRequest>(*curl_);
    auto request = std::move(idle_.back());
    idle_.pop_back();
    return request;
  }

  // Whether there was one, so that others can begin in its place.
  bool end_finished() {
    bool any = false;
    int left = 0;
    while (const CURLMsg* const message = curl_->multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      any = true;
      finish(message->easy_handle, message->data.result);
    }
    return any;
  }

  void finish(CURL* handle, CURLcode code) {
    const auto at =
        std::find_if(active_.begin(), active_.end(), [handle](const auto& r) { return r->handle() == handle; });
    if (at == active_.end()) return;
    auto request = std::move(*at);
    active_.erase(at);
    HttpAnswer answer = request->answer(code);
    curl_->multi_remove_handle(multi_, handle);
    answer.body = signer_.redact(headers_.redact(std::move(answer.body)));
    answer.location = signer_.redact(headers_.redact(std::move(answer.location)));
    const OutgoingBatch batch = request->batch();
    request->let_go();
    idle_.push_back(std::move(request));
    report(batch, body_.judge(batch, answer));
  }

  // Who hears that a batch is done has heard before whether there is trouble.
  void report(const OutgoingBatch& batch, const HttpVerdict& verdict) {
    if (verdict.acknowledged) return acknowledge(batch);
    const bool is_first = failures_in_row_++ == 0;
    const bool is_way_free = !verdict.failure.refusal.empty();
    if (is_way_free) tell(batch.stream, "");
    if (!is_way_free && !verdict.trouble.empty() && !(is_first && verdict.may_pass))
      tell(batch.stream, verdict.trouble);
    handlers_.failed(batch.id, verdict.failure);
  }

  // That it takes a batch without entries does not say that it takes records.
  void acknowledge(const OutgoingBatch& batch) {
    failures_in_row_ = 0;
    if (batch.count > 0) tell(batch.stream, "");
    handlers_.done(batch.id, true);
  }

  // Another try makes no other body of what is no batch.
  void refuse_batch(const OutgoingBatch& batch, const Error& why) {
    if (why.code != ErrorCode::give_up_item) return fail_batch(batch, why.message);
    ++failures_in_row_;
    body_.forget(batch);
    BatchFailure how;
    how.refusal = why.message;
    handlers_.failed(batch.id, how);
  }

  void fail_batch(const OutgoingBatch& batch, const std::string& trouble) {
    ++failures_in_row_;
    body_.forget(batch);
    tell(batch.stream, trouble);
    handlers_.done(batch.id, false);
  }

  void tell(Stream stream, const std::string& trouble) {
    if (auto news = troubles_.note(stream, trouble)) handlers_.trouble(std::move(*news));
  }

  const HttpUplinkOptions options_;
  const std::string gateway_;
  const TransportHandlers handlers_;
  const SystemClock clock_;
  const CurlLibrary* curl_ = nullptr;
  std::array<std::string, kStreamCount> urls_;
  CURLM* multi_ = nullptr;

  // The thread's.
  HttpHeaders headers_;
  AwsSigner signer_;
  HttpBody body_;
  std::deque<OutgoingBatch> waiting_;
  std::vector<std::unique_ptr<HttpRequest>> active_;
  std::vector<std::unique_ptr<HttpRequest>> idle_;
  StreamTroubles troubles_;
  std::uint64_t failures_in_row_ = 0;

  std::mutex mutex_;
  std::vector<OutgoingBatch> handed_over_;
  bool is_stopping_ = false;
  BootTime ends_at_{};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> make_http_transport(HttpUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers) {
  return std::make_unique<HttpTransport>(std::move(options), std::move(gateway), std::move(handlers));
}

}  // namespace tidegate::uplink
