#include "uplink/kafka/kafka_tokens.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "core/text.h"
#include "uplink/byte_text.h"
#include "uplink/curl_library.h"
#include "uplink/http_headers.h"
#include "uplink/kafka/kafka_troubles.h"
#include "uplink/start_thread.h"

namespace tidegate::uplink {
namespace {

using std::chrono::seconds;

constexpr Duration kLookEvery = seconds(5);    // at a file
constexpr Duration kLookAround = seconds(30);  // a suspended machine does not count in a wait
constexpr Duration kClocksDiffer = std::chrono::minutes(5);
constexpr Duration kLastsMost = std::chrono::hours(24 * 365);
constexpr std::size_t kAnswerBytesMost = std::size_t{256} * 1024;
// We renew it ourselves: librdkafka would go by the wall clock, and refuse what has run out by that.
constexpr std::int64_t kNeverMilliseconds = 253'402'300'799'000;  // the end of the year 9999

HttpUplinkOptions http_options(const KafkaTokenOptions& options) {
  HttpUplinkOptions http;
  http.url = options.url;
  http.tls = options.tls;
  return http;
}

std::string day_of(WallTime time) { return format_utc(time).substr(0, std::string_view("2026-11-21").size()); }

}  // namespace

KafkaTokens::KafkaTokens(const KafkaUplinkOptions& options, std::string gateway, Duration least)
    : is_needed_(options.login && options.login->uses_tokens()),
      options_(is_needed_ ? options.login->token : KafkaTokenOptions()),
      name_(options.forwarder.name),
      gateway_(std::move(gateway)),
      http_(http_options(options_)),
      secret_(options_.client_secret),
      schedule_(least, std::random_device{}()) {
  if (is_of_file()) secret_.secret_file = options_.file;
  if (options.login) login_.add(options.login->password);
}

Result<void> KafkaTokens::start(std::function<void()> wake) {
  if (!is_needed_) return {};
  wake_ = std::move(wake);
  if (!is_of_file()) {
    const auto curl = CurlLibrary::get();
    if (!curl) return tl::unexpected(curl.error());
    fetch_ = std::make_unique<HttpFetch>(**curl);
  }
  auto thread = start_thread(name_, [this] { run(); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = std::move(*thread);
  return {};
}

void KafkaTokens::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_all();
  }
  if (fetch_) fetch_->cancel();
  if (thread_.joinable()) thread_.join();
}

void KafkaTokens::run() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    schedule_.on_asked(clock_.boot_now());
    lock.unlock();
    tell(is_of_file() ? look() : fetch());
    lock.lock();
    if (is_of_file()) schedule_.wait(clock_.boot_now(), kLookEvery);
    while (!is_stopping_ && clock_.boot_now() < schedule_.due()) {
      changed_.wait_for(lock, std::min(schedule_.due() - clock_.boot_now(), kLookAround));
    }
  }
}

// What is wrong.
std::string KafkaTokens::look() {
  if (const auto read = read_secret_again(secret_); !read) return read.error().message;
  auto token = kafka_token_of_file(secret_.value);
  if (!token) return "the token in " + clip(options_.file, 200) + " " + token.error().message;
  std::string remark = remark_on(*token);
  const std::lock_guard lock(mutex_);
  keep(std::move(*token));
  return remark;
}

// It says no more of the time than the day, so that it is the same text all day.
std::string KafkaTokens::remark_on(const KafkaToken& token) const {
  const WallTime now = clock_.wall_now();
  const std::string clock = "the clock of this gateway says " + day_of(now);
  const std::string what = "the token in " + clip(options_.file, 200);
  if (*token.ends <= now) return what + " ran out at " + format_utc(*token.ends) + ", and " + clock + ": renew it";
  if (token.begins && *token.begins > now + kClocksDiffer) {
    return what + " is of " + format_utc(*token.begins) + ", and " + clock + ": is it set?";
  }
  return "";
}

std::string KafkaTokens::remark_on(Duration lasts) const {
  if (!schedule_.is_too_short(lasts)) return "";
  return "the tokens of " + options_.url + " last " + std::to_string(std::chrono::floor<seconds>(lasts).count()) +
         " s, and one is fetched every " + format_duration(TokenSchedule::kLeast) +
         " at most: let them last for minutes";
}

