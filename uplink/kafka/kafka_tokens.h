#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/clock.h"
#include "core/log.h"
#include "uplink/http_fetch.h"
#include "uplink/http_options.h"
#include "uplink/kafka/kafka_library.h"
#include "uplink/kafka/kafka_token.h"
#include "uplink/kafka/token_schedule.h"
#include "uplink/options.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {

/// Has a token for each client of an uplink that logs in with OAUTHBEARER, and a new one before it runs out: from a
/// token endpoint (client credentials grant, RFC 6749, 4.4) or a file, on a thread of its own. An uplink with another
/// login needs none, and then this does nothing.
///
/// Tokens of an endpoint are renewed by how long they last and not by the wall clock, which may be wrong. One of a file
/// that has run out by our clock is used all the same: the brokers' clock decides.
class KafkaTokens {
 public:
  /// `least` is as often as an endpoint is asked that gives tokens.
  KafkaTokens(const KafkaUplinkOptions& options, std::string gateway, Duration least = TokenSchedule::kLeast);
  ~KafkaTokens() { stop(); }
  KafkaTokens(const KafkaTokens&) = delete;
  KafkaTokens& operator=(const KafkaTokens&) = delete;

  /// `wake` is called on the thread when there is another token or another problem.
  Result<void> start(std::function<void()> wake);
  /// No token is had any more. Any number of times.
  void stop();

  /// Gives the client the newest token, unless `given` says that it has that. Any thread, and the next two.
  void hand_over(const KafkaLibrary& library, rd_kafka_t* client, std::uint64_t& given);
  /// The brokers have refused a login: the token may be worth nothing any more.
  void on_refused();
  /// What to say of an outage: where it may be of the login, and there is no token for that, why that is so; else also
  /// what may be wrong with the token.
  std::string explain(const std::string& outage, bool may_be_of_login) const;
  /// What librdkafka says, as kafka_words() has it, without the password and the tokens: a broker's refusal of a login
  /// is passed on as it comes, and may repeat them.
  std::string words(const char* text) const;

 private:
  bool is_of_file() const { return !options_.file.empty(); }
  void run();
  std::string look();
  std::string fetch();
  Result<KafkaToken> ask();
  std::string remark_on(const KafkaToken& token) const;
  void tell(const std::string& problem);
  // With the mutex held.
  std::string remark_on(Duration lasts) const;
  void keep(KafkaToken token);
  void complain(const std::string& problem);

  const bool is_needed_;
  const KafkaTokenOptions options_;
  const std::string name_;
  const std::string gateway_;
  const SystemClock clock_;

  // The thread's.
  HttpUplinkOptions http_;
  HttpHeader secret_;
  std::unique_ptr<HttpFetch> fetch_;
  SentSecrets sent_;
  Duration retry_after_{};
  std::function<void()> wake_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  SentSecrets login_;  // to the brokers
  std::optional<KafkaToken> token_;
  std::uint64_t version_ = 0;           // of the token
  std::optional<BootTime> good_until_;  // where that is known without the wall clock
  std::string problem_;                 // with having one
  std::string refused_;                 // why librdkafka does not take the one that we have
  ComplaintFilter complaints_;
  TokenSchedule schedule_;
  bool is_stopping_ = false;
  std::thread thread_;
};

/// What every client of an uplink is made with, all of which outlives it.
struct KafkaAccess {
  const KafkaLibrary& library;
  const KafkaUplinkOptions& options;
  const std::string& gateway;
  KafkaTokens& tokens;
};

}  // namespace tidegate::uplink
