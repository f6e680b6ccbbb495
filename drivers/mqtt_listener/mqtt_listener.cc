#include "drivers/mqtt_listener/mqtt_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/descriptor.h"
#include "core/log.h"
#include "core/text.h"
#include "drivers/mqtt_listener/connection.h"
#include "drivers/mqtt_listener/listener_core.h"
#include "drivers/mqtt_listener/send_rounds.h"
#include "mqtt/tls_server.h"

namespace tidegate::drivers {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadBufferBytes = 64 * 1024;
constexpr Duration kTick = std::chrono::seconds(1);
constexpr Duration kAcceptPause = std::chrono::milliseconds(200);
// Of packets that are not all there, over all connections. Beside it each connection may hold a share of its own, so
// that whoever fills this keeps nobody from sending messages of the usual size.
constexpr std::size_t kHeldBytesMax = std::size_t{16} * 1024 * 1024;
constexpr std::size_t kHeldShareMax = std::size_t{16} * 1024;
constexpr int kBacklog = 512;
constexpr Duration kLeavePatience = std::chrono::seconds(2);
// libmodbus aborts the process where a descriptor of its own is beyond 1023, so these leave the low ones alone.
constexpr int kDescriptorLeast = 1024;

// What connections leave of those below, to the log, the uplinks and the other drivers.
constexpr int kDescriptorReserve = 32;

// As many descriptors as the system allows: a service is started with 1024. Returns how many that are.
int raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kDescriptorLeast;
  if (limit.rlim_cur != limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

class MqttListener final : public Driver {
 public:
  MqttListener(MqttListenerOptions options, DriverContext context, std::unique_ptr<MessageDecoder> decoder,
               std::unique_ptr<UserList> users, std::unique_ptr<mqtt::TlsServer> tls)
      : options_(std::move(options)),
        context_(std::move(context)),
        tls_(std::move(tls)),
        core_(options_, std::move(decoder), std::move(users), *context_.clock, context_.wake),
        acceptor_(*context_.loop),
        rounds_(*context_.loop),
        timer_(*context_.loop),
        accept_timer_(*context_.loop),
        read_buffer_(kReadBufferBytes, '\0') {
    const std::size_t share = std::min(kHeldShareMax, kHeldBytesMax / options_.limits.connections_max);
    shared_ = {&core_,
               &options_.limits,
               context_.clock,
               &read_buffer_,
               share,
               &reads_,
               &held_bytes_,
               [this] { make_room(); },
               [this](Connection& connection) { rounds_.add(connection); },
               [this](Connection& connection) { rounds_.want(connection); },
               [this](Connection& connection) { note_slowed(connection); },
               [this](Connection& connection) { remove(connection); }};
    core_.on_taken_over([this](ListenerSession& session) { flush_later(session); });
    show_latest();
    open_journal();
  }
  ~MqttListener() override {
    *alive_ = false;
    for (const auto& connection : std::set(connections_)) connection->close();
  }

  const std::string& name() const override { return options_.name; }
  Result<void> start() override;
  void stop() override;
  bool collect(Intake& into) override;
  void settled() override;
  Result<void> read_files_anew() override;
  Result<void> take_users(const std::string& content) override;
  void sync_own() override {
    if (SessionJournal* const journal = synced_journal_) journal->sync();
  }
  bool waits_for_durable() const override { return options_.ack == MessageAck::durable; }
  bool is_leaving() const override;
  void durable(std::uint64_t count) override;
  DriverStatus status() const override;

 private:
  void show_latest();
  void open_journal();
  void plan_descriptors();
  Result<void> listen();
  void accept();
  void add(tcp::socket socket, const tcp::endpoint& peer);
  bool move_up(tcp::socket& socket) const;
  void note_slowed(Connection& connection);
  void remove(Connection& connection);
  void flush_later(ListenerSession& session);
  void make_room();
  void tick();
  void count_refusal(const Connection& connection);
  void resume_all();
  void complain(const char* kind, const std::string& text);

  const MqttListenerOptions options_;
  const DriverContext context_;
  std::unique_ptr<mqtt::TlsServer> tls_;
  std::unique_ptr<SessionJournal> journal_;
  std::atomic<SessionJournal*> synced_journal_{nullptr};  // the same, for the log sync thread
  ListenerCore core_;
  ConnectionContext shared_;
  tcp::acceptor acceptor_;
  SendRounds rounds_;
  asio::steady_timer timer_;
  asio::steady_timer accept_timer_;
  std::string read_buffer_;
  std::uint64_t reads_ = 0;
  std::size_t held_bytes_ = 0;
  std::set<std::shared_ptr<Connection>> connections_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<DriverEvent> events_;
  std::uint64_t turned_away_ = 0;
  std::map<std::string, std::uint64_t> ended_;  // connections that had to end, by reason
  std::uint64_t slowed_ = 0;
  int low_descriptors_end_ = 0;  // of those that connections may have
  bool held_back_ = false;
  bool stopped_ = false;
  BootTime leaves_until_{};  // once stopped
  ComplaintFilter complaints_;
};

Result<void> MqttListener::start() {
  plan_descriptors();
  if (auto listening = listen(); !listening) return listening;
  accept();
  tick();
  return {};
}

void MqttListener::show_latest() {
  if (context_.latest == nullptr || options_.watch.empty()) return;
  core_.use_latest(*context_.latest);
  context_.latest->on_changed([this, alive = alive_](const IndexSet& changed) {
    if (*alive) rounds_.note_changed(changed);
    return *alive;
  });
}

// Without it the listener works all the same, says what it cannot promise, and tries again. What an earlier process has
// left is removed then: a later one would believe what this one knows better.
void MqttListener::open_journal() {
  if (context_.files == nullptr || journal_) return;
  const std::string directory = context_.data_dir + "/sessions";
  std::string file_name = options_.name;
  std::replace(file_name.begin(), file_name.end(), '/', '_');
  auto opened = SessionJournal::open(*context_.files, directory, file_name, context_.marks);
  if (opened) {
    journal_ = std::move(*opened);
    synced_journal_ = journal_.get();
    core_.close_for_journal(false);
    return core_.use_journal(*journal_);
  }
  complain("journal", opened.error().message + ": messages of QoS 2 may be taken twice over a restart");
  const auto discarded = SessionJournal::discard(*context_.files, directory, file_name);
  if (!discarded) complain("discard", discarded.error().message + ": no client comes in until this works");
  core_.close_for_journal(!discarded);
}

void MqttListener::plan_descriptors() {
  const int limit = raise_descriptor_limit();
  low_descriptors_end_ = std::min(limit, kDescriptorLeast) - kDescriptorReserve;
  const int fit = std::max(limit - kDescriptorLeast, 0) + std::max(low_descriptors_end_, 0);
  if (options_.limits.connections_max <= static_cast<std::uint32_t>(fit)) return;
  log_warning(options_.name,
              "connections_max is {}, but with the {} descriptors that this process may have there is room for {} "
              "connections at most: raise its limit (LimitNOFILE of the service, ulimit -n)",
              options_.limits.connections_max, limit, fit);
}

std::string cannot_listen(const MqttListenerOptions& options, const error_code& problem) {
  const char* help = "";
  if (problem == asio::error::address_in_use) help = "; another program has this port, `ss -ltnp` tells which";
  if (problem == asio::error::access_denied) help = "; ports below 1024 are for root";
  if (problem.value() == EADDRNOTAVAIL) help = "; this machine has no such address, `ip address` shows those it has";
  return "cannot listen on " + options.host + ":" + std::to_string(options.port) + ": " + problem.message() + help;
}

Result<void> MqttListener::listen() {
  const std::string address = options_.host + ":" + std::to_string(options_.port);
  error_code problem;
  const tcp::endpoint endpoint(asio::ip::make_address(options_.host, problem), options_.port);
  if (!problem) acceptor_.open(endpoint.protocol(), problem);
  if (!problem) close_on_exec(acceptor_.native_handle());
  if (!problem) acceptor_.set_option(tcp::acceptor::reuse_address(true), problem);
  if (!problem) acceptor_.bind(endpoint, problem);
  if (!problem) acceptor_.listen(kBacklog, problem);
  if (!problem) acceptor_.non_blocking(true, problem);
  if (problem) {
    return fail(ErrorCode::invalid, "driver " + options_.name + ": " + cannot_listen(options_, problem));
  }
  log_info(options_.name, "listens on {}:{}{}", options_.host, acceptor_.local_endpoint().port(), tls_ ? " (TLS)" : "");
  events_.push_back({"driver-up", {}, "listens on " + address});
  return {};
}

void MqttListener::accept() {
  acceptor_.async_accept([this, alive = alive_](const error_code& problem, tcp::socket socket) {
    if (!*alive || problem == asio::error::operation_aborted || stopped_) return;
    if (problem) {
      complain("accept", "cannot take a connection: " + problem.message());
      accept_timer_.expires_after(kAcceptPause);
      accept_timer_.async_wait([this, alive](const error_code& cancelled) {
        if (*alive && !cancelled) accept();
      });
      return;
    }
    error_code unknown;
    const tcp::endpoint peer = socket.remote_endpoint(unknown);
    if (!unknown) add(std::move(socket), peer);
    accept();
  });
}

void MqttListener::add(tcp::socket socket, const tcp::endpoint& peer) {
  const std::string from = peer.address().to_string() + ":" + std::to_string(peer.port());
  if (connections_.size() >= options_.limits.connections_max) {
    ++turned_away_;
    return complain("too_many_connections", from + " is turned away: there are " + std::to_string(connections_.size()) +
                                                " connections, as many as may be");
  }
  close_on_exec(socket.native_handle());
  error_code problem;
  socket.set_option(tcp::no_delay(true), problem);
  socket.set_option(tcp::socket::keep_alive(true), problem);
  socket.non_blocking(true, problem);
  if (problem || !move_up(socket)) {
    ++turned_away_;
    return complain("accept", from + " is turned away: connections have all the descriptors that they may have");
  }
  std::optional<mqtt::TlsChannel> channel;
  if (tls_) {
    auto accepted = tls_->accept();
    if (!accepted) return complain("accept", from + " is turned away: " + accepted.error().message);
    channel.emplace(std::move(*accepted));
  }
  const auto connection = std::make_shared<Connection>(std::move(socket), std::move(channel), shared_, from);
  connections_.insert(connection);
  connection->start();
}

// The system gives the lowest one that is free: where that is high, few are left for the rest of the process.
bool MqttListener::move_up(tcp::socket& socket) const {
  error_code problem;
  const auto protocol = socket.local_endpoint(problem).protocol();
  const int moved = problem ? -1 : ::fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, kDescriptorLeast);
  if (moved < 0) return socket.native_handle() < low_descriptors_end_;  // none is left up there, or the limit is below
  socket.close(problem);
  socket.assign(protocol, moved, problem);
  if (!problem) socket.non_blocking(true, problem);
  return !problem;
}

void MqttListener::note_slowed(Connection& connection) {
  ++slowed_;
  complain("too_fast", fmt::format("client \"{}\" at {} sends more than the {} messages a second that it may, and is "
                                   "read from later",
                                   clip(connection.session().client_id()), connection.peer(),
                                   options_.limits.messages_per_second_max));
}

// What the core refuses it counts itself.
void MqttListener::count_refusal(const Connection& connection) {
  const mqtt::ReasonCode code = connection.session().end_code();
  if (connection.is_tls_refused()) {
    ++ended_["tls_handshake"];
  } else if (code == mqtt::ReasonCode::packet_too_large) {
    ++ended_["packet_too_large"];
  } else if (code == mqtt::ReasonCode::unsupported_protocol_version) {
    ++ended_["protocol_version"];
  } else if (code == mqtt::ReasonCode::malformed_packet || code == mqtt::ReasonCode::protocol_error) {
    ++ended_["protocol_error"];
  }
}

void MqttListener::remove(Connection& connection) {
  ListenerSession& session = connection.session();
  count_refusal(connection);
  rounds_.remove(connection);
  core_.gone(session);
  if (session.is_connected() && !session.is_orderly()) {
    const std::string reason = session.end_reason().empty() ? "the connection was lost" : session.end_reason();
    if (const auto left_out = complaints_.admit("gone", context_.clock->boot_now())) {
      log_info(options_.name, "client \"{}\" at {} is gone: {}{}", clip(session.client_id()), connection.peer(), reason,
               since_last_line(*left_out));
    }
  } else if (!session.is_connected() && !session.end_reason().empty()) {
    complain("connect", connection.peer() + ": " + session.end_reason());
  }
  connections_.erase(connection.shared_from_this());
}

// Not at once: the session that takes over is in the middle of its CONNECT.
void MqttListener::flush_later(ListenerSession& session) {
  for (const auto& connection : connections_) {
    if (&connection->session() != &session) continue;
    asio::post(*context_.loop, [connection] { connection->resume(); });
    return;
  }
}

// Who has not said yet who it is goes first: where there are users, others cannot push out one of them.
void MqttListener::make_room() {
  const auto rank = [](const std::shared_ptr<Connection>& connection) {
    const std::size_t held = connection->held_beyond_share();
    return std::pair(held > 0 && !connection->session().is_connected(), held);
  };
  while (held_bytes_ > kHeldBytesMax) {
    const auto most = *std::max_element(connections_.begin(), connections_.end(),
                                        [&](const auto& one, const auto& other) { return rank(one) < rank(other); });
    most->give_up_held();
    asio::post(*context_.loop, [most] { most->resume(); });
  }
}

void MqttListener::tick() {
  const BootTime now = context_.clock->boot_now();
  open_journal();
  core_.tick(now);
  for (const auto& connection : std::vector(connections_.begin(), connections_.end())) connection->check_deadline(now);
  timer_.expires_after(kTick);
  timer_.async_wait([this, alive = alive_](const error_code& cancelled) {
    if (*alive && !cancelled) tick();
  });
}

void MqttListener::resume_all() {
  std::vector<std::shared_ptr<Connection>> waiting;
  for (const auto& connection : connections_) {
    if (held_back_ || connection->session().unacknowledged() > 0) waiting.push_back(connection);
  }
  held_back_ = !core_.wants_messages();
  // The first of them may bring so much that the rest has to wait again: whoever has waited longest is first.
  std::sort(waiting.begin(), waiting.end(),
            [](const auto& one, const auto& other) { return one->last_read() < other->last_read(); });
  for (const auto& connection : waiting) connection->resume();
}

// Clients stay connected, so that what becomes durable on the way out is still acknowledged.
void MqttListener::stop() {
  if (std::exchange(stopped_, true)) return;
  leaves_until_ = context_.clock->boot_now() + kLeavePatience;
  error_code ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
  for (const auto& connection : connections_) connection->stop_reading();
  if (journal_) journal_->flush();
}

// Who does not read its acknowledgements is not waited for.
bool MqttListener::is_leaving() const {
  if (!stopped_ || context_.clock->boot_now() >= leaves_until_) return false;
  return std::any_of(connections_.begin(), connections_.end(), [](const auto& connection) {
    return connection->session().unacknowledged() > 0 || connection->has_unsent();
  });
}

// Connections hold what they began with.
Result<void> MqttListener::read_files_anew() {
  if (!tls_) return {};
  auto made = mqtt::TlsServer::make(options_.tls);
  if (!made) return tl::unexpected(made.error());
  tls_ = std::move(*made);
  return {};
}

Result<void> MqttListener::take_users(const std::string& content) {
  auto users = UserList::parse(content);
  if (!users) return tl::unexpected(users.error());
  core_.use_users(std::move(*users));
  return {};
}

bool MqttListener::collect(Intake& into) {
  for (DriverEvent& event : std::exchange(events_, {})) into.events.push_back(std::move(event));
  held_back_ = held_back_ || !core_.wants_messages();
  return core_.collect(into);
}

void MqttListener::settled() {
  core_.settled();
  if (held_back_ || options_.ack == MessageAck::written) resume_all();
}

void MqttListener::durable(std::uint64_t count) {
  core_.durable(count);
  resume_all();
}

void MqttListener::complain(const char* kind, const std::string& text) {
  if (const auto left_out = complaints_.admit(kind, context_.clock->boot_now())) {
    log_warning(options_.name, "{}{}", text, since_last_line(*left_out));
  }
}

DriverStatus MqttListener::status() const {
  DriverStatus status;
  status.up = acceptor_.is_open() && !stopped_;
  if (stopped_) status.detail = "stopped";
  const auto counters = core_.counters();
  status.refused = counters.refused;
  status.remarked = counters.remarked;
  if (slowed_ > 0) status.remarked["slowed"] = slowed_;
  if (turned_away_ > 0) status.refused["too_many_connections"] = turned_away_;
  status.refused.insert(ended_.begin(), ended_.end());
  return status;
}

}  // namespace

