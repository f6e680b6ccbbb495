#include "mqtt/client.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/host_lookup.h"
#include "core/log.h"
#include "core/text.h"
#include "mqtt/broker_endpoints.h"
#include "mqtt/broker_host.h"
#include "mqtt/client_connection.h"
#include "mqtt/client_thread.h"
#include "mqtt/connect_failure.h"
#include "mqtt/in_flight.h"
#include "mqtt/link_report.h"
#include "mqtt/tls_client.h"
#include "mqtt/tls_files.h"

namespace tidegate::mqtt {
namespace {

// A link that is as slow as this is still one; a publish has to cross it before it can be acknowledged.
constexpr std::size_t kSlowestBytesPerSecond = 2048;
constexpr int kLooksPerPatience = 4;

std::uint64_t jitter_seed() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32U) | random();
}

/// What outlives the client object: tasks of the clients' thread hold on to it. Members are that thread's, unless they
/// say otherwise.
class Session final : public ConnectionEvents, public std::enable_shared_from_this<Session> {
 public:
  Session(BrokerOptions broker, std::vector<Subscription> subscriptions, ClientHandlers handlers)
      : broker_(std::move(broker)),
        subscriptions_(std::move(subscriptions)),
        handlers_(std::move(handlers)),
        backoff_(broker_.reconnect_first, broker_.reconnect_most, jitter_seed()),
        slow_backoff_(broker_.reconnect_most, broker_.reconnect_most, jitter_seed()) {}

  void connect();
  void publish(Publication publication);
  void publish_in(std::uint64_t connection, Publication publication);
  void publish_at_most_once(std::string topic, std::string payload);
  void reconnect(std::uint64_t connection);
  void tear_down();

  // Any thread.
  bool wait_until_acknowledged(Duration patience) { return !is_up_ || in_flight_.wait_until_empty(patience); }
  void mute();

  void on_connected() override;
  void on_connect_failed(LinkState why) override;
  void on_subscribed(const SubscribeAnswer& answer) override;
  void on_lost(std::optional<LinkState> why) override;
  void on_published(InFlight::Number number, bool ok) override;
  void on_refused(InFlight::Number number, const PublishRefusal& refusal) override;
  bool on_message(std::string_view topic, std::string_view payload, bool retained, bool duplicate) override {
    // Without a handler there are no subscriptions, but an old session may have some.
    return !handlers_.message || handlers_.message(topic, payload, retained, duplicate);
  }
  void on_message_too_large(std::string_view topic, std::uint64_t bytes) override {
    if (handlers_.message_too_large) handlers_.message_too_large(topic, bytes);
  }

 private:
  void connect_to(const Result<HostAddresses>& found);
  Result<std::optional<TlsChannel>> make_channel() const;
  void fail_to_connect(LinkState why);
  void reconnect_later(LinkProblem problem);
  void report_link(LinkState state);
  void report_published(std::uint64_t ticket, bool ok);
  void fail_in_flight();
  void drop_connection();
  void watch_acknowledgements();
  void give_up_unacknowledged(Duration waited);

  const BrokerOptions broker_;
  const std::vector<Subscription> subscriptions_;
  const ClientHandlers handlers_;
  const SystemClock clock_;
  Backoff backoff_;
  Backoff slow_backoff_;
  InFlight in_flight_;              // any thread
  std::atomic<bool> is_up_{false};  // any thread may ask
  BootTime connected_at_{};
  std::shared_ptr<ClientConnection> connection_;
  std::size_t addresses_failed_ = 0;  // the next try begins with another one
  std::uint64_t connections_ = 0;     // tried; the number of the newest
  bool reconnect_waits_ = false;
  bool is_watching_ = false;
  std::optional<InFlight::Number> watched_;  // the oldest publish when it was last looked
  BootTime watched_since_{};
  bool torn_down_ = false;

  std::mutex handlers_mutex_;  // held while `published` and `link` are called, which are short
  bool muted_ = false;
  LinkReport report_{broker_};
};

// What the lookup's thread has read of the disk, which may stall, this one finds in memory.
void Session::connect() {
  reconnect_waits_ = false;
  if (torn_down_) return;
  drop_connection();
  std::optional<TlsOptions> tls;
  if (wants_tls(broker_.uri)) tls = broker_.tls;
  look_up_host(host_of(broker_.uri), [weak = weak_from_this(), tls](const Result<HostAddresses>& found) {
    if (tls) warm_files(*tls);
    ClientThread::instance().post([weak, found] {
      if (const auto self = weak.lock()) self->connect_to(found);
    });
  });
}