// What is wrong.
std::string KafkaTokens::fetch() {
  auto token = ask();
  const std::lock_guard lock(mutex_);
  const BootTime now = clock_.boot_now();
  if (!token) {
    schedule_.on_failure(now, retry_after_);
    return "no token for the login: " + token.error().message;
  }
  const Duration lasts = std::min(*token->lasts, kLastsMost);
  schedule_.on_token(now, lasts);
  good_until_ = now + lasts;
  keep(std::move(*token));
  return remark_on(lasts);
}

// The client's name and secret as RFC 6749, 2.3.1, has them.
Result<KafkaToken> KafkaTokens::ask() {
  retry_after_ = Duration::zero();
  if (auto read = read_secret_again(secret_); !read) return tl::unexpected(read.error());
  const std::string login = base64(percent_encoded(options_.client_id) + ":" + percent_encoded(secret_.value));
  for (const std::string& secret : {login, secret_.value, percent_encoded(secret_.value)}) sent_.add(secret);
  std::string body = "grant_type=client_credentials";
  if (!options_.scope.empty()) body += "&scope=" + percent_encoded(options_.scope);
  const HttpAnswer answer =
      fetch_->post(http_,
                   {"User-Agent: tidegate/" TIDEGATE_VERSION, "Content-Type: application/x-www-form-urlencoded",
                    "Accept: application/json", "Expect:", "Authorization: Basic " + login},
                   std::move(body), kAnswerBytesMost);
  retry_after_ = answer.retry_after;
  auto token = kafka_token_of_answer(answer, clock_.wall_now(), sent_);
  if (!token) return fail(token.error().code, options_.url + " " + token.error().message);
  return token;
}

void KafkaTokens::keep(KafkaToken token) {
  if (token_ && token_->value == token.value) return;
  login_.add(token.value);
  token_ = std::move(token);
  ++version_;
  wake_();
}

void KafkaTokens::tell(const std::string& problem) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_ || std::exchange(problem_, problem) == problem) return;
  complain(problem);
}

void KafkaTokens::complain(const std::string& problem) {
  wake_();
  if (problem.empty()) return;
  if (const auto left_out = complaints_.admit(problem, clock_.boot_now())) {
    log_warning("uplink " + name_, "{}{}", problem, since_last_line(*left_out));
  }
}

void KafkaTokens::hand_over(const KafkaLibrary& library, rd_kafka_t* client, std::uint64_t& given) {
  if (!is_needed_) return;
  const std::lock_guard lock(mutex_);
  if (!token_ || given == version_) return;
  given = version_;
  std::vector<const char*> extensions;
  for (const auto& [name, value] : options_.extensions) {
    extensions.push_back(name.c_str());
    extensions.push_back(value.c_str());
  }
  const std::string& principal =
      !token_->subject.empty() ? token_->subject : (options_.client_id.empty() ? gateway_ : options_.client_id);
  std::array<char, 512> problem{};
  const auto error =
      library.oauthbearer_set_token_(client, token_->value.c_str(), kNeverMilliseconds, principal.c_str(),
                                     extensions.data(), extensions.size(), problem.data(), problem.size());
  const std::string refused =
      error == RD_KAFKA_RESP_ERR_NO_ERROR
          ? ""
          : "librdkafka does not take the token: " + kafka_words(login_.without(problem.data()).c_str());
  if (std::exchange(refused_, refused) != refused) complain(refused);
}

void KafkaTokens::on_refused() {
  if (!is_needed_) return;
  const std::lock_guard lock(mutex_);
  if (schedule_.on_refused(clock_.boot_now())) changed_.notify_all();
}

std::string KafkaTokens::explain(const std::string& outage, bool may_be_of_login) const {
  const std::lock_guard lock(mutex_);
  const std::string& problem = refused_.empty() ? problem_ : refused_;
  if (problem.empty() || outage.empty()) return outage;
  const bool is_good = token_ && refused_.empty() && (!good_until_ || clock_.boot_now() < *good_until_);
  return is_good || !may_be_of_login ? outage + "; " + problem : problem;
}

std::string KafkaTokens::words(const char* text) const {
  const std::lock_guard lock(mutex_);
  return kafka_words(login_.without(text).c_str());
}

}  // namespace tidegate::uplink