Result<std::unique_ptr<Driver>> make_mqtt_listener(MqttListenerOptions options, DriverContext context) {
  MqttDriverOptions messages;  // what the decoder needs of a driver
  messages.name = options.name;
  messages.subscribe = options.subscribe;
  messages.automatic_tags_max = options.automatic_tags_max;
  auto decoder = MessageDecoder::make(messages, *context.tags, context.text_bytes_max);
  if (!decoder) return tl::unexpected(decoder.error());
  std::unique_ptr<UserList> users;
  if (!options.users.empty()) {
    auto parsed = UserList::parse(options.users);
    if (!parsed) return tl::unexpected(parsed.error());
    users = std::move(*parsed);
  }
  std::unique_ptr<mqtt::TlsServer> tls;
  if (!options.tls.certificate.empty()) {
    auto made = mqtt::TlsServer::make(options.tls);
    if (!made) return fail(made.error().code, "driver " + options.name + ": " + made.error().message);
    tls = std::move(*made);
  }
  return std::make_unique<MqttListener>(std::move(options), std::move(context), std::move(*decoder), std::move(users),
                                        std::move(tls));
}

// Bound, and never listening: nobody is taken in and turned away.
Result<void> try_listening(const MqttListenerOptions& options) {
  error_code problem;
  asio::io_context loop;
  tcp::acceptor acceptor(loop);
  const tcp::endpoint endpoint(asio::ip::make_address(options.host, problem), options.port);
  if (!problem) acceptor.open(endpoint.protocol(), problem);
  if (!problem) acceptor.set_option(tcp::acceptor::reuse_address(true), problem);
  if (!problem) acceptor.bind(endpoint, problem);
  if (!problem) return {};
  return fail(ErrorCode::invalid, cannot_listen(options, problem));
}

Result<void> check_user_list(const std::string& content) {
  const auto parsed = UserList::parse(content);
  if (!parsed) return tl::unexpected(parsed.error());
  return {};
}

}  // namespace tidegate::drivers