// Files are read anew, so that a certificate that was renewed is shown at the next connection.
void Session::connect_to(const Result<HostAddresses>& found) {
  if (torn_down_) return;
  if (const std::string unusable = unusable_files(broker_); !unusable.empty()) {
    return fail_to_connect({false, LinkProblem::unusable_file, unusable});
  }
  if (!found) {
    return fail_to_connect({false, LinkProblem::unreachable,
                            "the name \"" + clip(host_of(broker_.uri)) + "\" has no address (" + found.error().message +
                                "): check it and the name server"});
  }
  auto channel = make_channel();
  if (!channel) return fail_to_connect({false, LinkProblem::unusable_file, channel.error().message});
  std::optional<ConnectionWill> will;
  ++connections_;
  if (handlers_.will) will = handlers_.will(connections_);
  connection_ = std::make_shared<ClientConnection>(broker_, subscriptions_, *this, will, std::move(*channel));
  const auto connection = connection_;
  connection->open(broker_endpoints(*found, port_of(broker_.uri), addresses_failed_));
}

Result<std::optional<TlsChannel>> Session::make_channel() const {
  if (!wants_tls(broker_.uri)) return std::nullopt;
  const auto client = TlsClient::make(broker_.tls);
  if (!client) return tl::unexpected(client.error());
  auto channel = (*client)->connect(host_of(broker_.uri));
  if (!channel) return tl::unexpected(channel.error());
  return std::optional<TlsChannel>(std::move(*channel));
}

void Session::fail_to_connect(LinkState why) {
  const LinkProblem problem = why.problem;
  report_link(std::move(why));
  reconnect_later(problem);
}

void Session::reconnect_later(LinkProblem problem) {
  if (std::exchange(reconnect_waits_, true)) return;
  const Duration delay = needs_a_person(problem) ? slow_backoff_.next() : backoff_.next();
  ClientThread::instance().post_after(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->connect();
  });
}

void Session::drop_connection() {
  if (is_up_) backoff_.note_held(clock_.boot_now() - connected_at_);
  is_up_ = false;
  if (const auto connection = std::exchange(connection_, nullptr)) connection->close();
  fail_in_flight();
}

void Session::publish(Publication publication) {
  if (!is_up_ || !connection_) return report_published(publication.ticket, false);
  const InFlight::Number number = in_flight_.add(publication.ticket, publication.payload.size());
  if (!is_watching_) watch_acknowledgements();
  connection_->publish(number, std::move(publication));
}

void Session::publish_in(std::uint64_t connection, Publication publication) {
  if (connection != connections_) return report_published(publication.ticket, false);
  publish(std::move(publication));
}

void Session::publish_at_most_once(std::string topic, std::string payload) {
  if (is_up_ && connection_) connection_->publish(std::nullopt, {0, std::move(topic), std::move(payload), 0});
}

void Session::reconnect(std::uint64_t connection) {
  if (torn_down_ || !is_up_ || connection != connections_) return;  // else it is on its way
  drop_connection();
  report_link({false, LinkProblem::lost, "ended the connection to make a new one"});
  reconnect_later(LinkProblem::lost);
}

// Pings tell that a broker is there, not that it takes anything. What was sent before the oldest is acknowledged, so
// that nothing but itself has to cross the line yet.
void Session::watch_acknowledgements() {
  const auto oldest = torn_down_ ? std::nullopt : in_flight_.oldest();
  is_watching_ = oldest.has_value();
  if (!oldest) return;
  const BootTime now = clock_.boot_now();
  if (watched_ != oldest->number) watched_since_ = now;
  watched_ = oldest->number;
  const Duration patience = broker_.acknowledgement_max + std::chrono::seconds(oldest->bytes / kSlowestBytesPerSecond);
  if (now - watched_since_ >= patience) return give_up_unacknowledged(patience);
  ClientThread::instance().post_after(broker_.acknowledgement_max / kLooksPerPatience, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->watch_acknowledgements();
  });
}

void Session::give_up_unacknowledged(Duration waited) {
  is_watching_ = false;
  drop_connection();
  report_link({false, LinkProblem::lost,
               "the broker has not acknowledged a publish for " +
                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waited).count()) +
                   " s, though it is connected: check its log, and whether its disk or its queues are full"});
  reconnect_later(LinkProblem::lost);
}

void Session::tear_down() {
  torn_down_ = true;
  drop_connection();
}

void Session::mute() {
  const std::lock_guard lock(handlers_mutex_);
  muted_ = true;
}

void Session::on_connected() {
  connected_at_ = clock_.boot_now();
  is_up_ = true;
  if (subscriptions_.empty()) report_link({true, LinkProblem::none, {}});
}

void Session::on_subscribed(const SubscribeAnswer& answer) { report_link(explain(answer, broker_.uri)); }

void Session::on_connect_failed(LinkState why) {
  ++addresses_failed_;
  fail_to_connect(std::move(why));
}

void Session::on_lost(std::optional<LinkState> why) {
  const Duration lived = clock_.boot_now() - connected_at_;
  drop_connection();
  fail_to_connect(why ? std::move(*why) : lost_link(lived, broker_));
}

void Session::on_published(InFlight::Number number, bool ok) {
  if (const auto ticket = in_flight_.take(number)) report_published(*ticket, ok);
}

void Session::on_refused(InFlight::Number number, const PublishRefusal& refusal) {
  const auto ticket = in_flight_.take(number);
  if (!ticket) return;
  if (!handlers_.refused) return report_published(*ticket, false);
  const std::lock_guard lock(handlers_mutex_);
  if (!muted_) handlers_.refused(*ticket, refusal);
}

void Session::fail_in_flight() {
  for (const std::uint64_t ticket : in_flight_.take_all()) report_published(ticket, false);
}

void Session::report_published(std::uint64_t ticket, bool ok) {
  const std::lock_guard lock(handlers_mutex_);
  if (!muted_ && handlers_.published) handlers_.published(ticket, ok);
}

void Session::report_link(LinkState state) {
  const std::lock_guard lock(handlers_mutex_);
  if (muted_ || !report_.note(state, clock_.boot_now())) return;
  if (handlers_.link) handlers_.link(state);
}

/// Something that the clients' thread comes to, to wait for.
class Ending {
 public:
  void tell() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    told_.notify_all();
  }
  /// Whether it was told.
  bool wait(Duration patience) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, patience, [this] { return is_over_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  bool is_over_ = false;
};

class BrokerClient final : public Client {
 public:
  BrokerClient(BrokerOptions broker, std::vector<Subscription> subscriptions, ClientHandlers handlers)
      : session_(std::make_shared<Session>(std::move(broker), std::move(subscriptions), std::move(handlers))) {}
  ~BrokerClient() override {
    if (started_ && !stopped_) stop(std::chrono::seconds(1));
  }

  void start() override {
    started_ = true;
    ClientThread::instance().post([session = session_] { session->connect(); });
  }

  bool stop(Duration grace) override {
    if (!started_) return true;
    const BootTime deadline = clock_.boot_now() + grace;
    if (!std::exchange(stopped_, true)) {
      // First what waits for the clients' thread: only then it is on its way.
      const auto handed_over = std::make_shared<Ending>();
      ClientThread::instance().post([handed_over] { handed_over->tell(); });
      handed_over->wait(grace / 2);
      session_->wait_until_acknowledged(grace / 2);
      ClientThread::instance().post([session = session_, ending = ending_]() mutable {
        session->tear_down();
        session.reset();  // so that whoever waited may count on its handlers being gone with the client
        ending->tell();
      });
    }
    const bool is_over = ending_->wait(deadline - clock_.boot_now());
    session_->mute();
    return is_over;
  }

  void publish(Publication publication) override {
    ClientThread::instance().post([session = session_, publication = std::move(publication)]() mutable {
      session->publish(std::move(publication));
    });
  }

  void publish_in(std::uint64_t connection, Publication publication) override {
    ClientThread::instance().post([session = session_, connection, publication = std::move(publication)]() mutable {
      session->publish_in(connection, std::move(publication));
    });
  }

  void publish_at_most_once(std::string topic, std::string payload) override {
    ClientThread::instance().post(
        [session = session_, topic = std::move(topic), payload = std::move(payload)]() mutable {
          session->publish_at_most_once(std::move(topic), std::move(payload));
        });
  }

  void reconnect(std::uint64_t connection) override {
    ClientThread::instance().post([session = session_, connection] { session->reconnect(connection); });
  }

 private:
  const SystemClock clock_;
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<Ending> ending_ = std::make_shared<Ending>();
  bool started_ = false;
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<Client> make_client(BrokerOptions options, std::vector<Subscription> subscriptions,
                                    ClientHandlers handlers) {
  return std::make_unique<BrokerClient>(std::move(options), std::move(subscriptions), std::move(handlers));
}

}  // namespace tidegate::mqtt
